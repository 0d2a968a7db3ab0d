//! Messages that are sent compressed (RFC 7692 6.1, 7.2.1). Whether a message is compressed is decided before the
//! compressor sees a byte of it: the peer's window follows everything that goes through the compressor, so all of that must
//! be sent.

use super::prepared::{PreparedMessage, first_byte};
use super::{Compressor, Sender};
use crate::config::Config;
use crate::error::UsageError;
use crate::frame::FirstByte;
use crate::message::Message;

impl Sender {
    pub(crate) fn send_compressed(
        &mut self,
        message: Message<'_>,
        config: &Config,
        compressor: &mut Compressor,
    ) -> Result<(), UsageError> {
        self.check_message(most_compressed(message.len()), config)?;
        let key = self.next_key(config)?;
        self.push_compressed(first_byte(message.kind()), message.as_bytes(), key, compressor);
        self.note_longer(config);
        Ok(())
    }

    /// Queues a frame with `payload` compressed. RSV1 is set on the first frame of a message, and the tail `00 00 ff ff` is
    /// left out at the end of the last (RFC 7692 6.1, 7.2.1).
    pub(super) fn push_compressed(
        &mut self,
        first: FirstByte,
        payload: &[u8],
        key: Option<[u8; 4]>,
        compressor: &mut Compressor,
    ) {
        let first = if first.begins_message() { first.with_rsv1() } else { first };
        let message = compressor.compress(payload, first.is_final());
        self.queue.push_compressor_buffer(first, compressor.buffer(), key, message);
        compressor.free_large_buffer();
    }

    /// Queues a prepared message compressed. It was compressed with an empty window, and the peer's window is then the
    /// message: so our compressor begins anew.
    pub(crate) fn send_prepared_compressed(
        &mut self,
        message: &PreparedMessage,
        config: &Config,
        compressor: &mut Compressor,
    ) -> Result<(), UsageError> {
        let size = message.payload().len();
        self.check_message(most_compressed(size), config)?;
        let key = self.next_key(config)?;
        let frame = message.compressed(compressor.window_bits());
        compressor.forget_window();
        match key {
            None => self.queue.push_shared_compressed(frame.bytes(), size as u64),
            Some(_) => {
                let first = first_byte(message.kind()).with_rsv1();
                self.queue.push_compressed(first, frame.payload(), key, Some(size as u64));
            }
        }
        self.note_longer(config);
        Ok(())
    }
}

/// The most bytes that `len` bytes come to compressed. A literal of a block with fixed codes has at most 9 bits
/// (RFC 1951 3.2.6); a stored block has 5 bytes beside its own, and so has a flush.
pub(crate) fn most_compressed(len: usize) -> usize {
    len.saturating_add(len / 8).saturating_add(64)
}
