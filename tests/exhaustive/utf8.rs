//! Validates all 2^32 strings of four bytes, whole and in every cut, and compares with the standard library. `run`
//! beside this file starts it. The program includes source files of the library, because it tests two internal
//! checkers.
//!
//! `exhaustive_utf8 [FIRST [LAST]]`: the strings whose first byte is in this range; by default all.

extern crate alloc;

#[allow(dead_code, unreachable_pub, reason = "only the checkers are used, in a program")]
#[path = "../../src/mask.rs"]
mod mask;
#[allow(dead_code, reason = "only the checkers are used")]
#[path = "../../src/utf8.rs"]
mod utf8;

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use utf8::{PayloadBuf, Utf8Carry, validate};

const THREADS: usize = 2;

fn main() {
    let bounds: Vec<u32> = std::env::args()
        .skip(1)
        .map(|word| u32::from_str_radix(&word, 16).expect("a byte in hex"))
        .collect();
    let (first, last) = match bounds[..] {
        [] => (0x00, 0xff),
        [first] => (first, first),
        [first, last] => (first, last),
        _ => panic!("usage: exhaustive_utf8 [FIRST [LAST]]"),
    };
    let next = AtomicU32::new(first);
    let counts = thread::scope(|scope| {
        let worker = || {
            let mut counts = Counts::default();
            loop {
                let byte = next.fetch_add(1, Ordering::Relaxed);
                if byte > last {
                    return counts;
                }
                strings_that_begin_with(byte as u8, &mut counts);
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().map(|thread| thread.join().expect("the thread has not panicked")).fold(
            Counts::default(),
            |all, one| Counts {
                strings: all.strings + one.strings,
                valid: all.valid + one.valid,
                unfinished: all.unfinished + one.unfinished,
                verdicts: all.verdicts + one.verdicts,
            },
        )
    });
    println!(
        "{} strings, {} of them UTF-8 and {} the beginning of it, {} verdicts",
        counts.strings, counts.valid, counts.unfinished, counts.verdicts
    );
    assert_eq!(counts.strings, u64::from(last - first + 1) << 24, "the number of strings");
}

#[derive(Default)]
struct Counts {
    strings: u64,
    valid: u64,
    /// Strings that are valid UTF-8 up to a character that is cut off.
    unfinished: u64,
    /// Comparisons with the standard library.
    verdicts: u64,
}

/// The result of the standard library: valid text, text with its last character cut off, or neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Oracle {
    Valid,
    Unfinished,
    Wrong,
}

fn oracle(bytes: &[u8]) -> Oracle {
    match std::str::from_utf8(bytes) {
        Ok(_) => Oracle::Valid,
        Err(error) if error.error_len().is_none() => Oracle::Unfinished,
        Err(_) => Oracle::Wrong,
    }
}

/// The state of the checker after the first bytes of a string, in one cut.
struct Begun {
    carry: Utf8Carry,
    len: usize,
}

fn strings_that_begin_with(first: u8, counts: &mut Counts) {
    let mut buf = PayloadBuf::default();
    for middle in 0..=0xffff_u16 {
        let [second, third] = middle.to_be_bytes();
        let prefix = [first, second, third];
        // For each set of cuts, `begin` feeds the bytes before the last cut. The bytes after it are fed with the fourth
        // byte below. If `begin` finds an error, every string with this prefix is invalid.
        let mut begun = [const { None::<Begun> }; 8];
        for (cuts, slot) in begun.iter_mut().enumerate() {
            *slot = begin(&prefix, cuts, counts);
        }
        for fourth in 0..=255 {
            let bytes = [first, second, third, fourth];
            let expected = oracle(&bytes);
            counts.strings += 1;
            counts.valid += u64::from(expected == Oracle::Valid);
            counts.unfinished += u64::from(expected == Oracle::Unfinished);
            assert_eq!(validate(&bytes).is_some(), expected == Oracle::Valid, "{bytes:02x?}");
            counts.verdicts += 1;
            for (cuts, begun) in begun.iter().enumerate() {
                let Some(Begun { carry, len }) = begun else { continue };
                let rest = &bytes[*len..];
                // The message ends here, or continues.
                let (mut ends, mut goes_on) = (*carry, *carry);
                let verdicts = (ends.feed(rest, true).is_ok(), goes_on.feed(rest, false).is_ok());
                let wanted = (expected == Oracle::Valid, expected != Oracle::Wrong);
                assert_eq!(verdicts, wanted, "{bytes:02x?} cut by {cuts:03b}");
                counts.verdicts += 2;
                // The other checker starts again at the bytes that are not validated yet, so only the last cut matters.
                if cuts.count_ones() <= 1 {
                    buf.append_masked(&bytes[..*len], [0; 4]);
                    let begins = buf.check_utf8(false).is_ok();
                    buf.append_masked(rest, [0; 4]);
                    let ends = buf.check_utf8(true).is_ok();
                    assert_eq!((begins, ends), (true, wanted.0), "{bytes:02x?} cut by {cuts:03b}");
                    buf.truncate(0);
                    counts.verdicts += 2;
                }
            }
        }
    }
}

/// Feeds `prefix` in pieces, up to the last cut: bit `n` of `cuts` is a cut after `n + 1` bytes. Returns `None` if the
/// bytes are invalid, and asserts that the standard library agrees.
fn begin(prefix: &[u8; 3], cuts: usize, counts: &mut Counts) -> Option<Begun> {
    let mut begun = Begun { carry: Utf8Carry::default(), len: 0 };
    for end in (1..=3).filter(|end| cuts & (1 << (end - 1)) != 0) {
        let fed = begun.carry.feed(&prefix[begun.len..end], false).is_ok();
        let expected = oracle(&prefix[..end]);
        assert_eq!(fed, expected != Oracle::Wrong, "{prefix:02x?} cut by {cuts:03b} at {end}");
        counts.verdicts += 1;
        if !fed {
            return None;
        }
        begun.len = end;
    }
    Some(begun)
}
