//! `Sec-WebSocket-Accept`, which proves that a server has read the request: a hash of `Sec-WebSocket-Key` (RFC 6455
//! 1.3, 4.2.2). Whether a key is valid is judged in `server.rs`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The value of `Sec-WebSocket-Accept`, 28 ASCII characters, that answers a `Sec-WebSocket-Key` (RFC 6455 4.2.2).
///
/// The key is hashed as text, not decoded. The caller trims the white space around it. It is not checked here.
///
/// ```
/// assert_eq!(&websocket_proto::handshake::accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[must_use]
pub fn accept_key(key: &[u8]) -> [u8; 28] {
    let digest = match <&[u8; 24]>::try_from(key) {
        Ok(key) => hash_key(key),
        Err(_) => Sha1::new().chain_update(key).chain_update(GUID).finalize().into(),
    };
    let mut accept = [0; 28];
    STANDARD.encode_slice(digest, &mut accept).expect("20 bytes are 28 characters of base64");
    accept
}

/// The GUID that is appended to every key before it is hashed (RFC 6455 1.3).
const GUID: &[u8; 36] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The SHA-1 hash of a key of 24 bytes with the GUID. These are always 60 bytes, so the padding is constant and both
/// blocks are compressed in one call (FIPS 180-4 5.1.1, 5.3.1, 6.1).
fn hash_key(key: &[u8; 24]) -> [u8; 20] {
    let mut blocks = [[0; 64]; 2];
    blocks[0][..24].copy_from_slice(key);
    blocks[0][24..60].copy_from_slice(GUID);
    blocks[0][60] = 0x80;
    blocks[1][56..].copy_from_slice(&(60 * 8_u64).to_be_bytes());
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    sha1::block_api::compress(&mut state, &blocks);
    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_key_hashes_the_text_of_the_key() {
        // rfc6455-4.2.2-20, rfc6455-4.1-50
        assert_eq!(
            &super::accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="),
            b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(&super::accept_key(b"the sample nonce"), b"BXhwxM0SZasKmCD9S4BfpPmCnEw=");
    }

    #[test]
    fn key_of_the_right_length_is_hashed_like_any_other() {
        for seed in 0..=255_u8 {
            let key: [u8; 24] = core::array::from_fn(|i| seed.wrapping_mul(31) ^ (i as u8 * 7));
            let plain = Sha1::new().chain_update(key).chain_update(GUID).finalize();
            assert_eq!(hash_key(&key)[..], plain[..], "{key:?}");
        }
    }
}
