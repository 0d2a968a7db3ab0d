//! The sender turns messages into bytes for the peer (RFC 6455 5, 6.1). It frames, masks and queues them, and checks
//! the limits. It knows neither events nor the phase. The connection decides when a message may be sent.

#[cfg(feature = "deflate")]
mod compressing;
mod cut;
mod fragment;
mod frames;
mod prepared;
mod queue;

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::time::Duration;

use crate::close::CloseBody;
use crate::config::Config;
use crate::counters::Counters;
use crate::deflate::Compressor;
use crate::entropy::EntropyError;
use crate::error::UsageError;
use crate::frame::{FirstByte, MAX_CONTROL_BYTES, MAX_HEADER_BYTES, Opcode};
use crate::last_use::LastUse;
use crate::message::{Message, MessageKind};
use crate::state::Role;
use crate::timestamp::Timestamp;
use fragment::Fragment;
use prepared::first_byte;
use queue::{MAX_HEAD_BYTES, Queue};

#[cfg(feature = "deflate")]
pub(crate) use compressing::most_compressed;
pub use prepared::PreparedMessage;
pub use queue::{OutgoingChunks, Segment};

/// The sending half of a connection.
pub(crate) struct Sender {
    queue: Queue,
    /// A client masks its frames (RFC 6455 5.3).
    role: Role,
    /// The unfinished message that is being sent in fragments.
    fragment: Option<Fragment>,
    /// The masking key of a client's Close. It is drawn when the connection is made, so that a Close can be sent even
    /// if the source of entropy fails later.
    close_key: [u8; 4],
    /// The place in the sequence of [`Entropy::Seed`](crate::Entropy::Seed).
    seed_place: u32,
    /// When the queue was used last.
    last_use: LastUse,
}

const _: () = assert!(size_of::<Sender>() <= 80 || size_of::<usize>() != 8);

/// The result of [`advance_partly`](Sender::advance_partly).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advanced {
    /// Nothing was written.
    Nothing,
    /// A part of the queue was written. `is_progress`: the part has bytes that are not of pings or pongs.
    Part { is_progress: bool },
    /// The whole queue was written.
    All,
}

impl Sender {
    pub(crate) fn new(role: Role, config: &Config) -> Sender {
        let mut sender = Sender {
            queue: Queue::default(),
            role,
            fragment: None,
            close_key: [0; 4],
            seed_place: 0,
            last_use: LastUse::default(),
        };
        if config.count_traffic {
            sender.queue.begin_counting();
        }
        sender
    }

    #[inline]
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    // Entropy.

    /// Makes a new client ready to mask. This also detects a fork of the process, after which the source of entropy
    /// needs a new batch.
    pub(crate) fn begin_masking(&mut self, config: &Config) -> Result<(), EntropyError> {
        config.entropy.drop_inherited_batch();
        self.close_key = config.entropy.mask_key(&mut self.seed_place)?;
        Ok(())
    }

    /// Makes a new client ready to mask, and draws the nonce of its request. The nonce is random for each connection
    /// (RFC 6455 4.1).
    pub(crate) fn begin_request(&mut self, config: &Config) -> Result<[u8; 16], EntropyError> {
        config.entropy.drop_inherited_batch();
        let nonce = config.entropy.nonce(&mut self.seed_place)?;
        self.close_key = config.entropy.mask_key(&mut self.seed_place)?;
        Ok(nonce)
    }

    /// RFC 6455 5.3: a client masks each frame with a fresh key.
    #[inline]
    fn next_key(&mut self, config: &Config) -> Result<Option<[u8; 4]>, EntropyError> {
        match self.role {
            Role::Server => Ok(None),
            Role::Client => self.draw_key(config).map(Some),
        }
    }

    #[inline(never)]
    fn draw_key(&mut self, config: &Config) -> Result<[u8; 4], EntropyError> {
        config.entropy.mask_key(&mut self.seed_place)
    }

    // Messages.

    /// Checks that a message with at most `len` payload bytes can be queued now. Returns the number of its frames.
    pub(crate) fn check_message(&self, len: usize, config: &Config) -> Result<usize, UsageError> {
        if self.fragment.is_some() {
            return Err(UsageError::MessageUnfinished);
        }
        self.check_room(len, config)
    }

    /// Checks that there is room for at most `len` payload bytes of a message or fragment. Returns the number of its
    /// frames.
    #[inline]
    fn check_room(&self, len: usize, config: &Config) -> Result<usize, UsageError> {
        if is_one_frame(self.queue.charged_bytes(), len, config) {
            return Ok(1);
        }
        let frames = len.div_ceil(config.max_outgoing_frame_bytes).max(1);
        self.check_frames(len, frames, config)?;
        Ok(frames)
    }

    /// Checks that there is room for this many frames with at most `len` payload bytes in all.
    fn check_frames(&self, len: usize, frames: usize, config: &Config) -> Result<(), UsageError> {
        let headers = (MAX_HEADER_BYTES as u64).saturating_mul(frames as u64);
        let needed = self.queue.charged_bytes().saturating_add(headers).saturating_add(len as u64);
        let limit = config.max_outgoing_bytes;
        match needed <= limit {
            true => Ok(()),
            false => Err(UsageError::BufferFull { needed, limit }),
        }
    }

    /// Whether a message of `len` bytes may be queued as one frame without further checks, if `queued` bytes already
    /// count against the limit.
    #[inline]
    fn is_short(&self, queued: u64, len: usize, config: &Config) -> bool {
        self.fragment.is_none() && is_one_frame(queued, len, config)
    }

    #[inline]
    pub(crate) fn send(&mut self, message: Message<'_>, config: &Config) -> Result<(), UsageError> {
        let kind = message.kind();
        match message.into_payload() {
            Cow::Borrowed(payload) => self.send_copy(kind, payload, config),
            Cow::Owned(payload) => self.send_owned(kind, payload, config),
        }
    }

    #[inline]
    fn send_copy(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        config: &Config,
    ) -> Result<(), UsageError> {
        if !self.is_short(self.queue.charged_bytes(), payload.len(), config) {
            return self.send_long(first_byte(kind), payload, config);
        }
        let key = self.next_key(config)?;
        self.queue.push(first_byte(kind), payload, key);
        self.raise_congestion(config);
        Ok(())
    }

    /// Does the same with all checks: the message may have several frames, or it is an error.
    #[cold]
    fn send_long(
        &mut self,
        first: FirstByte,
        payload: &[u8],
        config: &Config,
    ) -> Result<(), UsageError> {
        let frames = self.check_message(payload.len(), config)?;
        self.send_cut(first, payload, frames, config)
    }

    fn send_owned(
        &mut self,
        kind: MessageKind,
        payload: Vec<u8>,
        config: &Config,
    ) -> Result<(), UsageError> {
        let frames = self.check_message(payload.len(), config)?;
        if frames > 1 {
            return self.send_cut(first_byte(kind), &payload, frames, config);
        }
        let key = self.next_key(config)?;
        self.queue.push_owned(first_byte(kind), payload, key);
        self.raise_congestion(config);
        Ok(())
    }

    /// Passes the frames of a message to `write`, and queues the bytes that were not written. The queue must be empty
    /// before. If it is not empty afterwards, the caller must call [`raise_congestion`](Sender::raise_congestion).
    #[inline(always)]
    pub(crate) fn send_through<E: From<UsageError>>(
        &mut self,
        message: Message<'_>,
        config: &Config,
        write: impl FnMut(&[u8], &[u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let first = first_byte(message.kind());
        let payload = message.into_payload();
        if !self.is_short(0, payload.len(), config) {
            return self.send_long_through(first, payload, config, write);
        }
        match self.next_key(config).map_err(UsageError::from)? {
            None => self.queue.push_through(first, payload, write),
            Some(key) => self.queue.push_through_masked(first, &payload, key, write),
        }
    }

    pub(crate) fn send_prepared(
        &mut self,
        message: &PreparedMessage,
        config: &Config,
    ) -> Result<(), UsageError> {
        let payload = message.payload();
        match self.role {
            Role::Client => self.send_copy(message.kind(), payload, config),
            Role::Server => {
                if !self.is_short(self.queue.charged_bytes(), payload.len(), config) {
                    return self.send_long_prepared(message, config);
                }
                self.queue.push_shared(message.frame().bytes(), payload.len());
                self.raise_congestion(config);
                Ok(())
            }
        }
    }

    /// Does the same for a server with all checks.
    #[cold]
    fn send_long_prepared(
        &mut self,
        message: &PreparedMessage,
        config: &Config,
    ) -> Result<(), UsageError> {
        let payload = message.payload();
        let frames = self.check_message(payload.len(), config)?;
        if frames > 1 {
            return self.send_cut(first_byte(message.kind()), payload, frames, config);
        }
        self.queue.push_shared(message.frame().bytes(), payload.len());
        self.raise_congestion(config);
        Ok(())
    }

    // Control frames.

    /// Queues a ping or pong ahead of all data frames that are neither taken nor partly written.
    pub(crate) fn send_control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        config: &Config,
    ) -> Result<(), UsageError> {
        debug_assert!(payload.len() <= MAX_CONTROL_BYTES);
        // RFC 6455 5.5: control frames are not fragmented.
        self.check_frames(payload.len(), 1, config)?;
        let key = self.next_key(config)?;
        self.queue.push_control(opcode, payload, key);
        self.raise_congestion(config);
        Ok(())
    }

    /// Queues the answer to a ping. If [`Config::max_queued_pongs`] pongs are queued, it replaces the latest answer
    /// (RFC 6455 5.5.3).
    pub(crate) fn answer_ping(
        &mut self,
        payload: &[u8],
        config: &Config,
    ) -> Result<(), EntropyError> {
        let key = self.next_key(config)?;
        self.queue.push_pong(payload, key, config.max_queued_pongs);
        self.raise_congestion(config);
        // The queue is shorter if a short pong has replaced a long one.
        self.ease_congestion(config);
        Ok(())
    }

    /// Queues a Close frame behind all data. No data frame follows it (RFC 6455 5.5.1). If a frame is unfinished, the
    /// Close waits for its end.
    pub(crate) fn send_close(&mut self, body: &CloseBody, compressor: Option<&mut Compressor>) {
        let key = match self.role {
            Role::Client => Some(self.close_key),
            Role::Server => None,
        };
        let first = FirstByte::new(Opcode::Close, true);
        if self.has_open_frame() {
            // RFC 6455 5.5.1: the Close may wait, and a frame cannot be cut.
            return self.queue.push_behind_frame(first, body.as_bytes(), key);
        }
        self.cut_fragment(compressor);
        self.queue.push(first, body.as_bytes(), key);
        self.queue.mark_end();
    }

    // The opening handshake.

    /// Checks that there is room for the `own` bytes that the application puts into a request or response. It is called
    /// before the head is written.
    pub(crate) fn check_head(own: u64, config: &Config) -> Result<(), UsageError> {
        let limit = config.max_outgoing_bytes.min(MAX_HEAD_BYTES);
        match own <= limit {
            true => Ok(()),
            false => Err(UsageError::BufferFull { needed: own, limit }),
        }
    }

    /// Queues the bytes that `write` appends: a request, or the response that opens the connection.
    pub(crate) fn send_head(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), UsageError>,
    ) -> Result<(), UsageError> {
        self.queue.push_head(write)
    }

    /// Queues the bytes that `write` appends: a response that ends the connection.
    pub(crate) fn send_last_head(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), UsageError>,
    ) -> Result<(), UsageError> {
        self.queue.push_head(write)?;
        self.queue.mark_end();
        Ok(())
    }

    /// Whether the queue is a whole head: no byte of it is written or taken.
    pub(crate) fn has_whole_head(&self) -> bool {
        self.queue.has_whole_head()
    }

    /// Replaces a whole head by the bytes that `write` appends. If `write` fails, nothing changes.
    pub(crate) fn replace_head(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), UsageError>,
    ) -> Result<(), UsageError> {
        self.queue.replace_head(write)
    }

    // Bytes for the transport.

    #[inline]
    pub(crate) fn first(&self) -> &[u8] {
        self.queue.first()
    }

    #[inline]
    pub(crate) fn chunks(&self) -> OutgoingChunks<'_> {
        self.queue.chunks()
    }

    pub(crate) fn take(&mut self, config: &Config) -> Option<Segment> {
        self.queue.take(config.max_queued_pongs)
    }

    /// Uses the memory of a taken segment for further ones.
    pub(crate) fn recycle(&mut self, segment: Segment) {
        self.queue.recycle(segment);
    }

    /// Removes the first `n` bytes, which are written. It does this only if they are the whole queue and are quick to
    /// remove. Otherwise it returns `false` and does nothing; the caller then calls
    /// [`advance_partly`](Sender::advance_partly).
    #[inline]
    pub(crate) fn advance_whole(&mut self, n: usize) -> bool {
        self.queue.advance_whole(n)
    }

    /// Removes the first `n` bytes, which are written.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub(crate) fn advance_partly(&mut self, n: usize, config: &Config) -> Advanced {
        let is_progress = self.queue.advance_partly(n);
        self.ease_congestion(config);
        match (n, self.queue.len()) {
            (0, _) => Advanced::Nothing,
            (_, 0) => Advanced::All,
            _ => Advanced::Part { is_progress },
        }
    }

    /// Drops the queue. The unwritten payload bytes stay counted as buffered.
    pub(crate) fn drop_queue(&mut self) {
        self.queue.drop_all();
    }

    // Questions.

    /// What the connection has sent and received, if it is counted.
    pub(crate) fn counters(&self) -> Option<&Counters> {
        self.queue.counters()
    }

    pub(crate) fn counters_mut(&mut self) -> Option<&mut Counters> {
        self.queue.counters_mut()
    }

    /// Bytes that are queued and not written.
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.queue.len()
    }

    /// Payload bytes of messages that are queued and not written. An unfinished compressed message is not counted here.
    #[inline]
    pub(crate) fn buffered(&self) -> u64 {
        self.queue.buffered()
    }

    /// Whether the queue has been longer than the high-water mark, and has not become as short as the low-water mark
    /// since then.
    #[inline]
    pub(crate) fn is_congested(&self) -> bool {
        self.queue.is_congested()
    }

    /// Whether a Close frame, or a response that ends the connection, is queued and not wholly written.
    pub(crate) fn has_unwritten_end(&self) -> bool {
        self.queue.has_unwritten_end()
    }

    /// Whether a ping is queued and not wholly written.
    pub(crate) fn has_waiting_ping(&self) -> bool {
        self.queue.has_waiting_ping()
    }

    // Memory.

    /// Frees the queue's memory if it is empty.
    pub(crate) fn free_memory(&mut self) {
        self.queue.free_memory();
    }

    /// Frees the queue's memory if it was empty for the time `after`. Otherwise returns the moment at which it must be
    /// freed; `None` if there is nothing to free.
    pub(crate) fn free_unused(&mut self, now: Timestamp, after: Duration) -> Option<Timestamp> {
        self.queue.free_unused(now, after, &mut self.last_use)
    }

    /// Makes the queue congested if it is longer than [`Config::high_water_bytes`]. Call it when the queue has grown.
    #[inline]
    pub(crate) fn raise_congestion(&mut self, config: &Config) {
        self.queue.raise_congestion(config.high_water_bytes);
    }

    /// Ends the congestion if the queue is at most [`Config::low_water_bytes`] long. Call it when the queue has shrunk.
    #[inline]
    fn ease_congestion(&mut self, config: &Config) {
        self.queue.ease_congestion(config.low_water_bytes);
    }
}

/// Whether `len` bytes need not be cut and have room in the queue, if `queued` bytes already count against the limit.
/// `false` asks for the checks of each limit.
#[inline]
fn is_one_frame(queued: u64, len: usize, config: &Config) -> bool {
    (queued + MAX_HEADER_BYTES as u64).saturating_add(len as u64) <= config.one_frame_room
}
