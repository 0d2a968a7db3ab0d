//! permessage-deflate: the negotiation for any header values, and inflating of any payload in any cut. The oracle is a
//! simple inflater that has the whole payload and all earlier output in one buffer.

use super::observer::{Observer, Outcome, Seen};
use super::source::{ByteSource, Flags, config, cuts};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use websocket_proto::{
    CloseCause, Connection, Deflate, DeflateParams, Delivery, MessageKind, ProtocolError, Role,
    Upgrade,
};

/// The options that a byte selects.
pub fn options(byte: u8) -> Deflate {
    let mut flags = Flags::new(byte);
    let mut options = Deflate::default();
    options.server_no_context_takeover = flags.next();
    options.client_no_context_takeover = flags.next();
    options.min_bytes = if flags.next() { 64 } else { 0 };
    options.level = if flags.next() { 1 } else { 6 };
    options.server_max_window_bits = [15, 9, 12, 10][usize::from(byte >> 4 & 3)];
    options.client_max_window_bits = [15, 9, 12, 10][usize::from(byte >> 6)];
    options
}

/// The first byte selects negotiation or inflating.
pub fn deflate(data: &[u8]) {
    let mut source = ByteSource::new(data);
    match source.byte() & 1 {
        0 => negotiate(source),
        _ => inflate(source),
    }
}

fn negotiate(mut source: ByteSource<'_>) {
    let (ours, theirs) = (options(source.byte()), options(source.byte()));
    // A client's offer always leads to a response that the client accepts.
    let offer = theirs.offer();
    let (agreed, response) = ours.accept([offer.as_bytes()]).expect("the offer is our own");
    assert_eq!(theirs.agree([response.as_bytes()].into_iter()), Ok(Some(agreed)));
    judge(&agreed, &ours, &response);
    assert!(!theirs.server_no_context_takeover || agreed.server_no_context_takeover);
    assert!(agreed.server_max_window_bits <= theirs.server_max_window_bits.max(9));

    // Any text, split into lines.
    let text = source.rest();
    let lines = || text.split(|byte| *byte == b'\n');
    let joined = lines().collect::<Vec<_>>().join(&b", "[..]);
    let accepted = ours.accept(lines());
    assert_eq!(ours.accept([&joined[..]].into_iter()), accepted, "lines are one list");
    if let Some((params, response)) = accepted {
        judge(&params, &ours, &response);
        assert_eq!(Deflate::default().agree([response.as_bytes()].into_iter()), Ok(Some(params)));
    }
    let agreed = theirs.agree(lines());
    assert_eq!(theirs.agree([&joined[..]].into_iter()), agreed, "lines are one list");
    if let Ok(Some(params)) = agreed {
        assert!((8..=15).contains(&params.client_max_window_bits));
        let asked = theirs.server_max_window_bits.max(9);
        assert!((8..=asked).contains(&params.server_max_window_bits));
        assert!(params.server_no_context_takeover || !theirs.server_no_context_takeover);
    }
}

fn judge(params: &DeflateParams, server: &Deflate, response: &str) {
    assert!(response.starts_with("permessage-deflate"));
    assert!((9..=server.server_max_window_bits.max(9)).contains(&params.server_max_window_bits));
    assert!((8..=15).contains(&params.client_max_window_bits));
    assert!(params.server_no_context_takeover || !server.server_no_context_takeover);
    assert!(params.client_no_context_takeover || !server.client_no_context_takeover);
}

struct Setup {
    role: Role,
    params: DeflateParams,
    delivery: Delivery,
    limit: u64,
    max_final_blocks: u32,
}

/// A message: its kind, and its payload on the wire.
struct Sent<'a> {
    compressed: bool,
    text: bool,
    payload: &'a [u8],
}

impl Setup {
    fn run(&self, pieces: &[&[u8]]) -> Outcome {
        let mut options = Deflate::default();
        options.max_final_blocks = self.max_final_blocks;
        let config = config().delivery(self.delivery).max_message_bytes(self.limit);
        let config = config.deflate(options).build().expect("each value is allowed");
        let conn = Connection::from_upgrade(Upgrade::new(self.role).deflate(self.params), config);
        let mut observer = Observer::new(conn.expect("a seed cannot fail"), true);
        for piece in pieces {
            observer.feed(piece);
        }
        observer.finish()
    }
}

/// Reads parameters and a limit, then messages: kind and sizes, then the payload.
fn inflate(mut source: ByteSource<'_>) {
    let mut flags = Flags::new(source.byte());
    let role = if flags.next() { Role::Client } else { Role::Server };
    let delivery = if flags.next() { Delivery::Chunks } else { Delivery::Messages };
    let max_final_blocks = match (flags.next(), flags.next()) {
        (false, false) => Deflate::default().max_final_blocks,
        (true, false) => 0,
        (false, true) => 1,
        (true, true) => 3,
    };
    let params = super::receive::deflate_params(source.byte());
    let limit = source.pick(&[64 * 1024, 2, 1, 10, 300, 16_384, 16_385]);
    let cut = [source.byte(), source.byte(), source.byte()];
    let setup = Setup { role, params, delivery, limit, max_final_blocks };
    let mut wire = Vec::new();
    let mut sent = Vec::new();
    while !source.is_empty() && sent.len() < 20 {
        let mut flags = Flags::new(source.byte());
        let (compressed, text) = (!flags.next(), flags.next());
        let frame = usize::from(source.byte());
        let len = usize::from(source.word() % 4096);
        let payload = source.take(len);
        write(&mut wire, role, compressed, text, payload, frame);
        sent.push(Sent { compressed, text, payload });
    }
    let whole = setup.run(&[&wire]);
    for pieces in cuts(&wire, cut) {
        assert_eq!(setup.run(&pieces), whole, "the cut changes the outcome");
    }
    against_the_oracle(&setup, &sent, &whole);
}

/// Writes a message in frames of `size` bytes, or in one frame if `size` is 0.
fn write(
    wire: &mut Vec<u8>,
    role: Role,
    compressed: bool,
    text: bool,
    payload: &[u8],
    size: usize,
) {
    let mut rest = payload;
    let mut first = if text { 1 } else { 2 } | if compressed { 0x40 } else { 0 };
    loop {
        let n = if size == 0 { rest.len() } else { rest.len().min(size) };
        let last = n == rest.len();
        wire.push(first | if last { 0x80 } else { 0 });
        let mask = if role == Role::Server { 0x80 } else { 0 };
        match n {
            0..=125 => wire.push(mask | n as u8),
            _ => {
                wire.push(mask | 126);
                wire.extend((n as u16).to_be_bytes());
            }
        }
        wire.extend(if mask > 0 { &[0; 4][..] } else { &[] });
        wire.extend_from_slice(&rest[..n]);
        rest = &rest[n..];
        first = 0;
        if last {
            return;
        }
    }
}

fn against_the_oracle(setup: &Setup, sent: &[Sent<'_>], outcome: &Outcome) {
    let (bits, fresh) = match setup.role {
        Role::Server => {
            (setup.params.client_max_window_bits, setup.params.client_no_context_takeover)
        }
        Role::Client => {
            (setup.params.server_max_window_bits, setup.params.server_no_context_takeover)
        }
    };
    let mut oracle = Oracle {
        out: Vec::new(),
        fresh,
        taken: 0,
        final_blocks: 0,
        max_final_blocks: setup.max_final_blocks.into(),
        exceeded: None,
    };
    let mut seen = outcome.seen.iter();
    for message in sent {
        // RFC 7692 7.1.2 binds the sender: a distance beyond the agreed window may be accepted or refused.
        let lenient = bits < 15;
        let wanted = match message.compressed {
            true => oracle.message(message.payload, setup.limit as usize + 1),
            false => Ok(message.payload.to_vec()),
        };
        let kind = if message.text { MessageKind::Text } else { MessageKind::Binary };
        match seen.next() {
            Some(Seen::Message(found, bytes)) => {
                assert_eq!(*found, kind);
                assert_eq!(
                    Ok(bytes),
                    wanted.as_ref(),
                    "the delivered message differs from the oracle's"
                );
            }
            ended => {
                let ended = match ended {
                    Some(Seen::Unfinished(_, bytes)) => {
                        let begin = match &wanted {
                            Ok(all) | Err(all) => all.starts_with(bytes),
                        };
                        assert!(
                            begin,
                            "the delivered chunks are not a prefix of the oracle's message"
                        );
                        seen.next()
                    }
                    ended => ended,
                };
                let Some(Seen::Closed(closed)) = ended else { panic!("{ended:?}") };
                let CloseCause::Protocol(error) = closed.cause() else { panic!("{closed:?}") };
                let limit = setup.limit as usize;
                match (error, &wanted) {
                    (ProtocolError::MessageTooBig { .. }, Ok(all) | Err(all)) => {
                        assert!(all.len() > limit);
                    }
                    (ProtocolError::InvalidUtf8, Ok(all) | Err(all)) => {
                        assert!(message.text && std::str::from_utf8(all).is_err());
                    }
                    (ProtocolError::InvalidDeflate, Err(_)) => {
                        assert!(message.compressed && (lenient || oracle.exceeded.is_none()));
                    }
                    (ProtocolError::TooManyFinalBlocks { limit }, Err(_)) => {
                        assert_eq!(oracle.exceeded, Some(*limit));
                    }
                    (ProtocolError::InvalidDeflate, Ok(_)) if lenient => {}
                    (error, wanted) => {
                        panic!("{error:?}, but the oracle says {:?}", wanted.as_ref().map(Vec::len))
                    }
                }
                return;
            }
        }
    }
    assert!(seen.next().is_none() && outcome.closed().is_none());
}

/// Inflates messages by RFC 7692 7.2.2.
struct Oracle {
    /// All output so far, which contains the window.
    out: Vec<u8>,
    /// Whether each message starts with an empty window.
    fresh: bool,
    /// Compressed bytes of all earlier messages.
    taken: u64,
    /// The number of final blocks that count, and the fixed part of their limit.
    final_blocks: u64,
    max_final_blocks: u64,
    /// The limit of final blocks that was exceeded.
    exceeded: Option<u64>,
}

impl Oracle {
    /// Inflates a message, at most `limit` bytes of it. The error holds the bytes before the error.
    fn message(&mut self, payload: &[u8], limit: usize) -> Result<Vec<u8>, Vec<u8>> {
        let start = self.out.len();
        let mut at = start;
        self.out.resize(start + limit, 0);
        let verdict = self.inflate(payload, &mut at);
        self.out.truncate(at);
        self.taken += payload.len() as u64;
        let message = self.out[start..].to_vec();
        if self.fresh {
            self.out.clear();
        }
        verdict.map(|()| message.clone()).map_err(|()| message)
    }

    fn inflate(&mut self, payload: &[u8], at: &mut usize) -> Result<(), ()> {
        // RFC 7692 7.2.2: the tail that the sender removed. After it an empty final block, which inflates only if the
        // tail ends at a border between blocks.
        let all = [payload, &[0x00, 0x00, 0xff, 0xff, 0x03, 0x00]].concat();
        let tail = all.len() - 6;
        let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let mut used = 0;
        let mut is_first = true;
        loop {
            let mut stream = Box::<DecompressorOxide>::default();
            let before = *at;
            let (status, n, made) =
                decompress(&mut stream, &all[used..], &mut self.out, *at, flags);
            used += n;
            *at += made;
            match status {
                TINFLStatus::Done if used == all.len() || used == tail + 4 => {
                    // The tail must be the end of an empty block: without it the output is the same.
                    let mut again = Box::<DecompressorOxide>::default();
                    let start = used - n;
                    let end = tail.max(start);
                    let flags = flags | inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
                    let room = &mut self.out;
                    let (_, _, alone) =
                        decompress(&mut again, &all[start..end], room, before, flags);
                    return if alone == made { Ok(()) } else { Err(()) };
                }
                // RFC 7692 7.2.3.4: a final block may be anywhere. At the end of the payload it needs no tail.
                TINFLStatus::Done if used == tail => return Ok(()),
                TINFLStatus::Done if used < tail => {
                    // The window must be copied, which does not count once for each message.
                    if *at > 0 && !std::mem::take(&mut is_first) {
                        self.final_blocks += 1;
                        let limit = self.max_final_blocks + (self.taken + used as u64) / 256;
                        if self.final_blocks > limit {
                            self.exceeded = Some(limit);
                            return Err(());
                        }
                    }
                }
                _ => return Err(()),
            }
        }
    }
}
