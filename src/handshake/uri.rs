//! `ws` and `wss` URIs (RFC 6455 3): which are valid, and the parts that connecting and the request need.
//! Name resolution, relative references and IDNA are left to the caller.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use super::syntax::{is_ipv6, is_name_byte, parse_port, split_authority};

/// A valid `ws` or `wss` URI (RFC 6455 3).
///
/// `http` and `https` are taken for `ws` and `wss`, as browsers do. The host must be ASCII: convert an
/// internationalized name to its `xn--` form first. In path and query, what is not allowed in a URI is
/// percent-encoded from its UTF-8. Spaces, control characters and fragments are refused. So are user and password:
/// pass an `Authorization` header instead.
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
    /// In lower case, with brackets, and with the port if it is not the scheme's.
    authority: Box<str>,
    /// How much of it is the host.
    host_len: usize,
    resource: Box<str>,
    port: u16,
    is_secure: bool,
}

impl Uri {
    /// Reads a URI.
    ///
    /// # Errors
    /// The first fault that was found; see [`UriError`].
    pub fn parse(text: &str) -> Result<Self, UriError> {
        if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(UriError::Character);
        }
        // RFC 6455 3: no fragment; WHATWG: not even an empty one.
        if text.contains('#') {
            return Err(UriError::Fragment);
        }
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Scheme)?;
        // RFC 6455 3: the scheme is compared without regard to case.
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return Err(UriError::Scheme),
        };
        let rest = rest.strip_prefix("//").ok_or(UriError::Host)?;
        let (authority, path_and_query) =
            rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UriError::UserInfo);
        }
        let (host, port) = split_authority(authority.as_bytes()).ok_or(UriError::Host)?;
        let host =
            core::str::from_utf8(host).ok().filter(|host| is_host(host)).ok_or(UriError::Host)?;
        let default_port = if is_secure { 443 } else { 80 };
        let port = parse_port(port.unwrap_or(b"")).ok_or(UriError::Port)?.unwrap_or(default_port);
        let mut authority = host.to_ascii_lowercase();
        // RFC 6455 4.1: Host has the port only where it is not the default.
        if port != default_port {
            authority.push(':');
            authority.push_str(&alloc::format!("{port}"));
        }
        let resource = resource_name(path_and_query)?;
        Ok(Uri {
            host_len: host.len(),
            authority: authority.into(),
            resource: resource.into(),
            port,
            is_secure,
        })
    }

    /// The host to connect to, in lower case: a name or an address, IPv6 without brackets.
    pub fn host(&self) -> &str {
        let host = &self.authority[..self.host_len];
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The port to connect to: 80 for `ws` and 443 for `wss` if none was given.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection needs TLS (RFC 6455 4.1): `wss` or `https`.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The resource name: path and query, `/` at least, without the question mark of an empty query.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The value of the `Host` header: IPv6 in brackets, and the port if it is not the scheme's.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host as the authority has it, IPv6 in brackets.
    pub(super) fn bracketed_host(&self) -> &str {
        &self.authority[..self.host_len]
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
        write!(
            f,
            "{}://{}{}",
            if self.is_secure { "wss" } else { "ws" },
            self.authority,
            self.resource
        )
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query often holds a token.
        f.debug_struct("Uri")
            .field("is_secure", &self.is_secure)
            .field("authority", &self.authority)
            .field("resource_bytes", &self.resource.len())
            .finish()
    }
}

/// Whether this is a name in ASCII or an IPv6 address in brackets. A percent sign is refused in a name, since
/// nothing could look it up.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(address) => {
            address.strip_suffix(']').is_some_and(|address| is_ipv6(address.as_bytes()))
        }
        None => !host.is_empty() && host.bytes().all(is_name_byte),
    }
}

/// RFC 6455 3: the path, `/` if it is empty, and the query with its question mark unless that is empty.
fn resource_name(text: &str) -> Result<String, UriError> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let mut resource = String::with_capacity(text.len() + 1);
    for (start, part) in [("", if path.is_empty() { "/" } else { path }), ("?", query)] {
        if part.is_empty() {
            continue;
        }
        resource.push_str(start);
        let mut bytes = part.bytes();
        while let Some(byte) = bytes.next() {
            if is_name_byte(byte) || matches!(byte, b':' | b'@' | b'/' | b'?') {
                resource.push(char::from(byte));
            } else if byte == b'%' {
                // RFC 3986 2.1: an escape has two digits; a lone % would not arrive as it was meant.
                let mut digit = || bytes.next().filter(u8::is_ascii_hexdigit).map(char::from);
                let (high, low) = (digit(), digit());
                resource.push('%');
                resource.push(high.ok_or(UriError::Escape)?);
                resource.push(low.ok_or(UriError::Escape)?);
            } else {
                // RFC 6455 11.1.1: other characters are percent-encoded from UTF-8.
                resource.push('%');
                resource.push(char::from(HEX[usize::from(byte >> 4)]));
                resource.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    Ok(resource)
}

/// Why a text is not a usable `ws` or `wss` URI (RFC 6455 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UriError {
    /// The scheme is missing, or none of `ws`, `wss`, `http` and `https`.
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
