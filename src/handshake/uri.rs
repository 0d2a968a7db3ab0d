//! `ws` and `wss` URIs (RFC 6455 3): which are valid, and the parts that a client needs to connect and to write its
//! request. Name resolution, relative references and IDNA are left to the caller.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt::{self, Write as _};
use core::str::FromStr;

use super::syntax::{is_ipv6, is_name_byte, name_len, parse_port, split_authority};

/// A valid `ws` or `wss` URI (RFC 6455 3).
///
/// `http` and `https` are read as `ws` and `wss`, as browsers do. The host must be ASCII: convert an internationalized
/// name to its `xn--` form first. Characters in path and query that a URI does not allow are percent-encoded from
/// UTF-8. Spaces, control characters and fragments are errors. So are user and password: pass an `Authorization` header
/// instead.
///
/// ```
/// use websocket_proto::Uri;
///
/// let uri = Uri::parse("wss://[::1]:9001/caf\u{e9}?x")?;
/// assert_eq!((uri.host(), uri.port(), uri.is_secure()), ("::1", 9001, true));
/// assert_eq!((uri.authority(), uri.resource()), ("[::1]:9001", "/caf%C3%A9?x"));
/// # Ok::<(), websocket_proto::UriError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Uri {
    /// The authority, then the resource name. The authority is in lower case, with brackets, and with the port if it is
    /// not the scheme's default.
    text: Box<str>,
    /// The length in bytes of the host, and of the authority, at the front of the text.
    host_len: usize,
    authority_len: usize,
    port: u16,
    is_secure: bool,
}

impl Uri {
    /// Reads a URI.
    ///
    /// # Errors
    ///
    /// The first error that was found; see [`UriError`].
    pub fn parse(text: &str) -> Result<Self, UriError> {
        check_bytes(text)?;
        let (is_secure, rest) = split_scheme(text)?;
        // A name has no `/` and no `?`, so the end of the authority is searched behind the name only.
        let is_end = |byte| matches!(byte, b'/' | b'?');
        let name_len = name_len(rest.as_bytes());
        let more = rest.bytes().skip(name_len).position(is_end);
        let authority_len = more.map_or(rest.len(), |more| name_len + more);
        let (authority, path_and_query) = rest.split_at(authority_len);
        let default_port = if is_secure { 443 } else { 80 };
        let (host, port) = if name_len == authority_len && name_len > 0 {
            (authority, default_port)
        } else {
            parse_authority(authority, default_port)?
        };
        let resource = Resource::parse(path_and_query)?;
        // RFC 6455 4.1: Host has the port only if it is not the default.
        let digits = port.checked_ilog10().unwrap_or(0) as usize + 1;
        let port_len = if port == default_port { 0 } else { ":".len() + digits };
        let authority_len = host.len() + port_len;
        let mut text = String::with_capacity(authority_len + resource.len);
        text.push_str(host);
        text.make_ascii_lowercase();
        if port != default_port {
            write!(text, ":{port}").expect("a String takes all");
        }
        resource.write(&mut text);
        debug_assert_eq!(text.len(), authority_len + resource.len, "nothing is moved");
        Ok(Uri {
            text: text.into_boxed_str(),
            host_len: host.len(),
            authority_len,
            port,
            is_secure,
        })
    }

    /// The host to connect to, in lower case: a name or an address; IPv6 has no brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.bracketed_host();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The port to connect to: 80 for `ws` and 443 for `wss` if none was given.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection needs TLS (RFC 6455 4.1): `wss` or `https`.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The resource name: path and query. It is `/` at least, and has no question mark if the query is empty.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.text[self.authority_len..]
    }

    /// The value of the `Host` header: IPv6 in brackets, and the port if it is not the scheme's.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.text[..self.authority_len]
    }

    /// The host as in the authority: IPv6 has brackets.
    pub(super) fn bracketed_host(&self) -> &str {
        &self.text[..self.host_len]
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Uri::parse(text)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_secure { "wss" } else { "ws" }, self.text)
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query often holds a token.
        f.debug_struct("Uri")
            .field("is_secure", &self.is_secure)
            .field("authority", &self.authority())
            .field("resource_bytes", &self.resource().len())
            .finish()
    }
}

/// Checks for bytes that are wrong anywhere in a URI.
fn check_bytes(text: &str) -> Result<(), UriError> {
    // No branch for each byte, so that the compiler can compare many bytes at once.
    let [mut has_control, mut has_fragment] = [false; 2];
    for byte in text.bytes() {
        has_control |= (byte <= b' ') | (byte == 0x7f);
        has_fragment |= byte == b'#';
    }
    if has_control {
        return Err(UriError::Character);
    }
    // RFC 6455 3: no fragment; WHATWG: not even an empty one.
    if has_fragment { Err(UriError::Fragment) } else { Ok(()) }
}

/// Splits off the scheme. Returns whether it is secure, and what follows the two slashes.
fn split_scheme(text: &str) -> Result<(bool, &str), UriError> {
    let colon = text.bytes().position(|byte| byte == b':').ok_or(UriError::Scheme)?;
    let (scheme, rest) = text.split_at(colon);
    // RFC 6455 3: the scheme is compared without regard to case.
    let is_scheme = |known| scheme.eq_ignore_ascii_case(known);
    let is_secure = match scheme.len() {
        2 if is_scheme("ws") => false,
        3 if is_scheme("wss") => true,
        4 if is_scheme("http") => false,
        5 if is_scheme("https") => true,
        _ => return Err(UriError::Scheme),
    };
    Ok((is_secure, rest.strip_prefix("://").ok_or(UriError::Host)?))
}

/// Splits an authority into host and port.
fn parse_authority(authority: &str, default_port: u16) -> Result<(&str, u16), UriError> {
    if authority.contains('@') {
        return Err(UriError::UserInfo);
    }
    let (host, port) = split_authority(authority.as_bytes()).ok_or(UriError::Host)?;
    let host =
        core::str::from_utf8(host).ok().filter(|host| is_host(host)).ok_or(UriError::Host)?;
    let port = parse_port(port.unwrap_or(b"")).ok_or(UriError::Port)?;
    Ok((host, port.unwrap_or(default_port)))
}

/// Whether this is a name in ASCII or an IPv6 address in brackets. A name must not have a percent sign, since it could
/// not be resolved.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(address) => {
            address.strip_suffix(']').is_some_and(|address| is_ipv6(address.as_bytes()))
        }
        None => !host.is_empty() && name_len(host.as_bytes()) == host.len(),
    }
}

/// The resource name (RFC 6455 3): the path, or `/` if it is empty, and the query with its question mark if it is not
/// empty.
struct Resource<'a> {
    path: &'a str,
    query: &'a str,
    /// The length in bytes of the resource name once encoded.
    len: usize,
}

impl<'a> Resource<'a> {
    fn parse(text: &'a str) -> Result<Self, UriError> {
        let mark = text.bytes().position(|byte| byte == b'?');
        let (path, query) = mark.map_or((text, ""), |mark| (&text[..mark], &text[mark + 1..]));
        let path = if path.is_empty() { "/" } else { path };
        let mut len = encoded_len(path.as_bytes())?;
        if !query.is_empty() {
            len += "?".len() + encoded_len(query.as_bytes())?;
        }
        Ok(Resource { path, query, len })
    }

    fn write(&self, out: &mut String) {
        push_encoded(out, self.path);
        if !self.query.is_empty() {
            out.push('?');
            push_encoded(out, self.query);
        }
    }
}

/// Whether this byte may stand unescaped in a path or a query.
fn is_plain(byte: u8) -> bool {
    is_name_byte(byte) || matches!(byte, b':' | b'@' | b'/' | b'?')
}

/// The length in bytes of a part once it is percent-encoded.
fn encoded_len(part: &[u8]) -> Result<usize, UriError> {
    let mut len = part.len();
    for (at, &byte) in part.iter().enumerate() {
        if is_plain(byte) {
            continue;
        }
        match (byte, part.get(at + 1..at + 3)) {
            // RFC 3986 2.1: an escape has two digits. What a lone % means is unclear.
            (b'%', Some(digits)) if digits.iter().all(u8::is_ascii_hexdigit) => {}
            (b'%', _) => return Err(UriError::Escape),
            _ => len += "%".len() + 1,
        }
    }
    Ok(len)
}

/// Appends a part. Characters that a URI does not allow are percent-encoded from UTF-8 (RFC 6455 11.1.1); escapes are
/// not changed.
fn push_encoded(out: &mut String, part: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let stays = |byte: u8| is_plain(byte) || byte == b'%';
    // In most parts nothing is encoded.
    let (kept, rest) =
        part.split_at(part.bytes().position(|byte| !stays(byte)).unwrap_or(part.len()));
    out.push_str(kept);
    for byte in rest.bytes() {
        if stays(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// Why a text is not a usable `ws` or `wss` URI (RFC 6455 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UriError {
    /// The scheme is missing, or it is not `ws`, `wss`, `http` or `https`.
    Scheme,
    /// There is no host, or it is not a name in ASCII, an IPv4 address, or an IPv6 address in brackets.
    Host,
    /// The port is not a number up to 65535.
    Port,
    /// There is a user or password: pass an `Authorization` header instead.
    UserInfo,
    /// There is a fragment (`#`); in a path it is written `%23`.
    Fragment,
    /// There is a space or a control character.
    Character,
    /// A percent sign without two hexadecimal digits; it is written `%25`.
    Escape,
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UriError::Scheme => "scheme of the URI is not ws or wss",
            UriError::Host => "host of the URI is missing or not valid",
            UriError::Port => "port of the URI is not a number up to 65535",
            UriError::UserInfo => "user information in the URI is not allowed",
            UriError::Fragment => "fragment in the URI is not allowed",
            UriError::Character => "space or control character in the URI is not allowed",
            UriError::Escape => "percent sign in the URI needs two hexadecimal digits",
        })
    }
}

impl core::error::Error for UriError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_uris() {
        // rfc6455-3-01, 3-03, 3-04, 3-06, 4.1-23, 11.1.1-02, 11.1.2-02, rfc8307-1-01, whatwg-constructor-01,
        // whatwg-obtain-01, whatwg-obtain-02
        for (text, host, port, secure, authority, resource) in [
            ("ws://h", "h", 80, false, "h", "/"),
            ("wss://h/", "h", 443, true, "h", "/"),
            ("WSS://H/", "h", 443, true, "h", "/"),
            ("Ws://h/", "h", 80, false, "h", "/"),
            ("http://h/p", "h", 80, false, "h", "/p"),
            ("https://h/p", "h", 443, true, "h", "/p"),
            ("ws://h:8080/", "h", 8080, false, "h:8080", "/"),
            ("ws://h:80/", "h", 80, false, "h", "/"),
            ("ws://h:443/", "h", 443, false, "h:443", "/"),
            ("wss://h:443/", "h", 443, true, "h", "/"),
            ("wss://h:80/", "h", 80, true, "h:80", "/"),
            ("ws://h:/", "h", 80, false, "h", "/"),
            ("ws://h:00080/", "h", 80, false, "h", "/"),
            ("ws://h:65535", "h", 65535, false, "h:65535", "/"),
            ("ws://h?a=1", "h", 80, false, "h", "/?a=1"),
            ("ws://h/p?", "h", 80, false, "h", "/p"),
            ("ws://h/p?x", "h", 80, false, "h", "/p?x"),
            ("ws://h/p?x?y/z", "h", 80, false, "h", "/p?x?y/z"),
            ("ws://h//a/../b", "h", 80, false, "h", "//a/../b"),
            ("ws://[::1]/", "::1", 80, false, "[::1]", "/"),
            ("ws://[2001:DB8::1]:9/", "2001:db8::1", 9, false, "[2001:db8::1]:9", "/"),
            ("ws://127.0.0.1:9/", "127.0.0.1", 9, false, "127.0.0.1:9", "/"),
            ("ws://a_b.example/", "a_b.example", 80, false, "a_b.example", "/"),
            ("ws://h/\u{e9}?\u{1f600}", "h", 80, false, "h", "/%C3%A9?%F0%9F%98%80"),
            ("ws://h/%23%c3", "h", 80, false, "h", "/%23%c3"),
            ("ws://h/a|b\\c\"?[1]", "h", 80, false, "h", "/a%7Cb%5Cc%22?%5B1%5D"),
            ("ws://h/a@b:c", "h", 80, false, "h", "/a@b:c"),
            ("ws://h/.well-known/coap", "h", 80, false, "h", "/.well-known/coap"),
        ] {
            let uri = Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (uri.host(), uri.port(), uri.is_secure(), uri.authority(), uri.resource()),
                (host, port, secure, authority, resource),
                "{text}"
            );
            assert_eq!(Uri::parse(&std::format!("{uri}")), Ok(uri), "{text} once more");
        }
    }

    #[test]
    fn bad_uris() {
        // rfc6455-3-02, 3-05, 4.1-03, 11.1.1-01, 11.1.2-01, whatwg-constructor-02
        for (text, error) in [
            ("", UriError::Scheme),
            ("h/p", UriError::Scheme),
            ("//h/p", UriError::Scheme),
            ("ftp://h", UriError::Scheme),
            ("wsx://h", UriError::Scheme),
            ("ws:h", UriError::Host),
            ("ws:/h", UriError::Host),
            ("ws://", UriError::Host),
            ("ws:///x", UriError::Host),
            ("ws://?x", UriError::Host),
            ("ws://:80/", UriError::Host),
            ("ws://ex\u{e4}mple/", UriError::Host),
            ("ws://a%41/", UriError::Host),
            ("ws://a\\b/", UriError::Host),
            ("ws://good\\@evil/", UriError::UserInfo),
            ("ws://[::1/", UriError::Host),
            ("ws://[::g]/", UriError::Host),
            ("ws://[::1]x/", UriError::Host),
            ("ws://[::1%25eth0]/", UriError::Host),
            ("ws://::1/", UriError::Host),
            ("ws://h]/", UriError::Host),
            ("ws://h:99999/", UriError::Port),
            ("ws://h:65536/", UriError::Port),
            ("ws://h:ab/", UriError::Port),
            ("ws://h:-1/", UriError::Port),
            ("ws://h:1:2/", UriError::Port),
            ("ws://user@h/", UriError::UserInfo),
            ("ws://user:secret@h/", UriError::UserInfo),
            ("ws://@h/", UriError::UserInfo),
            ("ws://h/p#f", UriError::Fragment),
            ("ws://h/#", UriError::Fragment),
            ("ws://h#", UriError::Fragment),
            ("ws://h/x y", UriError::Character),
            ("ws://a b/", UriError::Character),
            (" ws://h/", UriError::Character),
            ("ws://h/\r\nx: y", UriError::Character),
            ("ws://h/\0", UriError::Character),
            ("ws://h/\u{7f}", UriError::Character),
            ("ws://h/%", UriError::Escape),
            ("ws://h/%4", UriError::Escape),
            ("ws://h/?%zz", UriError::Escape),
            ("ws://h/%\u{e9}", UriError::Escape),
        ] {
            assert_eq!(Uri::parse(text), Err(error), "{text:?}");
        }
    }
}
