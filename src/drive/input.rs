//! The bytes that were read and not yet received. All connections of a thread read into one buffer. A connection holds
//! bytes only while they wait for the program, in a buffer of their size if they are few. So a connection that waits
//! for its peer has no read buffer.

use core::cell::Cell;
use std::boxed::Box;

use crate::ReadBuffer;

/// The size of a thread's buffer. A frame with a payload of 64 KiB fits into it with its header, and more behind it.
const SHARED_BYTES: usize = 128 * 1024;
/// At most this many waiting bytes are moved into a buffer of their size.
const FEW_BYTES: usize = 8 * 1024;

std::thread_local! {
    static SPARE: Cell<Option<Box<ReadBuffer>>> = const { Cell::new(None) };
}

/// Bytes of one connection that were read and not yet received.
#[derive(Debug, Default)]
pub(super) struct Input {
    buffer: Option<Box<ReadBuffer>>,
    /// Whether the buffer is a thread's, not one of the size of its bytes.
    is_shared: bool,
}

impl Input {
    /// An input that begins with `bytes`, which other code has read from the transport. They may be none.
    pub(super) fn new(bytes: &[u8]) -> Input {
        Input { buffer: (!bytes.is_empty()).then(|| holding(bytes)), is_shared: false }
    }

    /// The buffer with the bytes that wait. If none wait, it is the thread's, to read into. The caller calls
    /// [`settle`](Input::settle) when it has used the buffer.
    pub(super) fn buffer(&mut self) -> &mut ReadBuffer {
        if !self.is_shared && self.buffer.as_ref().is_some_and(|own| own.is_empty()) {
            self.buffer = None;
        }
        self.buffer.get_or_insert_with(|| {
            self.is_shared = true;
            // A thread that ends has no storage any more.
            let spare = SPARE.try_with(Cell::take).ok().flatten();
            spare.unwrap_or_else(|| Box::new(ReadBuffer::shared(SHARED_BYTES)))
        })
    }

    /// Gives the thread's buffer back, unless many bytes wait in it.
    pub(super) fn settle(&mut self) {
        let Some(buffer) =
            self.buffer.take_if(|buffer| self.is_shared && buffer.unreceived().len() <= FEW_BYTES)
        else {
            return;
        };
        let mut shared = buffer;
        if !shared.is_empty() {
            self.buffer = Some(holding(shared.unreceived()));
            shared.clear();
        }
        self.is_shared = false;
        let _ = SPARE.try_with(|spare| spare.set(Some(shared)));
    }

    /// The bytes that wait.
    pub(super) fn unreceived(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| buffer.unreceived())
    }
}

/// A buffer of the size of these bytes.
fn holding(bytes: &[u8]) -> Box<ReadBuffer> {
    let mut buffer = ReadBuffer::shared(bytes.len());
    let n = buffer.fill_from(bytes);
    debug_assert_eq!(n, bytes.len());
    Box::new(buffer)
}
