//! Codecs that nobody uses at the moment, per thread: making one costs more than a small message does, and connections
//! that keep no window need one only while a message is in work.

use alloc::vec::Vec;
use core::cell::RefCell;
use std::thread_local;

use zlib_rs::{Deflate, Inflate};

/// How many of each kind a thread keeps.
const KEEP: usize = 4;

struct Pool {
    inflates: Vec<Inflate>,
    /// With level and window bits.
    deflates: Vec<(u8, u8, Deflate)>,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { inflates: Vec::new(), deflates: Vec::new() }) };
}

/// An inflater of raw DEFLATE with an empty window.
///
/// Its window is always the largest: zlib takes or refuses a distance beyond a smaller one depending on how the output
/// is cut, and the verdict must not depend on that.
pub(super) fn inflate() -> Inflate {
    match POOL.try_with(|pool| pool.borrow_mut().inflates.pop()) {
        Ok(Some(mut stream)) => {
            stream.reset(false);
            stream
        }
        _ => Inflate::new(false, 15),
    }
}

pub(super) fn give_inflate(stream: Inflate) {
    // A thread that ends keeps nothing.
    let _ = POOL.try_with(|pool| {
        let inflates = &mut pool.borrow_mut().inflates;
        if inflates.len() < KEEP {
            inflates.push(stream);
        }
    });
}

/// A compressor to raw DEFLATE with an empty window of 9 to 15 bits.
pub(super) fn deflate(level: u8, window_bits: u8) -> Deflate {
    let found = POOL.try_with(|pool| {
        let deflates = &mut pool.borrow_mut().deflates;
        let at = deflates.iter().position(|(l, bits, _)| (*l, *bits) == (level, window_bits))?;
        Some(deflates.swap_remove(at).2)
    });
    match found {
        Ok(Some(mut stream)) => {
            stream.reset();
            stream
        }
        _ => Deflate::new(i32::from(level), false, window_bits),
    }
}

pub(super) fn give_deflate(level: u8, window_bits: u8, stream: Deflate) {
    let _ = POOL.try_with(|pool| {
        let deflates = &mut pool.borrow_mut().deflates;
        if deflates.len() == KEEP {
            deflates.remove(0);
        }
        deflates.push((level, window_bits, stream));
    });
}
