//! The errors of an opening handshake, and the HTTP status that answers each. The server and the client find them, and
//! the connection sends the answer.

use alloc::boxed::Box;
use core::fmt;

use super::refusal::Refusal;

/// Why an opening handshake failed: what the peer sent in violation of RFC 6455 4.1 or 4.2.1.
///
/// ```
/// use websocket_proto::{ClientRequest, Config, HandshakeError};
///
/// let request = ClientRequest::new("wss://example.com/")?.subprotocol("chat");
/// let headers = [("sec-websocket-protocol", &b"other"[..])];
/// let Err(error) = request.extended_response(200, headers, &Config::default()) else { panic!() };
/// assert_eq!(error, HandshakeError::SubprotocolNotOffered { name: "other".into() });
/// assert_eq!(error.to_string(), "server chose subprotocol other, which was not offered");
/// # Ok::<(), websocket_proto::UriError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The first byte cannot begin a request or response. 0x16 is the first byte of a TLS client.
    NotHttp {
        /// The byte.
        byte: u8,
    },
    /// The request line is malformed (RFC 9112 3).
    RequestLine,
    /// The status line is malformed (RFC 9112 4).
    StatusLine,
    /// A version other than HTTP/1.1, or HTTP/1.0 in an upgrade (RFC 6455 4.2.1).
    HttpVersion {
        /// The major version that was sent.
        major: u8,
        /// The minor version that was sent.
        minor: u8,
    },
    /// A line that ends in LF without CR (RFC 9112 2.2).
    BareLineFeed {
        /// Where the LF is, counted from the head's first byte.
        at: usize,
    },
    /// A header line that does not begin with a token and a colon. In a request, also a folded line (RFC 9112 5).
    InvalidHeaderName,
    /// A control character in a header's value (RFC 9110 5.5).
    InvalidHeaderValue,
    /// The first line alone is over [`Config::max_head_bytes`](crate::Config::max_head_bytes).
    FirstLineTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The head is over [`Config::max_head_bytes`](crate::Config::max_head_bytes).
    HeadTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// More header lines than [`Config::max_headers`](crate::Config::max_headers).
    TooManyHeaders {
        /// The limit in lines.
        limit: usize,
    },
    /// A request to upgrade whose method is not GET (RFC 6455 4.2.1).
    Method,
    /// A version of the protocol other than 13 (RFC 6455 4.4).
    Version {
        /// The version that was asked for; `None` if the header is absent or not a number up to 255.
        seen: Option<u8>,
    },
    /// More than one `Sec-WebSocket-Version` (RFC 6455 11.3.5).
    DuplicateVersion,
    /// `Connection` has no token `upgrade` (RFC 6455 4.1, 4.2.1).
    ConnectionNotUpgrade,
    /// `Upgrade` is not `websocket` (RFC 6455 4.1).
    UpgradeNotWebSocket,
    /// The request-target names no resource: neither `/…` nor `http://host/…` (RFC 6455 4.2.1).
    InvalidTarget,
    /// No `Host` (RFC 6455 4.2.1).
    MissingHost,
    /// More than one `Host` (RFC 9112 3.2).
    DuplicateHost,
    /// `Host` is not a host with an optional port (RFC 9112 3.2).
    InvalidHost,
    /// No `Sec-WebSocket-Key` (RFC 6455 4.2.1).
    MissingKey,
    /// More than one `Sec-WebSocket-Key` (RFC 6455 11.3.1).
    DuplicateKey,
    /// `Sec-WebSocket-Key` is not 16 bytes in base64 (RFC 6455 4.2.1).
    InvalidKey {
        /// Its length in characters; 24 are right.
        len: usize,
    },
    /// A request to upgrade announces a body: `Transfer-Encoding`, or a `Content-Length` other than 0. To read the body
    /// as frames would allow request smuggling.
    Body,
    /// `Sec-WebSocket-Protocol` is not a list of tokens or, in a response, not one token (RFC 6455 4.3).
    InvalidSubprotocol,
    /// A subprotocol was offered twice (RFC 6455 4.1).
    DuplicateSubprotocol {
        /// The subprotocol, a token; its first 64 bytes.
        name: Box<str>,
    },
    /// `Sec-WebSocket-Extensions` breaks its grammar (RFC 6455 9.1).
    InvalidExtensions,
    /// No `Sec-WebSocket-Accept` (RFC 6455 4.1).
    MissingAccept,
    /// More than one `Sec-WebSocket-Accept` (RFC 6455 11.3.3).
    DuplicateAccept,
    /// `Sec-WebSocket-Accept` does not belong to the key that was sent (RFC 6455 4.1).
    WrongAccept,
    /// More than one `Sec-WebSocket-Protocol` in a response (RFC 6455 11.3.4).
    SeveralSubprotocols,
    /// The server chose a subprotocol that was not offered (RFC 6455 4.1).
    SubprotocolNotOffered {
        /// The subprotocol, a token; its first 64 bytes.
        name: Box<str>,
    },
    /// The server chose no subprotocol although some were offered, and
    /// [`Config::require_subprotocol`](crate::Config::require_subprotocol) is set.
    SubprotocolMissing,
    /// The server chose an extension that was not offered, or chose one twice (RFC 6455 4.1).
    ExtensionNotOffered {
        /// The extension, a token; its first 64 bytes.
        name: Box<str>,
    },
    /// The server chose an extension with parameters that the offer does not allow (RFC 6455 9.1), or that the options
    /// of the extension refuse.
    ExtensionParameters,
    /// The server did not accept an extension that the configuration requires. The client closes with code 1010 (RFC
    /// 6455 7.4.1).
    ExtensionMissing,
    /// A client sent more bytes behind its request than are buffered until the application decides.
    TooManyEarlyBytes {
        /// [`Config::max_early_bytes`](crate::Config::max_early_bytes).
        limit: usize,
    },
    /// More 1xx responses before the final one than are skipped.
    TooManyInterimResponses {
        /// The number that is skipped.
        limit: u8,
    },
    /// An extended CONNECT lacks a pseudo-header, repeats one, or has a header that it must not have (RFC 8441 4, 5),
    /// such as a `host` that differs from its `:authority` (RFC 9113 8.3.1).
    InvalidExtendedConnect,
    /// An extended CONNECT for a protocol other than `websocket` (RFC 9220 3).
    OtherProtocol,
    /// An extended CONNECT was answered with a status other than 2xx (RFC 8441 5).
    Status {
        /// The status.
        status: u16,
    },
    /// The server, or a proxy, answered with another final response: a redirect, a demand for authentication, an error.
    /// Redirects are not followed (RFC 6455 4.1).
    Refused(Box<Refusal>),
}

/// The longest part of a name that an error holds.
const MAX_NAME_BYTES: usize = 64;

/// The front of a token of the peer's, for an error.
pub(super) fn named(token: &[u8]) -> Box<str> {
    let front = &token[..token.len().min(MAX_NAME_BYTES)];
    core::str::from_utf8(front).expect("a token is ASCII").into()
}

impl HandshakeError {
    /// The section with the rule that was broken, such as `RFC 6455 4.2.1`; for a limit, the section that allows
    /// limits. It is meant for logs and error pages.
    #[must_use]
    pub fn rfc_section(&self) -> &'static str {
        use HandshakeError as E;
        match self {
            E::ConnectionNotUpgrade
            | E::UpgradeNotWebSocket
            | E::DuplicateSubprotocol { .. }
            | E::MissingAccept
            | E::WrongAccept
            | E::SubprotocolNotOffered { .. }
            | E::SubprotocolMissing
            | E::ExtensionNotOffered { .. }
            | E::Refused(_) => "RFC 6455 4.1",
            E::HttpVersion { .. }
            | E::Method
            | E::InvalidTarget
            | E::MissingHost
            | E::MissingKey
            | E::InvalidKey { .. } => "RFC 6455 4.2.1",
            E::InvalidSubprotocol => "RFC 6455 4.3",
            E::Version { .. } => "RFC 6455 4.4",
            E::ExtensionMissing => "RFC 6455 7.4.1",
            E::InvalidExtensions | E::ExtensionParameters => "RFC 6455 9.1",
            E::TooManyEarlyBytes { .. } => "RFC 6455 10.4",
            E::DuplicateKey => "RFC 6455 11.3.1",
            E::DuplicateAccept => "RFC 6455 11.3.3",
            E::SeveralSubprotocols => "RFC 6455 11.3.4",
            E::DuplicateVersion => "RFC 6455 11.3.5",
            E::HeadTooLong { .. } | E::TooManyHeaders { .. } => "RFC 6585 5",
            E::InvalidExtendedConnect => "RFC 8441 4",
            E::Status { .. } => "RFC 8441 5",
            E::InvalidHeaderValue => "RFC 9110 5.5",
            E::TooManyInterimResponses { .. } => "RFC 9110 15.2",
            E::FirstLineTooLong { .. } => "RFC 9110 15.5.15",
            E::NotHttp { .. } => "RFC 9112 2.1",
            E::BareLineFeed { .. } => "RFC 9112 2.2",
            E::RequestLine => "RFC 9112 3",
            E::DuplicateHost | E::InvalidHost => "RFC 9112 3.2",
            E::StatusLine => "RFC 9112 4",
            E::InvalidHeaderName => "RFC 9112 5",
            E::Body => "RFC 9112 6.3",
            E::OtherProtocol => "RFC 9220 3",
        }
    }

    /// The HTTP status with which a server answers this error (RFC 6455 4.2.1, 4.2.2); `None` for an error that only a
    /// client meets.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        use HandshakeError as E;
        match self {
            E::NotHttp { .. }
            | E::RequestLine
            | E::BareLineFeed { .. }
            | E::InvalidHeaderName
            | E::InvalidHeaderValue
            | E::DuplicateVersion
            | E::ConnectionNotUpgrade
            | E::InvalidTarget
            | E::MissingHost
            | E::DuplicateHost
            | E::InvalidHost
            | E::MissingKey
            | E::DuplicateKey
            | E::InvalidKey { .. }
            | E::Body
            | E::InvalidSubprotocol
            | E::DuplicateSubprotocol { .. }
            | E::InvalidExtensions
            | E::TooManyEarlyBytes { .. }
            | E::InvalidExtendedConnect => Some(400),
            // RFC 9110 15.5.6
            E::Method => Some(405),
            // RFC 9110 15.5.15
            E::FirstLineTooLong { .. } => Some(414),
            // RFC 6455 4.4
            E::Version { .. } => Some(426),
            // RFC 6585 5
            E::HeadTooLong { .. } | E::TooManyHeaders { .. } => Some(431),
            // RFC 9220 3
            E::OtherProtocol => Some(501),
            // RFC 9110 15.6.6
            E::HttpVersion { .. } => Some(505),
            E::StatusLine
            | E::UpgradeNotWebSocket
            | E::MissingAccept
            | E::DuplicateAccept
            | E::WrongAccept
            | E::SeveralSubprotocols
            | E::SubprotocolNotOffered { .. }
            | E::SubprotocolMissing
            | E::ExtensionNotOffered { .. }
            | E::ExtensionMissing
            | E::ExtensionParameters
            | E::TooManyInterimResponses { .. }
            | E::Status { .. }
            | E::Refused(_) => None,
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use HandshakeError as E;
        f.write_str(match self {
            E::NotHttp { byte } => {
                return write!(f, "first byte {byte:#04x} does not begin an HTTP/1.1 message");
            }
            E::RequestLine => "request line is malformed",
            E::StatusLine => "status line is malformed",
            E::HttpVersion { major, minor } => {
                return write!(f, "version is HTTP/{major}.{minor}, not HTTP/1.1");
            }
            E::BareLineFeed { at } => {
                return write!(f, "line feed at byte {at} of the head has no CR before it");
            }
            E::InvalidHeaderName => "header line does not begin with a token and a colon",
            E::InvalidHeaderValue => "header value has a control character",
            E::FirstLineTooLong { limit } => {
                return write!(f, "first line is over the limit of {limit} bytes");
            }
            E::HeadTooLong { limit } => {
                return write!(f, "head is over the limit of {limit} bytes");
            }
            E::TooManyHeaders { limit } => {
                return write!(f, "more headers than the limit of {limit}");
            }
            E::ExtensionMissing => "server did not accept an extension that is required",
            E::TooManyEarlyBytes { limit } => {
                return write!(f, "more than {limit} bytes after a request that is not decided");
            }
            E::Method => "method of an upgrade is not GET",
            E::Version { seen: Some(seen) } => {
                return write!(f, "WebSocket version is {seen}, not 13");
            }
            E::Version { seen: None } => "WebSocket version is missing or no number, not 13",
            E::DuplicateVersion => "more than one Sec-WebSocket-Version",
            E::ConnectionNotUpgrade => "Connection has no token upgrade",
            E::UpgradeNotWebSocket => "Upgrade is not websocket",
            E::InvalidTarget => "request-target names no resource",
            E::MissingHost => "no Host",
            E::DuplicateHost => "more than one Host",
            E::InvalidHost => "Host is not a host with perhaps a port",
            E::MissingKey => "no Sec-WebSocket-Key",
            E::DuplicateKey => "more than one Sec-WebSocket-Key",
            E::InvalidKey { len } => {
                return write!(
                    f,
                    "Sec-WebSocket-Key of {len} characters is not 16 bytes in base64"
                );
            }
            E::Body => "upgrade announces a body",
            E::InvalidSubprotocol => "Sec-WebSocket-Protocol is not made of tokens",
            E::DuplicateSubprotocol { name } => {
                return write!(f, "subprotocol {name} is offered twice");
            }
            E::InvalidExtensions => "Sec-WebSocket-Extensions breaks its grammar",
            E::MissingAccept => "no Sec-WebSocket-Accept",
            E::DuplicateAccept => "more than one Sec-WebSocket-Accept",
            E::WrongAccept => "Sec-WebSocket-Accept does not belong to the key",
            E::SeveralSubprotocols => "more than one Sec-WebSocket-Protocol in the response",
            E::SubprotocolNotOffered { name } => {
                return write!(f, "server chose subprotocol {name}, which was not offered");
            }
            E::SubprotocolMissing => "server chose no subprotocol, one is required",
            E::ExtensionNotOffered { name } => {
                return write!(f, "server chose extension {name}, which was not offered");
            }
            E::ExtensionParameters => {
                "server chose extension parameters that the offer does not allow"
            }
            E::TooManyInterimResponses { limit } => {
                return write!(f, "more than {limit} interim responses");
            }
            E::InvalidExtendedConnect => {
                "extended CONNECT has missing, repeated or forbidden headers"
            }
            E::OtherProtocol => "extended CONNECT is for another protocol than websocket",
            E::Status { status } => return write!(f, "response status is {status}, not 2xx"),
            E::Refused(refusal) => return write!(f, "response status is {}", refusal.status()),
        })
    }
}

impl core::error::Error for HandshakeError {}
