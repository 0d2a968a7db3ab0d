//! A server and a client, joined by two queues of bytes, run a script from the input. Without transport failures, every
//! message arrives once, in order and unchanged, and both ends report one clean end. In any case, each end reports
//! exactly one end.

use super::observer::{Observer, Seen, measure, message};
use super::source::{ByteSource, Flags, config};
use std::collections::VecDeque;
use std::time::Duration;
use websocket_proto::{
    Accept, ClientRequest, Connection, Delivery, MessageKind, PreparedMessage, Role, State,
    Timestamp, UsageError,
};

/// One end and what it has sent.
struct End {
    watch: Observer,
    /// The messages that were sent whole, and the unfinished one.
    sent: Vec<(MessageKind, Vec<u8>)>,
    open: Option<(MessageKind, Vec<u8>)>,
    /// Whether the unfinished message was begun without compression.
    is_open_uncompressed: bool,
    /// The payload sizes of all their frames. The frames of a compressed payload that is cut have 0 bytes, except the
    /// last one.
    frames: Vec<usize>,
    /// The payloads of the sent pings; none is empty.
    pings: Vec<Vec<u8>>,
    closed_with: Option<u16>,
    answers_late: bool,
    /// All written bytes, and those that the other end has not read.
    written: Vec<u8>,
    wire: VecDeque<u8>,
    has_heard_the_end: bool,
}

/// A payload: text of characters of one to four bytes, which compresses well, or random bytes.
fn payload(kind: MessageKind, n: usize, len: usize) -> Vec<u8> {
    match kind {
        MessageKind::Text => {
            let mut text: Vec<u8> = format!("{n} aé€😀").bytes().cycle().take(len).collect();
            while std::str::from_utf8(&text).is_err() {
                text.pop();
            }
            text
        }
        MessageKind::Binary => {
            let mut state = n as u32;
            let mut noise = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            (0..len).map(|_| noise()).collect()
        }
    }
}

/// Where the frames begin: behind the head of the opening handshake, if there is one.
fn frames_at(stream: &[u8]) -> usize {
    if !stream.starts_with(b"GET ") && !stream.starts_with(b"HTTP/") {
        return 0;
    }
    let end = stream.windows(4).position(|four| four == b"\r\n\r\n");
    end.expect("the whole head is queued") + 4
}

impl End {
    fn new(conn: Connection, answers_late: bool) -> End {
        End {
            watch: Observer::new(conn, false),
            sent: Vec::new(),
            open: None,
            is_open_uncompressed: false,
            frames: Vec::new(),
            pings: Vec::new(),
            closed_with: None,
            answers_late,
            written: Vec::new(),
            wire: VecDeque::new(),
            has_heard_the_end: false,
        }
    }

    fn conn(&mut self) -> &mut Connection {
        &mut self.watch.conn
    }

    fn send(&mut self, kind: MessageKind, way: u8, len: usize) {
        let bytes = payload(kind, self.sent.len(), len);
        let borrowed = message(kind, &bytes);
        let conn = &mut self.watch.conn;
        let result = match way {
            0 => conn.send(borrowed),
            1 => conn.send(borrowed.into_owned()),
            2 => conn.send_prepared(&PreparedMessage::new(borrowed)),
            #[cfg(feature = "deflate")]
            _ => conn.send_uncompressed(borrowed),
            #[cfg(not(feature = "deflate"))]
            _ => conn.send(borrowed),
        };
        match (result, conn.state()) {
            (Ok(()), State::Open) => {
                assert!(self.open.is_none());
                self.queued(bytes.len());
                self.sent.push((kind, bytes));
            }
            (Err(UsageError::NotOpen(seen)), state) => {
                assert!(seen == state && state != State::Open)
            }
            (Err(UsageError::MessageUnfinished), State::Open) => assert!(self.open.is_some()),
            (Err(UsageError::BufferFull { .. }), State::Open) => self.judge_full(bytes.len()),
            (result, state) => panic!("{result:?} in {state}"),
        }
    }

    fn judge_full(&mut self, len: usize) {
        let conn = &self.watch.conn;
        // Compression may make a message longer. The script writes taken pieces at once, so none counts more than its
        // length.
        #[cfg(feature = "deflate")]
        let most = len + if conn.deflate_params().is_some() { len / 8 + 64 } else { 0 };
        #[cfg(not(feature = "deflate"))]
        let most = len;
        let headers = 14 * most.div_ceil(conn.config().max_outgoing_frame_bytes()).max(1);
        let needed = conn.outgoing_len() + (most + headers) as u64;
        assert!(needed > conn.config().max_outgoing_bytes());
    }

    /// Notes the frames of a payload that was sent.
    fn queued(&mut self, len: usize) {
        let limit = self.watch.conn.config().max_outgoing_frame_bytes();
        let (frames, is_compressed) = self.data_frames();
        if is_compressed {
            self.frames.resize(frames - 1, 0);
            self.frames.push(len);
            return;
        }
        let mut rest = len;
        while rest > limit {
            self.frames.push(limit);
            rest -= limit;
        }
        self.frames.push(rest);
    }

    /// The number of data frames that are written or outgoing, and whether the last one is of a compressed message.
    fn data_frames(&self) -> (usize, bool) {
        let stream = self.stream();
        let (mut frames, mut is_compressed) = (0, false);
        let mut at = frames_at(&stream);
        while at < stream.len() {
            let (header, len) = measure(&stream[at..]);
            let first = stream[at];
            frames += usize::from(first & 8 == 0);
            if first & 8 == 0 && first & 0x0f != 0 {
                is_compressed = first & 0x40 != 0;
            }
            at += header + len;
        }
        (frames, is_compressed)
    }

    /// All bytes that are written or outgoing.
    fn stream(&self) -> Vec<u8> {
        let mut stream = self.written.clone();
        self.watch.conn.outgoing_chunks().for_each(|chunk| stream.extend_from_slice(chunk));
        stream
    }

    /// Sends the next `len` bytes of a message. A text is cut anywhere, but its last fragment ends with a whole
    /// character.
    fn fragment(&mut self, kind: MessageKind, len: usize, last: bool, uncompressed: bool) {
        let (kind, done) = match &self.open {
            Some((kind, bytes)) => (*kind, bytes.len()),
            None => (kind, 0),
        };
        let mut part: Vec<u8> = match kind {
            MessageKind::Text => "aé€😀".bytes().cycle().skip(done % 10).take(len).collect(),
            MessageKind::Binary => payload(kind, done, len),
        };
        if kind == MessageKind::Text && last {
            let whole = |part: &[u8]| matches!((done + part.len()) % 10, 0 | 1 | 3 | 6);
            while !whole(&part) {
                part.push("aé€😀".as_bytes()[(done + part.len()) % 10]);
            }
        }
        #[cfg(feature = "deflate")]
        let result = match uncompressed {
            true => self.conn().send_uncompressed_fragment(kind, &part, last),
            false => self.conn().send_fragment(kind, &part, last),
        };
        #[cfg(not(feature = "deflate"))]
        let result = self.conn().send_fragment(kind, &part, last);
        match (result, self.conn().state()) {
            (Ok(()), State::Open) => {
                self.queued(part.len());
                if self.open.is_none() {
                    self.is_open_uncompressed = uncompressed;
                }
                let (_, mut whole) = self.open.take().unwrap_or((kind, Vec::new()));
                whole.extend(part);
                match last {
                    true => self.sent.push((kind, whole)),
                    false => self.open = Some((kind, whole)),
                }
            }
            (Err(UsageError::NotOpen(seen)), state) => {
                assert!(seen == state && state != State::Open)
            }
            (Err(UsageError::FragmentCompressionChanged), State::Open) => {
                assert!(uncompressed && self.open.is_some() && !self.is_open_uncompressed);
            }
            (Err(UsageError::BufferFull { .. }), State::Open) => self.judge_full(part.len()),
            (result, state) => panic!("{result:?} in {state}"),
        }
    }

    fn ping(&mut self, len: usize) {
        // A ping is allowed while closing, but a peer that has read our Close drops it.
        if self.conn().state() == State::Closing {
            return;
        }
        let bytes = payload(MessageKind::Binary, self.pings.len(), len.clamp(1, 125));
        match self.conn().ping(&bytes) {
            Ok(()) => self.pings.push(bytes),
            Err(UsageError::BufferFull { .. }) => self.judge_full(bytes.len()),
            Err(error) => assert_eq!(error, UsageError::NotOpen(self.conn().state())),
        }
    }

    fn close(&mut self, code: u16) {
        if self.conn().state() != State::Open {
            return;
        }
        match code {
            1005 => self.conn().close_without_code(),
            code => self.conn().close(code, "over").expect("the code can be sent"),
        }
        self.closed_with = Some(code);
    }

    fn release(&mut self, bytes: &[u8]) {
        self.written.extend_from_slice(bytes);
        self.wire.extend(bytes);
        self.conn().advance(bytes.len());
    }

    fn write(&mut self, mut n: usize) {
        while n > 0 && self.conn().wants_write() {
            let piece = self.conn().outgoing();
            let piece = piece[..n.min(piece.len())].to_vec();
            n -= piece.len();
            self.release(&piece);
        }
    }

    fn take(&mut self, count: usize) {
        let taken: Vec<_> = (0..count).map_while(|_| self.conn().take_outgoing()).collect();
        for segment in taken {
            self.release(&segment);
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        let late = self.answers_late;
        let answer = |watch: &mut Observer, seen: &Seen| match seen {
            Seen::Upgrade(_) => watch.conn.accept(&Accept::new()).expect("a request is pending"),
            Seen::Plain(_) => watch.conn.respond(400).expect("a request is pending"),
            _ => {}
        };
        let before = self.watch.seen.len();
        self.watch.feed_with(bytes, |watch, seen| {
            if !late {
                answer(watch, seen);
            }
            #[cfg(feature = "deflate")]
            if let Seen::Message(MessageKind::Binary, bytes) = seen {
                watch.conn.recycle(bytes.clone().into());
            }
        });
        if late && self.watch.seen.len() > before {
            let seen = self.watch.seen[before].clone();
            answer(&mut self.watch, &seen);
        }
        self.watch.poll();
    }

    /// The least and the most buffered amount (WHATWG), from the written and the outgoing bytes. A compressed payload
    /// counts until its last byte is written; in a fragmented message that may be the last byte of each frame, or of
    /// the message.
    fn buffered(&self) -> (u64, u64) {
        let stream = self.stream();
        let released = self.written.len();
        let mut at = frames_at(&stream);
        let (mut least, mut most) = (0, 0);
        let mut sizes = self.frames.iter();
        // The uncompressed size so far of the current message, if it is compressed.
        let mut message = None;
        while at < stream.len() {
            let (header, len) = measure(&stream[at..]);
            let first = stream[at];
            let end = at + header + len;
            if first & 8 == 0 {
                let size = sizes.next().expect("the size of each frame is recorded");
                if first & 0x0f != 0 {
                    message = (first & 0x40 != 0).then_some(0);
                }
                match &mut message {
                    None => {
                        least += end.saturating_sub(released.max(at + header));
                        most += end.saturating_sub(released.max(at + header));
                    }
                    Some(message) => {
                        *message += size;
                        least += if end > released { *size } else { 0 };
                    }
                }
                if first & 0x80 != 0 && end > released {
                    most += message.take().unwrap_or(0);
                } else if first & 0x80 != 0 {
                    message = None;
                }
            }
            at = end;
        }
        assert!(sizes.next().is_none(), "a frame is missing");
        (least as u64, (most + message.unwrap_or(0)) as u64)
    }

    /// Checks at the end that everything that `other` sent has arrived.
    fn judge(&self, other: &End) {
        let seen = &self.watch.seen;
        let messages: Vec<_> = seen
            .iter()
            .filter_map(|seen| match seen {
                Seen::Message(kind, bytes) => Some((*kind, bytes.clone())),
                _ => None,
            })
            .collect();
        assert!(messages == other.sent, "{} of {} messages", messages.len(), other.sent.len());
        let payloads = |pongs: bool, seen: &[Seen]| -> Vec<Vec<u8>> {
            let payload = |seen: &Seen| match seen {
                Seen::Ping(payload) if !pongs => Some(payload.clone()),
                Seen::Pong(payload) if pongs => Some(payload.clone()),
                _ => None,
            };
            // Empty pings are keepalive pings.
            seen.iter().filter_map(payload).filter(|payload| !payload.is_empty()).collect()
        };
        assert_eq!(payloads(false, seen), other.pings);
        let mut pings = self.pings.iter();
        assert!(payloads(true, seen).iter().all(|pong| pings.any(|ping| ping == pong)));
        if let Some(Seen::Unfinished(kind, bytes)) = seen.iter().rev().nth(1) {
            let (sent, whole) = other.open.as_ref().expect("an unfinished message was sent");
            assert!(sent == kind && whole.starts_with(bytes));
        }
        let Some(Seen::Closed(closed)) = seen.last() else { panic!("no Closed event") };
        assert!(closed.is_clean(), "{closed:?}");
        let codes = [self.closed_with, other.closed_with];
        assert!(codes.contains(&Some(closed.code().get())), "{closed:?}, but {codes:?}");
        assert_eq!(self.watch.conn.buffered_amount(), 0);
    }
}

struct Pair {
    /// The server, and the client.
    ends: [End; 2],
    now: u64,
    /// Whether no byte was changed, and neither the transport nor an end has broken off.
    sound: bool,
}

const SIZES: &[usize] =
    &[0, 1, 2, 20, 63, 64, 100, 125, 126, 127, 600, 4095, 4096, 4097, 9000, 16_384, 65_536, 70_000];
const AMOUNTS: &[usize] = &[1, 2, 3, 5, 7, 14, 50, 200, 1000, 5000, 20_000, usize::MAX];

impl Pair {
    fn new(source: &mut ByteSource<'_>) -> Pair {
        let mut flags = Flags::new(source.byte());
        let (chunks, late) = ([flags.next(), flags.next()], flags.next());
        let (upgraded, deflate, keepalive) = (flags.next(), flags.next(), flags.next());
        let cuts = [flags.next(), flags.next()];
        let [server, client] = [0, 1].map(|end| {
            let chunks = chunks[end];
            config()
                .max_outgoing_frame_bytes(if cuts[end] { 126 } else { usize::MAX })
                .delivery(if chunks { Delivery::Chunks } else { Delivery::Messages })
                .max_outgoing_bytes(256 * 1024)
                .close_timeout(None)
                .handshake_timeout(None)
                .keepalive_interval(keepalive.then_some(Duration::from_millis(50)))
        });
        let params = if deflate { source.byte() } else { 0 };
        #[cfg(feature = "deflate")]
        let [server, client] = match deflate {
            true => [
                server.deflate(super::deflate::options(params)),
                client.deflate(super::deflate::options(source.byte())),
            ],
            false => [server, client],
        };
        let _ = params;
        let [server, client] =
            [server, client].map(|config| config.build().expect("each value is allowed"));
        let ends = if upgraded {
            let open = |role, config: websocket_proto::Config| {
                #[cfg(feature = "deflate")]
                if deflate {
                    let params = super::receive::deflate_params(params);
                    return Connection::from_upgrade(
                        websocket_proto::Upgrade::new(role).deflate(params),
                        config,
                    );
                }
                Connection::from_upgrade(role, config)
            };
            [open(Role::Server, server), open(Role::Client, client)]
        } else {
            let request = ClientRequest::new("ws://example.com/").expect("a good URI");
            [Ok(Connection::server(server)), Connection::client(&request, client)]
        };
        let ends = ends.map(|conn| End::new(conn.expect("a seed cannot fail"), late));
        Pair { ends, now: 0, sound: true }
    }

    fn step(&mut self, source: &mut ByteSource<'_>) {
        let op = source.byte();
        let at = usize::from(op >> 7);
        let kind = if op & 0x40 != 0 { MessageKind::Text } else { MessageKind::Binary };
        let end = &mut self.ends[at];
        match op & 0x1f {
            way @ 0..=3 => end.send(kind, way, source.pick(SIZES)),
            4 | 5 => end.fragment(kind, source.pick(SIZES), op & 1 != 0, op & 0x20 != 0),
            6 => end.ping(usize::from(source.byte())),
            7 => end.close(source.pick(&[1000, 1001, 1005, 3000, 4999])),
            8..=12 => end.write(source.pick(AMOUNTS)),
            13 => end.take(usize::from(source.byte() % 4)),
            14..=20 => self.deliver(at, source.pick(AMOUNTS)),
            21 | 22 => {
                self.now += u64::from(source.byte());
                for end in &mut self.ends {
                    let now = Timestamp::from_millis(self.now);
                    let next = end.conn().tick(now);
                    assert!(next.is_none_or(|next| next > now));
                    end.watch.poll();
                }
            }
            23 => end.conn().release_memory(),
            // The next steps break the connection, so they are rare.
            24 if source.byte() == 0xee => self.end_of_transport(at),
            25 if source.byte() == 0xaa => {
                end.conn().abort();
                assert!(end.watch.conn.is_finished());
                self.sound = false;
            }
            25 if source.byte() == 0xbb => {
                end.watch.write_closed();
                self.sound = false;
            }
            26 => {
                let (place, change) = (usize::from(source.word()), source.byte());
                if let Some(byte) = end.wire.get_mut(place).filter(|_| change != 0) {
                    *byte ^= change;
                    self.sound = false;
                }
            }
            _ => {}
        }
        self.check(at);
    }

    fn check(&mut self, at: usize) {
        for end in &mut self.ends {
            end.watch.check();
        }
        let end = &self.ends[at];
        if self.sound {
            let (least, most) = end.buffered();
            let amount = end.watch.conn.buffered_amount();
            assert!((least..=most).contains(&amount), "{amount}, not {least} to {most}");
        }
    }

    fn end_of_transport(&mut self, at: usize) {
        self.ends[at].conn().receive_eof();
        self.ends[at].watch.poll();
        self.sound = false;
    }

    fn deliver(&mut self, at: usize, n: usize) {
        let other = &mut self.ends[1 - at];
        let n = n.min(other.wire.len());
        let bytes: Vec<u8> = other.wire.drain(..n).collect();
        self.ends[at].receive(&bytes);
    }

    /// Writes and reads until no byte moves, and passes on the EOF of an end that shuts down.
    fn settle(&mut self) {
        for _ in 0..6 {
            for at in [0, 1] {
                self.ends[at].write(usize::MAX);
                self.check(at);
                self.deliver(1 - at, usize::MAX);
                self.check(1 - at);
                let end = &self.ends[at].watch.conn;
                if (end.wants_shutdown() || end.is_finished())
                    && !self.ends[1 - at].has_heard_the_end
                {
                    self.ends[1 - at].has_heard_the_end = true;
                    self.ends[1 - at].conn().receive_eof();
                    self.ends[1 - at].watch.poll();
                }
            }
        }
    }
}

/// The input is a setup, then the script.
pub fn script(data: &[u8]) {
    const OPS: usize = 150;
    let mut source = ByteSource::new(data);
    let mut pair = Pair::new(&mut source);
    for _ in 0..OPS {
        if source.is_empty() {
            break;
        }
        pair.step(&mut source);
    }
    pair.settle();
    if pair.ends.iter().all(|end| end.watch.conn.state() == State::Open) {
        let at = usize::from(source.byte() & 1);
        pair.ends[at].close(1000);
        pair.settle();
    }
    if pair.sound {
        for at in [0, 1] {
            pair.ends[at].judge(&pair.ends[1 - at]);
        }
    }
    for mut end in pair.ends {
        if !pair.sound {
            end.write(usize::MAX);
            end.conn().receive_eof();
            end.watch.poll();
            end.write(usize::MAX);
        }
        assert!(end.watch.is_closed() && end.watch.conn.is_finished());
        end.watch.finish();
    }
}
