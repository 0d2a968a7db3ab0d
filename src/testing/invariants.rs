//! What a connection promises to every caller, checked from outside: of its life, and of the bytes that it wants to
//! have written. A promise that is broken is a mistake of this library, and is told in a sentence.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::frame::Head;
use crate::connection::Connection;
use crate::event::{CloseCause, Event};
use crate::send::Segment;
use crate::state::{Role, State};

/// A sentence that says what was broken.
pub(super) type Checked = Result<(), String>;

/// `Ok` if it holds.
pub(super) fn holds(is_so: bool, what: impl FnOnce() -> String) -> Checked {
    if is_so { Ok(()) } else { Err(what()) }
}

/// The promises about states and events.
#[derive(Debug)]
pub(super) struct Life {
    state: State,
    is_finished: bool,
    is_closed: bool,
}

impl Life {
    pub(super) fn new(conn: &Connection) -> Life {
        Life { state: conn.state(), is_finished: false, is_closed: false }
    }

    /// Whether the terminal event was seen.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// For every event.
    pub(super) fn note(&mut self, event: &Event<'_>) -> Checked {
        holds(!self.is_closed, || format!("{event:?} came after the terminal event"))?;
        match event {
            Event::Closed(closed) => {
                self.is_closed = true;
                let by_close = matches!(closed.cause, CloseCause::Peer | CloseCause::Local);
                holds(closed.clean == by_close, || format!("{closed:?} is not what clean means"))
            }
            Event::Ping(payload) | Event::Pong(payload) => {
                holds(payload.len() <= 125, || format!("{event:?} is over 125 bytes"))
            }
            Event::Chunk(chunk) => holds(chunk.is_last() || !chunk.as_bytes().is_empty(), || {
                format!("{chunk:?} says nothing")
            }),
            _ => Ok(()),
        }
    }

    /// After every call.
    pub(super) fn check(&mut self, conn: &Connection) -> Checked {
        let (state, is_finished) = (conn.state(), conn.is_finished());
        holds(state >= self.state, || {
            format!("the state went from {} back to {state}", self.state)
        })?;
        self.state = state;
        holds(is_finished || !self.is_finished, || "is_finished did not stay".into())?;
        self.is_finished = is_finished;
        let is_closed = state == State::Closed;
        holds(is_closed || !self.is_closed, || format!("it is {state} after the terminal event"))?;
        holds(is_closed || !is_finished, || format!("it is finished, but {state}"))?;
        holds(is_closed || !conn.wants_shutdown(), || {
            format!("it wants a shutdown, but is {state}")
        })?;
        holds(!(is_finished && conn.wants_write()), || {
            "it is finished, but wants to write".into()
        })?;
        holds(!(is_finished && conn.wants_read()), || "it is finished, but wants to read".into())?;
        holds(state == State::Open || !conn.is_writable(), || {
            format!("it is writable, but {state}")
        })
    }
}

/// The promises about output: well-formed frames, the buffered amount, the bound on automatic replies.
#[derive(Debug)]
pub(super) struct Output {
    /// The payload sizes of all data frames that were sent, before compression; `None` where it is not known.
    sizes: Vec<Option<u64>>,
    /// Pongs that the caller sent of its own.
    pub(super) own_pongs: u64,
    /// All pongs in the output when it was last looked at.
    pongs: u64,
    /// Nothing is written any more: what was queued is dropped.
    is_dropped: bool,
    /// Taken out and not released.
    taken: VecDeque<Segment>,
    /// This many bytes of the first of these are released.
    taken_start: usize,
    released: Walk,
}

impl Output {
    pub(super) fn new(conn: &Connection) -> Output {
        Output {
            sizes: Vec::new(),
            own_pongs: 0,
            pongs: 0,
            is_dropped: false,
            taken: VecDeque::new(),
            taken_start: 0,
            released: Walk::new(conn),
        }
    }

    /// The caller has sent a data frame with this much payload.
    pub(super) fn sent(&mut self, len: usize) {
        self.sizes.push(Some(len as u64));
    }

    /// Someone else may have sent: the frames that are there are taken for what they are. What of a connection that
    /// was ended meanwhile is not there any more, nobody knows.
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

    /// The write side of the transport is over.
    pub(super) fn dropped(&mut self) {
        self.is_dropped = true;
    }

    /// Takes one piece out.
    pub(super) fn take(&mut self, conn: &mut Connection) {
        self.taken.extend(conn.take_outgoing());
    }

    /// What was taken and not released.
    fn taken(&self) -> impl Iterator<Item = &[u8]> {
        let starts = core::iter::once(self.taken_start).chain(core::iter::repeat(0));
        self.taken.iter().zip(starts).map(|(segment, start)| &segment[start..])
    }

    /// All bytes that are outgoing, those that were taken first.
    pub(super) fn queued(&self, conn: &Connection) -> Vec<u8> {
        let mut bytes = self.taken().collect::<Vec<_>>().concat();
        conn.outgoing_chunks().for_each(|chunk| bytes.extend_from_slice(chunk));
        bytes
    }

    /// Releases the first `n` bytes, or all if there are fewer, and returns them.
    pub(super) fn release(&mut self, conn: &mut Connection, n: usize) -> Result<Vec<u8>, String> {
        let mut bytes = self.queued(conn);
        bytes.truncate(n);
        let mut left = bytes.len();
        while let Some(front) = self.taken.front().filter(|_| left > 0) {
            let part = left.min(front.len() - self.taken_start);
            left -= part;
            self.taken_start += part;
            if self.taken_start == front.len() {
                self.taken.pop_front();
                self.taken_start = 0;
            }
        }
        conn.advance(bytes.len());
        self.written(&bytes)?;
        Ok(bytes)
    }

    /// These bytes are written.
    pub(super) fn written(&mut self, bytes: &[u8]) -> Checked {
        self.released.feed(bytes, &mut Sizes::Known(&self.sizes))
    }

    /// After every call.
    pub(super) fn check(&mut self, conn: &Connection) -> Checked {
        if (conn.is_finished() || self.is_dropped) && conn.outgoing_len() == 0 {
            // What was taken is not asked for any more.
            self.taken.clear();
            self.taken_start = 0;
        }
        let taken: usize = self.taken().map(<[u8]>::len).sum();
        let shown: usize = conn.outgoing_chunks().map(<[u8]>::len).sum();
        holds(conn.outgoing_chunks().all(|chunk| !chunk.is_empty()), || "an empty chunk".into())?;
        let (len, counted) = (conn.outgoing_len(), (taken + shown) as u64);
        holds(len == counted, || format!("outgoing_len is {len}, but {counted} bytes are queued"))?;
        holds(conn.outgoing() == conn.outgoing_chunks().next().unwrap_or_default(), || {
            "outgoing is not the first of the chunks".into()
        })?;
        holds(conn.wants_write() == (shown > 0), || format!("{shown} bytes are to be written"))?;
        let mut sizes = core::mem::take(&mut self.sizes);
        let walked = self.walk(conn, &mut Sizes::Known(&sizes));
        let total = sizes.iter().copied().sum::<Option<u64>>();
        let frames = sizes.len();
        core::mem::swap(&mut self.sizes, &mut sizes);
        let (untaken, all) = walked?;
        self.pongs = all.pongs;
        if !conn.is_finished() && !self.is_dropped {
            holds(all.frames == frames, || {
                format!("{frames} data frames were sent, {} are queued or released", all.frames)
            })?;
        }
        let limit = u64::from(conn.config().max_queued_pongs.max(1)) + self.own_pongs;
        // One whose header was cut by a write does not wait any more.
        let begun = u64::from(untaken.place == Place::Header && untaken.begun > 0);
        let pongs = (all.pongs - untaken.pongs).saturating_sub(begun);
        holds(pongs <= limit, || format!("{pongs} pongs are queued, the limit is {limit}"))?;
        let unwritten = (all.pongs - self.released.pongs).saturating_sub(begun);
        holds(unwritten <= 2 * limit, || {
            format!("{unwritten} pongs are queued or taken, the limit is {limit}")
        })?;
        let Some(sent) = total else { return Ok(()) };
        let buffered = conn.buffered_amount();
        let [least, most] = [sent - self.released.most, sent - self.released.least];
        holds((least..=most).contains(&buffered), || {
            format!(
                "the buffered amount is {buffered}, but {sent} sent less those released is {least} to {most}"
            )
        })
    }

    /// Follows all frames, and returns where the bytes that are not taken begin and end.
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

/// What the data frames are known to hold.
enum Sizes<'s> {
    /// There is no other frame than these.
    Known(&'s [Option<u64>]),
    /// Others are noted.
    Learned(&'s mut Vec<Option<u64>>),
}

/// Where a stream of outgoing bytes stands.
#[derive(Debug, Clone)]
struct Walk {
    role: Role,
    place: Place,
    /// The beginning of a head, as far as it decides whether frames follow; then the header of a frame, until it is
    /// whole.
    begin: [u8; 14],
    begun: usize,
    /// The last bytes of a head.
    last: [u8; 4],
    /// The frame: its first byte, the rest of its payload, what it held before compression.
    first: u8,
    left: u64,
    size: Option<u64>,
    /// The message is fragmented, and goes on; it is compressed, and this much of it, before that, is behind.
    in_message: bool,
    is_compressed: bool,
    message: u64,
    /// Counted so far.
    frames: usize,
    pongs: u64,
    closes: u64,
    /// Payload that was released, at the least and at the most: what is compressed is released with its last byte,
    /// which of a fragmented message may be the last of each frame, or of all.
    least: u64,
    most: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    /// Behind the head of a response that refuses.
    Body,
    Header,
    Payload,
}

impl Walk {
    fn new(conn: &Connection) -> Walk {
        let is_open = conn.state() == State::Open;
        Walk {
            role: conn.role(),
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
                holds((opcode == 0) == self.in_message, || "fragments are out of order".into())?;
                self.is_compressed =
                    if opcode == 0 { self.is_compressed } else { first & 0x40 != 0 };
                self.in_message = first & 0x80 == 0;
                let seen = (!self.is_compressed).then_some(head.len);
                self.size = match sizes {
                    Sizes::Known(sizes) => match sizes.get(self.frames) {
                        Some(size) => *size,
                        None => return Err("a data frame is queued that nobody has sent".into()),
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

    /// This much of the payload has passed; `left` is the rest.
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
