//! The parts of a 101 that the application chooses. `server.rs` checks that the client offered what was chosen, and
//! writes the 101; `extended.rs` does so for a stream of HTTP/2 or HTTP/3.

use alloc::borrow::Cow;
use core::fmt;

use super::header_list::{HeaderList, HeaderValue, RESERVED_IN_UPGRADE};
use crate::error::UsageError;

/// The parts of a 101 that the application chooses: the subprotocol and further headers (RFC 6455 4.2.2).
///
/// It allocates only for the list of headers: it borrows what is passed as borrowed.
///
/// ```
/// use websocket_proto::Accept;
///
/// let cookie = format!("session={}", 42);
/// let accept = Accept::new().subprotocol("v2.chat").header("Set-Cookie", &cookie);
/// # let _ = accept;
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Accept<'a> {
    pub(super) subprotocol: Option<&'a str>,
    pub(super) headers: HeaderList<'a>,
}

impl<'a> Accept<'a> {
    /// Accepts without a subprotocol and without headers.
    #[must_use]
    pub fn new() -> Self {
        Accept::default()
    }

    /// Chooses one of the subprotocols that the client offered; case matters (RFC 6455 4.2.2).
    ///
    /// For any other, accepting the request returns [`UsageError::SubprotocolNotOffered`].
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: &'a str) -> Self {
        self.subprotocol = Some(subprotocol);
        self
    }

    /// Adds a header to the response, `Set-Cookie` for example. The value is text or bytes; see
    /// [`HeaderValue`](crate::handshake::HeaderValue).
    ///
    /// Accepting the request returns a [`UsageError`] for headers of the handshake itself, for names that are not
    /// tokens, and for values that are not allowed.
    #[must_use]
    pub fn header(
        mut self,
        name: impl Into<Cow<'a, str>>,
        value: impl Into<HeaderValue<'a>>,
    ) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Bytes of the application's headers.
    pub(crate) fn own_len(&self) -> u64 {
        self.headers.byte_len()
    }

    /// Checks the headers.
    pub(super) fn check_headers(&self) -> Result<(), UsageError> {
        self.headers.check(RESERVED_IN_UPGRADE)
    }
}

impl fmt::Debug for Accept<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accept")
            .field("subprotocol", &self.subprotocol)
            .field("headers", &self.headers.headers().count())
            .finish()
    }
}
