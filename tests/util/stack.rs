//! How deep the stack goes below a call, by painting: the bytes below are filled with a pattern, the code runs, and
//! what has lost the pattern was in use.

#![allow(unsafe_code, reason = "the stack below a function cannot be looked at without")]
#![allow(unreachable_pub, reason = "it is a module of test crates")]

use std::hint::black_box;
use std::ptr;

/// Bytes that are painted: more than the code of a test uses.
const PAINTED: usize = 128 * 1024;
/// Bytes below the painter's frame that are left to what it calls itself.
const SPARED: usize = 1024;
const PATTERN: u8 = 0xa5;

/// Runs `code` on a thread of its own, and says what it returned and how many bytes of stack it used at most: 1 KiB at
/// least, since what is nearer is not looked at.
pub fn measure_stack<R: Send>(code: impl FnOnce() -> R + Send) -> (R, usize) {
    std::thread::scope(|scope| {
        let run = || {
            let here = 0_u8;
            let top = black_box(&raw const here).cast_mut().wrapping_sub(SPARED);
            paint(top);
            let result = black_box(code)();
            (result, SPARED + used(top))
        };
        let builder = std::thread::Builder::new().stack_size(4 * PAINTED);
        builder.spawn_scoped(scope, run).expect("a thread").join().expect("the code returns")
    })
}

#[inline(never)]
fn paint(top: *mut u8) {
    for depth in 1..=PAINTED {
        // SAFETY: the thread has four times as much stack, all of it mapped, and nothing lives so far below this frame.
        unsafe { ptr::write_volatile(top.wrapping_sub(depth), PATTERN) };
    }
}

/// The stack grows down: the lowest byte without the pattern is the deepest that was in use.
#[inline(never)]
fn used(top: *mut u8) -> usize {
    for depth in (1..=PAINTED).rev() {
        // SAFETY: as in `paint`, which has written the byte.
        if unsafe { ptr::read_volatile(top.wrapping_sub(depth)) } != PATTERN {
            return depth;
        }
    }
    0
}
