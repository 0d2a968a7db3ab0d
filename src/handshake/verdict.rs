//! The results of a handshake in another HTTP stack, over HTTP/1.1 or as extended CONNECT: what a server sends, what a
//! client has agreed on, why a request is refused. Each way of the handshake decides which it is.

use alloc::string::String;
use core::fmt;

use super::error::HandshakeError;
use super::fields::{check_extensions, extension_not_offered};
use super::header_list::HeaderList;
use super::response::Response;
use super::version::VERSION;
use crate::config::Config;
use crate::state::Role;
use crate::upgrade::Upgrade;

/// A request that the server has accepted: the response to send, and what was agreed on.
///
/// With the feature `http`, a reference to it converts into an `http::Response`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Accepted {
    /// The response's status: 101 over HTTP/1.1 (RFC 6455 4.2.2), 200 for an extended CONNECT (RFC 8441 5).
    pub status: u16,
    /// The response's headers.
    pub headers: HeaderList<'static>,
    /// The result, for [`Connection::from_upgrade`](crate::Connection::from_upgrade).
    pub upgrade: Upgrade,
}

/// What client and server have agreed on, as the server's response says (RFC 6455 4.1, RFC 8441 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Agreed<'h> {
    /// The subprotocol that the server chose among the offered ones; `None` if it chose none.
    pub subprotocol: Option<&'h str>,
    /// The result, for [`Connection::from_upgrade`](crate::Connection::from_upgrade).
    pub upgrade: Upgrade,
}

/// What is wrong with a request, and the response to send.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestError {
    error: HandshakeError,
    /// Whether the request was an extended CONNECT.
    is_extended: bool,
}

impl RequestError {
    /// An error of a request over HTTP/1.1.
    pub(super) fn http1(error: HandshakeError) -> Self {
        RequestError { error, is_extended: false }
    }

    /// An error of an extended CONNECT.
    pub(super) fn extended(error: HandshakeError) -> Self {
        RequestError { error, is_extended: true }
    }

    /// What is wrong.
    #[must_use]
    pub fn error(&self) -> &HandshakeError {
        &self.error
    }

    /// The response to send, with all headers that the other HTTP stack does not add itself.
    ///
    /// Over HTTP/1.1 its status is that of the [error](HandshakeError::status). For an extended CONNECT it is 501 for
    /// another protocol (RFC 9220 3), 431 for headers above a limit (RFC 6585 5), else 400. It names the supported
    /// version if the client asked for another (RFC 6455 4.4).
    #[must_use]
    pub fn response(&self) -> Response {
        if !self.is_extended {
            let response = self.error.response().expect("a server's error has a response");
            return response.with_upgrade_headers();
        }
        match self.error {
            HandshakeError::OtherProtocol => Response::new(501),
            HandshakeError::HeadTooLong { .. } | HandshakeError::TooManyHeaders { .. } => {
                Response::new(431)
            }
            // A 426 needs Upgrade, which HTTP/2 and HTTP/3 do not have.
            HandshakeError::Version { .. } => {
                Response::new(400).header("sec-websocket-version", VERSION)
            }
            _ => Response::new(400),
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl core::error::Error for RequestError {}

/// A server's choice among the offered extensions: the result, and the value for the response.
pub(crate) fn choose_extensions<'h>(
    offers: impl Iterator<Item = &'h [u8]>,
    config: &Config,
) -> (Upgrade, Option<String>) {
    let upgrade = Upgrade::new(Role::Server);
    #[cfg(feature = "deflate")]
    if let Some((params, response)) =
        config.deflate.as_ref().and_then(|deflate| deflate.accept(offers))
    {
        return (upgrade.deflate(params), Some(response));
    }
    #[cfg(not(feature = "deflate"))]
    let _ = (offers, config);
    (upgrade, None)
}

/// Judges the extensions in the server's response, for a client that has offered those of `config` (RFC 6455 4.1 5.).
pub(super) fn judge_extensions<'h>(
    extensions: impl Iterator<Item = &'h [u8]> + Clone,
    config: &Config,
) -> Result<Upgrade, HandshakeError> {
    let upgrade = Upgrade::new(Role::Client);
    let is_there = extensions.clone().next().is_some();
    // RFC 6455 4.2.2: a server that chose no extension omits the header.
    if is_there && check_extensions(extensions.clone())? == 0 {
        return Err(HandshakeError::InvalidExtensions);
    }
    #[cfg(feature = "deflate")]
    if let Some(deflate) = &config.deflate {
        let agreed = deflate.agree(extensions)?;
        // RFC 6455 7.4.1.
        if deflate.required && agreed.is_none() {
            return Err(HandshakeError::ExtensionMissing);
        }
        return Ok(upgrade.deflate(agreed));
    }
    #[cfg(not(feature = "deflate"))]
    let _ = config;
    if is_there { Err(extension_not_offered(extensions)) } else { Ok(upgrade) }
}
