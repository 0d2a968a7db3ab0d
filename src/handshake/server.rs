//! The server's side of the opening handshake over HTTP/1.1: is a head good, does it ask for WebSocket, may it (RFC
//! 6455 4.2.1), and the 101 that accepts it (4.2.2). Whether to accept is left to the application.
//!
//! A head is judged in the order of its bytes, so that the verdict does not depend on how they arrived: the first
//! byte, or the second behind one empty line; each line's end; the request line, as soon as it ends; the limits. When
//! it is there whole: the header lines, then whether `Upgrade` has the token `websocket`. If it has not, that is a
//! plain request. If it has: the version of HTTP (505), the method (405), the version of the protocol (426), and then
//! what is answered by 400: `Sec-WebSocket-Version` twice, `Connection`, the target, `Host`, the key, a body,
//! subprotocols, extensions.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

use super::accept_key::accept_key;
use super::error::HandshakeError;
use super::extensions;
use super::fields::{Fields, Single, offered_subprotocols};
use super::head_buffer::HeadRules;
use super::head_reader::{HeadKind, HeadReader};
use super::headers::Headers;
use super::read_lines::{RequestLine, read_request_line};
use super::request::{PlainRequest, UpgradeRequest, has_resource};
use super::response::Accept;
use super::version::HttpVersion;
use super::write_lines::{put_header, write_parts};
use super::{syntax, whole_head};
use crate::config::Config;
use crate::error::UsageError;

/// Reads one request head.
#[derive(Debug, Default)]
pub(crate) struct ServerHandshake {
    reader: HeadReader,
}

/// A request head that is good.
#[derive(Debug)]
pub(crate) enum ServerStep<'a> {
    /// It asks for WebSocket, and is to be accepted or rejected.
    Upgrade(UpgradeRequest<'a>, PendingUpgrade),
    /// It does not.
    Plain(PlainRequest<'a>),
}

impl ServerHandshake {
    pub(crate) fn new() -> Self {
        ServerHandshake::default()
    }

    /// Whether nothing has arrived yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.reader.is_empty()
    }

    /// Takes a head off the front of `input` and judges it. `None`: all of `input` was used and more is needed. What
    /// lies behind a good head stays in `input`, untouched; after an error `input` means nothing.
    pub(crate) fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        config: &Config,
    ) -> Option<Result<ServerStep<'a>, HandshakeError>> {
        let result = self.reader.receive::<RequestHead, _>(input, config, judge)?;
        Some(result.map(|(head, pending)| step(head, pending)))
    }
}

/// How the head of a request is read.
struct RequestHead;

impl HeadKind for RequestHead {
    type FirstLine<'h> = RequestLine<'h>;

    fn rules(limit: usize) -> HeadRules {
        HeadRules {
            limit,
            is_first_byte: syntax::is_token_byte,
            // RFC 6455 10.7: a bad request line is refused before the blank line arrives, which may never come.
            judge_line: |line| read_request_line(line).map(drop),
            // RFC 9112 2.2: an empty line before the request line is ignored.
            skips_empty_line: true,
            // RFC 9112 5.2: a folded line in a request is refused.
            unfolds: false,
        }
    }

    fn read_first_line(line: &[u8]) -> Result<RequestLine<'_>, HandshakeError> {
        read_request_line(line)
    }

    #[inline]
    fn read_whole<'h>(
        input: &'h [u8],
        config: &Config,
        fields: &mut Fields<'h>,
    ) -> Option<(RequestLine<'h>, usize)> {
        let (target, len) = whole_head::read_request(input, config, fields)?;
        Some((RequestLine { method: "GET", target, version: HttpVersion::Http11 }, len))
    }
}

fn step(head: Cow<'_, [u8]>, pending: Option<PendingUpgrade>) -> ServerStep<'_> {
    match pending {
        Some(pending) => ServerStep::Upgrade(UpgradeRequest::new(head), pending),
        None => ServerStep::Plain(PlainRequest::new(head)),
    }
}

/// Judges what a well-formed request says. `None`: it does not ask for WebSocket.
#[inline]
fn judge(
    line: RequestLine<'_>,
    fields: &Fields<'_>,
    head: &[u8],
) -> Result<Option<PendingUpgrade>, HandshakeError> {
    // RFC 6455 4.2.1: among the protocols of Upgrade is websocket, in any case.
    if !fields.has_upgrade_websocket {
        return Ok(None);
    }
    // RFC 6455 4.2.1: HTTP/1.1 or higher; RFC 9110 7.8: HTTP/1.0 has no upgrade.
    if line.version == HttpVersion::Http10 {
        return Err(HandshakeError::HttpVersion { major: 1, minor: 0 });
    }
    // RFC 6455 4.2.1: the method is GET.
    if line.method != "GET" {
        return Err(HandshakeError::Method);
    }
    // RFC 6455 4.4: a version that is not spoken is answered by those that are.
    fields.check_version()?;
    fields.check_version_once()?;
    // RFC 6455 4.2.1: Connection has the token upgrade.
    if !fields.has_connection_upgrade {
        return Err(HandshakeError::ConnectionNotUpgrade);
    }
    // RFC 6455 4.2.1: the target is the resource name, or a whole URI that has it.
    if !has_resource(line.target) {
        return Err(HandshakeError::InvalidTarget);
    }
    match fields.host {
        Single::Absent => return Err(HandshakeError::MissingHost),
        Single::Repeated => return Err(HandshakeError::DuplicateHost),
        // RFC 9112 3.2: a Host that is no authority is answered by 400.
        Single::Once(host) if !syntax::is_authority(host) => {
            return Err(HandshakeError::InvalidHost);
        }
        Single::Once(_) => {}
    }
    let key = match fields.key {
        Single::Absent => return Err(HandshakeError::MissingKey),
        Single::Repeated => return Err(HandshakeError::DuplicateKey),
        Single::Once(key) if !is_key(key) => {
            return Err(HandshakeError::InvalidKey { len: key.len() });
        }
        Single::Once(key) => key,
    };
    // A GET may have a body in HTTP, but an upgrade cannot: what follows the head are frames (RFC 6455 4.2.2).
    if fields.has_body {
        return Err(HandshakeError::Body);
    }
    let offered = if fields.has_subprotocols {
        offered_subprotocols(Headers::of(head).named("Sec-WebSocket-Protocol"))?
    } else {
        None
    };
    fields.check_extensions()?;
    Ok(Some(PendingUpgrade { accept: accept_key(key), offered }))
}

/// RFC 6455 4.2.1: a key is 16 bytes in base64, 22 characters and the padding. The 22nd has 4 bits that do not count
/// and need not be zero: the RFC's own example (before erratum 3150) has them set, and a key is never decoded.
fn is_key(key: &[u8]) -> bool {
    let Some((digits, b"==")) = key.split_last_chunk::<2>() else { return false };
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() | (*byte == b'+') | (*byte == b'/');
    // All of them are looked at, without a branch for each.
    <&[u8; 22]>::try_from(digits)
        .is_ok_and(|digits| digits.iter().fold(true, |all, byte| all & is_digit(byte)))
}

/// What is needed to accept a request later, without the request.
#[derive(Debug)]
pub(crate) struct PendingUpgrade {
    /// The value of Sec-WebSocket-Accept, in ASCII.
    accept: [u8; 28],
    /// The subprotocols that were offered, a comma list.
    offered: Option<Box<str>>,
}

impl PendingUpgrade {
    /// Writes the whole 101 response, or on an error nothing. `extensions` is the value of
    /// `Sec-WebSocket-Extensions`, which was agreed on elsewhere (RFC 6455 4.2.2).
    pub(crate) fn accept(
        &self,
        accept: &Accept<'_>,
        extensions: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<(), UsageError> {
        // RFC 6455 4.2.2: what is chosen is one of the offered, so never empty; RFC 7936 2: with its case.
        let is_offered = |name: &str| {
            self.offered
                .iter()
                .flat_map(|all| syntax::list(all.as_bytes()))
                .any(|offered| offered == name.as_bytes())
        };
        if accept.subprotocol.is_some_and(|name| !is_offered(name)) {
            return Err(UsageError::SubprotocolNotOffered);
        }
        accept.check_headers()?;
        write_parts(out, |put| {
            put(b"HTTP/1.1 101 Switching Protocols\r\n\
                Upgrade: websocket\r\n\
                Connection: Upgrade\r\n\
                Sec-WebSocket-Accept: ");
            put(&self.accept);
            put(b"\r\n");
            if let Some(name) = accept.subprotocol {
                put_header(put, "Sec-WebSocket-Protocol", name.as_bytes());
            }
            if let Some(extensions) = extensions {
                put_header(put, extensions::HEADER, extensions.as_bytes());
            }
            for (name, value) in &accept.headers {
                put_header(put, name, value);
            }
            put(b"\r\n");
        });
        Ok(())
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
