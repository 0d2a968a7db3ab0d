//! Buffers that the kernel chooses when bytes arrive, so that a connection that waits for bytes holds none. They are
//! not freed before the process ends: the kernel may write to them until then.

use std::io::Result;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// The size of a buffer. One receive has a frame of 64 KiB whole, with its header: such a message is not put together
/// from pieces.
pub const BUFFER_BYTES: usize = 128 * 1024;
/// The number of buffers, a power of two. The kernel takes them in turn, so more of them are colder ones.
pub const BUFFERS: u16 = 16;
/// The number by which a receive names these buffers.
pub const GROUP: u16 = 0;

/// The ring must begin at a page.
#[repr(C, align(4096))]
struct Page([u8; 4096]);

const _: () = assert!(BUFFERS as usize * size_of::<BufRingEntry>() <= size_of::<Page>());

pub struct Buffers {
    /// Free buffers, with the tail in a reserved field of the first entry. The kernel reads it.
    ring: *mut BufRingEntry,
    /// `BUFFERS` times `BUFFER_BYTES`.
    bytes: *mut u8,
    /// The number of buffers that were ever given to the kernel. It may wrap.
    tail: u16,
}

impl Buffers {
    pub fn new(submitter: &Submitter<'_>) -> Result<Buffers> {
        let ring: *mut Page = Box::leak(Box::new(Page([0; 4096])));
        let bytes = vec![0; usize::from(BUFFERS) * BUFFER_BYTES].leak().as_mut_ptr();
        let mut buffers = Buffers { ring: ring.cast(), bytes, tail: 0 };
        // SAFETY: the page holds `BUFFERS` entries, and is never freed.
        unsafe {
            submitter.register_buf_ring_with_flags(ring as u64, BUFFERS, GROUP, 0)?;
        }
        (0..BUFFERS).for_each(|id| buffers.give(id));
        Ok(buffers)
    }

    /// Returns the first `n` bytes of a buffer that a completion has named. They are this program's until `give`.
    pub fn bytes(&mut self, id: u16, n: usize) -> &mut [u8] {
        assert!(id < BUFFERS && n <= BUFFER_BYTES);
        // SAFETY: the bytes lie in the allocation, which is never freed. The kernel took this buffer out of the ring
        // when it completed the receive, so it does not write to it. The borrow of `self` ends before `give` can run.
        unsafe { std::slice::from_raw_parts_mut(self.bytes.add(usize::from(id) * BUFFER_BYTES), n) }
    }

    /// Gives a buffer to the kernel.
    pub fn give(&mut self, id: u16) {
        assert!(id < BUFFERS);
        // SAFETY: both pointers lie in their allocations. At most `BUFFERS` buffers are in the ring, so the kernel does
        // not read this entry before the tail has passed it, and it only reads the tail.
        unsafe {
            let entry = self.ring.add(usize::from(self.tail % BUFFERS));
            (*entry).set_addr(self.bytes.add(usize::from(id) * BUFFER_BYTES) as u64);
            (*entry).set_len(BUFFER_BYTES as u32);
            (*entry).set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            let tail = AtomicU16::from_ptr(BufRingEntry::tail(self.ring).cast_mut());
            tail.store(self.tail, Ordering::Release); // the entry is written before
        }
    }
}
