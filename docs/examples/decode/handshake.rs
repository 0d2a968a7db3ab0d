//! The opening handshake of a capture: the heads as they were sent, and the extensions that were agreed on.

use websocket_proto::handshake::accept_key;
use websocket_proto::{
    CloseCause, Config, Connection, Deflate, DeflateParams, Event, HandshakeError,
};

use super::{Report, count, escaped};

/// The permessage-deflate parameters in the response: `Some(None)` if it accepts none, `None` without a response.
pub(super) fn agreed(bytes: &[u8]) -> Option<Option<DeflateParams>> {
    let head = response_head(bytes).filter(|head| head.starts_with(b"HTTP/"))?;
    let values = head_lines(head).filter(|(name, _)| is(name, "Sec-WebSocket-Extensions"));
    Some(Deflate::default().agree(values.map(|(_, value)| value)).ok().flatten())
}

/// The head of the first response that is not an interim response.
fn response_head(bytes: &[u8]) -> Option<&[u8]> {
    let (head, rest) = bytes.split_at(head_len(bytes)?);
    let is_interim = head.starts_with(b"HTTP/1.1 1") && !head.starts_with(b"HTTP/1.1 101");
    if is_interim { response_head(rest) } else { Some(head) }
}

fn head_len(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// The names and values of a head's header lines.
fn head_lines(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    head.split(|&byte| byte == b'\n').skip(1).filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}

fn is(name: &[u8], known: &str) -> bool {
    name.eq_ignore_ascii_case(known.as_bytes())
}

impl Report {
    /// Prints the first line and the headers of the handshake. Other headers may hold secrets: they are only counted.
    fn head(&mut self, at: usize, head: &[u8]) {
        let first = head.split(|&byte| byte == b'\r').next().unwrap_or(head);
        self.line(format_args!("{at:>8}  {}", escaped(first)));
        let mut others = 0;
        for (name, value) in head_lines(head) {
            let known = ["Host", "Origin", "Upgrade", "Connection"];
            if known.iter().any(|known| is(name, known))
                || name.to_ascii_lowercase().starts_with(b"sec-websocket-")
            {
                self.note(format_args!("{}: {}", escaped(name), escaped(value)));
            } else {
                others += 1;
            }
        }
        if others > 0 {
            self.note(format_args!("(and {})", count(others, "other header")));
        }
    }

    /// Prints a request and a server's verdict on it. Returns where the frames begin.
    pub(super) fn request(&mut self, bytes: &[u8], alone: bool) -> Option<usize> {
        let mut conn = Connection::server(Config::default());
        let mut copy = bytes.to_vec();
        let event = conn.receive(&mut &mut copy[..]);
        let len = head_len(bytes).unwrap_or(bytes.len());
        self.head(0, &bytes[..len]);
        match event {
            Some(Event::UpgradeRequest(request)) => {
                if alone && Deflate::default().accept(request.extensions()).is_some() {
                    self.note(format_args!(
                        "permessage-deflate is offered; without the response --deflate says that it is used"
                    ));
                }
                return Some(len);
            }
            Some(Event::PlainRequest(_)) => self.note(format_args!("does not ask for a WebSocket")),
            Some(Event::Closed(closed)) => match closed.into_cause() {
                CloseCause::Protocol(error) => {
                    self.violation(&error, false);
                    return head_len(bytes);
                }
                cause => self.note(format_args!("{cause:?}")),
            },
            _ => self.note(format_args!("the head is cut off")),
        }
        None
    }

    /// Prints the responses to `request`. Returns where the frames begin.
    pub(super) fn response(&mut self, bytes: &[u8], request: Option<&[u8]>) -> Option<usize> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            let Some(len) = head_len(rest) else {
                self.head(at, rest);
                self.note(format_args!("the head is cut off"));
                return None;
            };
            let head = &rest[..len];
            self.head(at, head);
            at += len;
            if head.starts_with(b"HTTP/1.1 101") {
                self.accepted(head, request);
                return Some(at);
            }
            if !head.starts_with(b"HTTP/1.1 1") {
                self.note(format_args!("no WebSocket; {} bytes of body", bytes.len() - at));
                return None;
            }
        }
    }

    fn accepted(&mut self, head: &[u8], request: Option<&[u8]>) {
        let mut keys = request.into_iter().flat_map(head_lines);
        if let Some((_, key)) = keys.find(|(name, _)| is(name, "Sec-WebSocket-Key")) {
            let wanted = accept_key(key);
            let mut accepts = head_lines(head).filter(|(name, _)| is(name, "Sec-WebSocket-Accept"));
            match accepts.next() {
                Some((_, accept)) if accept == wanted => {
                    self.note(format_args!("Sec-WebSocket-Accept belongs to the key"));
                }
                _ => self.violation(&HandshakeError::WrongAccept.into(), false),
            }
        }
        let values = head_lines(head).filter(|(name, _)| is(name, "Sec-WebSocket-Extensions"));
        match Deflate::default().agree(values.map(|(_, value)| value)) {
            Ok(None) => self.note(format_args!("no extensions")),
            Ok(Some(params)) => {
                for (name, bits, fresh) in [
                    ("server", params.server_max_window_bits, params.server_no_context_takeover),
                    ("client", params.client_max_window_bits, params.client_no_context_takeover),
                ] {
                    let takeover = if fresh { "begins anew with each message" } else { "is kept" };
                    self.note(format_args!(
                        "permessage-deflate: the {name}'s window has {bits} bits and {takeover}"
                    ));
                }
            }
            Err(error) => self.violation(&error.into(), false),
        }
    }
}
