//! The opening handshake (RFC 6455 section 4) as values: heads in, verdicts and heads out, for both roles.
//! When a verdict is asked for and what becomes of the connection is left to the connection that owns these.

mod client;
mod error;
mod extended;
pub(crate) mod extensions;
mod fields;
mod head;
mod offer;
mod origin;
mod proxy;
mod refusal;
mod reply;
mod request;
mod response;
mod server;
mod syntax;
mod uri;

pub use client::UpgradeResponse;
pub use error::HandshakeError;
pub use extended::{
    ExtendedAccept, ExtendedConnect, ExtendedHeader, ExtendedRefusal, ExtendedResponse,
};
pub use head::{Header, Headers};
pub use offer::ClientRequest;
pub use origin::OriginPolicy;
pub use proxy::ProxyTunnel;
pub use refusal::Refusal;
pub use request::{PlainRequest, UpgradeRequest};
pub use response::{Accept, Response};
pub use uri::{Uri, UriError};

pub(crate) use client::{ClientHandshake, ClientStep};
pub(crate) use server::{PendingUpgrade, ServerHandshake, ServerStep};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The one version of the protocol that is spoken (RFC 6455 4.1).
pub(crate) const VERSION: &str = "13";

/// The value of `Sec-WebSocket-Accept`, 28 ASCII characters, that answers a `Sec-WebSocket-Key` (RFC 6455 4.2.2).
///
/// The key is hashed as the text that it is, without its surrounding white space; it is not checked here.
///
/// ```
/// assert_eq!(&websocket_proto::accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[must_use]
pub fn accept_key(key: &[u8]) -> [u8; 28] {
    const GUID: &[u8; 36] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let digest = match <&[u8; 24]>::try_from(key) {
        // Every valid key: the hash takes one piece faster than two.
        Ok(key) => {
            let mut text = [0; 60];
            text[..24].copy_from_slice(key);
            text[24..].copy_from_slice(GUID);
            Sha1::digest(text)
        }
        Err(_) => Sha1::new().chain_update(key).chain_update(GUID).finalize(),
    };
    let mut accept = [0; 28];
    STANDARD.encode_slice(digest, &mut accept).expect("20 bytes are 28 characters of base64");
    accept
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fmt::Debug;
    use std::vec::Vec;

    /// What follows a head in the rows that ask whether it stays where it is: a masked frame, LFs included.
    pub(crate) const BEHIND: &[u8] = b"\x81\x85\r\n\r\nbyte\n";

    /// Runs `feed` on `bytes` whole, at every two-way cut and byte by byte, bare and with [`BEHIND`] behind them,
    /// and wants the same answer every time: `expected`, and what was left over if the run says so.
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

    #[test]
    fn accept_key_hashes_the_text_of_the_key() {
        // rfc6455-4.2.2-20, rfc6455-4.1-50
        assert_eq!(
            &super::accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="),
            b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(&super::accept_key(b"the sample nonce"), b"BXhwxM0SZasKmCD9S4BfpPmCnEw=");
    }
}
