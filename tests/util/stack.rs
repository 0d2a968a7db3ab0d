//! Measures the stack use of a call. The bytes below it are filled with a pattern, the code runs, and every byte
//! without the pattern was used.

#![allow(unsafe_code, reason = "the stack below a function cannot be looked at without")]
#![allow(unreachable_pub, reason = "it is a module of test crates")]

use std::hint::black_box;
use std::ptr;

/// The number of bytes filled with the pattern: more than the code of a test uses.
const PAINTED: usize = 128 * 1024;
/// The bytes next below `paint`'s frame, which are not filled because `paint` itself uses them for calls.
const SPARED: usize = 1024;
const PATTERN: u8 = 0xa5;

/// Runs `code` on a thread of its own. Returns its result and the most bytes of stack that it used. The number is at
/// least 1 KiB, because nearer bytes are not measured.
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
        builder
            .spawn_scoped(scope, run)
            .expect("the thread starts")
            .join()
            .expect("the code does not panic")
    })
}

#[inline(never)]
fn paint(top: *mut u8) {
    for depth in 1..=PAINTED {
        // SAFETY: the thread has four times as much stack, all of it mapped, and no live value is so far below this
        // frame.
        unsafe { ptr::write_volatile(top.wrapping_sub(depth), PATTERN) };
    }
}

/// The depth of the lowest byte without the pattern. The stack grows down, so this is the deepest byte that was used.
#[inline(never)]
fn used(top: *mut u8) -> usize {
    for depth in (1..=PAINTED).rev() {
        // SAFETY: as in `paint`, which has initialized the byte.
        if unsafe { ptr::read_volatile(top.wrapping_sub(depth)) } != PATTERN {
            return depth;
        }
    }
    0
}
