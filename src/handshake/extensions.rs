//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455 9.1): a comma list of names with parameters. What names and
//! parameters mean is left to each extension.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::syntax::{is_token_byte, token_len};

/// The header's name.
pub(crate) const HEADER: &str = "Sec-WebSocket-Extensions";

/// Error: the value breaks the grammar. Nothing behind the fault was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidExtensions;

/// One element of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extension<'a> {
    /// Its name, a token, compared exactly.
    pub(crate) name: &'a [u8],
    /// The text between the name and the comma. Its grammar was checked.
    params: &'a [u8],
}

/// One parameter: `name` or `name=value`, the value unquoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Param<'a> {
    /// Its name, a token.
    pub(crate) name: &'a [u8],
    /// Its value, a token. Owned if an escape was resolved.
    pub(crate) value: Option<Cow<'a, [u8]>>,
}

impl<'a> Extension<'a> {
    #[cfg_attr(
        not(any(test, feature = "deflate")),
        expect(dead_code, reason = "for permessage-deflate")
    )]
    /// Its parameters in order. A repeated one appears each time.
    pub(crate) fn params(&self) -> impl Iterator<Item = Param<'a>> + use<'a> {
        let mut rest = self.params;
        core::iter::from_fn(move || {
            next_param(&mut rest).expect("checked when the extension was read")
        })
    }
}

/// Reads one line of the header. Empty elements are skipped (RFC 9110 5.6.1.2), so a line may have no elements. The
/// work is linear in the length of the value. The iterator ends after the first error.
#[cfg_attr(
    not(any(test, feature = "deflate")),
    expect(dead_code, reason = "for permessage-deflate")
)]
pub(crate) fn parse(
    value: &[u8],
) -> impl Iterator<Item = Result<Extension<'_>, InvalidExtensions>> {
    let mut rest = value;
    core::iter::from_fn(move || {
        let next = next_extension(&mut rest);
        if next.is_err() {
            rest = &[];
        }
        next.transpose()
    })
}

/// The first extension on these lines, whose grammar was checked.
pub(super) fn first_name<'h>(mut lines: impl Iterator<Item = &'h [u8]>) -> Option<&'h [u8]> {
    let first = lines.find_map(|mut line| next_extension(&mut line).ok().flatten());
    first.map(|extension| extension.name)
}

/// How many extensions one line of the header lists.
pub(super) fn count(value: &[u8]) -> Result<usize, InvalidExtensions> {
    let mut rest = value;
    let mut count = 0;
    while next_extension(&mut rest)?.is_some() {
        count += 1;
    }
    Ok(count)
}

#[inline]
fn next_extension<'a>(rest: &mut &'a [u8]) -> Result<Option<Extension<'a>>, InvalidExtensions> {
    while let [b' ' | b'\t' | b',', behind @ ..] = rest {
        *rest = behind;
    }
    if rest.is_empty() {
        return Ok(None);
    }
    let name = take_token(rest)?;
    let before = *rest;
    while next_param(rest)?.is_some() {}
    let params = &before[..before.len() - rest.len()];
    skip_white(rest);
    match rest {
        [] | [b',', ..] => Ok(Some(Extension { name, params })),
        _ => Err(InvalidExtensions),
    }
}

/// Reads `; name [= value]`. RFC 6455 4.3 uses the grammar of RFC 2616 2.1, which allows white space around every
/// separator.
#[inline(always)]
fn next_param<'a>(rest: &mut &'a [u8]) -> Result<Option<Param<'a>>, InvalidExtensions> {
    skip_white(rest);
    let [b';', behind @ ..] = rest else { return Ok(None) };
    *rest = behind;
    skip_white(rest);
    let name = take_token(rest)?;
    skip_white(rest);
    let [b'=', behind @ ..] = rest else { return Ok(Some(Param { name, value: None })) };
    *rest = behind;
    skip_white(rest);
    let value = match rest {
        [b'"', quoted @ ..] => {
            *rest = quoted;
            take_quoted(rest)?
        }
        _ => Cow::Borrowed(take_token(rest)?),
    };
    Ok(Some(Param { name, value: Some(value) }))
}

#[inline]
fn skip_white(rest: &mut &[u8]) {
    while let [b' ' | b'\t', behind @ ..] = rest {
        *rest = behind;
    }
}

#[inline]
fn take_token<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], InvalidExtensions> {
    let (token, behind) = rest.split_at(token_len(rest));
    *rest = behind;
    if token.is_empty() { Err(InvalidExtensions) } else { Ok(token) }
}

/// Reads the rest of a quoted string, behind the opening quote. RFC 6455 9.1: once unescaped, it must be a token.
fn take_quoted<'a>(rest: &mut &'a [u8]) -> Result<Cow<'a, [u8]>, InvalidExtensions> {
    let all = *rest;
    let mut unescaped = Vec::new();
    let mut has_escape = false;
    let mut at = 0;
    loop {
        let escaped = all.get(at) == Some(&b'\\');
        if escaped && !has_escape {
            has_escape = true;
            unescaped.extend_from_slice(&all[..at]);
        }
        at += usize::from(escaped);
        let &byte = all.get(at).ok_or(InvalidExtensions)?;
        if byte == b'"' && !escaped {
            break;
        }
        if !is_token_byte(byte) {
            return Err(InvalidExtensions);
        }
        if has_escape {
            unescaped.push(byte);
        }
        at += 1;
    }
    *rest = &all[at + 1..];
    let value = if has_escape { Cow::Owned(unescaped) } else { Cow::Borrowed(&all[..at]) };
    if value.is_empty() { Err(InvalidExtensions) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::String;

    /// Writes what was read in a canonical form, `a;b=c,d`; `None` for an error.
    fn read(value: &[u8]) -> Option<String> {
        let mut all = Vec::new();
        for extension in parse(value) {
            let extension = extension.ok()?;
            let mut text = String::from_utf8_lossy(extension.name).into_owned();
            for param in extension.params() {
                text += &format!(";{}", String::from_utf8_lossy(param.name));
                if let Some(value) = param.value {
                    text += &format!("={}", String::from_utf8_lossy(&value));
                }
            }
            all.push(text);
        }
        Some(all.join(","))
    }

    #[test]
    fn grammar() {
        // rfc6455-4.3-01, rfc6455-9.1-01, rfc6455-9.1-02, rfc6455-9.1-03
        for (value, expected) in [
            ("", Some("")),
            (" ,\t, ", Some("")),
            ("foo", Some("foo")),
            ("foo,bar; baz=2", Some("foo,bar;baz=2")),
            (",, foo ,\t,bar,", Some("foo,bar")),
            (
                "permessage-deflate; client_max_window_bits",
                Some("permessage-deflate;client_max_window_bits"),
            ),
            ("a;b;b=1;b", Some("a;b;b=1;b")),
            ("a ; b = 1 ", Some("a;b=1")),
            ("a;b=\"10\"", Some("a;b=10")),
            ("a;b=\"1\\0\";c=\"\\x\\y\"", Some("a;b=10;c=xy")),
            ("a;b=\"1\" , c", Some("a;b=1,c")),
            ("a;;b", None),
            ("a;;", None),
            ("a;", None),
            ("a; ,b", None),
            ("=x", None),
            ("a=1", None),
            ("a b", None),
            ("a;b c", None),
            ("a;b=", None),
            ("a;b=,c", None),
            ("a;=1", None),
            ("a;b=1 2", None),
            ("a;b=\"", None),
            ("a;b=\"1", None),
            ("a;b=\"1\\", None),
            ("a;b=\"1\\\"", None),
            ("a;b=\"\"", None),
            ("a;b=\"1 0\"", None),
            ("a;b=\"1\\ 0\"", None),
            ("a;b=\"1,0\"", None),
            ("a;b=\"1\\\"0\"", None),
            ("a;b=\"\\\\\"", None),
            ("a;b=\"1\"0", None),
            ("\"a\"", None),
            ("a;\"b\"", None),
            ("a/b", None),
            ("\u{e9}", None),
            ("good, bad bad, good", None),
        ] {
            assert_eq!(read(value.as_bytes()).as_deref(), expected, "{value:?}");
        }
    }

    #[test]
    fn reading_ends_after_the_first_fault() {
        let verdicts: Vec<bool> = parse(b"a, b c, d").map(|extension| extension.is_ok()).collect();
        assert_eq!(verdicts, [true, false]);
    }

    #[test]
    fn many_offers_are_linear() {
        let value = "a;b=\"\\c\",".repeat(100_000);
        assert_eq!(parse(value.as_bytes()).filter(Result::is_ok).count(), 100_000);
    }
}
