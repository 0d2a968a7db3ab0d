//! The opening handshake (RFC 6455 section 4) as values, for both roles: it reads heads, judges them, and writes heads.
//! When that happens, and what it means for the connection, is decided by the connection.

mod accept_key;
mod client;
mod client_request;
mod error;
mod extended;
mod extensions;
mod fields;
mod head_buffer;
mod head_reader;
mod headers;
mod origin;
#[cfg(feature = "deflate")]
mod permessage_deflate;
mod proxy;
mod read_lines;
mod refusal;
mod refusal_body;
mod request;
mod response;
mod response_reader;
mod server;
mod syntax;
mod uri;
mod version;
mod whole_head;
mod write_lines;

pub use accept_key::accept_key;
pub use client::UpgradeResponse;
pub use client_request::ClientRequest;
pub use error::HandshakeError;
pub use extended::{
    ExtendedAccept, ExtendedConnect, ExtendedHeader, ExtendedRefusal, ExtendedResponse,
};
pub use headers::{Header, Headers};
pub use origin::{OriginError, OriginPolicy};
pub use proxy::ProxyTunnel;
pub use refusal::Refusal;
pub use request::{PlainRequest, UpgradeRequest};
pub use response::{Accept, Response};
pub use uri::{Uri, UriError};
pub use version::HttpVersion;

pub(crate) use client::ClientHandshake;
pub(crate) use server::{PendingUpgrade, ServerHandshake, ServerStep};

#[cfg(test)]
pub(crate) mod tests {
    use std::fmt::Debug;
    use std::vec::Vec;

    /// Bytes behind a head, which the head's reader must not touch: a masked frame with LFs in it.
    pub(crate) const BEHIND: &[u8] = b"\x81\x85\r\n\r\nbyte\n";

    /// Runs `feed` on `bytes` whole, cut in two at every place, and byte by byte; with and without [`BEHIND`] after
    /// them. Asserts that the answer is `expected` each time, and that nothing of [`BEHIND`] was used, if `feed` says
    /// what is left.
    pub(crate) fn every_cut<T: PartialEq + Debug>(
        bytes: &[u8],
        expected: &T,
        feed: impl Fn(&[&[u8]]) -> (T, Option<Vec<u8>>),
    ) {
        let check = |pieces: &[&[u8]], behind: &[u8]| {
            let (verdict, left) = feed(pieces);
            let sizes: Vec<usize> = pieces.iter().map(|piece| piece.len()).collect();
            let text = std::string::String::from_utf8_lossy(bytes);
            assert_eq!(&verdict, expected, "{text:?} cut into {sizes:?}");
            if let Some(left) = left {
                assert_eq!(left, behind, "left behind {text:?} cut into {sizes:?}");
            }
        };
        for behind in [&[][..], BEHIND] {
            let all = [bytes, behind].concat();
            check(&[&all], behind);
            for at in 0..all.len() {
                check(&[&all[..at], &all[at..]], behind);
            }
            let each: Vec<&[u8]> = all.chunks(1).collect();
            check(&each, behind);
        }
    }
}
