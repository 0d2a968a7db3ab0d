//! A whole head that a reader has found valid. The requests and the response that an application sees are made of it;
//! each of their getters reads the bytes again and relies on that.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::headers::{Headers, split_line};

/// A valid head of HTTP/1.1, blank line included. It is borrowed from the input if it lies whole there.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Head<'a> {
    bytes: Cow<'a, [u8]>,
}

const _: () = assert!(size_of::<Head<'_>>() == 24 || size_of::<usize>() != 8);

impl<'a> Head<'a> {
    /// A head that a reader has checked.
    pub(super) fn new(bytes: Cow<'a, [u8]>) -> Self {
        Head { bytes }
    }

    /// The first line, without its CR LF.
    pub(super) fn first_line(&self) -> &[u8] {
        split_line(&self.bytes).0
    }

    pub(super) fn headers(&self) -> Headers<'_> {
        Headers::of_head(&self.bytes)
    }

    /// The value of the first header of this name, in any case.
    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().get(name)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes; it copies them unless they are owned already.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_owned()
    }

    /// Detaches the head from the input; it copies the bytes unless they are owned already.
    pub(super) fn into_owned(self) -> Head<'static> {
        Head { bytes: Cow::Owned(self.into_bytes()) }
    }
}
