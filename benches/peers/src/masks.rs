//! The fastest masking for this CPU, used by the bounds, and a comparison of the masking functions of the crates.

use std::hint::black_box;

use crate::measure::{Report, Row, Stopwatch};
use crate::workloads::{Random, binary};

/// XORs in place.
#[inline]
pub fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let at = bytes.as_mut_ptr();
    // SAFETY: source and destination are the same.
    unsafe { mask_to(at, at, bytes.len(), key) }
}

/// XORs from one place to another.
#[inline]
pub fn mask_copy(from: &[u8], to: &mut [u8], key: [u8; 4]) {
    assert_eq!(from.len(), to.len());
    // SAFETY: both have the same length and do not overlap.
    unsafe { mask_to(from.as_ptr(), to.as_mut_ptr(), from.len(), key) }
}

/// XORs to the end of `to`.
#[inline]
pub fn mask_append(to: &mut Vec<u8>, from: &[u8], key: [u8; 4]) {
    to.reserve(from.len());
    let room = to.spare_capacity_mut().as_mut_ptr().cast();
    // SAFETY: there is room for all of `from`, which does not overlap. The bytes are written before the length is set.
    unsafe {
        mask_to(from.as_ptr(), room, from.len(), key);
        to.set_len(to.len() + from.len());
    }
}

/// # Safety
///
/// `len` bytes are readable at `from` and writable at `to`. The two ranges are equal or do not overlap.
#[inline]
unsafe fn mask_to(from: *const u8, to: *mut u8, len: usize, key: [u8; 4]) {
    #[cfg(target_arch = "x86_64")]
    if len >= 32 && is_x86_feature_detected!("avx512bw") {
        // SAFETY: AVX-512 was detected, and the caller's promise.
        return unsafe { mask_avx512(from, to, len, key) };
    }
    #[cfg(target_arch = "x86_64")]
    if len >= 32 && is_x86_feature_detected!("avx2") {
        // SAFETY: AVX2 was detected, and the caller's promise.
        return unsafe { mask_avx2(from, to, len, key) };
    }
    // SAFETY: the caller's promise.
    unsafe { mask_words(from, to, len, key) }
}

/// # Safety
///
/// As [`mask_to`], and the CPU has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn mask_avx2(from: *const u8, to: *mut u8, len: usize, key: [u8; 4]) {
    use std::arch::x86_64::{
        _mm256_loadu_si256, _mm256_set1_epi32, _mm256_storeu_si256, _mm256_xor_si256,
    };
    let wide = _mm256_set1_epi32(i32::from_ne_bytes(key));
    let mut at = 0;
    // SAFETY: `at` and the width of each step stay within `len`.
    unsafe {
        while at + 128 <= len {
            for step in [0, 32, 64, 96] {
                let value = _mm256_loadu_si256(from.add(at + step).cast());
                _mm256_storeu_si256(to.add(at + step).cast(), _mm256_xor_si256(value, wide));
            }
            at += 128;
        }
        while at + 32 <= len {
            let value = _mm256_loadu_si256(from.add(at).cast());
            _mm256_storeu_si256(to.add(at).cast(), _mm256_xor_si256(value, wide));
            at += 32;
        }
        mask_words(from.add(at), to.add(at), len - at, key);
    }
}

/// # Safety
///
/// As [`mask_to`].
#[inline(always)]
unsafe fn mask_words(from: *const u8, to: *mut u8, len: usize, key: [u8; 4]) {
    let word = u32::from_ne_bytes(key);
    let double = u64::from(word) << 32 | u64::from(word);
    let mut at = 0;
    // SAFETY: `at` and the width of each step stay within `len`.
    unsafe {
        while at + 8 <= len {
            let value = from.add(at).cast::<u64>().read_unaligned() ^ double;
            to.add(at).cast::<u64>().write_unaligned(value);
            at += 8;
        }
        if at + 4 <= len {
            let value = from.add(at).cast::<u32>().read_unaligned() ^ word;
            to.add(at).cast::<u32>().write_unaligned(value);
            at += 4;
        }
        while at < len {
            *to.add(at) = *from.add(at) ^ key[at % 4];
            at += 1;
        }
    }
}

/// # Safety
///
/// As [`mask_to`], and the CPU has AVX-512 with bytes and words.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn mask_avx512(from: *const u8, to: *mut u8, len: usize, key: [u8; 4]) {
    use std::arch::x86_64::*;
    const WIDTH: usize = 64;
    let word = _mm512_set1_epi32(i32::from_ne_bytes(key));
    let mut at = 0;
    // SAFETY: `at` and the width of each step stay within `len`; the last one is cut by its own mask.
    unsafe {
        while at + 4 * WIDTH <= len {
            for step in [0, WIDTH, 2 * WIDTH, 3 * WIDTH] {
                let value = _mm512_loadu_si512(from.add(at + step).cast());
                _mm512_storeu_si512(to.add(at + step).cast(), _mm512_xor_si512(value, word));
            }
            at += 4 * WIDTH;
        }
        while at + WIDTH <= len {
            let value = _mm512_loadu_si512(from.add(at).cast());
            _mm512_storeu_si512(to.add(at).cast(), _mm512_xor_si512(value, word));
            at += WIDTH;
        }
        if at < len {
            let rest = (1u64 << (len - at)) - 1;
            let value = _mm512_maskz_loadu_epi8(rest, from.add(at).cast());
            _mm512_mask_storeu_epi8(to.add(at).cast(), rest, _mm512_xor_si512(value, word));
        }
    }
}

type Mask = fn(&mut [u8], [u8; 4]);

const MASKS: [(&str, bool, Mask); 6] = [
    ("as fast as this CPU can", true, mask),
    ("websocket-proto", false, websocket_proto::apply_mask),
    ("fastwebsockets", false, fastwebsockets::unmask),
    ("yawc", false, yawc::mask::apply_mask),
    ("sockudo-ws", false, sockudo_ws::simd::apply_mask),
    ("websocket-sans-io", false, |bytes, key| websocket_sans_io::apply_mask(key, bytes, 0)),
];

pub fn verify() {
    let mut random = Random(99);
    for len in (0..300).chain([1000, 4099]) {
        let plain = binary(&mut random, len);
        let key = [1, 2, 3, 250];
        let expected: Vec<u8> = plain.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b).collect();
        for (name, _, mask) in MASKS {
            let mut bytes = plain.clone();
            mask(&mut bytes, key);
            assert!(bytes == expected, "{name} masks {len} bytes wrong");
        }
        let mut copy = vec![0; len];
        mask_copy(&plain, &mut copy, key);
        assert!(copy == expected);
    }
}

pub fn run(rounds: usize, report: &mut Report) {
    let mut buffer = vec![0; (1 << 20) + 128];
    for misaligned in [0, 1] {
        let at = buffer.as_ptr().align_offset(64) + misaligned;
        for len in [16, 128, 1024, 65_536, 1 << 20] {
            let bytes = &mut buffer[at..at + len];
            let times = ((64 << 20) / (len + 64)).clamp(16, 400_000);
            let mut rows = MASKS.map(|(name, is_bound, _)| Row {
                name: name.into(),
                is_bound,
                ..Row::default()
            });
            for round in 0..=rounds {
                for (row, (_, _, mask)) in rows.iter_mut().zip(MASKS) {
                    let time = Stopwatch::start();
                    for _ in 0..times {
                        mask(black_box(&mut *bytes), black_box([1, 2, 3, 4]));
                    }
                    let ns = time.stop() / times as f64;
                    if round > 0 {
                        row.ns.push(ns);
                    }
                }
            }
            let name = format!("M{len}{}", if misaligned == 0 { "" } else { "u" });
            let about = format!("{len} bytes in place, {misaligned} behind a border of 64");
            report.table("mask", &name, &about, len as f64, &rows);
        }
    }
}
