//! Put into the copy of the crate: says which change is on.

extern crate std;

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::io::Write;

/// The number of the change that is on; 0 if none is.
static ON: AtomicU32 = AtomicU32::new(0);
/// Instead of a change: notes which changes are asked for.
const RECORD: u32 = u32::MAX;
const CHANGES: usize = 16_384;
static ASKED: [AtomicBool; CHANGES] = [const { AtomicBool::new(false) }; CHANGES];

/// Whether change `n` is on.
#[inline(always)]
pub(crate) fn mutant(n: u32) -> bool {
    let on = ON.load(Relaxed);
    on == n || (on == RECORD && note(n))
}

#[cold]
fn note(n: u32) -> bool {
    ASKED[n as usize].store(true, Relaxed);
    false
}

/// Reads the environment before `main`: tests that count allocations see none of it.
#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

extern "C" fn begin() {
    unsafe extern "C" {
        safe fn atexit(f: extern "C" fn()) -> i32;
    }
    match std::env::var("MUTANT").as_deref() {
        Ok("record") => {
            ON.store(RECORD, Relaxed);
            atexit(end);
        }
        Ok(n) => ON.store(n.parse().expect("a number"), Relaxed),
        Err(_) => {}
    }
}

/// Appends the numbers of the changes that were asked for to the file that the environment names.
extern "C" fn end() {
    ON.store(0, Relaxed);
    let path = std::env::var_os("MUTANTS_ASKED").expect("the file is named");
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    let asked = (0..CHANGES).filter(|&n| ASKED[n].load(Relaxed));
    let text: std::string::String = asked.map(|n| std::format!("{n}\n")).collect();
    file.write_all(text.as_bytes()).unwrap();
}

/// What a function returns whose return type is `impl Iterator`.
#[derive(Clone)]
pub(crate) enum Either<A, B> {
    Changed(A),
    Usual(B),
}

impl<A: Iterator<Item = B::Item>, B: Iterator> Iterator for Either<A, B> {
    type Item = B::Item;

    fn next(&mut self) -> Option<B::Item> {
        match self {
            Either::Changed(changed) => changed.next(),
            Either::Usual(usual) => usual.next(),
        }
    }
}
