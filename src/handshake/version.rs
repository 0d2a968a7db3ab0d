//! Version numbers: of HTTP in a first line, and of the WebSocket protocol in `Sec-WebSocket-Version`.

use core::fmt;

use super::syntax;

/// The version of the WebSocket protocol that this crate speaks (RFC 6455 4.1).
pub(super) const VERSION: &str = "13";

/// Reads a version of the WebSocket protocol: 0 to 255 without leading zeros (RFC 6455 4.3).
pub(super) fn parse_websocket_version(text: &[u8]) -> Option<u8> {
    if text.len() > 1 && text.starts_with(b"0") { None } else { syntax::number(text) }
}

/// The HTTP version of a request (RFC 9112 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HttpVersion {
    /// HTTP/1.0, which health checks and some proxies use. It has no upgrade, and may lack a `Host`.
    Http10,
    /// HTTP/1.1.
    Http11,
}

impl fmt::Display for HttpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HttpVersion::Http10 => "HTTP/1.0",
            HttpVersion::Http11 => "HTTP/1.1",
        })
    }
}

/// Reads the two numbers of a version such as `HTTP/1.1` (RFC 9112 2.3).
pub(super) fn parse_http_version(word: &[u8]) -> Option<(u8, u8)> {
    match word {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Some((major - b'0', minor - b'0'))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_numbers_have_one_spelling() {
        // rfc6455-4.3-02
        for (text, number) in [
            ("0", Some(0)),
            ("8", Some(8)),
            ("13", Some(13)),
            ("255", Some(255)),
            ("256", None),
            ("013", None),
            ("00", None),
            ("-1", None),
            ("+1", None),
            ("1a", None),
            ("", None),
            ("13, 8", None),
        ] {
            assert_eq!(parse_websocket_version(text.as_bytes()), number, "{text:?}");
        }
    }
}
