//! Responses of servers: valid 101s in any form, and responses with exactly one fault (RFC 6455 4.1). They are
//! completed for the key that the client has sent.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sha1::{Digest as _, Sha1};

use super::head::{BAD_EXTENSIONS, BAD_NAMES, FOLDED, Over, bad_value, exceed, form};
use super::request::Lines;
use crate::config::Config;
use crate::handshake::HandshakeError;

/// A placeholder for the value of `Sec-WebSocket-Accept`, of the same length.
const ACCEPT: &str = "<the accept value of a key.>";

const _: () = assert!(ACCEPT.len() == 28);

/// A valid 101 that chooses no subprotocol and no extension. A client must report the open connection with its last
/// byte.
#[derive(Clone, PartialEq, Eq)]
pub struct GoodResponse {
    template: Vec<u8>,
}

impl GoodResponse {
    /// The response to a client's request; `None` if the request has no `Sec-WebSocket-Key`.
    pub fn to(&self, request: &[u8]) -> Option<Vec<u8>> {
        fill_in(&self.template, request)
    }
}

impl fmt::Debug for GoodResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoodResponse").field("bytes", &Lines(&self.template)).finish()
    }
}

/// What is wrong with a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseFault {
    /// A status other than 101 (RFC 6455 4.1).
    Status,
    /// A first byte that cannot begin a response (RFC 9112 4).
    NotHttp,
    /// A status line that is malformed (RFC 9112 4).
    StatusLine,
    /// A 101 by a version other than HTTP/1.1 (RFC 6455 4.1).
    HttpVersion,
    /// A line that ends in a bare LF (RFC 9112 2.2).
    BareLineFeed,
    /// A header line without a name (RFC 9112 5).
    HeaderName,
    /// A control character in a value, CR included (RFC 9110 5.5).
    HeaderValue,
    /// More header lines than [`Config::max_headers`].
    TooManyHeaders,
    /// More bytes than [`Config::max_head_bytes`].
    HeadTooLong,
    /// More bytes than [`Config::max_head_bytes`] in the first line alone.
    FirstLineTooLong,
    /// More than 16 interim responses.
    TooManyInterimResponses,
    /// `Upgrade` is not `websocket` alone (RFC 6455 4.1).
    Upgrade,
    /// `Connection` without the token `upgrade` (RFC 6455 4.1).
    Connection,
    /// No accept value (RFC 6455 4.1).
    MissingAccept,
    /// The accept value twice (RFC 6455 11.3.3).
    DuplicateAccept,
    /// The accept value of another key, or with another case (RFC 6455 4.1).
    WrongAccept,
    /// An extension that was not offered (RFC 6455 4.1).
    Extension,
    /// Extensions that break the grammar, or an empty list (RFC 6455 9.1).
    InvalidExtensions,
    /// A subprotocol that was not offered (RFC 6455 4.1).
    Subprotocol,
    /// Several subprotocols in lines of their own (RFC 6455 11.3.4).
    SeveralSubprotocols,
    /// A subprotocol that is not a token (RFC 6455 4.2.2).
    InvalidSubprotocol,
}

impl ResponseFault {
    /// All of them.
    pub const ALL: &[ResponseFault] = &[
        ResponseFault::Status,
        ResponseFault::NotHttp,
        ResponseFault::StatusLine,
        ResponseFault::HttpVersion,
        ResponseFault::BareLineFeed,
        ResponseFault::HeaderName,
        ResponseFault::HeaderValue,
        ResponseFault::TooManyHeaders,
        ResponseFault::HeadTooLong,
        ResponseFault::FirstLineTooLong,
        ResponseFault::TooManyInterimResponses,
        ResponseFault::Upgrade,
        ResponseFault::Connection,
        ResponseFault::MissingAccept,
        ResponseFault::DuplicateAccept,
        ResponseFault::WrongAccept,
        ResponseFault::Extension,
        ResponseFault::InvalidExtensions,
        ResponseFault::Subprotocol,
        ResponseFault::SeveralSubprotocols,
        ResponseFault::InvalidSubprotocol,
    ];
}

/// A response with exactly one fault, for a client that offers no extension and no subprotocol `never-offered`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadResponse {
    /// What is wrong.
    pub fault: ResponseFault,
    /// The number of bytes that decide it: up to the first byte, the line's end or the limit that is wrong; else all.
    pub decided_at: usize,
    template: Vec<u8>,
    verdict: Verdict,
}

/// Errors are compared whole, but a refusal only by its status, since it holds the head and body.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Error(HandshakeError),
    Refused(u16),
}

impl BadResponse {
    /// The response to a client's request; `None` if the request has no `Sec-WebSocket-Key`.
    pub fn to(&self, request: &[u8]) -> Option<Vec<u8>> {
        fill_in(&self.template, request)
    }

    /// Whether this is the error that a client must report. A refusal is compared by its status.
    pub fn is(&self, error: &HandshakeError) -> bool {
        match (&self.verdict, error) {
            (Verdict::Refused(status), HandshakeError::Refused(refusal)) => {
                refusal.status() == *status
            }
            (Verdict::Error(wanted), error) => wanted == error,
            (Verdict::Refused(_), _) => false,
        }
    }
}

impl fmt::Debug for BadResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BadResponse")
            .field("fault", &self.fault)
            .field("verdict", &self.verdict)
            .field("decided_at", &self.decided_at)
            .field("bytes", &Lines(&self.template))
            .finish()
    }
}

fn fill_in(template: &[u8], request: &[u8]) -> Option<Vec<u8>> {
    const NAME: &[u8] = b"sec-websocket-key:";
    let key = request
        .split(|&byte| byte == b'\n')
        .find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))?;
    let accept = accept_value(key[NAME.len()..].trim_ascii());
    let mut bytes = template.to_vec();
    for at in 0..bytes.len().saturating_sub(ACCEPT.len() - 1) {
        if bytes[at..].starts_with(ACCEPT.as_bytes()) {
            bytes[at..at + ACCEPT.len()].copy_from_slice(&accept);
        }
    }
    Some(bytes)
}

/// The value of `Sec-WebSocket-Accept` for a key (RFC 6455 4.2.2), by the textbook, without the library's own function.
fn accept_value(key: &[u8]) -> [u8; ACCEPT.len()] {
    let guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let digest = Sha1::digest([key, guid].concat());
    let mut value = [0; ACCEPT.len()];
    STANDARD.encode_slice(digest, &mut value).expect("20 bytes are 28 characters of base64");
    value
}

/// The parts of a valid head: its status line and its form.
fn parts() -> impl Strategy<Value = (String, super::head::HeadForm, (&'static str, &'static str))> {
    let reason = select(&[" Switching Protocols", " ", ""][..]);
    let values = (select(&["websocket", "WebSocket"][..]), select(&["Upgrade", "x, upgrade"][..]));
    (reason.prop_map(|reason| format!("HTTP/1.1 101{reason}")), form(), values)
}

fn head(
    (first, form, (upgrade, connection)): &(String, super::head::HeadForm, (&str, &str)),
) -> super::head::Head {
    let headers =
        [("Upgrade", *upgrade), ("Connection", *connection), ("Sec-WebSocket-Accept", ACCEPT)];
    form.head(first, &headers)
}

/// Interim responses, which a client skips (RFC 9110 15.2).
fn interim(count: usize) -> Vec<u8> {
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(count)
}

/// Valid 101s: names in any case, lines in any order, with other headers between them and a few interim responses
/// before them. A line may be folded (RFC 9112 5.2). A body may be announced, which a 101 does not have (RFC 9112 6.3).
pub fn response() -> BoxedStrategy<GoodResponse> {
    let odd = [&FOLDED[..], &["Content-Length: 5", "Transfer-Encoding: chunked"]].concat();
    let odd = prop_oneof![4 => Just(None), 1 => (any::<Index>(), select(odd)).prop_map(Some)];
    (parts(), odd, prop_oneof![4 => Just(0), 1 => 1..=16usize])
        .prop_map(|(parts, odd, count)| {
            let mut template = interim(count);
            let mut head = head(&parts);
            if let Some((at, line)) = odd {
                head.insert(at, line);
            }
            template.extend_from_slice(&head.write().0);
            GoodResponse { template }
        })
        .boxed()
}

/// Responses with one [`ResponseFault`], for a client with this configuration. Its limits must allow 16 header lines
/// and 1 KiB.
pub fn bad_response(config: &Config) -> BoxedStrategy<BadResponse> {
    let config = config.clone();
    (select(ResponseFault::ALL), parts(), 0..1000usize, any::<Index>())
        .prop_map(move |(fault, parts, pick, at)| spoil(fault, head(&parts), pick, at, &config))
        .boxed()
}

fn spoil(
    fault: ResponseFault,
    mut head: super::head::Head,
    pick: usize,
    at: Index,
    config: &Config,
) -> BadResponse {
    use HandshakeError as E;
    use ResponseFault as F;
    let finish = |template: Vec<u8>, early: Option<usize>, verdict| BadResponse {
        fault,
        decided_at: early.unwrap_or(template.len()),
        template,
        verdict,
    };
    let mut replace = |name, lines: &[&str]| head.replace(name, lines);
    let mut early = None;
    let error = match fault {
        F::Status => {
            let status = [200, 204, 301, 400, 401, 403, 426, 500, 503][pick % 9];
            head.first = format!("HTTP/1.1 {status} No").into();
            head.insert(at, "Content-Length: 0");
            return finish(head.write().0, None, Verdict::Refused(status));
        }
        F::NotHttp => {
            let start = [&b"\r\n"[..], b"\x15\x03\x01", b"220 ", b"\x81\x05"][pick % 4];
            head.first.splice(0..0, start.iter().copied());
            early = Some(1);
            E::NotHttp { byte: start[0] }
        }
        F::StatusLine => {
            let lines = [
                "HTTP/2 200",
                "HTTP/1.1 1x1 No",
                "HTTP/1.1 99 No",
                "HTTP/1.1  101 No",
                "HTTP/1.1 1010 No",
                "HTTP/1.1",
            ];
            head.first = lines[pick % lines.len()].into();
            early = Some(head.first.len() + 2);
            E::StatusLine
        }
        F::HttpVersion => {
            let (line, major, minor) =
                [("HTTP/1.0 101 X", 1, 0), ("HTTP/2.0 101 X", 2, 0), ("HTTP/1.2 101 X", 1, 2)]
                    [pick % 3];
            head.first = line.into();
            early = Some(head.first.len() + 2);
            E::HttpVersion { major, minor }
        }
        F::BareLineFeed => {
            let (bytes, lf) = head.write_with_bare_lf(at);
            return finish(bytes, Some(lf + 1), Verdict::Error(E::BareLineFeed { at: lf }));
        }
        F::HeaderName => {
            head.insert(at, BAD_NAMES[pick % BAD_NAMES.len()]);
            E::InvalidHeaderName
        }
        F::HeaderValue => {
            head.insert(at, bad_value(pick));
            E::InvalidHeaderValue
        }
        F::TooManyHeaders => {
            exceed(&mut head, Over::Headers, at, config);
            E::TooManyHeaders { limit: config.max_headers }
        }
        F::HeadTooLong => {
            early = exceed(&mut head, Over::Head, at, config);
            E::HeadTooLong { limit: config.max_head_bytes }
        }
        F::FirstLineTooLong => {
            early = exceed(&mut head, Over::FirstLine, at, config);
            E::FirstLineTooLong { limit: config.max_head_bytes }
        }
        F::TooManyInterimResponses => {
            let mut template = interim(17);
            let decided_at = template.len();
            template.extend_from_slice(&head.write().0);
            let error = E::TooManyInterimResponses { limit: 16 };
            return finish(template, Some(decided_at), Verdict::Error(error));
        }
        F::Upgrade => {
            let lines: [&[&str]; 4] = [
                &[],
                &["Upgrade: h2c"],
                &["Upgrade: websocket, h2c"],
                &["Upgrade: websocket", "Upgrade: websocket"],
            ];
            replace("Upgrade", lines[pick % lines.len()]);
            E::UpgradeNotWebSocket
        }
        F::Connection => {
            let lines: [&[&str]; 3] = [&[], &["Connection: close"], &["Connection: upgraded"]];
            replace("Connection", lines[pick % lines.len()]);
            E::ConnectionNotUpgrade
        }
        F::MissingAccept => {
            replace("Sec-WebSocket-Accept", &[]);
            E::MissingAccept
        }
        F::DuplicateAccept => {
            head.insert(at, format!("Sec-WebSocket-Accept: {ACCEPT}"));
            E::DuplicateAccept
        }
        F::WrongAccept => {
            let value =
                ["", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="][pick % 3];
            replace("Sec-WebSocket-Accept", &[&format!("Sec-WebSocket-Accept: {value}")]);
            E::WrongAccept
        }
        F::Extension => {
            let (name, rest) = [("permessage-deflate", ""), ("x", "; y=z"), ("a", ", b")][pick % 3];
            head.insert(at, format!("Sec-WebSocket-Extensions: {name}{rest}"));
            E::ExtensionNotOffered { name: name.into() }
        }
        F::InvalidExtensions => {
            let value = [&BAD_EXTENSIONS[..], &[""]].concat()[pick % (BAD_EXTENSIONS.len() + 1)];
            head.insert(at, format!("Sec-WebSocket-Extensions: {value}"));
            E::InvalidExtensions
        }
        F::Subprotocol => {
            head.insert(at, "Sec-WebSocket-Protocol: never-offered");
            E::SubprotocolNotOffered { name: "never-offered".into() }
        }
        F::SeveralSubprotocols => {
            head.insert(at, "Sec-WebSocket-Protocol: a");
            head.insert(at, "Sec-WebSocket-Protocol: b");
            E::SeveralSubprotocols
        }
        F::InvalidSubprotocol => {
            let value = ["", "a, b", "a b"][pick % 3];
            head.insert(at, format!("Sec-WebSocket-Protocol: {value}"));
            E::InvalidSubprotocol
        }
    };
    finish(head.write().0, early, Verdict::Error(error))
}
