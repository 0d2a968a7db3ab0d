//! Replaces `deflate.rs` if the feature `deflate` is off. Its types have no values, since no connection has a codec
//! then.

use core::time::Duration;

use crate::timestamp::Timestamp;

/// The codec of a connection: none, which takes no space.
pub(crate) type MaybeCodec = Option<Codec>;

pub(crate) enum Codec {}
pub(crate) enum Compressor {}

impl Codec {
    pub(crate) fn compressor(&self) -> &Compressor {
        match *self {}
    }

    pub(crate) fn compressor_mut(&mut self) -> &mut Compressor {
        match *self {}
    }

    pub(crate) fn free_memory(&mut self) {
        match *self {}
    }

    pub(crate) fn free_unused(&mut self, _: Timestamp, _: Duration) -> Option<Timestamp> {
        match *self {}
    }
}

impl Compressor {
    pub(crate) fn unfinished_bytes(&self) -> u64 {
        match *self {}
    }
}
