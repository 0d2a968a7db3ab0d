//! Sends compressed messages (RFC 7692 6.1, 7.2.1). All checks come before the compressor is called. A compressed byte
//! is in the compressor's window, so it must be sent: otherwise the peer's window would differ.

use super::prepared::{PreparedMessage, first_byte};
use super::{Compressor, Sender};
use crate::config::Config;
use crate::error::UsageError;
use crate::frame::FirstByte;
use crate::message::Message;
use crate::state::Role;

impl Sender {
    pub(crate) fn send_compressed(
        &mut self,
        message: Message<'_>,
        config: &Config,
        compressor: &mut Compressor,
    ) -> Result<(), UsageError> {
        let frames = self.check_message(most_compressed(message.len()), config)?;
        let (first, payload) = (first_byte(message.kind()).with_rsv1(), message.as_bytes());
        if frames > 1 {
            return self.send_cut_compressed(first, payload, frames, config, compressor);
        }
        let key = self.next_key(config)?;
        self.push_compressed(first, payload, key, compressor);
        self.raise_congestion(config);
        Ok(())
    }

    /// Compresses `payload`, and queues it as a frame. The tail `00 00 ff ff` is left out at the end of the last frame
    /// (RFC 7692 7.2.1).
    pub(super) fn push_compressed(
        &mut self,
        first: FirstByte,
        payload: &[u8],
        key: Option<[u8; 4]>,
        compressor: &mut Compressor,
    ) {
        let message = compressor.compress(payload, first.is_final());
        self.queue.push_compressor_buffer(first, compressor.buffer(), key, message);
        compressor.free_large_buffer();
    }

    /// Queues the compressed frame of a prepared message. This frame did not go through the connection's compressor,
    /// whose window now differs from the peer's. So the compressor starts again with an empty window.
    pub(crate) fn send_prepared_compressed(
        &mut self,
        message: &PreparedMessage,
        config: &Config,
        compressor: &mut Compressor,
    ) -> Result<(), UsageError> {
        let size = message.payload().len();
        let frames = self.check_message(most_compressed(size), config)?;
        let keys = self.next_keys(frames, config)?;
        let frame = message.compressed(compressor.window_bits());
        compressor.forget_window();
        let (first, message) = (first_byte(message.kind()).with_rsv1(), size as u64);
        match self.role {
            Role::Server if frame.payload().len() <= config.max_outgoing_frame_bytes => {
                self.queue.push_shared_compressed(frame.bytes(), message);
            }
            _ => {
                self.push_compressed_frames(first, frame.payload(), Some(message), keys, config);
            }
        }
        self.raise_congestion(config);
        Ok(())
    }
}

/// The largest size of `len` bytes after compression. In a block with fixed codes, a literal has at most 9 bits (RFC
/// 1951 3.2.6). A stored block adds 5 bytes, and so does a flush.
pub(crate) fn most_compressed(len: usize) -> usize {
    len.saturating_add(len / 8).saturating_add(64)
}
