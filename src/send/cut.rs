//! Cuts messages into frames (RFC 6455 5.4) that are not larger than `Config::max_outgoing_frame_bytes`. The queue puts
//! pings and pongs between them. The callers check before that there is room for all frames.

use alloc::borrow::Cow;
use alloc::vec::{self, Vec};
use core::iter::Chain;
use core::option;

use super::Sender;
use crate::config::Config;
#[cfg(feature = "deflate")]
use crate::deflate::Compressor;
use crate::entropy::EntropyError;
use crate::error::UsageError;
use crate::frame::{self, FirstByte};

/// The keys of a client's frames. A single key is on the stack. A server has no keys.
pub(super) type Keys = Chain<option::IntoIter<[u8; 4]>, vec::IntoIter<[u8; 4]>>;

impl Sender {
    /// Queues a message or fragment as this many frames.
    #[cold]
    pub(super) fn send_cut(
        &mut self,
        first: FirstByte,
        payload: &[u8],
        frames: usize,
        config: &Config,
    ) -> Result<(), UsageError> {
        let mut keys = self.next_keys(frames, config)?;
        for (first, piece) in cut(first, payload, config) {
            self.push_piece(first, piece, keys.next());
        }
        self.raise_congestion(config);
        Ok(())
    }

    /// Passes the frames of a message to `write` one by one. If one of them is not written whole, its rest and the
    /// frames behind it are queued. The queue must be empty before.
    #[cold]
    pub(super) fn send_long_through<E: From<UsageError>>(
        &mut self,
        first: FirstByte,
        payload: Cow<'_, [u8]>,
        config: &Config,
        mut write: impl FnMut(&[u8], &[u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let frames = self.check_message(payload.len(), config)?;
        let mut keys = self.next_keys(frames, config).map_err(UsageError::from)?;
        let mut result = Ok(());
        for (first, piece) in cut(first, &payload, config) {
            let key = keys.next();
            // After an error of `write`, the rest of its frame is in the queue.
            match (self.queue.len(), key) {
                (0, None) => {
                    result = self.queue.push_through(first, Cow::Borrowed(piece), &mut write);
                    self.count_through(first, piece, key);
                }
                (0, Some(mask)) => {
                    result = self.queue.push_through_masked(first, piece, mask, &mut write);
                    self.count_through(first, piece, key);
                }
                (_, key) => self.push_piece(first, piece, key),
            }
        }
        result
    }

    /// Queues one frame. It is a function of its own, since `push` is inlined and `send_long_through` is generic.
    #[inline(never)]
    fn push_piece(&mut self, first: FirstByte, piece: &[u8], key: Option<[u8; 4]>) {
        self.queue.push(first, piece, key);
    }

    /// Counts the frame that was passed to the transport.
    #[inline(never)]
    fn count_through(&mut self, first: FirstByte, piece: &[u8], key: Option<[u8; 4]>) {
        let (_, header) = frame::encode(first, piece.len() as u64, key);
        self.queue.count_through(first, header, piece.len());
    }

    /// Compresses a message or fragment, and queues it as at most `frames` frames: their number is known only after the
    /// compressor was called, and the keys must be drawn before.
    #[cfg(feature = "deflate")]
    #[cold]
    pub(super) fn send_cut_compressed(
        &mut self,
        first: FirstByte,
        payload: &[u8],
        frames: usize,
        config: &Config,
        compressor: &mut Compressor,
    ) -> Result<(), UsageError> {
        let keys = self.next_keys(frames, config)?;
        let message = compressor.compress(payload, first.is_final());
        self.push_compressed_frames(first, compressor.buffer(), message, keys, config);
        compressor.free_large_buffer();
        self.raise_congestion(config);
        Ok(())
    }

    /// Queues compressed bytes as frames. If the last one ends the message, `message` is the message's size before
    /// compression.
    #[cfg(feature = "deflate")]
    pub(super) fn push_compressed_frames(
        &mut self,
        first: FirstByte,
        compressed: &[u8],
        message: Option<u64>,
        mut keys: Keys,
        config: &Config,
    ) {
        for (first, piece) in cut(first, compressed, config) {
            let message = message.filter(|_| first.is_final());
            self.queue.push_compressed(first, piece, keys.next(), message);
        }
    }

    /// Draws the keys of this many frames. All are drawn before the first frame is queued, so that nothing is queued if
    /// the source of entropy fails.
    pub(super) fn next_keys(
        &mut self,
        frames: usize,
        config: &Config,
    ) -> Result<Keys, EntropyError> {
        let key = self.next_key(config)?;
        let mut others = Vec::new();
        if key.is_some() {
            others.reserve_exact(frames - 1);
            for _ in 1..frames {
                others.push(self.draw_key(config)?);
            }
        }
        Ok(key.into_iter().chain(others))
    }
}

/// The frames of a message or fragment whose first byte would be `first` if it were one frame. There is at least one.
fn cut<'p>(
    first: FirstByte,
    payload: &'p [u8],
    config: &Config,
) -> impl Iterator<Item = (FirstByte, &'p [u8])> {
    let limit = config.max_outgoing_frame_bytes;
    let mut rest = Some((first, payload));
    core::iter::from_fn(move || {
        let (first, payload) = rest.take()?;
        match payload.split_at_checked(limit) {
            Some((piece, more)) if !more.is_empty() => {
                rest = Some((first.continued(), more));
                Some((first.unfinished(), piece))
            }
            _ => Some((first, payload)),
        }
    })
}
