//! A refusal: a final response other than the requested one, as the application sees it. `refusal_body.rs` reads its
//! body; `response_reader.rs` decides which responses are refusals.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use super::headers::{Headers, split_line};
use super::syntax;
use super::version::parse_websocket_version;

/// A server's final response other than 101, or a proxy's other than 2xx (RFC 6455 4.1): a redirect, a demand for
/// authentication, an error. The connection cannot be used any more.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Refusal {
    pub(super) status: u16,
    pub(super) head: Box<[u8]>,
    pub(super) body: Vec<u8>,
    pub(super) is_body_complete: bool,
}

impl Refusal {
    /// A refusal with this status and valid head, whose body has not been read.
    pub(super) fn new(status: u16, head: Vec<u8>) -> Box<Refusal> {
        let head = head.into_boxed_slice();
        Box::new(Refusal { status, head, body: Vec::new(), is_body_complete: false })
    }

    /// The status, such as 401.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase, such as `Unauthorized`: text for a person, in any encoding (RFC 9112 4). It is empty if the
    /// server sent none, or if another HTTP stack has read the response.
    ///
    /// ```
    /// use websocket_proto::{ClientRequest, Config, Connection, Event};
    ///
    /// let mut conn = Connection::client(&ClientRequest::new("ws://example.com/")?, Config::default())?;
    /// let mut bytes = *b"HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\n\r\n";
    /// let Some(Event::Closed(closed)) = conn.receive(&mut &mut bytes[..]) else { panic!() };
    /// let refusal = closed.refusal().unwrap();
    /// assert_eq!((refusal.status(), refusal.reason()), (429, &b"Slow down"[..]));
    /// # Ok::<(), websocket_proto::UsageError>(())
    /// ```
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        // RFC 9112 4: the version, a space, three digits, and perhaps a space with the reason.
        split_line(&self.head).0.get("HTTP/1.1 101 ".len()..).unwrap_or_default()
    }

    /// All headers, in the order in which they were sent.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::of_head(&self.head)
    }

    /// The whole head, blank line included.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The value of the first header of this name, in any case, such as `Location` or `WWW-Authenticate`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().get(name)
    }

    /// The body that has arrived, at most [`Config::max_refusal_body_bytes`](crate::Config::max_refusal_body_bytes) of
    /// it, with the chunked coding removed. It is empty with
    /// [`Config::stream_refusal_body`](crate::Config::stream_refusal_body).
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether the whole body has arrived: it is [`body`](Refusal::body), or was delivered in pieces.
    #[must_use]
    pub fn is_body_complete(&self) -> bool {
        self.is_body_complete
    }

    /// The protocol versions that the server supports, as a 426 lists them in all its `Sec-WebSocket-Version` lines
    /// (RFC 6455 4.4). Invalid ones are skipped.
    pub fn supported_versions(&self) -> impl Iterator<Item = u8> {
        self.headers()
            .get_all("Sec-WebSocket-Version")
            .flat_map(syntax::list)
            .filter_map(parse_websocket_version)
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("status", &self.status)
            .field("headers", &self.headers().count())
            .field("body_bytes", &self.body.len())
            .field("is_body_complete", &self.is_body_complete)
            .finish()
    }
}
