//! Requests of clients: valid ones in any form, and requests with exactly one fault, with the status that answers it
//! (RFC 6455 4.2.1, RFC 9112).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::head::{
    BAD_EXTENSIONS, BAD_NAMES, FOLDED, Head, HeadForm, Over, bad_value, exceed, form,
};
use crate::config::Config;
use crate::handshake::HandshakeError;

/// A valid request for a WebSocket. A server must report it with its last byte.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GoodRequest {
    /// The head.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for GoodRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoodRequest").field("bytes", &Lines(&self.bytes)).finish()
    }
}

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestFault {
    /// A first byte that cannot begin a request, such as that of a TLS client (RFC 9112 3): 400.
    NotHttp,
    /// A request line that is malformed (RFC 9112 3): 400.
    RequestLine,
    /// An upgrade by a version other than HTTP/1.1, or the preface of HTTP/2 (RFC 6455 4.2.1): 505.
    HttpVersion,
    /// A line that ends in a bare LF (RFC 9112 2.2): 400.
    BareLineFeed,
    /// A header line without a name, or a folded one (RFC 9112 5): 400.
    HeaderName,
    /// A control character in a value, CR included (RFC 9110 5.5): 400.
    HeaderValue,
    /// More header lines than [`Config::max_headers`] (RFC 6585 5): 431.
    TooManyHeaders,
    /// More bytes than [`Config::max_head_bytes`] (RFC 6585 5): 431.
    HeadTooLong,
    /// More bytes than [`Config::max_head_bytes`] in the first line alone (RFC 9110 15.5.15): 414.
    FirstLineTooLong,
    /// Not a request for a WebSocket (RFC 6455 4.2.1): it is reported as a plain request.
    Upgrade,
    /// A method other than GET (RFC 6455 4.2.1): 405.
    Method,
    /// A version other than 13 (RFC 6455 4.4): 426.
    Version,
    /// The version twice (RFC 6455 11.3.5): 400.
    DuplicateVersion,
    /// `Connection` without the token `upgrade` (RFC 6455 4.2.1): 400.
    Connection,
    /// A request-target that names no resource (RFC 6455 4.2.1): 400.
    Target,
    /// No `Host` (RFC 6455 4.2.1): 400.
    MissingHost,
    /// `Host` twice (RFC 9112 3.2): 400.
    DuplicateHost,
    /// An invalid `Host` (RFC 9112 3.2): 400.
    InvalidHost,
    /// No key (RFC 6455 4.2.1): 400.
    MissingKey,
    /// The key twice (RFC 6455 11.3.1): 400.
    DuplicateKey,
    /// A key that is not 16 bytes in base64 (RFC 6455 4.2.1): 400.
    InvalidKey,
    /// An announced body, which would be read as frames: 400.
    Body,
    /// Subprotocols that are not a list of tokens (RFC 6455 4.3): 400.
    InvalidSubprotocol,
    /// A subprotocol twice (RFC 6455 4.1): 400.
    DuplicateSubprotocol,
    /// Extensions that break the grammar (RFC 6455 9.1): 400.
    Extensions,
}

impl RequestFault {
    /// All of them.
    pub const ALL: &[RequestFault] = &[
        RequestFault::NotHttp,
        RequestFault::RequestLine,
        RequestFault::HttpVersion,
        RequestFault::BareLineFeed,
        RequestFault::HeaderName,
        RequestFault::HeaderValue,
        RequestFault::TooManyHeaders,
        RequestFault::HeadTooLong,
        RequestFault::FirstLineTooLong,
        RequestFault::Upgrade,
        RequestFault::Method,
        RequestFault::Version,
        RequestFault::DuplicateVersion,
        RequestFault::Connection,
        RequestFault::Target,
        RequestFault::MissingHost,
        RequestFault::DuplicateHost,
        RequestFault::InvalidHost,
        RequestFault::MissingKey,
        RequestFault::DuplicateKey,
        RequestFault::InvalidKey,
        RequestFault::Body,
        RequestFault::InvalidSubprotocol,
        RequestFault::DuplicateSubprotocol,
        RequestFault::Extensions,
    ];
}

/// How a server must treat a request with a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a request is refused, or is another request")]
pub enum RequestVerdict {
    /// It refuses the request.
    Refused {
        /// The HTTP status.
        status: u16,
        /// What is wrong.
        error: HandshakeError,
    },
    /// It reports the request as a plain one.
    Plain,
}

/// A request with exactly one fault.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadRequest {
    /// The head, including the part behind a fault that is decided early.
    pub bytes: Vec<u8>,
    /// What is wrong.
    pub fault: RequestFault,
    /// How a server must treat it.
    pub verdict: RequestVerdict,
    /// The number of bytes that decide it: up to the first byte, the line's end or the limit that is wrong; else all.
    pub decided_at: usize,
}

impl fmt::Debug for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BadRequest")
            .field("fault", &self.fault)
            .field("verdict", &self.verdict)
            .field("decided_at", &self.decided_at)
            .field("bytes", &Lines(&self.bytes))
            .finish()
    }
}

/// A head as lines of text.
pub(super) struct Lines<'b>(pub(super) &'b [u8]);

impl fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.split_inclusive(|&byte| byte == b'\n');
        let shown = |line: &[u8]| match line.len() {
            0..=200 => format!("{}", line.escape_ascii()),
            len => format!("{}… {len} bytes", line[..200].escape_ascii()),
        };
        f.debug_list().entries(lines.map(shown)).finish()
    }
}

/// The required headers of a request, and its optional subprotocols and extensions.
#[derive(Debug, Clone)]
struct Parts {
    target: &'static str,
    upgrade: &'static str,
    connection: &'static str,
    host: &'static str,
    key: String,
    more: &'static [(&'static str, &'static str)],
    form: HeadForm,
}

fn parts() -> impl Strategy<Value = Parts> {
    const MORE: [&[(&str, &str)]; 5] = [
        &[],
        &[("Sec-WebSocket-Protocol", " ,"), ("Expect", "100-continue")],
        &[("Sec-WebSocket-Protocol", "chat, superchat"), ("Origin", "http://example.com")],
        &[("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits, x; y=\"z\"")],
        &[
            ("Content-Length", "0"),
            ("Sec-WebSocket-Protocol", "chat"),
            ("Sec-WebSocket-Extensions", ""),
        ],
    ];
    (
        select(
            &[
                "/",
                "/chat?a=b",
                "/%20",
                "http://example.com/x",
                "http://example.com?x",
                "ws://[::1]:8080",
            ][..],
        ),
        select(&["websocket", "WebSocket", "h2c, WEBSOCKET"][..]),
        select(&["Upgrade", "keep-alive, upgrade", "UPGRADE ,x"][..]),
        select(&["example.com", "127.0.0.1:9001", "[::1]"][..]),
        "[A-Za-z0-9+/]{21}[AQgw]==",
        select(&MORE[..]),
        form(),
    )
        .prop_map(|(target, upgrade, connection, host, key, more, form)| Parts {
            target,
            upgrade,
            connection,
            host,
            key,
            more,
            form,
        })
}

impl Parts {
    fn head(&self) -> Head {
        let mut headers = alloc::vec![
            ("Host", self.host),
            ("Upgrade", self.upgrade),
            ("Connection", self.connection),
            ("Sec-WebSocket-Key", &self.key[..]),
            ("Sec-WebSocket-Version", "13"),
        ];
        headers.extend_from_slice(self.more);
        self.form.head(&format!("GET {} HTTP/1.1", self.target), &headers)
    }
}

/// Valid requests: names in any case, lines in any order, with other headers between them, and sometimes an empty line
/// before them.
pub fn request() -> BoxedStrategy<GoodRequest> {
    (parts(), prop_oneof![4 => Just(&b""[..]), 1 => Just(&b"\r\n"[..])])
        .prop_map(|(parts, before)| GoodRequest {
            bytes: [before, &parts.head().write().0].concat(),
        })
        .boxed()
}

/// Requests with one [`RequestFault`], for a server with this configuration. Its limits must allow 16 header lines and
/// 1 KiB.
pub fn bad_request(config: &Config) -> BoxedStrategy<BadRequest> {
    let config = config.clone();
    (select(RequestFault::ALL), parts(), 0..1000usize, any::<Index>())
        .prop_map(move |(fault, parts, pick, at)| spoil(fault, &parts, pick, at, &config))
        .boxed()
}

fn spoil(
    fault: RequestFault,
    parts: &Parts,
    pick: usize,
    at: Index,
    config: &Config,
) -> BadRequest {
    use HandshakeError as E;
    use RequestFault as F;
    let mut head = parts.head();
    // Replaces one header by these lines.
    let mut replace = |name, lines: &[&str]| head.replace(name, lines);
    let (version, key) = ("Sec-WebSocket-Version", "Sec-WebSocket-Key");
    let (mut status, mut early) = (400, None);
    let error = match fault {
        F::NotHttp => {
            // One empty line is skipped.
            let starts: [(&[u8], usize); 6] = [
                (b"\x16\x03\x01\x02\0\x01", 1),
                (b"\0", 1),
                (b" ", 1),
                (b"\x81\x85", 1),
                (b"\r\n\r\n", 3),
                (b"\r\n ", 3),
            ];
            let (start, decided_at) = starts[pick % starts.len()];
            head.first.splice(0..0, start.iter().copied());
            early = Some(decided_at);
            E::NotHttp { byte: start[decided_at - 1] }
        }
        F::RequestLine => {
            let lines = [
                "GET /",
                "GET",
                "GET  / HTTP/1.1",
                "GET /  HTTP/1.1",
                "GET /a b HTTP/1.1",
                "GET / HTTP/1.1 ",
                "GET / http/1.1",
                "GET / HTTP/11.1",
                "G@T / HTTP/1.1",
                "GET /\0 HTTP/1.1",
            ];
            head.first = lines[pick % lines.len()].into();
            early = Some(head.first.len() + 2);
            E::RequestLine
        }
        F::HttpVersion => {
            let lines = [
                ("GET / HTTP/1.0", 1, 0),
                ("PRI * HTTP/2.0", 2, 0),
                ("GET / HTTP/1.2", 1, 2),
                ("GET / HTTP/0.9", 0, 9),
            ];
            let (line, major, minor) = lines[pick % lines.len()];
            head.first = line.into();
            // Without the upgrade, HTTP/1.0 would be valid as a plain request.
            early = ((major, minor) != (1, 0)).then_some(head.first.len() + 2);
            status = 505;
            E::HttpVersion { major, minor }
        }
        F::BareLineFeed => {
            let (bytes, lf) = head.write_with_bare_lf(at);
            let verdict = RequestVerdict::Refused { status, error: E::BareLineFeed { at: lf } };
            return BadRequest { bytes, fault, verdict, decided_at: lf + 1 };
        }
        F::HeaderName => {
            let lines = [&BAD_NAMES[..], &FOLDED].concat();
            head.insert(at, lines[pick % lines.len()]);
            E::InvalidHeaderName
        }
        F::HeaderValue => {
            head.insert(at, bad_value(pick));
            E::InvalidHeaderValue
        }
        F::TooManyHeaders => {
            exceed(&mut head, Over::Headers, at, config);
            status = 431;
            E::TooManyHeaders { limit: config.max_headers }
        }
        F::HeadTooLong => {
            early = exceed(&mut head, Over::Head, at, config);
            status = 431;
            E::HeadTooLong { limit: config.max_head_bytes }
        }
        F::FirstLineTooLong => {
            early = exceed(&mut head, Over::FirstLine, at, config);
            status = 414;
            E::FirstLineTooLong { limit: config.max_head_bytes }
        }
        F::Upgrade => {
            let lines: [&[&str]; 4] =
                [&[], &["Upgrade: h2c"], &["Upgrade: websocketx"], &["Upgrade: web socket"]];
            replace("Upgrade", lines[pick % lines.len()]);
            let bytes = head.write().0;
            return BadRequest {
                decided_at: bytes.len(),
                bytes,
                fault,
                verdict: RequestVerdict::Plain,
            };
        }
        F::Method => {
            let methods = ["POST", "HEAD", "PUT", "OPTIONS", "get"];
            head.first.splice(0..3, methods[pick % methods.len()].bytes());
            status = 405;
            E::Method
        }
        F::Version => {
            let values = [
                (None, None),
                (Some("8"), Some(8)),
                (Some("0"), Some(0)),
                (Some("14"), Some(14)),
                (Some("013"), None),
                (Some("13, 8"), None),
                (Some("256"), None),
                (Some(""), None),
            ];
            let (value, seen) = values[pick % values.len()];
            match value {
                None => replace(version, &[]),
                Some(value) => replace(version, &[&format!("{version}: {value}")]),
            }
            status = 426;
            E::Version { seen }
        }
        F::DuplicateVersion => {
            let second = ["13", "8"][pick % 2];
            head.insert(at, format!("{version}: {second}"));
            E::DuplicateVersion
        }
        F::Connection => {
            let lines: [&[&str]; 4] = [
                &[],
                &["Connection: close"],
                &["Connection: Upgradex"],
                &["Connection: keep-alive upgrade"],
            ];
            replace("Connection", lines[pick % lines.len()]);
            E::ConnectionNotUpgrade
        }
        F::Target => {
            let targets = ["*", "example.com:80", "chat", "ftp://h/", "http://u@h/", "/chat#f"];
            head.first = format!("GET {} HTTP/1.1", targets[pick % targets.len()]).into();
            E::InvalidTarget
        }
        F::MissingHost => {
            replace("Host", &[]);
            E::MissingHost
        }
        F::DuplicateHost => {
            head.insert(at, "Host: example.com");
            E::DuplicateHost
        }
        F::InvalidHost => {
            let hosts = ["", "a b", "h:99999", "user@h", "[::1", "a/b"];
            replace("Host", &[&format!("Host: {}", hosts[pick % hosts.len()])]);
            E::InvalidHost
        }
        F::MissingKey => {
            replace(key, &[]);
            E::MissingKey
        }
        F::DuplicateKey => {
            head.insert(at, format!("{key}: {}", parts.key));
            E::DuplicateKey
        }
        F::InvalidKey => {
            let keys = [
                "",
                // 15 and 17 bytes; without the padding, or with less; another alphabet; a space.
                "AQIDBAUGBwgJCgsMDQ4P",
                "AQIDBAUGBwgJCgsMDQ4PEBE=",
                "AQIDBAUGBwgJCgsMDQ4PEA",
                "AQIDBAUGBwgJCgsMDQ4PEA=",
                "AQIDBAUGBwgJCgsMDQ4P-_==",
                "AQIDBAUGBwg CgsMDQ4PEA==",
            ];
            let bad = keys[pick % keys.len()];
            replace(key, &[&format!("{key}: {bad}")]);
            E::InvalidKey { len: bad.len() }
        }
        F::Body => {
            let lines = ["Content-Length: 5", "Transfer-Encoding: chunked", "Content-Length: +0"];
            head.insert(at, lines[pick % lines.len()]);
            E::Body
        }
        F::InvalidSubprotocol => {
            let values = [",;", "a b", "a/b", "\"a\""];
            let value = values[pick % values.len()];
            replace("Sec-WebSocket-Protocol", &[&format!("Sec-WebSocket-Protocol: {value}")]);
            E::InvalidSubprotocol
        }
        F::DuplicateSubprotocol => {
            let lines: [&[&str]; 2] = [
                &["Sec-WebSocket-Protocol: a, b, a"],
                &["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b,a"],
            ];
            replace("Sec-WebSocket-Protocol", lines[pick % 2]);
            E::DuplicateSubprotocol { name: "a".into() }
        }
        F::Extensions => {
            let value = BAD_EXTENSIONS[pick % BAD_EXTENSIONS.len()];
            head.insert(at, format!("Sec-WebSocket-Extensions: {value}"));
            E::InvalidExtensions
        }
    };
    let bytes = head.write().0;
    let decided_at = early.unwrap_or(bytes.len());
    BadRequest { bytes, fault, verdict: RequestVerdict::Refused { status, error }, decided_at }
}
