//! Masking (RFC 6455 5.3): XORs a payload with its four-byte key, in place or while copying it, and tells whether the
//! result is ASCII. Which frames are masked, and where keys come from, is decided elsewhere.
#![allow(
    unsafe_code,
    reason = "one pass into uninitialised memory, and AVX2 chosen at run time; a plain loop is the oracle"
)]

use alloc::vec::Vec;

/// XORs `payload` with the masking key, in place (RFC 6455 5.3). Masking twice restores the bytes.
///
/// The first byte of `payload` is masked with the first byte of `key`. So pass the whole payload of a frame, or rotate
/// the key for a later part of it: `key.rotate_left(offset % 4)`, where `offset` is the part's place in the payload.
///
/// ```
/// let mut payload = *b"Hello";
/// websocket_proto::apply_mask(&mut payload, [0x37, 0xfa, 0x21, 0x3d]);
/// assert_eq!(payload, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
/// ```
#[inline]
pub fn apply_mask(payload: &mut [u8], key: [u8; 4]) {
    mask_in_place(payload, key);
}

/// Does what [`apply_mask`] does, and returns whether the masked bytes are known to be ASCII. For payloads of up to
/// `BLOCK` bytes it returns `false`.
#[inline]
pub(crate) fn mask_in_place(payload: &mut [u8], key: [u8; 4]) -> bool {
    let at = payload.as_mut_ptr();
    // SAFETY: the exclusive borrow makes all `payload.len()` bytes readable and writable; source is destination.
    unsafe { mask(at, at, payload.len(), key) & HIGH_BITS == 0 }
}

/// Appends the masked `payload` to `out`, in one pass. The key 0x00000000 copies it unchanged.
#[inline]
pub(crate) fn append_masked(out: &mut Vec<u8>, payload: &[u8], key: [u8; 4]) {
    // A short payload is not worth a call of the C library's copy.
    if key == [0; 4] && payload.len() > BLOCK {
        out.extend_from_slice(payload);
    } else {
        append_masked_ascii(out, payload, key);
    }
}

/// Does what [`append_masked`] does, and returns whether the appended bytes are known to be ASCII. For payloads of up
/// to `BLOCK` bytes it returns `false`.
#[inline]
pub(crate) fn append_masked_ascii(out: &mut Vec<u8>, payload: &[u8], key: [u8; 4]) -> bool {
    out.reserve(payload.len());
    let spare = out.spare_capacity_mut();
    debug_assert!(spare.len() >= payload.len());
    // SAFETY: `reserve` made room for `payload.len()` more bytes. `out` is borrowed exclusively, so it cannot overlap
    // `payload`. `mask` initialises all these bytes before the length is set.
    unsafe {
        let bits = mask(payload.as_ptr(), spare.as_mut_ptr().cast(), payload.len(), key);
        out.set_len(out.len() + payload.len());
        bits & HIGH_BITS == 0
    }
}

/// The key for the payload from `offset` on.
#[inline]
pub(crate) fn rotate_key(key: [u8; 4], offset: usize) -> [u8; 4] {
    let bits = 8 * (offset % 4) as u32;
    u32::from_le_bytes(key).rotate_right(bits).to_le_bytes()
}

/// The highest bit of each byte of a word: set in a byte that is not ASCII.
const HIGH_BITS: u32 = 0x8080_8080;

/// Bytes per turn of the loop in `mask_blocks`: four AVX2 or eight SSE2 registers.
const BLOCK: usize = 128;

/// Alignment of the stores in `mask_blocks`: one AVX2 register.
const ALIGN: usize = 32;

const _: () = assert!(BLOCK % ALIGN == 0 && ALIGN % 4 == 0);

/// Masks `len` bytes from `src` into `dst`. For more than `BLOCK` bytes it returns the OR of all words stored, which
/// tells whether they are ASCII: this costs next to nothing while they are in registers. For up to `BLOCK` bytes it
/// returns `HIGH_BITS` ("may not be ASCII"): checking a short payload separately is cheaper than gathering its bits.
///
/// Up to 32 bytes are masked here, inlined and without a loop, by loads and stores that may overlap in the middle.
///
/// # Safety
///
/// `len` bytes are readable at `src` and writable at `dst`. The two ranges are the same or do not overlap.
#[inline(always)]
unsafe fn mask(src: *const u8, dst: *mut u8, len: usize, key: [u8; 4]) -> u32 {
    // SAFETY: the caller guarantees the pointers, and each arm's range of `len` is the one its callee requires.
    unsafe {
        match len {
            0 => {}
            1..=3 => mask_bytes(src, dst, len, key),
            4..=8 => mask_ends::<1>(src, dst, len, key),
            9..=16 => mask_ends::<2>(src, dst, len, key),
            17..=32 => mask_ends::<4>(src, dst, len, key),
            33..=128 => mask_medium(src, dst, len, key),
            _ => return mask_long(src, dst, len, key),
        }
    }
    HIGH_BITS
}

/// Masks 33 to 128 bytes, out of line.
///
/// # Safety
///
/// As for `mask`; `len` is from 33 to 128.
#[inline(never)]
unsafe fn mask_medium(src: *const u8, dst: *mut u8, len: usize, key: [u8; 4]) {
    // SAFETY: the caller guarantees the pointers, and each branch's range of `len` is the one its callee requires.
    unsafe {
        if len <= 64 {
            mask_ends::<8>(src, dst, len, key);
        } else {
            mask_ends::<16>(src, dst, len, key);
        }
    }
}

/// Masks at least `BLOCK` bytes, out of line, with AVX2 where the CPU has it.
///
/// # Safety
///
/// As for `mask`; `len` is at least `BLOCK`.
#[inline(never)]
unsafe fn mask_long(src: *const u8, dst: *mut u8, len: usize, key: [u8; 4]) -> u32 {
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: the caller guarantees the pointers and `len`, and AVX2 was detected.
        return unsafe { mask_blocks_avx2(src, dst, len, key) };
    }
    // SAFETY: the caller guarantees the pointers and `len`.
    unsafe { mask_blocks(src, dst, len, key) }
}

/// Masks one to three bytes: the first, the middle and the last, which may be the same byte.
///
/// # Safety
///
/// As for `mask`; `len` is from 1 to 3.
#[inline(always)]
unsafe fn mask_bytes(src: *const u8, dst: *mut u8, len: usize, key: [u8; 4]) {
    debug_assert!(matches!(len, 1..=3));
    let (middle, last) = (len / 2, len - 1);
    // SAFETY: 0, `middle` and `last` are below `len`. All bytes are read before the first is written.
    unsafe {
        let bytes = [*src, *src.add(middle), *src.add(last)];
        *dst = bytes[0] ^ key[0];
        *dst.add(middle) = bytes[1] ^ key[middle];
        *dst.add(last) = bytes[2] ^ key[last];
    }
}

/// Masks 4 * `N` to 8 * `N` bytes: the first `N` words and the last `N` words, which may overlap.
///
/// # Safety
///
/// As for `mask`; `len` is from 4 * `N` to 8 * `N`.
#[inline(always)]
unsafe fn mask_ends<const N: usize>(src: *const u8, dst: *mut u8, len: usize, key: [u8; 4]) {
    debug_assert!((4 * N..=8 * N).contains(&len));
    let last = len - 4 * N;
    // SAFETY: 4 * `N` bytes from 0 and from `last` lie within `len`. All bytes are read before the first is written.
    unsafe {
        let head = load_masked::<N>(src, key);
        let tail = load_masked::<N>(src.add(last), rotate_key(key, last));
        store(dst, head);
        store(dst.add(last), tail);
    }
}

/// Masks at least `BLOCK` bytes. Whole blocks are stored at aligned addresses of `dst`, since a store across two cache
/// lines costs twice. The first `ALIGN` bytes and the last `BLOCK` bytes are masked separately, and overlap the blocks.
///
/// # Safety
///
/// As for `mask`; `len` is at least `BLOCK`.
#[inline(always)]
unsafe fn mask_blocks(src: *const u8, dst: *mut u8, len: usize, key: [u8; 4]) -> u32 {
    debug_assert!(len >= BLOCK);
    let last = len - BLOCK;
    let mut at = ALIGN - dst.addr() % ALIGN;
    let aligned_key = rotate_key(key, at);
    // SAFETY: `ALIGN` bytes from 0 and `BLOCK` bytes from any place up to `last` lie within `len`. Head and tail are
    // read before the first byte is written. The blocks between them do not overlap one another, and each is read
    // before it is written.
    unsafe {
        let head = load_masked::<{ ALIGN / 4 }>(src, key);
        let tail = load_masked::<{ BLOCK / 4 }>(src.add(last), rotate_key(key, last));
        let mut bits = tail;
        while at < last {
            // `BLOCK` is a multiple of the key's length, so every block has the same rotation.
            let block = load_masked::<{ BLOCK / 4 }>(src.add(at), aligned_key);
            store(dst.add(at), block);
            for (bits, word) in bits.iter_mut().zip(&block) {
                *bits |= word;
            }
            at += BLOCK;
        }
        store(dst, head);
        store(dst.add(last), tail);
        or_all(&head) | or_all(&bits)
    }
}

/// `mask_blocks`, compiled for AVX2.
///
/// # Safety
///
/// As for `mask_blocks`; the CPU has AVX2.
#[cfg(all(feature = "std", target_arch = "x86_64"))]
#[target_feature(enable = "avx2")]
unsafe fn mask_blocks_avx2(src: *const u8, dst: *mut u8, len: usize, key: [u8; 4]) -> u32 {
    // SAFETY: the caller guarantees what `mask_blocks` requires.
    unsafe { mask_blocks(src, dst, len, key) }
}

/// Reads `N` words from `src` and masks them.
///
/// # Safety
///
/// 4 * `N` bytes are readable at `src`.
#[inline(always)]
unsafe fn load_masked<const N: usize>(src: *const u8, key: [u8; 4]) -> [u32; N] {
    // SAFETY: the caller guarantees the bytes. The read needs no alignment, and any bytes are valid words.
    let mut words = unsafe { src.cast::<[u32; N]>().read_unaligned() };
    let key = u32::from_ne_bytes(key);
    for word in &mut words {
        *word ^= key;
    }
    words
}

/// The OR of all words.
#[inline(always)]
fn or_all(words: &[u32]) -> u32 {
    words.iter().fold(0, |bits, word| bits | word)
}

/// Writes `words` to `dst`.
///
/// # Safety
///
/// 4 * `N` bytes are writable at `dst`.
#[inline(always)]
unsafe fn store<const N: usize>(dst: *mut u8, words: [u32; N]) {
    // SAFETY: the caller guarantees the bytes. The write needs no alignment.
    unsafe { dst.cast::<[u32; N]>().write_unaligned(words) }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// The oracle: the formula of RFC 6455 5.3, byte by byte.
    fn mask_by_byte(payload: &[u8], key: [u8; 4]) -> Vec<u8> {
        payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect()
    }

    fn sample(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 37 + i / 7 + 11) as u8).collect()
    }

    type Kernel = unsafe fn(*const u8, *mut u8, usize, [u8; 4]) -> u32;

    /// Every implementation that `mask` can choose, each with the shortest payload that it accepts.
    fn levels() -> impl Iterator<Item = (usize, Kernel)> {
        let plain: [(usize, Kernel); 2] = [(0, mask), (BLOCK, mask_blocks)];
        #[cfg(all(feature = "std", target_arch = "x86_64"))]
        let wide =
            std::is_x86_feature_detected!("avx2").then_some((BLOCK, mask_blocks_avx2 as Kernel));
        #[cfg(not(all(feature = "std", target_arch = "x86_64")))]
        let wide = None;
        plain.into_iter().chain(wide)
    }

    #[test]
    fn one_byte_that_is_not_ascii_is_noticed_in_any_place() {
        for (shortest, level) in levels() {
            let lengths = if cfg!(miri) { vec![1, 5, 33, 130] } else { (1..=300).collect() };
            for len in lengths.into_iter().filter(|len| *len >= shortest) {
                for at in 0..len {
                    let mut bytes: Vec<u8> = (0..len).map(|i| b'a' ^ KEYS[0][i % 4]).collect();
                    let from = bytes.as_mut_ptr();
                    // SAFETY: `from` points at `len` bytes.
                    let plain = unsafe { level(from, from, len, KEYS[0]) };
                    assert_eq!(plain & HIGH_BITS == 0, len > BLOCK || shortest > 0, "{len}");
                    bytes[at] = 0x80;
                    let from = bytes.as_mut_ptr();
                    // SAFETY: as above.
                    let bits = unsafe { level(from, from, len, [0; 4]) };
                    assert_ne!(bits & HIGH_BITS, 0, "{len} bytes, {at}");
                }
            }
        }
    }

    const KEYS: [[u8; 4]; 3] = [[0x37, 0xfa, 0x21, 0x3d], [0, 0, 0, 1], [0; 4]];

    #[test]
    fn hello_of_rfc_6455_5_7() {
        // rfc6455-5.3-05
        let mut payload = *b"Hello";
        apply_mask(&mut payload, [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(payload, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        apply_mask(&mut payload, [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(&payload, b"Hello");
    }

    #[test]
    fn each_level_agrees_with_the_plain_loop() {
        // rfc6455-5.3-05, rfc6455-5.3-06
        let lengths: Vec<usize> = if cfg!(miri) {
            [0, 1, 2, 3, 4, 7, 8, 9, 16, 17, 32, 33, 64, 65, 127, 128, 129, 160, 257, 300].into()
        } else {
            (0..=300).chain([511, 512, 513, 1460, 4099]).collect()
        };
        let offsets = if cfg!(miri) { vec![0, 1, 30] } else { (0..=33).collect() };
        for (shortest, level) in levels() {
            for &len in lengths.iter().filter(|&&len| len >= shortest) {
                for &offset in &offsets {
                    let key = KEYS[offset % KEYS.len()];
                    let payload = sample(len);
                    let expected = mask_by_byte(&payload, key);

                    // In place. The allocation ends with the payload, so that Miri and memcheck see an overrun.
                    let mut bytes = vec![0xA5; offset + len].into_boxed_slice();
                    bytes[offset..].copy_from_slice(&payload);
                    let at = bytes[offset..].as_mut_ptr();
                    // SAFETY: `at` points at `len` bytes of `bytes`.
                    let bits = unsafe { level(at, at, len, key) };
                    let known = expected.is_ascii() && (len > BLOCK || shortest > 0);
                    assert_eq!(bits & HIGH_BITS == 0, known, "ASCII: {len} bytes at {offset}");
                    assert_eq!(bytes[offset..], expected, "in place: {len} bytes at {offset}");
                    assert!(bytes[..offset].iter().all(|&byte| byte == 0xA5));

                    // Into another buffer, with bytes after the payload.
                    let mut to = vec![0xA5; offset + len + 64];
                    // SAFETY: `payload` and `to` do not overlap, and `len` bytes of `to` follow `offset`.
                    unsafe { level(payload.as_ptr(), to[offset..].as_mut_ptr(), len, key) };
                    assert_eq!(to[offset..offset + len], expected, "{len} bytes to {offset}");
                    assert!(to[..offset].iter().all(|&byte| byte == 0xA5));
                    assert!(to[offset + len..].iter().all(|&byte| byte == 0xA5));
                }
            }
        }
    }

    #[test]
    fn chunks_with_a_rotated_key_equal_the_whole() {
        // rfc6455-5.3-05
        let key = KEYS[0];
        for len in if cfg!(miri) { vec![9, 140] } else { vec![0, 1, 9, 64, 140, 300, 700] } {
            let expected = mask_by_byte(&sample(len), key);
            for at in 0..=len {
                let mut payload = sample(len);
                let (front, back) = payload.split_at_mut(at);
                apply_mask(front, key);
                apply_mask(back, rotate_key(key, at));
                assert_eq!(payload, expected, "{len} bytes cut at {at}");

                let payload = sample(len);
                let mut out = Vec::new();
                append_masked(&mut out, &payload[..at], key);
                append_masked(&mut out, &payload[at..], rotate_key(key, at));
                assert_eq!(out, expected, "{len} bytes cut at {at}");
            }
        }
    }

    #[test]
    fn key_turns_by_four() {
        let turned = [[1, 2, 3, 4], [2, 3, 4, 1], [3, 4, 1, 2], [4, 1, 2, 3]];
        for offset in (0..9).chain([usize::MAX - 3, usize::MAX]) {
            assert_eq!(rotate_key([1, 2, 3, 4], offset), turned[offset % 4], "{offset}");
        }
    }

    #[test]
    fn appending_keeps_what_is_there_and_grows_as_needed() {
        // rfc6455-5.3-06
        for len in [0, 1, 5, 40, 125, 126, 300] {
            for key in KEYS {
                let mut out = b"head".to_vec();
                append_masked(&mut out, &sample(len), key);
                assert_eq!(out[..4], *b"head");
                assert_eq!(out[4..], mask_by_byte(&sample(len), key));

                let mut roomy = Vec::with_capacity(len);
                let before = (roomy.as_ptr(), roomy.capacity());
                append_masked(&mut roomy, &sample(len), key);
                assert_eq!((roomy.as_ptr(), roomy.capacity()), before);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 8 } else { 500 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn masking_agrees_with_the_plain_loop_and_undoes_itself(
            payload in prop::collection::vec(any::<u8>(), 0..2500),
            key in any::<[u8; 4]>(),
        ) {
            // rfc6455-5.3-05, rfc6455-5.3-06
            let expected = mask_by_byte(&payload, key);
            let mut bytes = payload.clone();
            apply_mask(&mut bytes, key);
            prop_assert_eq!(&bytes, &expected);
            let mut out = Vec::new();
            append_masked(&mut out, &payload, key);
            prop_assert_eq!(&out, &expected);
            apply_mask(&mut bytes, key);
            prop_assert_eq!(bytes, payload);
        }
    }
}
