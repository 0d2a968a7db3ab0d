//! The window of one direction, kept outside of the codec: the last bytes that were sent or received. With it an idle
//! connection needs no codec, and a new codec can continue a stream.

use alloc::vec::Vec;

/// The last bytes of a direction, at most a window, in a ring buffer.
pub(crate) struct History {
    bytes: Vec<u8>,
    /// Index of the next byte to be overwritten, once `bytes` is full.
    next: usize,
    capacity: usize,
}

impl History {
    pub(crate) fn new(window_bits: u8) -> History {
        History { bytes: Vec::new(), next: 0, capacity: 1 << window_bits }
    }

    pub(crate) fn append(&mut self, data: &[u8]) {
        let data = &data[data.len().saturating_sub(self.capacity)..];
        let (grow, wrap) = data.split_at(data.len().min(self.capacity - self.bytes.len()));
        if !grow.is_empty() {
            let needed = self.bytes.len() + grow.len();
            if needed > self.bytes.capacity() {
                let target = (needed * 2).min(self.capacity);
                self.bytes.reserve_exact(target - self.bytes.len());
            }
            self.bytes.extend_from_slice(grow);
        }
        let (end, start) = wrap.split_at(wrap.len().min(self.capacity - self.next));
        self.bytes[self.next..self.next + end.len()].copy_from_slice(end);
        self.next += end.len();
        if self.next == self.capacity {
            self.next = 0;
        }
        self.bytes[..start.len()].copy_from_slice(start);
        if !start.is_empty() {
            self.next = start.len();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes in two parts, the older ones first.
    pub(crate) fn parts(&self) -> [&[u8]; 2] {
        let (newer, older) = self.bytes.split_at(self.next);
        [older, newer]
    }

    /// Removes all bytes, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.next = 0;
    }

    pub(crate) fn owns_memory(&self) -> bool {
        self.bytes.capacity() > 0
    }

    /// Removes all bytes, and frees the memory.
    pub(crate) fn free_memory(&mut self) {
        self.bytes = Vec::new();
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_bytes_in_order() {
        let stream: Vec<u8> = (0..5000u32).map(|i| (i * 7 + i / 256) as u8).collect();
        for step in [1, 3, 100, 255, 256, 257, 511, 512, 513, 2000, 5000] {
            let mut history = History::new(9);
            let mut sent = 0;
            for piece in stream.chunks(step) {
                history.append(piece);
                sent += piece.len();
                let kept = history.parts().concat();
                assert_eq!(kept, &stream[sent.saturating_sub(512)..sent], "{step} {sent}");
                assert!(history.bytes.capacity() <= 512);
            }
        }
    }
}
