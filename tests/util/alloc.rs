//! An allocator that counts the allocations of each thread, so that tests can assert what the library allocates.

#![allow(unsafe_code, reason = "a global allocator cannot be written without")]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file is a crate that uses its own part of this"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The type for the `#[global_allocator]` of a test.
#[derive(Debug)]
pub struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

fn grown(by: i64) {
    // A thread whose thread-local variables are destroyed is not counted.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + by);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

fn allocated(size: usize) {
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
    let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() + size as u64));
}

// SAFETY: every call goes unchanged to the system's allocator. Counting changes only thread-local cells, which neither
// allocate nor panic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocated(layout.size());
        grown(layout.size() as i64);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        grown(-(layout.size() as i64));
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        allocated(new_size);
        grown(new_size as i64 - layout.size() as i64);
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

/// The heap use of some code on this thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heap {
    /// Calls that allocate or grow a block.
    pub allocations: u64,
    /// Bytes requested by these calls. A block that grows counts with its whole new size, because it may be copied.
    pub bytes: u64,
    /// Bytes allocated at the end, less those allocated at the start.
    pub kept: i64,
    /// The largest number of bytes allocated at one time, less those allocated at the start.
    pub peak: i64,
}

/// Runs `code` and measures its heap use.
pub fn measure<R>(code: impl FnOnce() -> R) -> (R, Heap) {
    let allocations = ALLOCATIONS.with(Cell::get);
    let bytes = BYTES.with(Cell::get);
    let live = LIVE.with(Cell::get);
    PEAK.with(|peak| peak.set(live));
    let result = code();
    let heap = Heap {
        allocations: ALLOCATIONS.with(Cell::get) - allocations,
        bytes: BYTES.with(Cell::get) - bytes,
        kept: LIVE.with(Cell::get) - live,
        peak: PEAK.with(Cell::get) - live,
    };
    (result, heap)
}

/// The bytes that this thread has allocated and not freed.
pub fn live() -> i64 {
    LIVE.with(Cell::get)
}
