//! The caller's input. Received bytes are taken off its front.

/// Takes the first `n` bytes off `input`, which must have at least `n`.
#[inline]
pub(crate) fn take_front<'a>(input: &mut &'a mut [u8], n: usize) -> &'a mut [u8] {
    let (front, rest) = core::mem::take(input).split_at_mut(n);
    *input = rest;
    front
}
