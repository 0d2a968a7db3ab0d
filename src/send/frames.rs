//! Frames whose payload the caller sends in pieces (RFC 6455 5.2). The length is known when a frame begins, so it goes
//! out before the payload is there. They share the order of fragments with `fragment`.

use super::fragment::Fragment;
use super::{Compressor, Sender};
use crate::config::Config;
use crate::error::UsageError;
use crate::frame::{FirstByte, FrameHeader, Opcode, RSV1_IN_HEADER};
use crate::message::MessageKind;

impl Sender {
    /// Begins a frame. `compressor` is there if permessage-deflate was negotiated.
    pub(crate) fn begin_frame(
        &mut self,
        header: &FrameHeader,
        config: &Config,
        compressor: Option<&mut Compressor>,
    ) -> Result<(), UsageError> {
        if let Some(left) = self.open_frame() {
            return Err(UsageError::FrameUnfinished { left });
        }
        let allowed = match header.opcode {
            Opcode::Text | Opcode::Binary if compressor.is_some() => RSV1_IN_HEADER,
            _ => 0,
        };
        let is_too_long = header.payload_len >> 63 != 0
            || header.payload_len > config.max_outgoing_frame_bytes as u64;
        if header.opcode.is_control() || header.rsv & !allowed != 0 || is_too_long {
            return Err(UsageError::InvalidFrameHeader);
        }
        let mut message = match (self.fragment, header.opcode) {
            (None, Opcode::Text) => Fragment::new(MessageKind::Text),
            (None, Opcode::Binary) => Fragment::new(MessageKind::Binary),
            (None, _) => return Err(UsageError::InvalidFrameHeader),
            (Some(begun), Opcode::Continuation) => begun,
            (Some(_), _) => return Err(UsageError::MessageUnfinished),
        };
        #[cfg(feature = "deflate")]
        if compressor.as_ref().is_some_and(|compressor| compressor.is_in_message()) {
            return Err(UsageError::FragmentKindChanged);
        }
        self.check_room(0, config)?;
        // A message that `begin_frame` begins is compressed by the caller, or not at all.
        let is_compressed = match header.opcode {
            Opcode::Continuation => message.is_framed(),
            _ => header.rsv != 0,
        };
        if header.payload_len == 0 && !is_compressed {
            message.feed(&[], header.fin)?;
        }
        let key = self.next_key(config)?;
        let first = FirstByte::new(header.opcode, header.fin);
        #[cfg(feature = "deflate")]
        let first = match (header.rsv, compressor) {
            (0, _) | (_, None) => first,
            (_, Some(compressor)) => {
                // The peer's window will have a message that our compressor has not seen.
                compressor.forget_window();
                first.with_rsv1()
            }
        };
        self.queue.begin_frame(first, header.payload_len, key, is_compressed);
        self.raise_congestion(config);
        self.go_on(message, is_compressed, header.fin);
        Ok(())
    }

    /// Queues a piece of the payload of the unfinished frame.
    pub(crate) fn send_payload(
        &mut self,
        payload: &[u8],
        config: &Config,
    ) -> Result<(), UsageError> {
        let len = payload.len();
        let (left, mut message) = match (self.open_frame(), self.fragment) {
            (Some(left), Some(message)) if len as u64 <= left => (left, message),
            (left, _) => return Err(UsageError::PayloadTooLong { len, left: left.unwrap_or(0) }),
        };
        self.check_payload_room(len, config)?;
        let is_compressed = self.queue.is_in_compressed_by_caller();
        let is_last = self.queue.is_open_frame_last();
        if !is_compressed {
            message.feed(payload, is_last && len as u64 == left)?;
        }
        // RFC 6455 5.5.1: no frame follows a Close.
        let is_last = is_last || self.has_waiting_close();
        self.queue.push_payload(payload);
        self.raise_congestion(config);
        self.go_on(message, is_compressed, is_last);
        Ok(())
    }

    /// Checks that there is room for `len` bytes of the unfinished frame. What waits for the end of this frame does not
    /// count: if it filled the queue, the frame could never end.
    fn check_payload_room(&self, len: usize, config: &Config) -> Result<(), UsageError> {
        let queued = self.queue.charged_bytes() - self.queue.waiting_bytes();
        let (needed, limit) = (queued.saturating_add(len as u64), config.max_outgoing_bytes);
        match needed <= limit {
            true => Ok(()),
            false => Err(UsageError::BufferFull { needed, limit }),
        }
    }

    /// Whether a frame is unfinished, and nothing can be written before more of its payload is queued.
    pub(crate) fn needs_payload(&self) -> bool {
        self.queue.needs_payload()
    }

    /// Bytes that the payload of the unfinished frame lacks.
    #[inline]
    pub(crate) fn open_frame(&self) -> Option<u64> {
        self.queue.open_frame()
    }

    pub(crate) fn has_open_frame(&self) -> bool {
        self.open_frame().is_some()
    }

    /// Whether our Close waits for the end of a frame.
    pub(crate) fn has_waiting_close(&self) -> bool {
        self.queue.has_waiting_close()
    }

    /// Notes which message goes on after a step in a frame. The frame is the last of its message if `is_last`.
    fn go_on(&mut self, message: Fragment, is_compressed: bool, is_last: bool) {
        let is_open = self.has_open_frame();
        let goes_on = is_open || !is_last;
        self.fragment = goes_on.then(|| message.framed(is_open || is_compressed));
    }
}
