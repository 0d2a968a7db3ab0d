//! Cuts a source of Rust into words, without comments, literals, and code that only tests or documentation see.

pub(crate) fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first == '_' || first.is_alphabetic())
}

/// Names and single characters of punctuation, without comments and literals.
pub(crate) fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut words = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        match (chars[i], at(i + 1)) {
            ('/', '/') => i = (i..chars.len()).find(|&i| chars[i] == '\n').unwrap_or(chars.len()),
            ('/', '*') => {
                let mut depth = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 || i >= chars.len() {
                        break;
                    }
                }
            }
            ('"', _) => i = end_of_string(&chars, i),
            // A character, or else a lifetime.
            ('\'', '\\') => i = (i + 3..chars.len()).find(|&i| chars[i] == '\'').unwrap_or(i) + 1,
            ('\'', _) if at(i + 2) == '\'' => i += 3,
            (first, _) if first == '_' || first.is_alphanumeric() => {
                let end =
                    (i..chars.len()).find(|&i| !(chars[i] == '_' || chars[i].is_alphanumeric()));
                let end = end.unwrap_or(chars.len());
                let name: String = chars[i..end].iter().collect();
                i = end;
                let hashes = (i..).take_while(|&i| at(i) == '#').count();
                match (name.as_str(), at(i + hashes)) {
                    ("r" | "br" | "cr", '"') => i = end_of_raw_string(&chars, i + hashes, hashes),
                    ("b" | "c", '"') if hashes == 0 => i = end_of_string(&chars, i),
                    _ => words.push(name),
                }
            }
            (blank, _) if blank.is_whitespace() => i += 1,
            (other, _) => {
                words.push(other.to_string());
                i += 1;
            }
        }
    }
    words
}

/// Where a string ends whose opening quote is at `start`.
fn end_of_string(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// The same of a raw string with this many `#`.
fn end_of_raw_string(chars: &[char], start: usize, hashes: usize) -> usize {
    let is_end = |&i: &usize| {
        chars[i] == '"' && chars[i + 1..].iter().take_while(|c| **c == '#').count() >= hashes
    };
    (start + 1..chars.len()).find(is_end).map_or(chars.len(), |i| i + 1 + hashes)
}

/// Leaves out each item, field or statement whose `#[cfg(…)]` wants `test`, `doc` or `doctest`.
pub(crate) fn without_tests(words: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let Some(end) = end_of_attribute(words, at) else {
            kept.push(words[at].clone());
            at += 1;
            continue;
        };
        let attribute: Vec<&str> = words[at..end].iter().map(String::as_str).collect();
        let condition = match attribute[..] {
            ["#", "[", "cfg", "(", "all", "(", first, ..] => first,
            ["#", "[", "cfg", "(", first, ..] => first,
            _ => "",
        };
        at = if ["test", "doc", "doctest"].contains(&condition) {
            end_of_item(words, end)
        } else {
            end
        };
    }
    kept
}

/// Where the attribute that begins here ends.
fn end_of_attribute(words: &[String], at: usize) -> Option<usize> {
    let bang = usize::from(words.get(at + 1)? == "!");
    (words[at] == "#" && words[at + 1 + bang] == "[").then(|| close_of(words, at + 1 + bang) + 1)
}

/// Where the item behind an attribute ends: at its semicolon, at the end of its block, or, for a field, at its comma.
fn end_of_item(words: &[String], mut at: usize) -> usize {
    while let Some(end) = end_of_attribute(words, at) {
        at = end;
    }
    let is_item = |word: &String| {
        let items = "pub fn impl mod struct enum trait use const static type unsafe extern async macro_rules";
        items.split(' ').any(|item| item == word)
    };
    let has_commas = words.get(at).is_some_and(is_item);
    let ends_in_semicolon = {
        let mut first = words[at..].iter();
        let word = first
            .by_ref()
            .find(|word| !matches!(word.as_str(), "pub" | "(" | ")" | "crate" | "super" | "in"));
        word.is_some_and(|word| matches!(word.as_str(), "use" | "static" | "type" | "let"))
    };
    while at < words.len() {
        match words[at].as_str() {
            ";" => return at + 1,
            "," if !has_commas => return at + 1,
            "}" => return at,
            "{" if !ends_in_semicolon => return close_of(words, at) + 1,
            "{" | "(" | "[" => at = close_of(words, at) + 1,
            _ => at += 1,
        }
    }
    at
}

/// Where the bracket that opens at `open` is closed.
pub(crate) fn close_of(words: &[String], open: usize) -> usize {
    let mut depth = 0;
    for (at, word) in words.iter().enumerate().skip(open) {
        match word.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    words.len() - 1
}
