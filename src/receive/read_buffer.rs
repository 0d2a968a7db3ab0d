//! A read buffer for callers that have one buffer for each connection. It stores which of its bytes are received, so
//! that no byte is received twice.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::Front;

/// Bytes read from the peer, on their way into [`receive_from`](crate::Connection::receive_from).
///
/// Read into [`spare`](ReadBuffer::spare). Call [`filled`](ReadBuffer::filled) with the number of bytes that were read.
/// Then call `receive_from` until it returns `None`. Each connection needs a buffer of its own, since the buffer stores
/// the front of a message until the rest arrives; [`shared`](ReadBuffer::shared) makes one that does not. 16 KiB is a
/// good size for a buffer of one connection. Bytes that other code has read
/// come in by [`fill_from`](ReadBuffer::fill_from), or as a `Vec`. A message that does not fit into the buffer is
/// assembled on the heap.
///
/// ```
/// # use websocket_proto::{Config, Connection, Event, ReadBuffer, Role, State};
/// # use std::io::Read;
/// # fn read(stream: &mut impl Read) -> std::io::Result<()> {
/// # let mut conn = Connection::from_upgrade(Role::Server, Config::default())?;
/// let mut buffer = ReadBuffer::with_capacity(16 * 1024);
/// # loop {
/// let n = stream.read(buffer.spare())?;
/// # if n == 0 { break }
/// buffer.filled(n);
/// while let Some(event) = conn.receive_from(&mut buffer) {
///     match event {
///         // Messages still arrive after our Close, when `send` would return an error.
///         Event::Message(message) if conn.state() == State::Open => conn.send(message)?,
///         _ => {}
///     }
/// }
/// # }
/// # assert_eq!(conn.outgoing(), b"\x81\x05Hello");
/// # Ok(()) }
/// # read(&mut &b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..])?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ReadBuffer {
    bytes: Box<[u8]>,
    /// `start..end` is filled and not taken. Both are 0 if this range is empty.
    start: usize,
    end: usize,
    /// The received front of a message that has not arrived whole. It is at the beginning of `start..end`.
    front: Option<Front>,
    /// A message of at most this many bytes waits in the buffer until it has arrived whole: the capacity, or 0.
    longest_front: usize,
}

impl ReadBuffer {
    /// Allocates a buffer of `capacity` bytes, at least 1. It never grows.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> ReadBuffer {
        ReadBuffer::from_bytes(vec![0; capacity.max(1)], 0)
    }

    /// Allocates a buffer of `capacity` bytes, at least 1, that any number of connections can use in turn. It stores no
    /// front of a message: what has arrived of it waits in the connection. So the buffer
    /// [is empty](ReadBuffer::is_empty) after each `receive_from` that returned `None`, and memory follows what has
    /// arrived. A message is borrowed from it only if one read had the whole of it, so make it large: 128 KiB holds a
    /// message of 64 KiB with its header.
    ///
    /// ```
    /// use websocket_proto::{Config, Connection, Event, ReadBuffer, Role};
    ///
    /// let mut conns = [
    ///     Connection::from_upgrade(Role::Client, Config::default())?,
    ///     Connection::from_upgrade(Role::Client, Config::default())?,
    /// ];
    /// let mut buffer = ReadBuffer::shared(128 * 1024);
    /// for part in [&b"\x81\x05Hel"[..], b"lo"] {
    ///     for conn in &mut conns {
    ///         let _ = buffer.fill_from(part);
    ///         while let Some(event) = conn.receive_from(&mut buffer) {
    ///             assert!(matches!(event, Event::Message(message) if message.as_text() == Some("Hello")));
    ///         }
    ///         assert!(buffer.is_empty());
    ///     }
    /// }
    /// # Ok::<(), websocket_proto::UsageError>(())
    /// ```
    #[must_use]
    pub fn shared(capacity: usize) -> ReadBuffer {
        ReadBuffer { longest_front: 0, ..ReadBuffer::with_capacity(capacity) }
    }

    /// A buffer that consists of `bytes`. The first `end` of them are filled.
    fn from_bytes(bytes: Vec<u8>, end: usize) -> ReadBuffer {
        let bytes = bytes.into_boxed_slice();
        ReadBuffer { longest_front: bytes.len(), bytes, start: 0, end, front: None }
    }

    /// Returns the part to read into. It is not empty after a `receive_from` that returned `None`. Before that, it is
    /// empty if the buffer is full of bytes that are not received.
    pub fn spare(&mut self) -> &mut [u8] {
        // The filled bytes are moved to the front of the buffer if at most a quarter of it is spare, and if they are
        // not more than the bytes that were received since the last move. They are always moved when nothing is spare.
        let little = self.bytes.len() - self.end <= self.bytes.len() / 4;
        let waiting = self.end - self.start;
        if self.start > 0 && (self.end == self.bytes.len() || (little && waiting <= self.start)) {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.bytes[self.end..]
    }

    /// Tells that the first `n` bytes of [`spare`](ReadBuffer::spare) are filled.
    ///
    /// # Panics
    ///
    /// If `spare` has fewer than `n` bytes.
    pub fn filled(&mut self, n: usize) {
        assert!(
            n <= self.bytes.len() - self.end,
            "filled({n}), but {} are spare",
            self.bytes.len() - self.end
        );
        self.end += n;
    }

    /// Copies the first bytes of `bytes`, as many as fit, and returns their number. Use it for bytes that another stack
    /// has read. It does the same as a read into [`spare`](ReadBuffer::spare). Pass the other bytes to the next call,
    /// after `receive_from` has returned `None`.
    ///
    /// ```
    /// # use websocket_proto::{Config, Connection, Event, ReadBuffer, Role};
    /// # let mut conn = Connection::from_upgrade(Role::Server, Config::default())?;
    /// # let mut buffer = ReadBuffer::with_capacity(4);
    /// # let mut messages = 0;
    /// let mut bytes = &b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..]; // from a TLS stack
    /// while !bytes.is_empty() {
    ///     let n = buffer.fill_from(bytes);
    ///     bytes = &bytes[n..];
    ///     while let Some(event) = conn.receive_from(&mut buffer) {
    ///         # messages += 1;
    ///         assert!(matches!(event, Event::Message(message) if message.as_text() == Some("Hello")));
    ///     }
    /// }
    /// # assert_eq!(messages, 1);
    /// # Ok::<(), websocket_proto::UsageError>(())
    /// ```
    #[must_use = "the bytes that did not fit are not in the buffer"]
    pub fn fill_from(&mut self, bytes: &[u8]) -> usize {
        let spare = self.spare();
        let n = spare.len().min(bytes.len());
        spare[..n].copy_from_slice(&bytes[..n]);
        self.filled(n);
        n
    }

    /// Returns whether all bytes were received and no front of a message is stored. Another
    /// connection can then use it. The connection itself may still hold the beginning of a message: of one that is
    /// fragmented or compressed, that does not fit into the buffer, or whose header is cut.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end && self.front.is_none()
    }

    /// Returns the bytes that are filled and not received.
    pub fn unreceived(&self) -> &[u8] {
        &self.bytes[self.start + self.front.as_ref().map_or(0, Front::len)..self.end]
    }

    /// Drops all bytes. Call it before another connection uses the buffer.
    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
        self.front = None;
    }

    /// Calls the closure `receive` with the filled bytes, and removes the bytes that it takes from their beginning.
    /// `receive` also gets the stored front of a message, and the size of the longest message that may wait here.
    #[inline]
    pub(crate) fn take_front<'a, R>(
        &'a mut self,
        receive: impl FnOnce(&mut &'a mut [u8], &mut Option<Front>, usize) -> R,
    ) -> R {
        self.take_front_of(self.end - self.start, receive)
    }

    /// Lets `receive` take bytes off the front, but at most the first `n`.
    #[inline]
    pub(crate) fn take_front_of<'a, R>(
        &'a mut self,
        n: usize,
        receive: impl FnOnce(&mut &'a mut [u8], &mut Option<Front>, usize) -> R,
    ) -> R {
        let end = self.start + n;
        let mut input = &mut self.bytes[self.start..end];
        let result = receive(&mut input, &mut self.front, self.longest_front);
        self.start = end - input.len();
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
        result
    }

    /// Drops the stored front of a message.
    pub(crate) fn drop_front(&mut self) {
        if let Some(front) = self.front.take() {
            self.take_front_of(front.len(), |input, _, _| *input = &mut []);
        }
    }

    /// All filled bytes, and the front of a message at their beginning.
    pub(crate) fn filled_bytes(&self) -> (&[u8], Option<&Front>) {
        (&self.bytes[self.start..self.end], self.front.as_ref())
    }
}

/// Uses the vector's memory. Its content is bytes that are read and not received, such as those that another stack has
/// read behind an HTTP request. Its capacity is the capacity of the buffer, at least 1.
impl From<Vec<u8>> for ReadBuffer {
    fn from(mut bytes: Vec<u8>) -> ReadBuffer {
        let end = bytes.len();
        // The vector is filled up to its capacity, so it does not grow, unless it has none.
        bytes.resize(bytes.capacity().max(1), 0);
        ReadBuffer::from_bytes(bytes, end)
    }
}

impl fmt::Debug for ReadBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadBuffer({} of {} bytes filled)", self.unreceived().len(), self.bytes.len())
    }
}
