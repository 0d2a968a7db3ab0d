//! The server's side of the opening handshake over HTTP/1.1: it checks a request (RFC 6455 4.2.1), and writes the 101
//! that accepts it (RFC 6455 4.2.2). Whether to accept is left to the application.
//!
//! A head is checked in the order of its bytes, so that the verdict does not depend on how they arrived. While it
//! arrives: the first byte (behind an empty line, which is skipped), the end of each line, the request line as soon as
//! it ends, and the limits. Once it is complete: the header lines, then whether `Upgrade` has the token `websocket`.
//! Without it, the request is a plain one. With it: the version of HTTP (505), the method (405), the version of the
//! protocol (426), and then what is answered with 400: a repeated `Sec-WebSocket-Version`, `Connection`, the target,
//! `Host`, the key, a body, subprotocols, extensions.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

use super::accept::Accept;
use super::accept_key::accept_key;
use super::error::HandshakeError;
use super::extensions;
use super::fields::{Fields, Single, offered_subprotocols};
use super::head_buffer::HeadRules;
use super::head_reader::{HeadKind, HeadReader};
use super::headers::Headers;
use super::read_lines::{RequestLine, read_request_line};
use super::request::{PlainRequest, UpgradeRequest, has_resource};
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

/// A valid request.
#[derive(Debug)]
pub(crate) enum ServerStep<'a> {
    /// A request for WebSocket, which the application accepts or rejects.
    Upgrade(UpgradeRequest<'a>, PendingUpgrade),
    /// Any other request.
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

    /// Takes a head off the front of `input` and judges it. Returns `None` if all of `input` was used and more is
    /// needed. Bytes behind a valid head stay in `input`, unchanged. After an error the content of `input` is
    /// unspecified, and [`take_head`](ServerHandshake::take_head) returns the head that failed.
    pub(crate) fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        config: &Config,
    ) -> Option<Result<ServerStep<'a>, HandshakeError>> {
        let result = self.reader.receive::<RequestHead, _>(input, config, judge)?;
        Some(result.map(|(head, pending)| step(head, pending)))
    }

    /// Whether the request that is incomplete or has failed is a HEAD, whose response has no body (RFC 9110 9.3.2).
    pub(crate) fn is_head_method(&self) -> bool {
        self.reader.head().starts_with(b"HEAD ")
    }

    /// Takes the bytes of a head that is incomplete, or that has failed, up to the byte that decided it.
    pub(crate) fn take_head(&mut self) -> Vec<u8> {
        self.reader.take_head()
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

/// Checks a well-formed request. Returns `None` if it does not ask for WebSocket.
#[inline]
fn judge(
    line: RequestLine<'_>,
    fields: &Fields<'_>,
    head: &[u8],
) -> Result<Option<PendingUpgrade>, HandshakeError> {
    // RFC 6455 4.2.1: Upgrade lists websocket, in any case.
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
    // RFC 6455 4.4: the answer to another version lists the supported one.
    fields.check_version()?;
    fields.check_version_once()?;
    // RFC 6455 4.2.1: Connection has the token upgrade.
    if !fields.has_connection_upgrade {
        return Err(HandshakeError::ConnectionNotUpgrade);
    }
    // RFC 6455 4.2.1: the target is the resource name, or a whole URI with it.
    if !has_resource(line.target) {
        return Err(HandshakeError::InvalidTarget);
    }
    match fields.host {
        Single::Absent => return Err(HandshakeError::MissingHost),
        Single::Repeated => return Err(HandshakeError::DuplicateHost),
        // RFC 9112 3.2: an invalid Host is answered with 400.
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
    // In HTTP a GET may have a body, but frames follow the head of an upgrade (RFC 6455 4.2.2).
    if fields.has_body {
        return Err(HandshakeError::Body);
    }
    let offered = if fields.has_subprotocols {
        offered_subprotocols(Headers::of_head(head).get_all("Sec-WebSocket-Protocol"))?
    } else {
        None
    };
    fields.check_extensions()?;
    Ok(Some(PendingUpgrade { accept: accept_key(key), offered }))
}

/// Whether a key is 16 bytes in base64 (RFC 6455 4.2.1): 22 characters and the padding. The last 4 bits of the 22nd
/// character are unused and need not be zero: they are set in the RFC's own example (before erratum 3150), and the key
/// is never decoded.
fn is_key(key: &[u8]) -> bool {
    let Some((digits, b"==")) = key.split_last_chunk::<2>() else { return false };
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() | (*byte == b'+') | (*byte == b'/');
    // No branch for each byte, so that the compiler can compare many bytes at once.
    <&[u8; 22]>::try_from(digits)
        .is_ok_and(|digits| digits.iter().fold(true, |all, byte| all & is_digit(byte)))
}

/// What the 101 needs of a request that is accepted later.
#[derive(Debug)]
pub(crate) struct PendingUpgrade {
    /// The value of Sec-WebSocket-Accept, in ASCII.
    accept: [u8; 28],
    /// The offered subprotocols as a comma list.
    offered: Option<Box<str>>,
}

impl PendingUpgrade {
    /// What the 101 needs of a request that was found valid before.
    pub(super) fn of(request: &UpgradeRequest<'_>) -> PendingUpgrade {
        let key = request.header("Sec-WebSocket-Key").expect("a valid upgrade has one key");
        let offered = request.headers().get_all("Sec-WebSocket-Protocol");
        let offered = offered_subprotocols(offered).expect("a valid upgrade offers a valid list");
        PendingUpgrade { accept: accept_key(key), offered }
    }

    /// Writes the 101 response. Writes nothing if there is an error. `extensions` is the agreed value of
    /// `Sec-WebSocket-Extensions` (RFC 6455 4.2.2).
    pub(crate) fn accept(
        &self,
        accept: &Accept<'_>,
        extensions: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<(), UsageError> {
        // RFC 6455 4.2.2: the chosen subprotocol was offered, so it is not empty. RFC 7936 2: case matters.
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
            accept.headers.put(put);
            put(b"\r\n");
        });
        Ok(())
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
