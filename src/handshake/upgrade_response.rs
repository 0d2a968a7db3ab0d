//! The response that accepts a client's request, as the application sees it. `client.rs` has checked it.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use super::head::Head;
use super::headers::Headers;
use super::{extensions, syntax};

/// A valid response that accepts a client's request (RFC 6455 4.1).
///
/// It borrows the head from the input if the head lies whole there. Each getter searches the head.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UpgradeResponse<'a> {
    head: Head<'a>,
}

impl<'a> UpgradeResponse<'a> {
    pub(super) fn new(head: Cow<'a, [u8]>) -> Self {
        UpgradeResponse { head: Head::new(head) }
    }

    /// The subprotocol that the server chose among the offered ones; `None` if it chose none (RFC 6455 4.1).
    pub fn subprotocol(&self) -> Option<&str> {
        self.header("Sec-WebSocket-Protocol").and_then(syntax::token)
    }

    /// The values of the `Sec-WebSocket-Extensions` headers; their grammar has been checked (RFC 6455 9.1).
    pub fn extensions(&self) -> impl Iterator<Item = &[u8]> {
        self.headers().get_all(extensions::HEADER)
    }

    /// All headers in the order they were sent, `Set-Cookie` for example.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.head.headers()
    }

    /// The value of the first header of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.header(name)
    }

    /// The whole head, blank line included.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.head.as_bytes()
    }

    /// The whole head, blank line included; it is copied unless it is owned already.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.head.into_bytes()
    }

    /// Detaches the response from the input; it copies the head unless it is owned already.
    #[must_use]
    pub fn into_owned(self) -> UpgradeResponse<'static> {
        UpgradeResponse { head: self.head.into_owned() }
    }
}

impl fmt::Debug for UpgradeResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradeResponse")
            .field("subprotocol", &self.subprotocol())
            .field("headers", &self.headers().count())
            .finish()
    }
}
