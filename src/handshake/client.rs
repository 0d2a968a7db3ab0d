//! The client's side of the opening handshake over HTTP/1.1: the request goes out, the response is checked (RFC 6455
//! 4.1). Following redirects, logging in and trying again are left to the application.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::accept_key::accept_key;
use super::client_request::ClientRequest;
use super::error::HandshakeError;
use super::extensions;
use super::fields::{Fields, Single, check_chosen_subprotocol};
use super::headers::Headers;
use super::response_reader::ResponseReader;
use super::syntax::{self, is_in_any_case};
use crate::config::Config;
use crate::error::UsageError;

/// The response that accepted a client's request, found good (RFC 6455 4.1).
///
/// It borrows the head from the input where it lies whole there.
#[derive(Clone, PartialEq, Eq)]
pub struct UpgradeResponse<'a> {
    /// Found good by [`ClientHandshake`]: every getter relies on it.
    head: Cow<'a, [u8]>,
}

const _: () = assert!(size_of::<UpgradeResponse<'_>>() == 24 || size_of::<usize>() != 8);

impl UpgradeResponse<'_> {
    /// The subprotocol in use, one of those that were offered; `None` if the server chose none (RFC 6455 4.1).
    pub fn subprotocol(&self) -> Option<&str> {
        self.header("Sec-WebSocket-Protocol").and_then(syntax::token)
    }

    /// The values of the `Sec-WebSocket-Extensions` headers; their grammar has been checked (RFC 6455 9.1).
    pub fn extensions(&self) -> impl Iterator<Item = &[u8]> {
        self.headers().named(extensions::HEADER)
    }

    /// All headers, in the order in which they were sent, `Set-Cookie` for example.
    pub fn headers(&self) -> Headers<'_> {
        Headers::of(&self.head)
    }

    /// The value of the first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().get(name)
    }

    /// The whole head, blank line included.
    pub fn as_bytes(&self) -> &[u8] {
        &self.head
    }

    /// Detaches the response from the input; it copies the head unless it is owned already.
    pub fn into_owned(self) -> UpgradeResponse<'static> {
        UpgradeResponse { head: Cow::Owned(self.head.into_owned()) }
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

/// Sends one request and reads its response.
#[derive(Debug)]
pub(crate) struct ClientHandshake {
    reader: ResponseReader,
    expected: Expected,
}

/// What a good response depends on.
#[derive(Debug)]
struct Expected {
    /// The only right value of Sec-WebSocket-Accept.
    accept: [u8; 28],
    /// Whether any extension was offered.
    has_offered_extensions: bool,
    /// The subprotocols that were offered, a comma list; it may be empty.
    offered: Box<str>,
}

impl ClientHandshake {
    /// Checks the request and writes it whole to `out`, or on an error nothing. `nonce` must be random (RFC 6455
    /// 4.1); `extensions` is the value of `Sec-WebSocket-Extensions`.
    pub(crate) fn new(
        request: &ClientRequest,
        nonce: [u8; 16],
        extensions: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<Self, UsageError> {
        request.check()?;
        let mut key = [0; 24];
        STANDARD.encode_slice(nonce, &mut key).expect("16 bytes are 24 characters of base64");
        let offered = request.subprotocols.join(", ").into_boxed_str();
        request.write(&key, &offered, extensions, out);
        let has_offered_extensions = extensions.is_some();
        Ok(ClientHandshake {
            reader: ResponseReader::default(),
            expected: Expected { accept: accept_key(&key), has_offered_extensions, offered },
        })
    }

    /// Takes a response off the front of `input` and judges it. `None`: all of `input` was used and more is needed.
    /// What lies behind a good head stays in `input`, untouched; after an error `input` means nothing.
    pub(crate) fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        config: &Config,
    ) -> Option<Result<UpgradeResponse<'a>, HandshakeError>> {
        let expected = &self.expected;
        let judge = |status, fields: &Fields<'_>, head: &[u8]| {
            (status == 101).then(|| expected.judge(head, fields, config))
        };
        let result = self.reader.receive(input, config, judge)?;
        Some(result.map(|head| UpgradeResponse { head }))
    }

    /// Nothing more will come. The refusal, if its body was being read; one without a length is complete `at_eof`.
    pub(crate) fn take_refusal(&mut self, at_eof: bool) -> Option<HandshakeError> {
        self.reader.take_refusal(at_eof)
    }
}

impl Expected {
    /// RFC 6455 4.1: the checks of a 101, in the RFC's order.
    #[inline]
    fn judge(
        &self,
        head: &[u8],
        fields: &Fields<'_>,
        config: &Config,
    ) -> Result<(), HandshakeError> {
        // RFC 6455 4.1 2.: Upgrade is websocket and nothing else.
        match fields.upgrade {
            Single::Once(value) if is_in_any_case(value, b"websocket") => {}
            Single::Absent | Single::Once(_) | Single::Repeated => {
                return Err(HandshakeError::UpgradeNotWebSocket);
            }
        }
        // RFC 6455 4.1 3.: Connection has the token upgrade.
        if !fields.has_connection_upgrade {
            return Err(HandshakeError::ConnectionNotUpgrade);
        }
        // RFC 6455 4.1 4.: Accept belongs to the key, with its case.
        match fields.accept {
            Single::Absent => return Err(HandshakeError::MissingAccept),
            Single::Repeated => return Err(HandshakeError::DuplicateAccept),
            Single::Once(value) if value != self.accept => {
                return Err(HandshakeError::WrongAccept);
            }
            Single::Once(_) => {}
        }
        // RFC 9112 6.3: a 1xx ends with its headers, whatever length or coding they announce: frames follow.
        // RFC 6455 4.1 5.: every extension was offered. Those that were, and their parameters, are judged by the
        // extension itself.
        match fields.check_extensions()? {
            // RFC 6455 4.2.2: a server that chose none leaves the header out.
            Some(0) => return Err(HandshakeError::InvalidExtensions),
            Some(_) if !self.has_offered_extensions => {
                return Err(HandshakeError::ExtensionNotOffered);
            }
            Some(_) | None => {}
        }
        // RFC 6455 4.1 6.: the subprotocol was offered; RFC 7936 2: with its case.
        let is_required = config.require_subprotocol && !self.offered.is_empty();
        if fields.has_subprotocols || is_required {
            let is_offered = |chosen: &str| {
                syntax::list(self.offered.as_bytes()).any(|offered| offered == chosen.as_bytes())
            };
            let lines = Headers::of(head).named("Sec-WebSocket-Protocol");
            check_chosen_subprotocol(lines, is_offered, is_required)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
