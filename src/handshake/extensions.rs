//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455 9.1): a comma list of names with parameters. What names and
//! parameters mean is left to each extension.

use core::fmt::{self, Write};
use core::hash::{Hash, Hasher};
use core::str;

use super::error::HandshakeError;
use super::syntax::{is_token_byte, token_len};

/// The header's name.
pub(crate) const HEADER: &str = "Sec-WebSocket-Extensions";

/// Error: the value breaks the grammar. Nothing behind the fault was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidExtensions;

/// One element of the value of `Sec-WebSocket-Extensions`: an extension with its parameters, offered or chosen (RFC
/// 6455 9.1). [`parse_extensions`] returns them. Two are equal if their names and parameters are.
#[derive(Clone, Copy)]
pub struct Extension<'a> {
    pub(super) name: &'a [u8],
    /// The text between the name and the comma. Its grammar was checked.
    params: &'a [u8],
}

impl<'a> Extension<'a> {
    /// Its name, a token. Names are compared with case.
    #[must_use]
    pub fn name(&self) -> &'a str {
        token_text(self.name)
    }

    /// Its parameters in order. A repeated one appears each time.
    pub fn params(&self) -> impl Iterator<Item = ExtensionParam<'a>> + use<'a> {
        let mut rest = self.params;
        core::iter::from_fn(move || {
            next_param(&mut rest).expect("checked when the extension was read")
        })
    }
}

impl PartialEq for Extension<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.params().eq(other.params())
    }
}

impl Eq for Extension<'_> {}

impl Hash for Extension<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.params().for_each(|param| param.hash(state));
    }
}

impl fmt::Debug for Extension<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extension({}, {} parameters)", self.name(), self.params().count())
    }
}

/// One parameter of an [`Extension`]: `name` or `name=value`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExtensionParam<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: Option<ExtensionValue<'a>>,
}

impl<'a> ExtensionParam<'a> {
    /// Its name, a token. Names are compared with case.
    #[must_use]
    pub fn name(&self) -> &'a str {
        token_text(self.name)
    }

    /// Its value; `None` if it was sent without one.
    #[must_use]
    pub fn value(&self) -> Option<ExtensionValue<'a>> {
        self.value
    }
}

impl fmt::Debug for ExtensionParam<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            None => write!(f, "ExtensionParam({})", self.name()),
            Some(value) => write!(f, "ExtensionParam({}={value:?})", self.name()),
        }
    }
}

/// The value of an [`ExtensionParam`], without the quotes and escapes of a quoted string. It is a token (RFC 6455 9.1).
/// It borrows from the header, where escapes may stand between its characters. So it is compared, displayed, or read
/// byte by byte.
///
/// ```
/// use websocket_proto::handshake::parse_extensions;
///
/// let extension = parse_extensions(br#"foo; mode="fa\st""#).next().expect("one extension")?;
/// let value = extension.params().next().and_then(|param| param.value()).expect("a value");
/// assert!(value == "fast" && value.bytes().eq(*b"fast"));
/// assert_eq!(value.to_string(), "fast");
/// # Ok::<(), websocket_proto::HandshakeError>(())
/// ```
#[derive(Clone, Copy)]
pub struct ExtensionValue<'a> {
    /// Bytes of a token, each with or without a backslash before it. A token has no backslash (RFC 9110 5.6.2).
    escaped: &'a [u8],
}

impl<'a> ExtensionValue<'a> {
    /// Its bytes, which are ASCII; at least one.
    pub fn bytes(&self) -> impl Iterator<Item = u8> + use<'a> {
        self.escaped.iter().copied().filter(|&byte| byte != b'\\')
    }
}

impl PartialEq<str> for ExtensionValue<'_> {
    fn eq(&self, other: &str) -> bool {
        self.bytes().eq(other.bytes())
    }
}

impl PartialEq<&str> for ExtensionValue<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl PartialEq for ExtensionValue<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes().eq(other.bytes())
    }
}

impl Eq for ExtensionValue<'_> {}

impl Hash for ExtensionValue<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().for_each(|byte| state.write_u8(byte));
        // As `str` does: so that a value and what follows it are not hashed as another value.
        state.write_u8(0xff);
    }
}

impl fmt::Display for ExtensionValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().try_for_each(|byte| f.write_char(char::from(byte)))
    }
}

impl fmt::Debug for ExtensionValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Reads the value of one `Sec-WebSocket-Extensions` line (RFC 6455 9.1), for a program that negotiates extensions
/// itself. [`UpgradeRequest::extensions`](crate::UpgradeRequest::extensions) and
/// [`UpgradeResponse::extensions`](crate::UpgradeResponse::extensions) return the values of all lines.
///
/// Empty elements of the list are skipped (RFC 9110 5.6.1.2), so a value may have no extensions. The work is linear in
/// the length of the value, and nothing is allocated. What names and parameters mean is left to the caller.
///
/// ```
/// use websocket_proto::handshake::parse_extensions;
///
/// let value = b"mux; max-channels=4; flow-control, permessage-deflate";
/// let mut offers = parse_extensions(value);
/// let mux = offers.next().expect("two extensions are offered")?;
/// assert_eq!(mux.name(), "mux");
/// for param in mux.params() {
///     match (param.name(), param.value()) {
///         ("max-channels", Some(channels)) => assert_eq!(channels, "4"),
///         ("flow-control", None) => {}
///         _ => panic!("decline the offer"),
///     }
/// }
/// assert_eq!(offers.next().expect("two extensions are offered")?.name(), "permessage-deflate");
/// assert_eq!(offers.next(), None);
/// # Ok::<(), websocket_proto::HandshakeError>(())
/// ```
///
/// # Errors
///
/// The item [`HandshakeError::InvalidExtensions`] if the value breaks the grammar. It is the last one, and the whole
/// header is then invalid: a server answers it with status 400, and a client fails the handshake.
pub fn parse_extensions(
    value: &[u8],
) -> impl Iterator<Item = Result<Extension<'_>, HandshakeError>> {
    parse(value).map(|next| next.map_err(|InvalidExtensions| HandshakeError::InvalidExtensions))
}

/// Reads one line of the header. The iterator ends after the first error.
pub(super) fn parse(
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

/// The text of a token.
fn token_text(token: &[u8]) -> &str {
    str::from_utf8(token).expect("a token is ASCII")
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
fn next_param<'a>(rest: &mut &'a [u8]) -> Result<Option<ExtensionParam<'a>>, InvalidExtensions> {
    skip_white(rest);
    let [b';', behind @ ..] = rest else { return Ok(None) };
    *rest = behind;
    skip_white(rest);
    let name = take_token(rest)?;
    skip_white(rest);
    let [b'=', behind @ ..] = rest else {
        return Ok(Some(ExtensionParam { name, value: None }));
    };
    *rest = behind;
    skip_white(rest);
    let escaped = match rest {
        [b'"', quoted @ ..] => {
            *rest = quoted;
            take_quoted(rest)?
        }
        _ => take_token(rest)?,
    };
    Ok(Some(ExtensionParam { name, value: Some(ExtensionValue { escaped }) }))
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

/// Reads the rest of a quoted string, behind the opening quote, with its escapes. RFC 6455 9.1: once unescaped, it must
/// be a token.
fn take_quoted<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], InvalidExtensions> {
    let all = *rest;
    let mut at = 0;
    loop {
        let escaped = all.get(at) == Some(&b'\\');
        at += usize::from(escaped);
        let &byte = all.get(at).ok_or(InvalidExtensions)?;
        if byte == b'"' && !escaped {
            break;
        }
        if !is_token_byte(byte) {
            return Err(InvalidExtensions);
        }
        at += 1;
    }
    *rest = &all[at + 1..];
    if at == 0 { Err(InvalidExtensions) } else { Ok(&all[..at]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    /// Writes what was read in a canonical form, `a;b=c,d`; `None` for an error.
    fn read(value: &[u8]) -> Option<String> {
        let mut all = Vec::new();
        for extension in parse(value) {
            let extension = extension.ok()?;
            let mut text = String::from(extension.name());
            for param in extension.params() {
                text += &format!(";{}", param.name());
                if let Some(value) = param.value() {
                    text += &format!("={value}");
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
    fn a_value_is_compared_without_its_quotes_and_escapes() {
        use std::collections::HashSet;
        let extension = |value: &'static str| {
            parse_extensions(value.as_bytes()).next().expect("one extension").expect("valid")
        };
        let same = ["x;a=10;b", "x;a=\"10\";b", "x ; a = \"1\\0\" ; b", "x;a=\"\\1\\0\";b"];
        let all: HashSet<_> = same.into_iter().map(extension).collect();
        assert_eq!(all.len(), 1);
        for extension in same.into_iter().map(extension) {
            let params: Vec<_> = extension.params().collect();
            let value = params[0].value().expect("it has a value");
            assert!(value == "10" && value == *"10" && value != "1" && value != "100");
            assert!(value.bytes().eq(*b"10"));
            assert_eq!(format!("{value} {value:?}"), "10 \"10\"");
            assert_eq!(format!("{params:?}"), "[ExtensionParam(a=\"10\"), ExtensionParam(b)]");
            assert_eq!(format!("{extension:?}"), "Extension(x, 2 parameters)");
        }
        let others =
            ["y;a=10;b", "x;a=1;b", "x;a=10", "x;a;b", "x;a=10;b=1", "x;A=10;b", "x;b;a=10"];
        for other in others.into_iter().map(extension) {
            assert!(!all.contains(&other), "{other:?}");
        }
    }

    #[test]
    fn reading_ends_after_the_first_fault() {
        let error = Some(Err(HandshakeError::InvalidExtensions));
        let mut read = parse_extensions(b"a, b c, d").skip(1);
        assert_eq!((read.next(), read.next()), (error, None));
        let verdicts: Vec<bool> = parse(b"a, b c, d").map(|extension| extension.is_ok()).collect();
        assert_eq!(verdicts, [true, false]);
    }

    #[test]
    fn many_offers_are_linear() {
        let value = "a;b=\"\\c\",".repeat(100_000);
        assert_eq!(parse(value.as_bytes()).filter(Result::is_ok).count(), 100_000);
    }
}
