//! The same head as bytes and as the parts that another HTTP/1.1 stack would pass: both must get the same verdict, and
//! an accepted one the same answer. The head is a client's request or a server's response. Parts that no parser would
//! pass are refused.

use std::borrow::Cow;

use super::http::{Head, is_token};
use super::source::{ByteSource, Flags, config};
use websocket_proto::handshake::{
    Accepted, Agreed, ExtendedConnect, HttpVersion, ParsedRequest, accept_key,
};
use websocket_proto::{
    Accept, ClientRequest, CloseCause, Closed, Config, Connection, Event, HandshakeError,
    ProtocolError,
};

/// Names and values of headers.
type Lines<'h> = Vec<(&'h str, &'h [u8])>;

/// A head as another stack parses it: the three parts of the first line (a reason may be absent), and the headers.
#[derive(Debug)]
pub struct Parts<'h> {
    pub first: [&'h str; 3],
    pub headers: Lines<'h>,
}

impl<'h> Parts<'h> {
    /// Parses a whole head with the strict grammar of RFC 9112. Returns `None` for any other text, folded lines included.
    pub fn read(bytes: &'h [u8]) -> Option<Parts<'h>> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        if end + 4 != bytes.len() {
            return None;
        }
        let mut lines = Vec::new();
        let mut rest = &bytes[..end + 2];
        while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
            lines.push(&rest[..at]);
            rest = &rest[at + 2..];
        }
        let is_plain = |line: &&[u8]| line.iter().all(|&b| b == b'\t' || (b >= b' ' && b != 0x7f));
        if !lines.iter().all(is_plain) {
            return None;
        }
        let mut words = std::str::from_utf8(lines[0]).ok()?.splitn(3, ' ');
        let first = [words.next()?, words.next()?, words.next().unwrap_or("")];
        let mut headers = Vec::new();
        for line in &lines[1..] {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (name, value) = line.split_at(colon);
            let name = Some(name).filter(|name| is_token(name))?;
            headers.push((std::str::from_utf8(name).ok()?, trim(&value[1..])));
        }
        Some(Parts { first, headers })
    }
}

/// RFC 9112 5.2: replaces each fold of a response, with the white space around it, by spaces; but not one behind the
/// first line.
fn unfold(mut head: Vec<u8>) -> Vec<u8> {
    let is_white = |byte: &u8| matches!(byte, b' ' | b'\t');
    let ends = head.windows(2).enumerate().filter(|(_, two)| *two == b"\r\n").map(|(at, _)| at);
    for at in ends.skip(1).collect::<Vec<_>>() {
        let behind = head[at + 2..].iter().take_while(|byte| is_white(byte)).count();
        if behind > 0 {
            let before = head[..at].iter().rev().take_while(|byte| is_white(byte)).count();
            head[at - before..at + 2 + behind].fill(b' ');
        }
    }
    head
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn version(word: &str) -> Option<HttpVersion> {
    match word {
        "HTTP/1.0" => Some(HttpVersion::Http10),
        "HTTP/1.1" => Some(HttpVersion::Http11),
        _ => None,
    }
}

fn handshake_error(closed: &Closed) -> Option<HandshakeError> {
    match closed.cause() {
        CloseCause::Protocol(ProtocolError::Handshake(error)) => Some(error.clone()),
        _ => None,
    }
}

/// What is known of a request: what it is, or why it is refused and with which status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Upgrade {
        target: String,
        host: String,
        headers: Vec<(String, Vec<u8>)>,
        answer: Option<Answer>,
    },
    Plain {
        method: String,
        target: String,
        version: HttpVersion,
        headers: Vec<(String, Vec<u8>)>,
    },
    Refused {
        error: HandshakeError,
        status: u16,
    },
}

/// The headers of a 101, names in lower case, and the parameters of permessage-deflate.
pub type Answer = (Vec<(String, Vec<u8>)>, Option<String>);

fn owned<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> Vec<(String, Vec<u8>)> {
    headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())).collect()
}

#[cfg(feature = "deflate")]
fn deflate_of(upgrade: websocket_proto::Upgrade) -> Option<String> {
    upgrade.deflate_params().map(|params| format!("{params:?}"))
}

#[cfg(not(feature = "deflate"))]
fn deflate_of(_: websocket_proto::Upgrade) -> Option<String> {
    None
}

fn deflate_of_connection(conn: &Connection) -> Option<String> {
    #[cfg(feature = "deflate")]
    return conn.deflate_params().map(|params| format!("{params:?}"));
    #[cfg(not(feature = "deflate"))]
    {
        let _ = conn;
        None
    }
}

/// The verdict of a server on a whole head; `None` if it wants more bytes.
pub fn verdict_on_bytes(head: &[u8], config: &Config, accept: &Accept<'_>) -> Option<Verdict> {
    let mut conn = Connection::server(config.clone());
    let mut bytes = head.to_vec();
    let event = conn.receive(&mut &mut bytes[..])?;
    let mut verdict = match event {
        Event::UpgradeRequest(request) => Verdict::Upgrade {
            target: request.target().into(),
            host: request.host().into(),
            headers: owned(request.headers().map(|header| (header.name, header.value))),
            answer: None,
        },
        Event::PlainRequest(request) => Verdict::Plain {
            method: request.method().into(),
            target: request.target().into(),
            version: request.version(),
            headers: owned(request.headers().map(|header| (header.name, header.value))),
        },
        Event::Closed(closed) => {
            let error = handshake_error(&closed).expect("a handshake that failed");
            Verdict::Refused { error, status: Head::read(conn.outgoing()).status() }
        }
        other => panic!("unexpected event {other:?}"),
    };
    if let Verdict::Upgrade { answer, .. } = &mut verdict {
        if conn.accept(accept).is_ok() {
            let head = Head::read(conn.outgoing());
            assert_eq!(head.status(), 101);
            *answer = Some((head.headers, deflate_of_connection(&conn)));
        }
    }
    Some(verdict)
}

/// The verdict on the parts of a request.
pub fn verdict_on_parts(
    parts: &Parts<'_>,
    version: HttpVersion,
    config: &Config,
    accept: &Accept<'_>,
) -> Verdict {
    let [method, target, _] = parts.first;
    let headers = parts.headers.iter().copied();
    match ParsedRequest::from_parts(method, target, version, headers, config) {
        Ok(ParsedRequest::Upgrade(request)) => Verdict::Upgrade {
            target: request.target().into(),
            host: request.host().into(),
            headers: owned(request.headers().map(|header| (header.name, header.value))),
            answer: request.accept(accept, config).ok().map(|accepted| {
                let Accepted { status, headers, upgrade, .. } = accepted;
                assert_eq!(status, 101);
                let headers = headers.headers().map(|header| (header.name, header.value));
                (owned(headers), deflate_of(upgrade))
            }),
        },
        Ok(ParsedRequest::Plain(request)) => Verdict::Plain {
            method: request.method().into(),
            target: request.target().into(),
            version: request.version(),
            headers: owned(request.headers().map(|header| (header.name, header.value))),
        },
        Err(error) => {
            Verdict::Refused { error: error.error().clone(), status: error.response().status() }
        }
    }
}

/// Compares the verdicts on a request. Returns the verdict if the head parses and is whole.
pub fn same_request(bytes: &[u8], config: &Config, accept: &Accept<'_>) -> Option<Verdict> {
    // RFC 9112 2.2: a server skips an empty line before a request.
    let head = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let parts = Parts::read(head).filter(|parts| is_token(parts.first[0].as_bytes()));
    let parts = parts.and_then(|parts| Some((version(parts.first[2])?, parts)));
    let by_bytes = verdict_on_bytes(bytes, config, accept);
    let Some((version, parts)) = parts else {
        let is_accepted = matches!(by_bytes, Some(Verdict::Upgrade { .. } | Verdict::Plain { .. }));
        let end = head.windows(4).position(|four| four == b"\r\n\r\n");
        let is_whole = end.is_some_and(|end| end + 4 == head.len());
        assert!(!(is_accepted && is_whole), "no stack would parse {}", bytes.escape_ascii());
        return None;
    };
    let by_parts = verdict_on_parts(&parts, version, config, accept);
    assert_eq!(by_bytes, Some(by_parts.clone()), "{}", bytes.escape_ascii());
    Some(by_parts)
}

/// What a client has agreed on, or why its handshake failed; of a refusal, its status and headers.
pub type Response = Result<(Option<String>, Option<String>), Failure>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    Refused(u16, Vec<(String, Vec<u8>)>),
    Other(HandshakeError),
}

impl From<HandshakeError> for Failure {
    fn from(error: HandshakeError) -> Failure {
        match error {
            HandshakeError::Refused(refusal) => Failure::Refused(
                refusal.status(),
                owned(refusal.headers().map(|header| (header.name, header.value))),
            ),
            other => Failure::Other(other),
        }
    }
}

/// Compares the verdicts on a response that `respond` makes for the accept value of the request. Returns the verdict if
/// the head parses and is the final response.
pub fn same_response(
    request: &ClientRequest,
    config: &Config,
    respond: impl FnOnce(&[u8]) -> Vec<u8>,
) -> Option<Response> {
    let mut conn = Connection::client(request, config.clone()).expect("a valid request");
    let upgrade = request.upgrade(config).expect("a valid request");
    let written = conn.outgoing().to_vec();
    conn.advance(written.len());
    let sent = Parts::read(&written).expect("a request is valid");
    assert_eq!(sent.first, [upgrade.method(), upgrade.target(), "HTTP/1.1"]);
    assert!(upgrade.headers().map(|header| (header.name, header.value)).eq(sent.headers));
    let head = respond(&written);
    let unfolded = unfold(head.clone());
    let parts = Parts::read(&unfolded)?;
    let [word, status, _reason] = parts.first;
    let version = version(word)?;
    let status: u16 = Some(status)
        .filter(|digits| digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()))?
        .parse()
        .expect("three digits");
    if matches!(status, 100 | 102..=199) {
        return None;
    }
    let agreed = upgrade.response(version, status, parts.headers.iter().copied(), config);
    let by_parts: Response = match agreed {
        Ok(Agreed { subprotocol, upgrade, .. }) => {
            Ok((subprotocol.map(String::from), deflate_of(upgrade)))
        }
        Err(error) => Err(error.into()),
    };
    let mut bytes = head.clone();
    let mut input = &mut bytes[..];
    let mut event = conn.receive(&mut input).map(Event::into_owned);
    if event.is_none() {
        // The body of a refusal never comes.
        conn.receive_eof();
        event = conn.poll_event();
    }
    let by_bytes = match event {
        Some(Event::Open(response)) => {
            Ok((response.subprotocol().map(String::from), deflate_of_connection(&conn)))
        }
        Some(Event::Closed(closed)) => {
            Err(handshake_error(&closed).expect("a handshake that failed").into())
        }
        other => panic!("unexpected event {other:?}"),
    };
    assert_eq!(by_bytes, by_parts, "{}", head.escape_ascii());
    Some(by_parts)
}

/// Bytes that no head under the limit can hold.
const HUGE: usize = 20_000;
static SPACES: [u8; HUGE] = [b' '; HUGE];
static LETTERS: [u8; HUGE] = [b'x'; HUGE];
static ZEROS: [u8; HUGE] = [0; HUGE];

/// Parts that no parser would pass: any text as a method, a target or a name, any bytes as a value, huge ones, and many
/// headers.
fn hostile_parts<'h>(source: &mut ByteSource<'h>) -> Parts<'h> {
    let mut word = |good: &'static str| match source.byte() % 4 {
        0 => text(source),
        1 => std::str::from_utf8(&LETTERS).expect("ASCII"),
        _ => good,
    };
    let first = [word("GET"), word("/chat"), ""];
    let mut headers: Lines<'h> = vec![
        ("host", b"example.com"),
        ("connection", b"Upgrade"),
        ("upgrade", b"websocket"),
        ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", b"13"),
    ];
    while !source.is_empty() && headers.len() < 5000 {
        let name = match source.byte() % 8 {
            0 => "host",
            1 => "sec-websocket-protocol",
            2 => "sec-websocket-extensions",
            3 => ":path",
            4 => "x",
            _ => text(source),
        };
        let value = match source.byte() % 8 {
            0 => &SPACES[..],
            1 => &LETTERS,
            2 => &ZEROS,
            _ => {
                let len = source.byte() % 32;
                source.take(len.into())
            }
        };
        let times = source.pick(&[1, 1, 1, 2, 60, 1000]);
        headers.extend(std::iter::repeat_n((name, value), times));
    }
    Parts { first, headers }
}

/// Up to 15 bytes as text.
fn text<'h>(source: &mut ByteSource<'h>) -> &'h str {
    let len = source.byte() % 16;
    std::str::from_utf8(source.take(len.into())).unwrap_or("\u{fffd}")
}

/// Whether each part is one that a parser passes, so that the lines that are made of them have these parts.
fn can_be_parsed(parts: &Parts<'_>) -> bool {
    let [method, target, _] = parts.first;
    let is_plain = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    is_token(method.as_bytes())
        && !target.is_empty()
        && target.bytes().all(|byte| byte > b' ' && byte != 0x7f)
        && parts
            .headers
            .iter()
            .all(|(name, value)| is_token(name.as_bytes()) && value.iter().all(is_plain))
}

/// A head with this first line, and the headers as lines.
fn write(first: String, headers: &[(&str, &[u8])]) -> Vec<u8> {
    let mut head = first.into_bytes();
    for (name, value) in headers {
        head.extend([b"\r\n", name.as_bytes(), b": ", value].concat());
    }
    head.extend(b"\r\n\r\n");
    head
}

/// Judges hostile parts as a request, as a response with this status, and as an extended CONNECT. They are refused, or
/// get the verdict of the lines that they make.
fn judge_hostile(parts: &Parts<'_>, status: u16, config: &Config) {
    let accept = Accept::new();
    let version = HttpVersion::Http11;
    let [method, target, _] = parts.first;
    let (by_parts, is_good) =
        (verdict_on_parts(parts, version, config, &accept), can_be_parsed(parts));
    if is_good {
        let head = write(format!("{method} {target} {version}"), &parts.headers);
        assert_eq!(verdict_on_bytes(&head, config, &accept), Some(by_parts));
    } else {
        assert!(matches!(by_parts, Verdict::Refused { .. }), "{parts:?} is {by_parts:?}");
    }

    let request = ClientRequest::new("ws://example.com/chat").expect("a good URI");
    let parts_only = Parts { first: ["GET", "/", ""], headers: parts.headers.clone() };
    let head = write(format!("{version} {status:03} "), &parts.headers);
    if !can_be_parsed(&parts_only) || head.len() > config.max_head_bytes() {
        let upgrade = request.upgrade(config).expect("a valid request");
        assert!(upgrade.response(version, status, parts.headers.iter().copied(), config).is_err());
    } else {
        same_response(&request, config, |_| head);
    }

    let pseudo: [(&str, &[u8]); 5] = [
        (":method", b"CONNECT"),
        (":protocol", b"websocket"),
        (":scheme", b"http"),
        (":path", target.as_bytes()),
        (":authority", b"example.com"),
    ];
    // Without `connection` and `upgrade`.
    let others = || parts.headers.iter().enumerate().filter(|(at, _)| !matches!(at, 1 | 2));
    let all = pseudo.iter().chain(others().map(|(_, header)| header)).copied();
    if let Ok(connect) = ExtendedConnect::parse(all.clone(), config) {
        assert!(can_be_parsed(&parts_only));
        assert!(all.clone().count() <= config.max_headers());
        let bytes: usize = all.map(|(name, value)| name.len() + value.len()).sum();
        assert!(bytes <= config.max_head_bytes());
        assert!(connect.headers().all(|header| trim(header.value) == header.value));
    }
    let _ = request.extended_response(200, parts.headers.iter().copied(), config);
}

/// The bytes with `@` replaced by the accept value of a request.
fn with_accept<'b>(bytes: &'b [u8], request: &[u8]) -> Cow<'b, [u8]> {
    let Some(at) = bytes.iter().position(|&byte| byte == b'@') else { return bytes.into() };
    let request = Parts::read(request).expect("a request is valid");
    let (_, key) = request.headers.iter().find(|(name, _)| *name == "Sec-WebSocket-Key").unwrap();
    [&bytes[..at], &accept_key(key), &bytes[at + 1..]].concat().into()
}

/// The input is a setup, then a head. In a response, the first `@` stands for the accept value of the request.
pub fn parsed_head(data: &[u8]) {
    let mut source = ByteSource::new(data);
    let mut flags = Flags::new(source.byte());
    let (is_response, deflate, required) = (flags.next(), flags.next(), flags.next());
    let (with_subprotocol, with_header, is_hostile) = (flags.next(), flags.next(), flags.next());
    let mut config = config().require_subprotocol(required);
    #[cfg(feature = "deflate")]
    if deflate {
        let mut options = websocket_proto::Deflate::default();
        options.required = required;
        config = config.deflate(options);
    }
    let _ = deflate;
    config = config.max_headers(source.pick(&[64, 1, 5, 1000]));
    let config = config.build().expect("allowed values");
    if is_hostile {
        let status = source.pick(&[101, 200, 404, 99, 103, 1000]);
        return judge_hostile(&hostile_parts(&mut source), status, &config);
    }
    let head = source.rest();
    // A head that is written again may be longer by a space in each line.
    if head.len() > config.max_head_bytes() / 2 {
        return;
    }
    if is_response {
        let mut request = ClientRequest::new("ws://example.com/chat?a=b").expect("a good URI");
        if with_subprotocol {
            request = request.subprotocol("chat").subprotocol("superchat");
        }
        same_response(&request, &config, |request| with_accept(head, request).into_owned());
    } else {
        let mut accept = Accept::new();
        if with_subprotocol {
            accept = accept.subprotocol("chat");
        }
        if with_header {
            accept = accept.header("Set-Cookie", "a=b");
        }
        same_request(head, &config, &accept);
    }
}
