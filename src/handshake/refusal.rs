//! A refusal: a final response other than the requested one, as the application sees it. `refusal_body.rs` reads its
//! body; `response_reader.rs` decides which responses are refusals.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use super::headers::Headers;
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
    /// The status, such as 401.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// All headers, in the order in which they were sent.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::of_head(&self.head)
    }

    /// The value of the first header of this name, in any case, such as `Location` or `WWW-Authenticate`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().get(name)
    }

    /// The body that has arrived, at most [`Config::max_refusal_body_bytes`](crate::Config::max_refusal_body_bytes) of
    /// it, with the chunked coding removed.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether [`body`](Refusal::body) is the whole body.
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
