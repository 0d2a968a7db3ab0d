//! A read buffer for those who keep one per connection: it knows which bytes were received and not yet taken, so that
//! none is fed twice.

use alloc::boxed::Box;
use alloc::vec;
use core::fmt;

/// Bytes read from the peer, on their way into [`receive_from`](crate::Connection::receive_from).
///
/// Read into [`spare`](ReadBuffer::spare), tell how much with [`filled`](ReadBuffer::filled), then call
/// `receive_from` until it returns `None`.
pub struct ReadBuffer {
    bytes: Box<[u8]>,
    /// `start..end` is filled and not taken; both are 0 if that is empty.
    start: usize,
    end: usize,
}

impl ReadBuffer {
    /// A buffer of `capacity` bytes, at least 1. It is allocated here, and never grows.
    pub fn with_capacity(capacity: usize) -> ReadBuffer {
        ReadBuffer { bytes: vec![0; capacity.max(1)].into_boxed_slice(), start: 0, end: 0 }
    }

    /// The part to read into. It is empty only if the buffer is full of bytes that were not received.
    pub fn spare(&mut self) -> &mut [u8] {
        if self.end == self.bytes.len() && self.start > 0 {
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

    /// The bytes that were filled and not received: what is left for another protocol, say.
    pub fn unreceived(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Lets `receive` take bytes off the front of those that were not received.
    pub(crate) fn take_front<'a, R>(
        &'a mut self,
        receive: impl FnOnce(&mut &'a mut [u8]) -> R,
    ) -> R {
        let mut input = &mut self.bytes[self.start..self.end];
        let result = receive(&mut input);
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
