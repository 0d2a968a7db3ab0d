//! The promises of a connection to every caller, checked through its public interface: about states and events, and
//! about outgoing bytes. A broken promise is a bug of this library. It is reported as a sentence.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::frame::Head;
use crate::connection::Connection;
use crate::event::{CloseCause, Event};
use crate::frame::FrameHeader;
use crate::receive::ReadBuffer;
use crate::send::Segment;
use crate::state::{Role, State};

/// `Err` holds a sentence about the broken promise.
pub(super) type Checked = Result<(), String>;

/// Returns `Ok` if `is_so`.
pub(super) fn holds(is_so: bool, what: impl FnOnce() -> String) -> Checked {
    if is_so { Ok(()) } else { Err(what()) }
}

/// The promises about states and events.
#[derive(Debug)]
pub(super) struct Life {
    state: State,
    is_finished: bool,
    has_close: bool,
    is_closed: bool,
}

impl Life {
    pub(super) fn new(conn: &Connection) -> Life {
        Life { state: conn.state(), is_finished: false, has_close: false, is_closed: false }
    }

    /// Whether `Closed` has been returned.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Checks an event. To be called for every event.
    pub(super) fn note(&mut self, event: &Event<'_>) -> Checked {
        holds(!self.is_closed, || format!("{event:?} came after the terminal event"))?;
        let may_follow = !self.has_close || matches!(event, Event::Closed(_));
        holds(may_follow, || format!("{event:?} came after the peer's Close"))?;
        match event {
            Event::CloseReceived { reason, .. } => {
                self.has_close = true;
                holds(reason.len() <= 123, || format!("{event:?} has a reason over 123 bytes"))
            }
            Event::Closed(closed) => {
                self.is_closed = true;
                holds(closed.is_clean() || !self.has_close, || {
                    format!("{closed:?} came after the peer's Close")
                })?;
                let by_close = matches!(closed.cause(), CloseCause::Peer | CloseCause::Local);
                holds(closed.is_clean() == by_close, || {
                    format!("{closed:?}: clean does not agree with the cause")
                })
            }
            Event::Ping(payload) | Event::Pong(payload) => {
                holds(payload.len() <= 125, || format!("{event:?} is over 125 bytes"))
            }
            Event::RefusalBody(piece) => {
                holds(!piece.is_empty(), || "a piece of a refusal's body is empty".into())
            }
            Event::Chunk(chunk) => holds(chunk.is_last() || !chunk.as_bytes().is_empty(), || {
                format!("{chunk:?} is empty but not the last")
            }),
            Event::FramePayload(payload) => {
                holds(!payload.as_bytes().is_empty(), || format!("{payload:?} is empty"))
            }
            _ => Ok(()),
        }
    }

    /// Checks the state. To be called after every call.
    pub(super) fn check(&mut self, conn: &Connection) -> Checked {
        let (state, is_finished) = (conn.state(), conn.is_finished());
        holds(state >= self.state, || {
            format!("the state went from {} back to {state}", self.state)
        })?;
        self.state = state;
        holds(is_finished || !self.is_finished, || "is_finished has become false again".into())?;
        self.is_finished = is_finished;
        let is_closed = state == State::Closed;
        holds(is_closed || !self.is_closed, || {
            format!("the state is {state} after the terminal event")
        })?;
        holds(is_closed || !is_finished, || {
            format!("the connection is finished, but the state is {state}")
        })?;
        holds(is_closed || !conn.wants_shutdown(), || {
            format!("wants_shutdown is true, but the state is {state}")
        })?;
        holds(is_finished || !conn.wants_reset(), || {
            "wants_reset is true, but the connection is not finished".into()
        })?;
        holds(!(is_finished && conn.wants_write()), || {
            "the connection is finished, but wants_write is true".into()
        })?;
        holds(!(is_finished && conn.wants_read()), || {
            "the connection is finished, but wants_read is true".into()
        })?;
        holds(state == State::Open || !conn.is_writable(), || {
            format!("is_writable is true, but the state is {state}")
        })
    }
}

/// What the public interface shows of a connection and its buffer, without their bytes. A call that promises to change
/// nothing leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    state: State,
    is_finished: bool,
    wants_read: bool,
    wants_shutdown: bool,
    outgoing: u64,
    buffered: u64,
    /// Bytes in the read buffer that are not received.
    unreceived: usize,
}

impl Shown {
    pub(super) fn of(conn: &Connection, buffer: &ReadBuffer) -> Shown {
        Shown {
            state: conn.state(),
            is_finished: conn.is_finished(),
            wants_read: conn.wants_read(),
            wants_shutdown: conn.wants_shutdown(),
            outgoing: conn.outgoing_len(),
            buffered: conn.buffered_amount(),
            unreceived: buffer.unreceived().len(),
        }
    }
}

/// The promises about output: well-formed frames, the buffered amount, the bound on automatic replies.
#[derive(Debug)]
pub(super) struct Output {
    /// The payload size before compression of each data frame that was sent; `None` if it is not known.
    sizes: Vec<Option<u64>>,
    /// Payload bytes of the last frame of `sizes` that the caller has announced and not sent.
    unsent: u64,
    /// Whether the caller compresses the unfinished message.
    is_compressed_by_caller: bool,
    /// The number of pongs that the caller has sent by `pong`.
    pub(super) own_pongs: u64,
    /// The number of pongs in the output at the last check.
    pongs: u64,
    /// Whether `write_closed` was called, which drops the queue.
    is_dropped: bool,
    /// The pieces that are taken out and not written whole, without the bytes that are written.
    taken: VecDeque<Segment>,
    released: Walk,
}

impl Output {
    pub(super) fn new(conn: &Connection) -> Output {
        Output {
            sizes: Vec::new(),
            unsent: 0,
            is_compressed_by_caller: false,
            own_pongs: 0,
            pongs: 0,
            is_dropped: false,
            taken: VecDeque::new(),
            released: Walk::new(conn),
        }
    }

    /// Notes that the caller has sent a payload of `len` bytes. The connection cuts it into frames if it is larger than
    /// its limit. The frames of a compressed payload are counted in the queue; all its bytes count with the last one.
    pub(super) fn sent(&mut self, conn: &Connection, len: usize) -> Checked {
        if conn.config().max_outgoing_frame_bytes < usize::MAX {
            let mut sizes = self.sizes.clone();
            let (_, all) = self.walk(conn, &mut Sizes::Learned(&mut sizes))?;
            if all.is_compressed && sizes.len() > self.sizes.len() {
                self.sizes.resize(sizes.len() - 1, Some(0));
                self.sizes.push(Some(len as u64));
                return Ok(());
            }
        }
        self.sent_as_it_is(conn, len);
        Ok(())
    }

    /// Notes that the caller has sent a payload of `len` bytes that is not compressed.
    pub(super) fn sent_as_it_is(&mut self, conn: &Connection, len: usize) {
        let limit = conn.config().max_outgoing_frame_bytes;
        let mut rest = len;
        while rest > limit {
            self.sizes.push(Some(limit as u64));
            rest -= limit;
        }
        self.sizes.push(Some(rest as u64));
    }

    /// Notes that the caller has begun a data frame. The size before compression is not known if the caller compresses.
    pub(super) fn begun(&mut self, header: &FrameHeader) {
        self.is_compressed_by_caller |= header.rsv != 0;
        let is_known = !self.is_compressed_by_caller;
        self.sizes.push(is_known.then_some(header.payload_len));
        self.unsent = header.payload_len;
        self.is_compressed_by_caller &= !header.fin;
    }

    /// Notes that the caller has sent `len` bytes of the payload of the frame that it has begun.
    pub(super) fn continued(&mut self, len: usize) {
        self.unsent -= len as u64;
    }

    /// Notes the frames that the reaction may have sent: all queued ones. If the connection has ended since, its queue
    /// is dropped, and the sizes of the dropped frames are not known.
    pub(super) fn learn(&mut self, conn: &Connection) -> Checked {
        let mut sizes = core::mem::take(&mut self.sizes);
        let walked = self.walk(conn, &mut Sizes::Learned(&mut sizes));
        if conn.is_finished() || self.is_dropped {
            sizes.push(None);
        }
        self.sizes = sizes;
        let (_, all) = walked?;
        self.own_pongs += all.pongs.saturating_sub(self.pongs);
        Ok(())
    }

    /// Notes that `write_closed` was called.
    pub(super) fn dropped(&mut self) {
        self.is_dropped = true;
    }

    /// Calls `take_outgoing` once.
    pub(super) fn take(&mut self, conn: &mut Connection) {
        self.taken.extend(conn.take_outgoing());
    }

    /// The bytes that are taken out and not written.
    fn taken(&self) -> impl Iterator<Item = &[u8]> {
        self.taken.iter().map(|segment| &segment[..])
    }

    /// All unwritten bytes: the taken ones, then the outgoing ones.
    pub(super) fn queued(&self, conn: &Connection) -> Vec<u8> {
        let mut bytes = self.taken().collect::<Vec<_>>().concat();
        conn.outgoing_chunks().for_each(|chunk| bytes.extend_from_slice(chunk));
        bytes
    }

    /// Writes the first `n` unwritten bytes, or all if there are fewer, and returns them.
    pub(super) fn release(&mut self, conn: &mut Connection, n: usize) -> Result<Vec<u8>, String> {
        let mut bytes = self.queued(conn);
        bytes.truncate(n);
        let mut left = bytes.len();
        let mut written = Vec::new();
        while let Some(front) = self.taken.front_mut().filter(|_| left > 0) {
            let part = left.min(front.len());
            left -= part;
            front.advance(part);
            if front.is_empty() {
                written.extend(self.taken.pop_front());
            }
        }
        conn.advance(bytes.len());
        written.into_iter().for_each(|segment| conn.recycle_segment(segment));
        self.written(&bytes)?;
        Ok(bytes)
    }

    /// Notes that these bytes are written.
    pub(super) fn written(&mut self, bytes: &[u8]) -> Checked {
        self.released.feed(bytes, &mut Sizes::Known(&self.sizes))
    }

    /// Checks the output. To be called after every call.
    pub(super) fn check(&mut self, conn: &Connection) -> Checked {
        if (conn.is_finished() || self.is_dropped) && conn.outgoing_len() == 0 {
            // The connection no longer counts the taken pieces.
            self.taken.clear();
        }
        let taken: usize = self.taken().map(<[u8]>::len).sum();
        let shown: usize = conn.outgoing_chunks().map(<[u8]>::len).sum();
        holds(conn.outgoing_chunks().all(|chunk| !chunk.is_empty()), || "an empty chunk".into())?;
        let (len, counted) = (conn.outgoing_len(), (taken + shown) as u64);
        let may_wait = conn.unfinished_frame().is_some() && len > counted;
        holds(len == counted || may_wait, || {
            format!("outgoing_len is {len}, but {counted} bytes are queued")
        })?;
        holds(conn.outgoing() == conn.outgoing_chunks().next().unwrap_or_default(), || {
            "outgoing is not the first of the chunks".into()
        })?;
        holds(conn.wants_write() == (shown > 0), || {
            format!("wants_write is {}, but {shown} bytes are outgoing", shown == 0)
        })?;
        let mut sizes = core::mem::take(&mut self.sizes);
        let walked = self.walk(conn, &mut Sizes::Known(&sizes));
        let total = sizes.iter().copied().sum::<Option<u64>>();
        let frames = sizes.len();
        core::mem::swap(&mut self.sizes, &mut sizes);
        let (untaken, all) = walked?;
        self.pongs = all.pongs;
        if !conn.is_finished() && !self.is_dropped {
            holds(all.frames == frames, || {
                format!("{frames} data frames were sent, {} are queued or written", all.frames)
            })?;
        }
        let limit = u64::from(conn.config().max_queued_pongs) + self.own_pongs;
        // A pong whose header is written in part does not count as queued.
        let begun = u64::from(untaken.place == Place::Header && untaken.begun > 0);
        let pongs = (all.pongs - untaken.pongs).saturating_sub(begun);
        holds(pongs <= limit, || format!("{pongs} pongs are queued, the limit is {limit}"))?;
        let unwritten = (all.pongs - self.released.pongs).saturating_sub(begun);
        holds(unwritten <= 2 * limit, || {
            format!("{unwritten} pongs are queued or taken, the limit is {limit}")
        })?;
        let Some(sent) = total.and_then(|total| total.checked_sub(self.unsent)) else {
            return Ok(());
        };
        let buffered = conn.buffered_amount();
        let [least, most] = [sent - self.released.most, sent - self.released.least];
        holds((least..=most).contains(&buffered), || {
            format!(
                "the buffered amount is {buffered}, but {sent} bytes sent less those written are {least} to {most}"
            )
        })
    }

    /// Parses all frames. Returns the states at the first byte that is not taken, and at the end.
    fn walk(&self, conn: &Connection, sizes: &mut Sizes<'_>) -> Result<(Walk, Walk), String> {
        let mut untaken = self.released.clone();
        for piece in self.taken() {
            untaken.feed(piece, sizes)?;
        }
        let mut all = untaken.clone();
        for chunk in conn.outgoing_chunks() {
            all.feed(chunk, sizes)?;
        }
        Ok((untaken, all))
    }
}

/// The known payload sizes of the data frames.
enum Sizes<'s> {
    /// All data frames are known.
    Known(&'s [Option<u64>]),
    /// Unknown data frames are added.
    Learned(&'s mut Vec<Option<u64>>),
}

/// The state of a parser of outgoing bytes.
#[derive(Debug, Clone)]
struct Walk {
    role: Role,
    /// The largest payload of a data frame.
    limit: u64,
    place: Place,
    /// The first bytes of a head, which decide whether frames follow; after the head, the bytes of a frame header until
    /// it is whole.
    begin: [u8; 14],
    begun: usize,
    /// The last bytes of a head.
    last: [u8; 4],
    /// The current frame: its first byte, the rest of its payload, its size before compression.
    first: u8,
    left: u64,
    size: Option<u64>,
    /// The current message: whether more fragments follow, whether it is compressed, its size before compression so
    /// far.
    in_message: bool,
    is_compressed: bool,
    message: u64,
    /// Counts so far.
    frames: usize,
    pongs: u64,
    closes: u64,
    /// The least and the most payload that counts as written. Compressed payload counts with its last byte; in a
    /// fragmented message that may be the last byte of each frame, or of the message.
    least: u64,
    most: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    /// After the head of a response that is not a 101.
    Body,
    Header,
    Payload,
}

impl Walk {
    fn new(conn: &Connection) -> Walk {
        let is_open = conn.state() == State::Open;
        Walk {
            role: conn.role(),
            limit: conn.config().max_outgoing_frame_bytes as u64,
            place: if is_open { Place::Header } else { Place::Head },
            begin: [0; 14],
            begun: 0,
            last: [0; 4],
            first: 0,
            left: 0,
            size: None,
            in_message: false,
            is_compressed: false,
            message: 0,
            frames: 0,
            pongs: 0,
            closes: 0,
            least: 0,
            most: 0,
        }
    }

    fn feed(&mut self, mut bytes: &[u8], sizes: &mut Sizes<'_>) -> Checked {
        while let Some((byte, rest)) = bytes.split_first() {
            match self.place {
                Place::Body => return Ok(()),
                Place::Head => {
                    bytes = rest;
                    self.head(*byte);
                }
                Place::Header => {
                    bytes = rest;
                    self.begin[self.begun] = *byte;
                    self.begun += 1;
                    if let Some(head) = Head::read(&self.begin[..self.begun]) {
                        self.begun = 0;
                        self.header(&head, sizes)?;
                    }
                }
                Place::Payload => {
                    let n = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                    bytes = &bytes[n..];
                    self.left -= n as u64;
                    self.payload(n as u64);
                }
            }
        }
        Ok(())
    }

    fn head(&mut self, byte: u8) {
        if let Some(place) = self.begin.get_mut(self.begun) {
            *place = byte;
            self.begun += 1;
        }
        self.last = [self.last[1], self.last[2], self.last[3], byte];
        if self.last == *b"\r\n\r\n" {
            let opens = self.role == Role::Client || self.begin.starts_with(b"HTTP/1.1 101 ");
            self.place = if opens { Place::Header } else { Place::Body };
            self.begun = 0;
        }
    }

    fn header(&mut self, head: &Head, sizes: &mut Sizes<'_>) -> Checked {
        let first = head.first;
        holds(head.fault(self.role).is_none(), || {
            format!(
                "the output has {} (first byte {first:#04x})",
                head.fault(self.role).unwrap_or_default()
            )
        })?;
        (self.first, self.left, self.place) = (first, head.len, Place::Payload);
        match first & 0x0f {
            8 => {
                self.closes += 1;
                holds(self.closes == 1, || "a second Close is queued".into())?;
            }
            9 => {}
            10 => self.pongs += 1,
            opcode => {
                holds(self.closes == 0, || "a data frame is queued after the Close".into())?;
                holds(head.len <= self.limit, || {
                    format!("a frame has {} bytes, the limit is {}", head.len, self.limit)
                })?;
                holds((opcode == 0) == self.in_message, || "fragments are out of order".into())?;
                self.is_compressed =
                    if opcode == 0 { self.is_compressed } else { first & 0x40 != 0 };
                self.in_message = first & 0x80 == 0;
                let seen = (!self.is_compressed).then_some(head.len);
                self.size = match sizes {
                    Sizes::Known(sizes) => match sizes.get(self.frames) {
                        Some(size) => *size,
                        None => {
                            return Err(
                                "a data frame is queued that the caller has not sent".into()
                            );
                        }
                    },
                    Sizes::Learned(sizes) => {
                        if sizes.len() == self.frames {
                            sizes.push(seen);
                        }
                        sizes[self.frames]
                    }
                };
                self.frames += 1;
                holds(self.is_compressed || self.size.is_none() || self.size == seen, || {
                    format!("a frame of {:?} bytes was sent, {} are queued", self.size, head.len)
                })?;
            }
        }
        if self.left == 0 {
            self.payload(0);
        }
        Ok(())
    }

    /// Advances by `n` bytes of payload; `left` is already less by `n`.
    fn payload(&mut self, n: u64) {
        let is_data = self.first & 8 == 0;
        if is_data && !self.is_compressed {
            self.least += n;
            self.most += n;
        }
        if self.left > 0 {
            return;
        }
        self.place = Place::Header;
        if is_data && self.is_compressed {
            let size = self.size.unwrap_or(0);
            self.message += size;
            self.most += size;
            if self.first & 0x80 != 0 {
                self.least += core::mem::take(&mut self.message);
            }
        }
    }
}
