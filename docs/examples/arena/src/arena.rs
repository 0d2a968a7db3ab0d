//! The heap: an array of stated size, and the most bytes of it that were in use.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};

use spinning_top::RawSpinlock;
use talc::{TalcLock, source::Claim};

/// The size of the heap.
pub const ARENA_BYTES: usize = 64 * 1024;

static mut MEMORY: [u8; ARENA_BYTES] = [0; ARENA_BYTES];

#[global_allocator]
pub static ARENA: Arena = Arena {
    // SAFETY: nothing but this allocator uses `MEMORY`.
    allocator: TalcLock::new(unsafe { Claim::array(&raw mut MEMORY) }),
    peak: AtomicUsize::new(0),
};

pub struct Arena {
    allocator: TalcLock<RawSpinlock, Claim>,
    peak: AtomicUsize,
}

impl Arena {
    /// The most bytes that were in use at one time, with those that the allocator needs itself.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }
}

// SAFETY: all calls go unchanged to an allocator that keeps the contract. Without memory `alloc` returns null, and the
// program panics. `realloc` is the default: a block that grows is copied, so the peak includes both.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`.
        let block = unsafe { self.allocator.alloc(layout) };
        let available = self.allocator.lock().counters().available_bytes;
        self.peak.fetch_max(ARENA_BYTES - available, Ordering::Relaxed);
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { self.allocator.dealloc(block, layout) }
    }
}
