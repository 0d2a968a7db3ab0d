//! A response that the application sends instead of a 101, and the response to each error of a request. The connection
//! decides when to send it.

use alloc::borrow::Cow;
use alloc::string::ToString as _;
use alloc::vec::Vec;
use core::fmt;

use super::error::HandshakeError;
#[cfg(feature = "http")]
use super::header_list::RESERVED_IN_FRAMING;
use super::header_list::{HeaderList, HeaderValue, RESERVED_IN_RESPONSE};
use super::headers::Headers;
use super::version::VERSION;
use super::write_lines::write_header;
use crate::error::UsageError;

/// A final HTTP response other than 101, after which the connection is closed (RFC 6455 4.2.2).
///
/// Over HTTP/1.1, `Connection: close` and `Content-Length` are added to it. `Upgrade: websocket` is added to a 426, and
/// `Sec-WebSocket-Version: 13` unless it has this header (RFC 6455 4.4).
///
/// ```
/// use websocket_proto::Response;
///
/// let response = Response::new(401).header("WWW-Authenticate", "Basic realm=\"chat\"").body("log in first");
/// # let _ = (response, Response::from(403));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Response {
    status: u16,
    headers: HeaderList<'static>,
    body: Vec<u8>,
}

impl Response {
    /// A response without a body. The status must be 200 to 599, which is checked when it is sent.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Response { status, headers: HeaderList::default(), body: Vec::new() }
    }

    /// Adds a header; it is checked when the response is sent. The value is text or bytes; see
    /// [`HeaderValue`](crate::handshake::HeaderValue).
    #[must_use]
    pub fn header<'v>(
        mut self,
        name: impl Into<Cow<'v, str>>,
        value: impl Into<HeaderValue<'v>>,
    ) -> Self {
        self.headers.push_owned(name, value);
        self
    }

    /// Sets the body. It is not sent with a 204, 205 or 304, nor in answer to HEAD (RFC 9110 6.4.1).
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers that were added, without those of the connection.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.headers.headers()
    }

    /// Adds the headers with which another HTTP/1.1 stack must send this response; [`write`](Response::write) adds them
    /// itself.
    pub(super) fn with_upgrade_headers(self) -> Self {
        if self.status != 426 {
            return self;
        }
        let headers = self.upgrade_headers();
        // RFC 9110 7.8: Connection lists Upgrade.
        let response = self.header("Connection", "Upgrade");
        headers.fold(response, |response, (name, value)| response.header(name, value))
    }

    /// The headers that a 426 needs besides `Connection`, without a version that the application has added.
    fn upgrade_headers(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        let version = ("Sec-WebSocket-Version", VERSION);
        let has_version = self.headers().get(version.0).is_some();
        // RFC 9110 15.5.22: Upgrade says what is required. RFC 6455 4.4: the version is named.
        [("Upgrade", "websocket")].into_iter().chain((!has_version).then_some(version))
    }

    /// Checks the response, and changes it into what another HTTP/1.1 stack must send.
    #[cfg(feature = "http")]
    pub(super) fn for_another_stack(mut self) -> Result<Self, UsageError> {
        let has_upgrade_headers = self.status == 426 && self.headers().get("Upgrade").is_some();
        self.check_status()?;
        self.headers.check(match has_upgrade_headers {
            true => RESERVED_IN_FRAMING,
            false => RESERVED_IN_RESPONSE,
        })?;
        if self.has_no_content() {
            self.body.clear();
        }
        Ok(if has_upgrade_headers { self } else { self.with_upgrade_headers() })
    }

    fn check_status(&self) -> Result<(), UsageError> {
        match self.status {
            200..=599 => Ok(()),
            status => Err(UsageError::InvalidStatus(status)),
        }
    }

    /// RFC 9110 15.3.5, 15.3.6, 15.4.5: these statuses have no content.
    fn has_no_content(&self) -> bool {
        matches!(self.status, 204 | 205 | 304)
    }

    /// The body.
    #[cfg(feature = "http")]
    pub(super) fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// Bytes of the application's headers and of the body.
    pub(crate) fn own_len(&self) -> u64 {
        self.headers.byte_len().saturating_add(self.body.len() as u64)
    }

    /// Writes the response, without its body if `head_only`. Writes nothing if there is an error.
    pub(crate) fn write(&self, head_only: bool, out: &mut Vec<u8>) -> Result<(), UsageError> {
        self.check_status()?;
        self.headers.check(RESERVED_IN_RESPONSE)?;
        // RFC 9110 15.3.6: a 205 has no content either, but it has a Content-Length of 0.
        let body = if self.has_no_content() { &[][..] } else { &self.body };
        let line = alloc::format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        out.extend_from_slice(line.as_bytes());
        self.write_connection(out);
        // RFC 9110 8.6: a 204 has no Content-Length; in a 304 it would be the length of the 200.
        if !matches!(self.status, 204 | 304) {
            write_header(out, "Content-Length", body.len().to_string().as_bytes());
        }
        self.headers.put(&mut |part| out.extend_from_slice(part));
        out.extend_from_slice(b"\r\n");
        if !head_only {
            out.extend_from_slice(body);
        }
        Ok(())
    }

    /// Writes `Connection`, and the headers that a 426 needs.
    fn write_connection(&self, out: &mut Vec<u8>) {
        if self.status != 426 {
            return write_header(out, "Connection", b"close");
        }
        // RFC 9110 7.8: Connection lists Upgrade.
        write_header(out, "Connection", b"close, Upgrade");
        for (name, value) in self.upgrade_headers() {
            write_header(out, name, value.as_bytes());
        }
    }
}

impl From<u16> for Response {
    fn from(status: u16) -> Self {
        Response::new(status)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers().count())
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

impl HandshakeError {
    /// The response with which a server answers this error; `None` for an error that only a client meets.
    pub(crate) fn response(&self) -> Option<Response> {
        let response = Response::new(self.status()?);
        Some(match self {
            // RFC 9110 15.5.6: a 405 lists the methods that are allowed.
            HandshakeError::Method => response.header("Allow", "GET"),
            // `write_connection` adds the headers that a 426 needs.
            _ => response,
        })
    }
}

/// The reason phrase of a status; it may be empty (RFC 9112 4).
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        205 => "Reset Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        421 => "Misdirected Request",
        425 => "Too Early",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn written(response: &Response, head_only: bool) -> Result<String, UsageError> {
        let mut out = Vec::new();
        let result = response.write(head_only, &mut out);
        assert!(result.is_ok() || out.is_empty(), "an error writes nothing");
        result.map(|()| String::from_utf8(out).expect("ASCII"))
    }

    #[test]
    fn responses_are_exact() {
        // rfc6455-4.2.2-03, rfc6455-4.2.2-04, rfc6455-4.2.2-06, rfc6455-4.2.2-08
        let start = |line: &str| std::format!("HTTP/1.1 {line}\r\nConnection: close\r\n");
        for (response, head_only, expected) in [
            (Response::from(403), false, start("403 Forbidden") + "Content-Length: 0\r\n\r\n"),
            (Response::from(404), false, start("404 Not Found") + "Content-Length: 0\r\n\r\n"),
            (
                Response::new(302).header("Location", "/x"),
                false,
                start("302 Found") + "Content-Length: 0\r\nLocation: /x\r\n\r\n",
            ),
            (
                Response::new(200).body("hello"),
                false,
                start("200 OK") + "Content-Length: 5\r\n\r\nhello",
            ),
            (Response::new(200).body("hello"), true, start("200 OK") + "Content-Length: 5\r\n\r\n"),
            (Response::new(204).body("no"), false, start("204 No Content") + "\r\n"),
            (Response::new(304).body("no"), false, start("304 Not Modified") + "\r\n"),
            (
                Response::new(205).body("no"),
                false,
                start("205 Reset Content") + "Content-Length: 0\r\n\r\n",
            ),
            (Response::new(599), false, start("599 ") + "Content-Length: 0\r\n\r\n"),
        ] {
            assert_eq!(written(&response, head_only), Ok(expected));
        }
    }

    #[test]
    fn version_of_a_426_can_be_given() {
        let text = written(&Response::new(426).header("sec-websocket-version", "13, 8"), false)
            .expect("valid");
        assert!(
            text.contains("sec-websocket-version: 13, 8\r\n")
                && !text.contains("Sec-WebSocket-Version")
        );
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        use UsageError as E;
        for status in [0, 100, 101, 199, 600, 999] {
            assert_eq!(written(&Response::new(status), false), Err(E::InvalidStatus(status)));
        }
        for (name, value, error) in [
            ("", "x", E::InvalidHeaderName),
            ("a b", "x", E::InvalidHeaderName),
            ("a:", "x", E::InvalidHeaderName),
            ("a\r\n", "x", E::InvalidHeaderName),
            ("a", "x\r\ny: z", E::InvalidHeaderValue),
            ("a", "x\0", E::InvalidHeaderValue),
            ("a", " x", E::InvalidHeaderValue),
            ("content-length", "5", E::ReservedHeader),
            ("Transfer-Encoding", "chunked", E::ReservedHeader),
            ("CONNECTION", "keep-alive", E::ReservedHeader),
            ("Upgrade", "h2c", E::ReservedHeader),
            ("Sec-WebSocket-Accept", "x", E::ReservedHeader),
        ] {
            assert_eq!(
                written(&Response::new(400).header(name, value), false),
                Err(error),
                "{name:?} {value:?}"
            );
        }
    }

    #[test]
    fn each_error_has_its_status_and_its_headers() {
        // rfc6455-4.2.2-07, rfc6455-4.4-01, rfc6455-10.7-04
        for (error, expected) in [
            (
                HandshakeError::RequestLine,
                "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            ),
            (
                HandshakeError::Method,
                "HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\nContent-Length: 0\r\nAllow: GET\r\n\r\n",
            ),
            (
                HandshakeError::Version { seen: Some(8) },
                "HTTP/1.1 426 Upgrade Required\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n",
            ),
            (
                HandshakeError::HttpVersion { major: 1, minor: 0 },
                "HTTP/1.1 505 HTTP Version Not Supported\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            ),
        ] {
            let mut out = Vec::new();
            let response = error.response().expect("a server's error has an answer");
            response.write(false, &mut out).expect("our own answer is valid");
            assert_eq!(String::from_utf8(out).expect("ASCII"), expected);
        }
        assert_eq!(HandshakeError::HeadTooLong { limit: 9 }.status(), Some(431));
        assert_eq!(HandshakeError::TooManyHeaders { limit: 9 }.status(), Some(431));
        assert_eq!(HandshakeError::FirstLineTooLong { limit: 9 }.status(), Some(414));
        assert_eq!(HandshakeError::WrongAccept.status(), None);
        assert!(HandshakeError::WrongAccept.response().is_none());
        assert_eq!(
            HandshakeError::HeadTooLong { limit: 9 }.to_string(),
            "head is over the limit of 9 bytes"
        );
    }
}
