//! The client's side of the opening handshake over HTTP/1.1: it writes the request and checks the response (RFC 6455
//! 4.1). Redirects, authentication and retries are left to the application.

use alloc::boxed::Box;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::accept_key::accept_key;
use super::client_request::ClientRequest;
use super::error::HandshakeError;
use super::extensions;
use super::fields::{Fields, Single, check_chosen_subprotocol, extension_not_offered};
use super::headers::Headers;
use super::refusal::Refusal;
use super::response_reader::ResponseReader;
use super::syntax::{self, is_in_any_case};
use super::upgrade_response::UpgradeResponse;
use crate::config::Config;
use crate::error::UsageError;

/// Sends one request and reads its response.
#[derive(Debug)]
pub(crate) struct ClientHandshake {
    reader: ResponseReader,
    expected: Expected,
}

/// What a response is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Expected {
    /// The only valid value of `Sec-WebSocket-Accept`.
    accept: [u8; 28],
    /// Whether any extension was offered.
    has_offered_extensions: bool,
    /// The offered subprotocols as a comma list; it may be empty.
    offered: Box<str>,
}

impl ClientHandshake {
    /// Checks the request and writes it to `out`. Writes nothing if there is an error. `nonce` must be random (RFC 6455
    /// 4.1); `extensions` is the value of `Sec-WebSocket-Extensions`.
    pub(crate) fn new(
        request: &ClientRequest,
        nonce: [u8; 16],
        extensions: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<Self, UsageError> {
        let expected = Expected::write_request(request, nonce, extensions, out)?;
        Ok(ClientHandshake { reader: ResponseReader::default(), expected })
    }

    /// Takes a response off the front of `input` and judges it. Returns `None` if all of `input` was used and more is
    /// needed. Bytes behind a valid head stay in `input`, unchanged. After an error the content of `input` is
    /// unspecified, and [`take_head`](ClientHandshake::take_head) returns the head that failed. With one exception:
    /// with [`Config::stream_refusal_body`], a refusal is an error as soon as its head is read, and its body stays in
    /// `input`.
    pub(crate) fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        config: &Config,
    ) -> Option<Result<UpgradeResponse<'a>, HandshakeError>> {
        let expected = &self.expected;
        let judge = |status, fields: &Fields<'_>, head: &[u8]| match status {
            101 => Some(expected.judge(head, fields, config)),
            200.. if config.stream_refusal_body => {
                Some(Err(HandshakeError::Refused(Refusal::new(status, head.to_vec()))))
            }
            _ => None,
        };
        let result = self.reader.receive(input, config, judge)?;
        Some(result.map(UpgradeResponse::new))
    }

    /// Takes the bytes of a head that is incomplete, or that has failed, up to the byte that decided it.
    pub(crate) fn take_head(&mut self) -> Vec<u8> {
        self.reader.take_head()
    }

    /// The refusal whose body is being read, with what has arrived of it.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        self.reader.refusal()
    }

    /// Stops reading. Returns the refusal if its body was being read. `at_eof` tells that the transport ended, which
    /// completes a body without a length.
    pub(crate) fn take_refusal(&mut self, at_eof: bool) -> Option<HandshakeError> {
        self.reader.take_refusal(at_eof)
    }
}

impl Expected {
    /// Checks the request and writes it to `out`, as [`ClientHandshake::new`] does. Returns what its response is
    /// compared with.
    #[inline]
    pub(super) fn write_request(
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
        Ok(Expected { accept: accept_key(&key), has_offered_extensions, offered })
    }

    /// Checks a 101, in the order of RFC 6455 4.1.
    #[inline]
    pub(super) fn judge(
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
        // RFC 6455 4.1 4.: Accept is the hash of the key; case matters.
        match fields.accept {
            Single::Absent => return Err(HandshakeError::MissingAccept),
            Single::Repeated => return Err(HandshakeError::DuplicateAccept),
            Single::Once(value) if value != self.accept => {
                return Err(HandshakeError::WrongAccept);
            }
            Single::Once(_) => {}
        }
        // RFC 9112 6.3: a 1xx has no body, whatever length or coding its headers announce; frames follow. RFC 6455 4.1
        // 5.: every extension was offered. Here only the grammar and the number are checked; the extension judges the
        // names and parameters.
        match fields.check_extensions()? {
            // RFC 6455 4.2.2: a server that chose none leaves the header out.
            Some(0) => return Err(HandshakeError::InvalidExtensions),
            Some(_) if !self.has_offered_extensions => {
                let lines = Headers::of_head(head).get_all(extensions::HEADER);
                return Err(extension_not_offered(lines));
            }
            Some(_) | None => {}
        }
        // RFC 6455 4.1 6.: the subprotocol was offered. RFC 7936 2: case matters.
        let is_required = config.require_subprotocol && !self.offered.is_empty();
        if fields.has_subprotocols || is_required {
            let is_offered = |chosen: &str| {
                syntax::list(self.offered.as_bytes()).any(|offered| offered == chosen.as_bytes())
            };
            let lines = Headers::of_head(head).get_all("Sec-WebSocket-Protocol");
            check_chosen_subprotocol(lines, is_offered, is_required)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
