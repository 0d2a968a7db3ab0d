//! The outgoing queue under any operations, against a model that is a list of frames.

use super::source::{ByteSource, config};
use std::collections::VecDeque;
use websocket_proto::{
    Connection, Entropy, EntropyError, MessageKind, PreparedMessage, Role, Segment, State,
    UsageError,
};

const KEY: [u8; 4] = [1, 2, 3, 4];

fn fixed_key(out: &mut [u8]) -> Result<(), EntropyError> {
    out.iter_mut().zip(KEY.iter().cycle()).for_each(|(byte, key)| *byte = *key);
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Data,
    /// A Close, which goes after the data.
    Close,
    /// A ping or pong of the application, which goes before data.
    Control,
    /// An automatic pong, which goes before data too. A limited number of them is queued.
    Automatic,
}

struct Queued {
    kind: Kind,
    header: usize,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Model {
    frames: VecDeque<Queued>,
    /// The number of written bytes of the first frame, and of taken bytes after them.
    released: usize,
    taken: usize,
}

impl Model {
    fn push(&mut self, role: Role, kind: Kind, first: u8, payload: &[u8], pong_limit: u8) {
        let mask = if role == Role::Client { 0x80 } else { 0 };
        let mut bytes = vec![first];
        match payload.len() {
            len @ 0..=125 => bytes.push(mask | len as u8),
            len @ 126..=0xffff => {
                bytes.push(mask | 126);
                bytes.extend((len as u16).to_be_bytes());
            }
            len => {
                bytes.push(mask | 127);
                bytes.extend((len as u64).to_be_bytes());
            }
        }
        let key = if mask > 0 { KEY } else { [0; 4] };
        bytes.extend(if mask > 0 { &KEY[..] } else { &[] });
        let header = bytes.len();
        bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        let queued = Queued { kind, header, bytes };
        // Frames that are partly written or taken keep their place.
        let mut at = 0;
        let mut fixed = 0;
        while fixed < self.frames.len() && at < self.released + self.taken {
            at += self.frames[fixed].bytes.len();
            fixed += 1;
        }
        if kind == Kind::Automatic {
            let wait = |index: usize| {
                let start: usize = self.frames.iter().take(index).map(|f| f.bytes.len()).sum();
                let end = start + self.frames[index].bytes.len();
                self.frames[index].bytes[0] == 0x8a && end > self.released + self.taken
            };
            let waiting: Vec<usize> = (0..self.frames.len()).filter(|index| wait(*index)).collect();
            let automatic = |index: &usize| self.frames[*index].kind == Kind::Automatic;
            let latest = waiting.iter().copied().rfind(automatic);
            let latest = latest.filter(|latest| *latest >= fixed);
            if let (true, Some(latest)) = (waiting.len() >= usize::from(pong_limit), latest) {
                self.frames.remove(latest);
            }
        }
        let mut index = fixed;
        match kind {
            Kind::Data | Kind::Close => index = self.frames.len(),
            Kind::Control | Kind::Automatic => {
                let ahead = |frame: &Queued| matches!(frame.kind, Kind::Control | Kind::Automatic);
                while self.frames.get(index).is_some_and(ahead) {
                    index += 1;
                }
            }
        }
        self.frames.insert(index, queued);
    }

    /// Whether control frames are next, but cannot be taken because too many taken pongs would be unwritten.
    fn holds_pongs_back(&self, limit: u8) -> bool {
        let is_ahead = |frame: &&Queued| matches!(frame.kind, Kind::Control | Kind::Automatic);
        let is_pong = |frame: &&Queued| frame.bytes[0] == 0x8a;
        let mut end = 0;
        for index in 0..self.frames.len() {
            if end == self.released + self.taken {
                let out = self.frames.range(..index).filter(is_pong).count();
                let ahead = || self.frames.range(index..).take_while(is_ahead);
                let waiting = ahead().filter(is_pong).count();
                return ahead().count() > 0 && out > 0 && out + waiting > usize::from(limit);
            }
            end += self.frames[index].bytes.len();
        }
        false
    }

    fn unreleased(&self) -> Vec<u8> {
        let mut all = Vec::new();
        self.frames.iter().for_each(|frame| all.extend_from_slice(&frame.bytes));
        all.split_off(self.released)
    }

    fn buffered(&self) -> u64 {
        let mut sum = 0;
        let mut skip = self.released;
        for frame in &self.frames {
            if frame.kind == Kind::Data {
                sum += frame.bytes.len() - skip.max(frame.header);
            }
            skip = 0;
        }
        sum as u64
    }

    fn advance(&mut self, n: usize) {
        self.taken = self.taken.saturating_sub(n);
        self.released += n;
        while let Some(frame) = self.frames.front() {
            if self.released < frame.bytes.len() {
                break;
            }
            self.released -= frame.bytes.len();
            self.frames.pop_front();
        }
    }
}

struct Run {
    conn: Connection,
    model: Model,
    held: VecDeque<Segment>,
    /// The number of written bytes of the first held segment.
    held_start: usize,
    fragments: Option<MessageKind>,
    congested: bool,
}

/// How many payload bytes are at least in one piece with their header, if the payload is that long.
const LEAD: usize = 1400;

const SIZES: &[usize] = &[
    0, 1, 5, 20, 124, 125, 126, 127, 600, 4094, 4095, 4096, 4097, 5000, 16_383, 16_400, 65_535,
    65_536,
];
const STEPS: &[usize] = &[0, 1, 2, 3, 4, 5, 6, 7, 14, 40, 126, 1000, 5000, 20_000, usize::MAX];

impl Run {
    fn step(&mut self, n: usize, source: &mut ByteSource<'_>) {
        let op = source.byte();
        let payload =
            |len: usize| -> Vec<u8> { (0..len).map(|i| b'a' + ((i * 7 + n) % 26) as u8).collect() };
        let before = self.conn.outgoing_len();
        let result = match op % 14 {
            0..=3 => {
                let bytes = payload(source.pick(SIZES));
                let result = match op % 14 {
                    0 => self.conn.send(&bytes),
                    1 => self.conn.send(bytes.clone()),
                    2 => self.conn.send_prepared(&PreparedMessage::new(&bytes)),
                    _ => self.conn.send(String::from_utf8(bytes.clone()).expect("letters")),
                };
                let first = if op % 14 == 3 { 0x81 } else { 0x82 };
                self.queued(result, Kind::Data, first, &bytes);
                result
            }
            4 | 5 => {
                let bytes = payload(source.pick(SIZES));
                let last = op % 14 == 5;
                let kind = self.fragments.unwrap_or(MessageKind::Binary);
                let result = self.conn.send_fragment(kind, &bytes, last);
                let opcode = if self.fragments.is_some() { 0 } else { 2 };
                self.queued(result, Kind::Data, u8::from(last) << 7 | opcode, &bytes);
                if result.is_ok() {
                    self.fragments = (!last).then_some(kind);
                }
                result
            }
            6 | 7 => {
                let bytes = payload(usize::from(source.byte() % 126));
                let pings = op % 14 == 6;
                let result = if pings { self.conn.ping(&bytes) } else { self.conn.pong(&bytes) };
                self.queued(result, Kind::Control, if pings { 0x89 } else { 0x8a }, &bytes);
                result
            }
            8 => {
                let bytes = payload(usize::from(source.byte() % 126));
                let mut frame = match self.conn.role() {
                    Role::Server => vec![0x89, 0x80 | bytes.len() as u8, 0, 0, 0, 0],
                    Role::Client => vec![0x89, bytes.len() as u8],
                };
                frame.extend_from_slice(&bytes);
                assert!(self.conn.receive(&mut &mut frame[..]).is_some());
                self.queued(Ok(()), Kind::Automatic, 0x8a, &bytes);
                Ok(())
            }
            9 | 10 => {
                let n = source.pick(STEPS).min(self.conn.outgoing_len() as usize);
                self.advance(n);
                Ok(())
            }
            11 => {
                let first = self.conn.outgoing().to_vec();
                let segment = self.conn.take_outgoing();
                let limit = self.conn.config().max_queued_pongs();
                if self.model.holds_pongs_back(limit) {
                    assert!(
                        segment.is_none(),
                        "a pong is taken although too many taken pongs would be unwritten"
                    );
                } else {
                    assert_eq!(segment.as_deref().unwrap_or_default(), first);
                    self.model.taken += first.len();
                }
                self.held.extend(segment);
                Ok(())
            }
            12 => {
                self.conn.release_memory();
                self.conn.tick(websocket_proto::Timestamp::from_millis(n as u64));
                Ok(())
            }
            _ => match source.byte() {
                // A Close is rare, because few operations work after it.
                201.. => {
                    if self.conn.state() == State::Open {
                        self.conn.close(1000, "").expect("1000 can be sent");
                        self.queued(Ok(()), Kind::Close, 0x88, &1000u16.to_be_bytes());
                        self.fragments = None;
                    }
                    Ok(())
                }
                way => self.send_through(&payload(source.pick(SIZES)), way % 2 == 0, source),
            },
        };
        let limit = self.conn.config().max_outgoing_bytes();
        let is_queued = matches!(op % 14, 0..=7) && result.is_ok();
        assert!(
            !is_queued || self.conn.outgoing_len() <= limit,
            "the queue is longer than max_outgoing_bytes"
        );
        let config = self.conn.config();
        let (low, high) = (config.low_water_bytes(), config.high_water_bytes());
        // A Close does not congest the queue.
        self.congested |=
            matches!(op % 14, 0..=8) && result.is_ok() && self.conn.outgoing_len() > high;
        self.congested |=
            op % 14 == 13 && self.conn.state() == State::Open && self.conn.outgoing_len() > high;
        self.congested &= self.conn.outgoing_len() > low;
        if let Err(error) = result {
            match error {
                UsageError::MessageUnfinished => assert!(self.fragments.is_some()),
                UsageError::NotOpen(state) => {
                    assert_eq!((state, self.conn.state()), (State::Closing, state))
                }
                UsageError::BufferFull { needed, .. } => assert!(needed > limit),
                other => panic!("{other}"),
            }
            assert_eq!(self.conn.outgoing_len(), before, "a failed call queues bytes");
        }
        self.check();
    }

    /// Sends through a transport that accepts a few bytes at a time.
    fn send_through(
        &mut self,
        bytes: &[u8],
        owned: bool,
        source: &mut ByteSource<'_>,
    ) -> Result<(), UsageError> {
        let was_empty = self.conn.outgoing_len() == 0;
        let mut taken = Vec::new();
        let mut write = |header: &[u8], payload: &[u8]| {
            let shown = [header, payload].concat();
            let n = source.pick(STEPS).min(shown.len());
            taken.extend_from_slice(&shown[..n]);
            Ok::<usize, UsageError>(n)
        };
        let result = match owned {
            true => self.conn.send_through(bytes.to_vec(), &mut write),
            false => self.conn.send_through(bytes, &mut write),
        };
        assert!(taken.is_empty() || (was_empty && result.is_ok()));
        self.queued(result, Kind::Data, 0x82, bytes);
        let unreleased = self.model.unreleased();
        assert!(unreleased.starts_with(&taken), "the offered bytes are not the frame");
        self.model.advance(taken.len());
        result
    }

    fn queued(&mut self, result: Result<(), UsageError>, kind: Kind, first: u8, payload: &[u8]) {
        if result.is_err() {
            return;
        }
        let config = self.conn.config();
        let (pongs, limit) = (config.max_queued_pongs(), config.max_outgoing_frame_bytes());
        let (role, mut first, mut rest) = (self.conn.role(), first, payload);
        // Messages are cut into frames, control frames are not.
        while kind == Kind::Data && rest.len() > limit {
            let (piece, more) = rest.split_at(limit);
            self.model.push(role, kind, first & 0x0f, piece, pongs);
            (first, rest) = (first & 0x80, more);
        }
        self.model.push(role, kind, first, rest, pongs);
    }

    fn advance(&mut self, n: usize) {
        self.conn.advance(n);
        self.model.advance(n);
        self.held_start += n;
        while let Some(segment) = self.held.front() {
            if self.held_start < segment.len() {
                return;
            }
            self.held_start -= segment.len();
            self.held.pop_front();
        }
        self.held_start = 0;
    }

    fn check(&self) {
        let mut all = Vec::new();
        self.held.iter().for_each(|segment| all.extend_from_slice(segment));
        let mut all = all.split_off(self.held_start);
        self.conn.outgoing_chunks().for_each(|chunk| all.extend_from_slice(chunk));
        let unreleased = self.model.unreleased();
        assert!(all == unreleased, "{} bytes, the model has {}", all.len(), unreleased.len());
        assert_eq!(self.conn.outgoing_len(), unreleased.len() as u64);
        assert_eq!(self.conn.buffered_amount(), self.model.buffered());
        assert_eq!(self.conn.outgoing(), self.conn.outgoing_chunks().next().unwrap_or_default());
        assert!(self.conn.outgoing_chunks().all(|chunk| !chunk.is_empty()));
        assert_eq!(self.conn.wants_write(), unreleased.len() > self.model.taken);
        // A connection that is not open answers nothing, and must read the peer's Close.
        let is_open = self.conn.state() == State::Open;
        assert_eq!(self.conn.is_congested(), self.congested && is_open);
        self.check_leads();
    }

    /// Checks that each piece with bytes of a header also has the front of the payload.
    fn check_leads(&self) {
        let begin = self.model.released + self.model.taken;
        let ends: Vec<usize> = self
            .conn
            .outgoing_chunks()
            .scan(begin, |end, chunk| {
                *end += chunk.len();
                Some(*end)
            })
            .collect();
        let mut at = 0;
        for frame in &self.model.frames {
            let header_end = at + frame.header;
            if header_end > begin {
                let lead = (frame.bytes.len() - frame.header).min(LEAD);
                let end =
                    ends.iter().find(|end| **end > at.max(begin)).expect("the byte is outgoing");
                assert!(*end >= header_end + lead, "{} bytes with a header", end - header_end);
            }
            at += frame.bytes.len();
        }
    }
}

/// The input is the role and limits, then the operations.
pub fn queue(data: &[u8]) {
    const OPS: usize = 60;
    let mut source = ByteSource::new(data);
    let role = source.pick(&[Role::Server, Role::Client]);
    let pongs = source.pick(&[16, 4, 1, 2, 3, 255]);
    // The bits that the stored inputs do not have choose the limit of frames.
    let choice = source.byte();
    let most = if choice & 1 == 0 { 96 * 1024 } else { 1000 };
    let frame = [usize::MAX, 100, 1000, 4096][usize::from(choice >> 6)];
    let (low, high) = if pongs == 1 { (40, 40) } else { (1000, most.min(5000)) };
    let config = config()
        .entropy(Entropy::from_fn(fixed_key))
        .max_queued_pongs(pongs)
        .max_outgoing_bytes(most)
        .max_outgoing_frame_bytes(frame)
        .high_water_bytes(high)
        .low_water_bytes(low)
        .build();
    let config = config.expect("each value is allowed");
    let conn = Connection::from_upgrade(role, config).expect("the source of keys cannot fail");
    let mut run = Run {
        conn,
        model: Model::default(),
        held: VecDeque::new(),
        held_start: 0,
        fragments: None,
        congested: false,
    };
    for n in 0..OPS {
        if source.is_empty() {
            break;
        }
        run.step(n, &mut source);
    }
    run.advance(run.conn.outgoing_len() as usize);
    run.congested = false;
    run.check();
    assert_eq!((run.conn.outgoing_len(), run.conn.buffered_amount()), (0, 0));
}
