//! The outgoing queue against a simple model: bytes, order, and the buffered amount of the WHATWG standard after every
//! operation and every partial write. `sending.rs` tests what a frame contains and when one may be sent.

mod util;

use std::collections::VecDeque;

use proptest::prelude::*;
use util::*;
use websocket_proto::{
    Connection, Entropy, EntropyError, FrameHeader, MessageKind, PreparedMessage, Role, Segment,
    Shared, UsageError,
};

#[cfg(feature = "deflate")]
const PARAMS: websocket_proto::DeflateParams = websocket_proto::DeflateParams {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
};

const FIXED_KEY: [u8; 4] = [1, 2, 3, 4];

fn fixed_key(out: &mut [u8]) -> Result<(), EntropyError> {
    for (byte, key) in out.iter_mut().zip(FIXED_KEY.iter().cycle()) {
        *byte = *key;
    }
    Ok(())
}

/// One frame of the model's queue.
struct Queued {
    bytes: Vec<u8>,
    header: usize,
    counted: bool,
    /// Whether it is a ping or pong, which goes before data frames.
    ahead: bool,
}

/// A queue as a list of frames, in simple and slow code.
struct Model {
    role: Role,
    frames: VecDeque<Queued>,
    /// Bytes of the first frame that are written.
    released: usize,
    /// Bytes after the written ones that the caller has taken out.
    taken: usize,
}

impl Model {
    fn key(&self) -> Option<[u8; 4]> {
        (self.role == Role::Client).then_some(FIXED_KEY)
    }

    fn push(&mut self, first: u8, payload: &[u8]) {
        let bytes = frame(first, payload, self.key());
        let header = bytes.len() - payload.len();
        let ahead = matches!(first & 0x0f, 9 | 10);
        let queued = Queued { bytes, header, counted: first & 8 == 0, ahead };
        if !ahead {
            self.frames.push_back(queued);
            return;
        }
        // RFC 6455 5.4, 5.5: at the earliest border between frames, after control frames that are queued there.
        let committed = self.released + self.taken;
        let mut at = 0;
        let mut index = 0;
        while index < self.frames.len() && (at < committed || self.frames[index].ahead) {
            at += self.frames[index].bytes.len();
            index += 1;
        }
        self.frames.insert(index, queued);
    }

    fn unreleased(&self) -> Vec<u8> {
        self.frames.iter().flat_map(|frame| frame.bytes.clone()).skip(self.released).collect()
    }

    fn advance(&mut self, mut n: usize) {
        self.taken = self.taken.saturating_sub(n);
        while n > 0 {
            let left = self.frames[0].bytes.len() - self.released;
            if n < left {
                self.released += n;
                return;
            }
            n -= left;
            self.released = 0;
            self.frames.pop_front();
        }
    }

    fn buffered(&self) -> u64 {
        let mut buffered = 0;
        for (index, frame) in self.frames.iter().enumerate().filter(|(_, frame)| frame.counted) {
            let released = if index == 0 { self.released.saturating_sub(frame.header) } else { 0 };
            buffered += frame.bytes.len() - frame.header - released;
        }
        buffered as u64
    }
}

#[derive(Debug, Clone)]
enum Op {
    Send {
        text: bool,
        len: usize,
        owned: bool,
    },
    Prepared {
        len: usize,
    },
    /// `send_through` to a transport that accepts `steps` bytes at a time.
    Through {
        len: usize,
        owned: bool,
        steps: Vec<usize>,
    },
    Fragment {
        len: usize,
        last: bool,
    },
    Ping {
        len: usize,
    },
    /// A ping of the peer, which the connection answers.
    PeerPing {
        len: usize,
    },
    /// Writes `part`/255 of the outgoing bytes.
    Advance {
        part: u8,
    },
    AdvanceBy {
        n: usize,
    },
    Take,
    ReleaseMemory,
    Close,
}

fn op() -> impl Strategy<Value = Op> {
    let len = prop_oneof![
        4 => 0usize..20,
        4 => 120usize..130,
        2 => 4000usize..4200,
        1 => 16_300usize..16_500,
        1 => 65_500usize..65_600,
    ];
    let step = prop_oneof![0usize..20, 4000usize..20_000, Just(usize::MAX)];
    prop_oneof![
        4 => (any::<bool>(), len.clone(), any::<bool>()).prop_map(|(text, len, owned)| Op::Send { text, len, owned }),
        1 => len.clone().prop_map(|len| Op::Prepared { len }),
        3 => (len.clone(), any::<bool>(), prop::collection::vec(step, 0..3)).prop_map(|(len, owned, steps)| Op::Through { len, owned, steps }),
        2 => (len, any::<bool>()).prop_map(|(len, last)| Op::Fragment { len, last }),
        2 => (0usize..=125).prop_map(|len| Op::Ping { len }),
        2 => (0usize..=125).prop_map(|len| Op::PeerPing { len }),
        4 => any::<u8>().prop_map(|part| Op::Advance { part }),
        3 => Just(Op::Advance { part: u8::MAX }),
        3 => (0usize..40).prop_map(|n| Op::AdvanceBy { n }),
        2 => Just(Op::Take),
        1 => Just(Op::ReleaseMemory),
        1 => Just(Op::Close),
    ]
}

fn payload(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| b'a' + ((i * 7 + seed) % 26) as u8).collect()
}

struct Run {
    conn: Connection,
    model: Model,
    held: Vec<Segment>,
    fragment: Option<MessageKind>,
    closed: bool,
    written: Vec<u8>,
    expected: Vec<u8>,
}

impl Run {
    fn new(role: Role) -> Run {
        let config =
            builder().entropy(Entropy::from_fn(fixed_key)).max_queued_pongs(255).build().unwrap();
        Run {
            conn: open_with(role, config),
            model: Model { role, frames: VecDeque::new(), released: 0, taken: 0 },
            held: Vec::new(),
            fragment: None,
            closed: false,
            written: Vec::new(),
            expected: Vec::new(),
        }
    }

    fn apply(&mut self, step: usize, op: &Op) {
        match *op {
            Op::Send { text, len, owned } => {
                let bytes = payload(len, step);
                let result = match (text, owned) {
                    (true, false) => self.conn.send(std::str::from_utf8(&bytes).unwrap()),
                    (true, true) => self.conn.send(String::from_utf8(bytes.clone()).unwrap()),
                    (false, false) => self.conn.send(&bytes),
                    (false, true) => self.conn.send(bytes.clone()),
                };
                if self.may_send(result) {
                    self.model.push(if text { 0x81 } else { 0x82 }, &bytes);
                }
            }
            Op::Prepared { len } => {
                let bytes = payload(len, step);
                let result = self.conn.send_prepared(&PreparedMessage::new(&bytes));
                if self.may_send(result) {
                    self.model.push(0x82, &bytes);
                }
            }
            Op::Through { len, owned, ref steps } => {
                let bytes = payload(len, step);
                let mut steps = steps.iter().copied();
                let mut taken = Vec::new();
                let mut write = |header: &[u8], payload: &[u8]| {
                    let shown = [header, payload].concat();
                    let n = steps.next().unwrap_or(usize::MAX).min(shown.len());
                    taken.extend_from_slice(&shown[..n]);
                    Ok::<usize, UsageError>(n)
                };
                let was_empty = self.conn.outgoing_len() == 0;
                let result = match owned {
                    true => self.conn.send_through(bytes.clone(), &mut write),
                    false => self.conn.send_through(&bytes, &mut write),
                };
                assert!(taken.is_empty() || was_empty);
                if self.may_send(result) {
                    self.model.push(0x82, &bytes);
                    self.expected.extend(self.model.unreleased().into_iter().take(taken.len()));
                    self.model.advance(taken.len());
                    self.written.extend(taken);
                }
            }
            Op::Fragment { len, last } => {
                let bytes = payload(len, step);
                let result = self.conn.send_fragment(MessageKind::Binary, &bytes, last);
                assert_eq!(result.is_ok(), !self.closed);
                if result.is_ok() {
                    let opcode = if self.fragment.is_some() { 0 } else { 2 };
                    self.model.push(if last { 0x80 } else { 0 } | opcode, &bytes);
                    self.fragment = (!last).then_some(MessageKind::Binary);
                }
            }
            Op::Ping { len } => {
                let bytes = payload(len, step);
                // RFC 6455 5.5.1: after our Close no data frames are sent, but control frames are allowed.
                self.conn.ping(&bytes).unwrap();
                self.model.push(0x89, &bytes);
            }
            Op::PeerPing { len } => {
                let bytes = payload(len, step);
                let mut input = to(self.model.role, 0x89, &bytes);
                assert!(self.conn.receive(&mut &mut input[..]).is_some());
                self.model.push(0x8a, &bytes);
            }
            Op::Advance { part } => {
                let n = self.conn.outgoing_len() as usize * usize::from(part) / 255;
                self.advance(n);
            }
            Op::AdvanceBy { n } => {
                let n = n.min(self.conn.outgoing_len() as usize);
                self.advance(n);
            }
            Op::Take => {
                let first = self.conn.outgoing().to_vec();
                let segment = self.conn.take_outgoing();
                assert_eq!(segment.as_deref().unwrap_or_default(), first);
                self.model.taken += first.len();
                self.held.extend(segment);
            }
            Op::ReleaseMemory => self.conn.release_memory(),
            Op::Close => {
                self.conn.close(1000, "").unwrap();
                if !std::mem::replace(&mut self.closed, true) {
                    self.model.push(0x88, &1000u16.to_be_bytes());
                }
            }
        }
        self.check();
    }

    fn may_send(&self, result: Result<(), UsageError>) -> bool {
        match result {
            Ok(()) => assert!(!self.closed && self.fragment.is_none()),
            Err(UsageError::MessageUnfinished) => assert!(self.fragment.is_some() && !self.closed),
            Err(UsageError::NotOpen(_)) => assert!(self.closed),
            Err(error) => panic!("{error}"),
        }
        result.is_ok()
    }

    /// Writes `n` bytes: first the taken pieces, then `outgoing_chunks`.
    fn advance(&mut self, n: usize) {
        let shown: Vec<u8> = self
            .held
            .iter()
            .map(|segment| segment.to_vec())
            .chain(self.conn.outgoing_chunks().map(<[u8]>::to_vec))
            .flatten()
            .take(n)
            .collect();
        self.written.extend_from_slice(&shown);
        self.expected.extend(self.model.unreleased().into_iter().take(n));
        self.conn.advance(n);
        self.model.advance(n);
        // Drops the taken pieces that are written, and the written front of the next one.
        let mut rest = n;
        while rest > 0 && !self.held.is_empty() {
            let len = self.held[0].len();
            if rest < len {
                let keep = self.held[0][rest..].to_vec();
                self.held[0] = segment_of(&keep);
                break;
            }
            rest -= len;
            self.held.remove(0);
        }
    }

    fn check(&self) {
        let held: Vec<u8> = self.held.iter().flat_map(|segment| segment.to_vec()).collect();
        let shown: Vec<u8> = self.conn.outgoing_chunks().flatten().copied().collect();
        let all = [&held[..], &shown].concat();
        let unreleased = self.model.unreleased();
        assert!(all == unreleased, "{} bytes, the model has {}", all.len(), unreleased.len());
        assert_eq!(self.conn.outgoing_len(), unreleased.len() as u64);
        assert_eq!(self.conn.buffered_amount(), self.model.buffered());
        assert_eq!(self.conn.outgoing(), self.conn.outgoing_chunks().next().unwrap_or_default());
        assert!(self.conn.outgoing_chunks().all(|chunk| !chunk.is_empty()));
        assert_eq!(self.conn.wants_write(), !shown.is_empty());
    }
}

/// A segment with these bytes. Only a queue can make one.
fn segment_of(bytes: &[u8]) -> Segment {
    let mut conn = open(Role::Server);
    conn.send(bytes).unwrap();
    let header = frame(0x82, bytes, None).len() - bytes.len();
    conn.advance(header);
    let segment = conn.take_outgoing().unwrap();
    assert_eq!((&segment[..], segment.as_ref()), (bytes, bytes));
    segment
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn queue_equals_the_model(client in any::<bool>(), ops in prop::collection::vec(op(), 1..60)) {
        // rfc6455-5.2-02, rfc6455-5.2-09, rfc6455-2.1-01, rfc6455-5.4-08, rfc6455-6.1-10, rfc6455-5.5.2-04,
        // whatwg-close-09, whatwg-bufferedAmount-01, whatwg-bufferedAmount-02
        let mut run = Run::new(if client { Role::Client } else { Role::Server });
        for (step, op) in ops.iter().enumerate() {
            run.apply(step, op);
        }
        let rest = run.conn.outgoing_len() as usize;
        run.advance(rest);
        run.check();
        prop_assert!(run.written == run.expected);
        prop_assert_eq!(run.conn.buffered_amount(), 0);
        // The peer can parse everything that was written.
        read_frames(&run.written);
    }
}

#[test]
fn buffered_amount_is_exact_at_every_single_byte() {
    // whatwg-bufferedAmount-01, whatwg-bufferedAmount-02
    for role in ROLES {
        let mut conn = open(role);
        conn.send("é").unwrap();
        assert_eq!(conn.buffered_amount(), 2, "the amount counts bytes, not characters");
        conn.send(&[0; 10]).unwrap();
        assert_eq!(conn.buffered_amount(), 12);
        conn.ping(b"ping").unwrap();
        conn.send_fragment(MessageKind::Binary, &[1; 200], false).unwrap();
        conn.close(1000, "bye").unwrap();
        assert_eq!(
            conn.buffered_amount(),
            212,
            "the amount counts no control frames and no headers"
        );
        let mask = if role == Role::Client { 4 } else { 0 };
        // (bytes on the wire, message bytes among them), in wire order: the ping goes first.
        let wire = [
            (2 + mask + 4, 0),
            (2 + mask, 0),
            (2, 2),
            (2 + mask, 0),
            (10, 10),
            (4 + mask, 0),
            (200, 200),
        ];
        let mut expected = 212;
        for (len, data) in wire {
            for _ in 0..len {
                conn.advance(1);
                if data > 0 {
                    expected -= 1;
                }
                assert_eq!(conn.buffered_amount(), expected);
            }
        }
        assert_eq!(conn.outgoing_len(), 2 + mask as u64 + 5, "only the Close is left");
    }
}

#[test]
fn buffered_amount_does_not_drop_when_the_connection_ends() {
    // whatwg-bufferedAmount-03
    for role in ROLES {
        for end in [Connection::receive_eof, Connection::abort] {
            let mut conn = open(role);
            conn.send(&[0; 1000]).unwrap();
            conn.advance(100);
            let before = conn.buffered_amount();
            end(&mut conn);
            assert_eq!(conn.buffered_amount(), before);
            assert!(!conn.wants_write(), "the transport has ended, but bytes are outgoing");
            conn.advance(0);
            assert_eq!(conn.buffered_amount(), before);
            assert!(conn.send(&[0; 10]).is_err());
            assert_eq!(conn.buffered_amount(), before, "a refused message counts as buffered");
        }
    }
}

#[test]
fn hard_cap_refuses_and_queues_nothing() {
    // whatwg-send-04
    for role in ROLES {
        let config = builder().max_outgoing_bytes(1000).build().unwrap();
        let mut conn = open_with(role, config);
        conn.send(&[0; 500]).unwrap();
        let before = conn.outgoing_len();
        let refused = conn.send(&[0; 500]);
        assert!(
            matches!(refused, Err(UsageError::BufferFull { needed: 1001.., limit: 1000 })),
            "{refused:?}"
        );
        assert_eq!(conn.check_send(500), refused);
        assert!(conn.send(vec![0; 500]).is_err());
        assert!(conn.send_prepared(&PreparedMessage::new(&[0; 500])).is_err());
        assert!(conn.send_fragment(MessageKind::Binary, &[0; 500], true).is_err());
        assert_eq!(conn.outgoing_len(), before);
        assert_eq!(conn.buffered_amount(), 500);
        conn.send(&[0; 100]).unwrap();
        conn.ping(&[0; 125]).unwrap();
        while conn.ping(&[0; 125]).is_ok() {}
        assert!(conn.outgoing_len() <= 1000);
        // The Close and automatic pongs have bounds of their own, and are never refused.
        conn.close(1000, "").unwrap();
        assert!(matches!(plain_frames(&drain(&mut conn)).last(), Some((0x88, _))));
    }
}

#[test]
fn is_writable_has_a_high_and_a_low_mark() {
    for role in ROLES {
        let config = builder().high_water_bytes(1000).low_water_bytes(100).build().unwrap();
        let mut conn = open_with(role, config);
        assert!(conn.is_writable());
        conn.send(&[0; 900]).unwrap();
        assert!(conn.is_writable(), "below the high mark");
        conn.send(&[0; 100]).unwrap();
        assert!(!conn.is_writable(), "above the high mark");
        conn.send(&[0; 100]).expect("the mark is only advice");
        let len = conn.outgoing_len() as usize;
        conn.advance(len - 101);
        assert!(!conn.is_writable(), "between the marks, on the way down");
        conn.advance(1);
        assert!(conn.is_writable(), "at the low mark");
        conn.send(&[0; 800]).unwrap();
        assert!(conn.is_writable(), "between the marks, on the way up");
        conn.close(1000, "").unwrap();
        assert!(!conn.is_writable(), "writable after our own Close");
    }
}

#[test]
fn a_pong_that_makes_the_queue_shorter_ends_congestion() {
    // Every length of the queued pong and of the pong that replaces it, at every low mark.
    for role in ROLES {
        for old in 0..20 {
            for new in 0..20 {
                let mask = if role == Role::Client { 4 } else { 0 };
                for low in 0..30 {
                    let config = builder()
                        .max_queued_pongs(1)
                        .high_water_bytes(low)
                        .low_water_bytes(low)
                        .build()
                        .unwrap();
                    let mut conn = open_with(role, config);
                    for len in [old, new] {
                        let mut input = to(role, 0x89, &vec![0; len]);
                        assert!(conn.receive(&mut &mut input[..]).is_some());
                    }
                    assert_eq!(conn.outgoing_len(), 2 + mask + new as u64);
                    assert_eq!(conn.is_congested(), conn.outgoing_len() > low);
                    assert_eq!(conn.is_writable(), conn.outgoing_len() <= low);
                }
            }
        }
    }
}

#[test]
fn a_pong_that_was_written_makes_room_for_another() {
    // rfc6455-5.5.3-02, rfc6455-5.5.2-02
    for role in ROLES {
        let config = builder().max_queued_pongs(4).build().unwrap();
        let mut conn = open_with(role, config);
        let ping = |conn: &mut Connection, n: u8| {
            let mut input = to(role, 0x89, &[n]);
            assert!(conn.receive(&mut &mut input[..]).is_some());
        };
        (0..4).for_each(|n| ping(&mut conn, n));
        let pong = frame(0x8a, &[0], (role == Role::Client).then_some(KEY)).len();
        conn.advance(3 * pong);
        // One pong is queued. Three more have room, the next two do not, and the latest of these replaces the third.
        (4..9).for_each(|n| ping(&mut conn, n));
        let payloads: Vec<u8> =
            plain_frames(&drain(&mut conn)).iter().map(|(_, payload)| payload[0]).collect();
        assert_eq!(payloads, [3, 4, 5, 8]);
    }
}

#[test]
fn pongs_of_the_caller_count_and_are_never_replaced() {
    // rfc6455-5.5.3-02, rfc6455-5.5.3-03
    for role in ROLES {
        let config = builder().max_queued_pongs(4).build().unwrap();
        let mut conn = open_with(role, config);
        let ping = |conn: &mut Connection, n: u8| {
            let mut input = to(role, 0x89, &[n]);
            assert!(conn.receive(&mut &mut input[..]).is_some());
        };
        (100..103).for_each(|n| conn.pong(&[n]).unwrap());
        // One automatic pong has room, and the latest replaces it.
        (0..6).for_each(|n| ping(&mut conn, n));
        let pong = frame(0x8a, &[0], (role == Role::Client).then_some(KEY)).len();
        conn.advance(2 * pong);
        // Two pongs are written, so two more have room.
        (6..10).for_each(|n| ping(&mut conn, n));
        let payloads: Vec<u8> =
            plain_frames(&drain(&mut conn)).iter().map(|(_, payload)| payload[0]).collect();
        assert_eq!(payloads, [102, 5, 6, 9]);
    }
}

#[test]
#[should_panic(expected = "advance(8), but 7 bytes are outgoing")]
fn advance_by_more_than_is_outgoing_panics() {
    let mut conn = open(Role::Server);
    conn.send("hello").unwrap();
    conn.advance(8);
}

#[test]
fn a_taken_segment_outlives_the_connection_and_keeps_its_address() {
    let mut conn = open(Role::Server);
    conn.send(vec![7; 100_000]).unwrap();
    let header = conn.take_outgoing().unwrap();
    let payload = conn.take_outgoing().unwrap();
    let address = payload.as_ptr();
    assert!(conn.take_outgoing().is_none());
    conn.send("more").unwrap();
    conn.ping(b"").unwrap();
    let writer =
        std::thread::spawn(move || (payload.as_ptr() as usize, header.len() + payload.len()));
    let (seen, n) = writer.join().unwrap();
    assert_eq!(seen, address as usize);
    assert_eq!(conn.buffered_amount(), 100_004);
    conn.advance(n);
    assert_eq!(conn.buffered_amount(), 4);
    assert_eq!(plain_frames(&drain(&mut conn)), [(0x89, vec![]), (0x81, b"more".to_vec())]);
}

#[test]
fn a_large_owned_payload_is_moved_and_a_prepared_one_shared() {
    // rfc6455-10.3-02
    let payload = vec![5; 1 << 20];
    let address = payload.as_ptr();
    let mut conn = open(Role::Server);
    conn.send(payload).unwrap();
    let behind_lead = |conn: &Connection| {
        let rest = conn.outgoing_chunks().nth(1).unwrap();
        (rest.as_ptr(), rest.len())
    };
    // The first bytes of the payload are copied after the header.
    let (rest, len) = behind_lead(&conn);
    assert_eq!(rest, address.wrapping_add((1 << 20) - len));
    let mut client = open(Role::Client);
    let payload = vec![5; 1 << 20];
    let address = payload.as_ptr();
    client.send(payload).unwrap();
    let (rest, len) = behind_lead(&client);
    assert_eq!(rest, address.wrapping_add((1 << 20) - len), "the payload is not masked in place");
    let prepared = PreparedMessage::new(&[5; 1 << 20]);
    let (mut a, mut b) = (open(Role::Server), open(Role::Server));
    a.send_prepared(&prepared).unwrap();
    b.send_prepared(&prepared).unwrap();
    assert_eq!(a.outgoing().as_ptr(), b.outgoing().as_ptr());
}

#[cfg(feature = "std")]
#[test]
fn slices_for_a_vectored_write_are_the_first_chunks() {
    let mut conn = open(Role::Server);
    for _ in 0..3 {
        conn.send(vec![1; 10_000]).unwrap();
    }
    let mut slices = [std::io::IoSlice::new(&[]); 4];
    assert_eq!(conn.outgoing_slices(&mut slices), 4);
    let chunks: Vec<&[u8]> = conn.outgoing_chunks().take(4).collect();
    assert_eq!(slices.iter().map(|slice| &slice[..]).collect::<Vec<_>>(), chunks);
    let mut many = [std::io::IoSlice::new(&[]); 16];
    assert_eq!(conn.outgoing_slices(&mut many), 6);
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Moved,
    Prepared,
    Fragment,
    /// `send_through` to a transport that accepts this many bytes.
    Through(usize),
    /// Compressed, which makes random bytes longer.
    #[cfg(feature = "deflate")]
    Compressed,
}

/// The state of the queue before a large message is sent.
#[derive(Debug, Clone, Copy)]
enum Before {
    Nothing,
    KeptBuffer,
    SmallFrames(usize),
    /// Three small frames, the first partly written.
    BegunFrame,
    Ping,
}

fn shown(conn: &Connection) -> Vec<u8> {
    conn.outgoing_chunks().collect::<Vec<_>>().concat()
}

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x1234_5678_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// A connection with this queue, and the bytes that it has written.
fn queue_with(role: Role, way: Way, before: Before) -> (Connection, Vec<u8>) {
    let mut conn = match way {
        #[cfg(feature = "deflate")]
        Way::Compressed => {
            Connection::from_upgrade(websocket_proto::Upgrade::new(role).deflate(PARAMS), config())
                .unwrap()
        }
        _ => open(role),
    };
    let small = [1; 70];
    let mut gone = Vec::new();
    match before {
        Before::Nothing => {}
        Before::KeptBuffer => {
            conn.send_fragment(MessageKind::Binary, &[0; 50_000], true).unwrap();
            gone = drain(&mut conn);
        }
        Before::SmallFrames(n) => {
            (0..n).for_each(|_| conn.send_fragment(MessageKind::Binary, &small, true).unwrap())
        }
        Before::BegunFrame => {
            (0..3).for_each(|_| conn.send_fragment(MessageKind::Binary, &small, true).unwrap());
            gone = shown(&conn)[..5].to_vec();
            conn.advance(5);
        }
        Before::Ping => conn.ping(b"ping").unwrap(),
    }
    (conn, gone)
}

#[test]
fn no_header_is_outgoing_without_a_segment_of_its_payload() {
    // With Nagle's algorithm, the payload after a lone header waits until the peer has acknowledged the header.
    let mut ways = vec![Way::Moved, Way::Prepared, Way::Fragment];
    ways.extend([0, 1, 3, 4, 7, 8, 9, 10, 13, 2000].map(Way::Through));
    #[cfg(feature = "deflate")]
    ways.push(Way::Compressed);
    let befores = [
        Before::Nothing,
        Before::KeptBuffer,
        Before::SmallFrames(3),
        Before::SmallFrames(910),
        Before::SmallFrames(2000),
        Before::BegunFrame,
        Before::Ping,
    ];
    let lens =
        [0, 1, 1399, 1400, 1401, 4095, 4096, 4097, 5000, 16_384, 60_000, 65_535, 65_536, 90_000];
    let noise = noise(90_000);
    let noise = |len: usize| noise[..len].to_vec();
    for role in ROLES {
        for way in &ways {
            for before in befores {
                for len in lens {
                    let (mut conn, mut gone) = queue_with(role, *way, before);
                    match *way {
                        Way::Moved => conn.send(noise(len)).unwrap(),
                        #[cfg(feature = "deflate")]
                        Way::Compressed => conn.send(noise(len)).unwrap(),
                        Way::Prepared => {
                            conn.send_prepared(&PreparedMessage::new(noise(len))).unwrap();
                        }
                        Way::Fragment => {
                            conn.send_fragment(MessageKind::Binary, &noise(len), true).unwrap();
                        }
                        Way::Through(mut room) => conn
                            .send_through(noise(len), |header, payload| {
                                let bytes = [header, payload].concat();
                                let n = room.min(bytes.len());
                                room -= n;
                                gone.extend_from_slice(&bytes[..n]);
                                Ok::<usize, UsageError>(n)
                            })
                            .unwrap(),
                    }
                    check_leads(&conn, &gone, &format!("{role:?} {way:?} {before:?} {len}"));
                }
            }
        }
    }
}

/// Asserts that each piece with bytes of a header also has the first 1,400 bytes of the payload, or all of it.
fn check_leads(conn: &Connection, gone: &[u8], case: &str) {
    let wire = [gone, &shown(conn)].concat();
    let ends: Vec<usize> = conn
        .outgoing_chunks()
        .scan(gone.len(), |end, chunk| {
            *end += chunk.len();
            Some(*end)
        })
        .collect();
    let mut at = 0;
    while at < wire.len() {
        let (header, size) = FrameHeader::decode(&wire[at..]).unwrap().expect("whole frames");
        let payload = header.payload_len as usize;
        // The piece that contains the first unwritten byte of the header.
        if at + size > gone.len() {
            let first = at.max(gone.len());
            let end = ends.iter().find(|end| **end > first).expect("the byte is outgoing");
            assert!(*end >= at + size + payload.min(1400), "{case}: {first}..{end}, {header:?}");
        }
        at += size + payload;
    }
}

#[test]
fn a_connection_that_is_not_open_is_not_congested() {
    // rfc6455-7.1.4-01: nothing is answered after our Close, and the peer's Close must be read
    for role in ROLES {
        let mut conn = open(role);
        conn.send(vec![1; 100_000]).unwrap();
        assert!(conn.is_congested() && !conn.is_writable());
        conn.close(1000, "").unwrap();
        assert!(!conn.is_congested() && !conn.is_writable(), "{role:?}");
    }
}

#[test]
fn what_is_left_of_a_message_past_the_queue_counts_for_congestion() {
    for role in ROLES {
        let config =
            Shared::new(builder().high_water_bytes(100).low_water_bytes(50).build().unwrap());
        let header = if role == Role::Client { 8 } else { 4 };
        for left in [0, 1, 99, 100, 101, 200] {
            let mut conn = open_with(role, config.clone());
            let mut room = header + 200 - left;
            conn.send_through(&[7; 200], |header, payload| {
                let n = room.min(header.len() + payload.len());
                room -= n;
                Ok::<usize, UsageError>(n)
            })
            .unwrap();
            assert_eq!(conn.outgoing_len(), left as u64);
            assert_eq!(conn.is_congested(), left > 100, "{role:?}, {left}");
        }
    }
}
