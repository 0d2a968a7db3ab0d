//! permessage-deflate: what is agreed on, for any text of the headers, and what is inflated, for any payload in any
//! cut, against a plain inflater that has the whole payload and all that came before it in one buffer.

use super::observer::{Observer, Outcome, Seen};
use super::source::{ByteSource, Flags, config, cuts};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use websocket_proto::{
    CloseCause, Connection, Deflate, DeflateParams, Delivery, MessageKind, ProtocolError, Role,
};

/// Options, of a byte.
pub fn options(byte: u8) -> Deflate {
    let mut flags = Flags::new(byte);
    let mut options = Deflate::default();
    options.server_no_context_takeover = flags.next();
    options.client_no_context_takeover = flags.next();
    options.min_bytes = if flags.next() { 64 } else { 0 };
    options.level = if flags.next() { 1 } else { 6 };
    options.server_max_window_bits = [15, 9, 12, 8][usize::from(byte >> 4 & 3)];
    options.client_max_window_bits = [15, 9, 12, 8][usize::from(byte >> 6)];
    options
}

/// The first byte chooses the part.
pub fn deflate(data: &[u8]) {
    let mut source = ByteSource::new(data);
    match source.byte() & 1 {
        0 => negotiate(source),
        _ => inflate(source),
    }
}

fn negotiate(mut source: ByteSource<'_>) {
    let (ours, theirs) = (options(source.byte()), options(source.byte()));
    // What a client offers, a server of this library always answers with what the client takes.
    let offer = theirs.offer();
    let (agreed, response) = ours.accept([offer.as_bytes()].into_iter()).expect("it is our own");
    assert_eq!(theirs.agree([response.as_bytes()].into_iter()), Ok(Some(agreed)));
    judge(&agreed, &ours, &response);
    assert!(!theirs.server_no_context_takeover || agreed.server_no_context_takeover);
    assert!(agreed.server_max_window_bits <= theirs.server_max_window_bits.max(9));

    // Any text, in lines.
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

/// A message on the wire, and its payload.
struct Sent<'a> {
    compressed: bool,
    text: bool,
    payload: &'a [u8],
}

impl Setup {
    fn run(&self, pieces: &[&[u8]]) -> Outcome {
        let mut config = config();
        config.delivery = self.delivery;
        config.max_message_bytes = self.limit;
        let mut options = Deflate::default();
        options.max_final_blocks = self.max_final_blocks;
        config.deflate = Some(options);
        let conn = Connection::from_upgrade_with_deflate(self.role, self.params, config);
        let mut observer = Observer::new(conn.expect("a seed cannot fail"), true);
        for piece in pieces {
            observer.feed(piece);
        }
        observer.finish()
    }
}

/// Parameters and limit, then messages: kind and size, then the payload, in frames of a size.
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
    let limit = source.pick(&[64 * 1024, 0, 1, 10, 300, 16_384, 16_385]);
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
        assert_eq!(setup.run(&pieces), whole, "in pieces and whole");
    }
    against_the_oracle(&setup, &sent, &whole);
}

/// A message in frames of `size` bytes, 0 for one.
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
        // A distance over the agreed window may or may not be refused (RFC 7692 7.1.2 binds the sender).
        let lenient = bits < 15;
        let wanted = match message.compressed {
            true => oracle.message(message.payload, setup.limit as usize + 1),
            false => Ok(message.payload.to_vec()),
        };
        let kind = if message.text { MessageKind::Text } else { MessageKind::Binary };
        match seen.next() {
            Some(Seen::Message(found, bytes)) => {
                assert_eq!(*found, kind);
                assert_eq!(Ok(bytes), wanted.as_ref(), "what was delivered is what was sent");
            }
            ended => {
                let ended = match ended {
                    Some(Seen::Unfinished(_, bytes)) => {
                        let begin = match &wanted {
                            Ok(all) | Err(all) => all.starts_with(bytes),
                        };
                        assert!(begin, "what was handed over is how it begins");
                        seen.next()
                    }
                    ended => ended,
                };
                let Some(Seen::Closed(closed)) = ended else { panic!("{ended:?}") };
                let CloseCause::Protocol(error) = &closed.cause else { panic!("{closed:?}") };
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
    /// What came out so far is the window.
    out: Vec<u8>,
    /// Each message begins with an empty window.
    fresh: bool,
    /// Compressed bytes of the messages before.
    taken: u64,
    /// Final blocks that were not free, and how many more may be.
    final_blocks: u64,
    max_final_blocks: u64,
    /// The limit of final blocks that was exceeded.
    exceeded: Option<u64>,
}

impl Oracle {
    /// The message, or how far it goes; no more than `limit` bytes of it.
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
        // RFC 7692 7.2.2: the tail that the sender left out; then an empty final block, which shows that it stood at a
        // border between blocks.
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
                    // The tail was an empty block's end, be it the final one, and nothing of it was payload.
                    let mut again = Box::<DecompressorOxide>::default();
                    let start = used - n;
                    let end = tail.max(start);
                    let flags = flags | inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
                    let room = &mut self.out;
                    let (_, _, alone) =
                        decompress(&mut again, &all[start..end], room, before, flags);
                    return if alone == made { Ok(()) } else { Err(()) };
                }
                // RFC 7692 7.2.3.4: a final block may be anywhere; at the end, the tail is not missed.
                TINFLStatus::Done if used == tail => return Ok(()),
                TINFLStatus::Done if used < tail => {
                    // The window is copied, which is free once for each message.
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
