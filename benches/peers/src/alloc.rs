//! Counts allocations while counting is on. The harness has one thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

pub struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

/// Uses loads and stores instead of read-modify-write. With one thread the result is the same, and they cost nothing.
#[cold]
fn note(allocated: usize, freed: usize) {
    let live = LIVE.load(Relaxed) + allocated as i64 - freed as i64;
    LIVE.store(live, Relaxed);
    if allocated > 0 {
        ALLOCATIONS.store(ALLOCATIONS.load(Relaxed) + 1, Relaxed);
        BYTES.store(BYTES.load(Relaxed) + allocated as u64, Relaxed);
        PEAK.store(PEAK.load(Relaxed).max(live), Relaxed);
    }
}

// SAFETY: every call goes unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if ON.load(Relaxed) {
            note(layout.size(), 0);
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if ON.load(Relaxed) {
            note(layout.size(), 0);
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if ON.load(Relaxed) {
            note(0, layout.size());
        }
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if ON.load(Relaxed) {
            note(size, layout.size());
        }
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// The counts so far.
#[derive(Clone, Copy)]
pub struct Counts {
    pub allocations: u64,
    pub bytes: u64,
    /// Bytes allocated and not freed.
    pub live: i64,
    /// The largest value of `live` since [`restart_peak`].
    pub peak: i64,
}

pub fn count(on: bool) {
    ON.store(on, Relaxed);
}

pub fn counts() -> Counts {
    Counts {
        allocations: ALLOCATIONS.load(Relaxed),
        bytes: BYTES.load(Relaxed),
        live: LIVE.load(Relaxed),
        peak: PEAK.load(Relaxed),
    }
}

pub fn restart_peak() {
    PEAK.store(LIVE.load(Relaxed), Relaxed);
}
