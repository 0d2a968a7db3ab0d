//! A read buffer for those who keep one per connection: it knows which bytes were received and not yet taken, so that
//! none is fed twice.

use alloc::boxed::Box;
use alloc::vec;
use core::fmt;

/// Bytes read from the peer, on their way into [`receive_from`](crate::Connection::receive_from).
///
/// Read into [`spare`](ReadBuffer::spare), tell how much with [`filled`](ReadBuffer::filled), then call
/// `receive_from` until it returns `None`. Each connection needs one of its own: the front of a message that was cut
/// stays in it. 16 KiB is a good size; a message that does not fit is put together on the heap.
///
/// ```
/// # use websocket_proto::{Config, Connection, Event, ReadBuffer, Role};
/// # use std::io::Read;
/// # fn read(stream: &mut impl Read) -> std::io::Result<()> {
/// # let mut conn = Connection::from_upgrade(Role::Server, Config::default())?;
/// let mut buffer = ReadBuffer::with_capacity(16 * 1024);
/// # loop {
/// let n = stream.read(buffer.spare())?;
/// # if n == 0 { break }
/// buffer.filled(n);
/// while let Some(event) = conn.receive_from(&mut buffer) {
///     if let Event::Message(message) = event {
///         conn.send(message)?;
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
    /// `start..end` is filled and not taken; both are 0 if that is empty.
    start: usize,
    end: usize,
    held: Held,
}

/// The front of a payload that is cut, at the beginning of what was not taken: received, and waiting for the rest.
#[derive(Clone, Copy, Default)]
pub(crate) struct Held {
    /// This many bytes, unmasked.
    pub(crate) len: usize,
    /// This many of them are known to be UTF-8, if it is text.
    pub(crate) checked: usize,
    /// The size of the buffer.
    pub(crate) capacity: usize,
}

impl Held {
    /// Nothing is held any more.
    pub(crate) fn clear(&mut self) {
        (self.len, self.checked) = (0, 0);
    }
}

impl ReadBuffer {
    /// A buffer of `capacity` bytes, at least 1. It is allocated here, and never grows.
    pub fn with_capacity(capacity: usize) -> ReadBuffer {
        let bytes = vec![0; capacity.max(1)].into_boxed_slice();
        let held = Held { capacity: bytes.len(), ..Held::default() };
        ReadBuffer { bytes, start: 0, end: 0, held }
    }

    /// The part to read into. It is never empty after a `receive_from` that returned `None`; otherwise it is empty
    /// only if the buffer is full of bytes that were not received.
    pub fn spare(&mut self) -> &mut [u8] {
        // Moved when little room is left, and not often: no more is moved than was taken since the last time.
        let little = self.bytes.len() - self.end <= self.bytes.len() / 4;
        let waiting = self.end - self.start;
        if self.start > 0 && (self.end == self.bytes.len() || (little && waiting <= self.start)) {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.bytes[self.end..]
    }

    /// The first `n` bytes of [`spare`](ReadBuffer::spare) are filled.
    ///
    /// # Panics
    ///
    /// If `spare` is shorter than that.
    pub fn filled(&mut self, n: usize) {
        assert!(
            n <= self.bytes.len() - self.end,
            "filled({n}), but {} are spare",
            self.bytes.len() - self.end
        );
        self.end += n;
    }

    /// The bytes that were filled and not received.
    pub fn unreceived(&self) -> &[u8] {
        &self.bytes[self.start + self.held.len..self.end]
    }

    /// Forgets all that is in it: for the next connection, when the last one has ended.
    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
        self.held.clear();
    }

    /// Lets `receive` take bytes off the front, where those come first that are held.
    #[inline]
    pub(crate) fn take_front<'a, R>(
        &'a mut self,
        receive: impl FnOnce(&mut &'a mut [u8], &mut Held) -> R,
    ) -> R {
        let mut input = &mut self.bytes[self.start..self.end];
        let result = receive(&mut input, &mut self.held);
        self.start = self.end - input.len();
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
        result
    }
}

impl fmt::Debug for ReadBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadBuffer({} of {} bytes filled)", self.unreceived().len(), self.bytes.len())
    }
}
