//! The parts of the opening handshake (RFC 6455 section 4) that most programs do not need.
//!
//! - [`Headers`] and [`Header`] are what was received, or what another HTTP stack is to send; [`HeaderValue`] is what
//!   every method that adds a header takes.
//! - [`ProxyRequest`] and [`ProxyTunnel`] open a tunnel through an HTTP proxy, before the handshake.
//! - [`ExtendedConnect`] is the request over HTTP/2 and HTTP/3 (RFC 8441, RFC 9220). A server reads it from a list of
//!   headers, and answers with [`Accepted`] or with the response of a [`RequestError`]. A client makes that list with
//!   [`ClientRequest::extended_connect`], and [`ClientRequest::extended_response`] gives what was [`Agreed`].
//! - [`parse_extensions`] reads `Sec-WebSocket-Extensions`, for a program that negotiates extensions itself.
//! - [`ParsedRequest`] and [`ClientUpgrade`] are the handshake in another HTTP/1.1 stack, such as hyper, which parses and
//!   writes the heads. A server judges the parts of a request, and answers with [`Accepted`] or with the response of a
//!   [`RequestError`]. A client sends the parts of [`ClientRequest::upgrade`], and [`ClientUpgrade::response`] gives what
//!   was [`Agreed`]. With the feature `http`, the types of the crate `http` are taken and returned.
//!   `docs/examples/hyper` in the repository has a server and a client.
//! - [`accept_key`] computes `Sec-WebSocket-Accept`.
//!
//! What a handshake over HTTP/1.1 needs is at the crate's root: [`ClientRequest`], [`UpgradeResponse`] and [`Refusal`]
//! for a client; [`UpgradeRequest`], [`PlainRequest`], [`Accept`], [`Response`] and
//! [`OriginPolicy`](crate::OriginPolicy) for a server. A [`Connection`](crate::Connection) reads and writes the heads.

// These modules are private to the crate. Each public type has one path: here, or at the crate's root.
pub(crate) mod accept;
mod accept_key;
mod client;
pub(crate) mod client_request;
mod client_upgrade;
pub(crate) mod error;
mod extended;
mod extensions;
mod fields;
mod head;
mod head_buffer;
mod head_reader;
mod header_list;
mod headers;
#[cfg(feature = "http")]
mod http_types;
pub(crate) mod origin;
mod parsed_request;
mod parts;
#[cfg(feature = "deflate")]
mod permessage_deflate;
mod proxy;
mod read_lines;
pub(crate) mod refusal;
mod refusal_body;
pub(crate) mod request;
pub(crate) mod response;
mod response_reader;
mod server;
mod syntax;
pub(crate) mod upgrade_response;
pub(crate) mod uri;
mod verdict;
mod version;
mod whole_head;
mod write_lines;

pub use accept_key::accept_key;
pub use client_upgrade::ClientUpgrade;
pub use extended::ExtendedConnect;
pub use extensions::{Extension, ExtensionParam, ExtensionValue, parse_extensions};
pub use header_list::{HeaderList, HeaderValue};
pub use headers::{Header, Headers};
pub use parsed_request::ParsedRequest;
pub use proxy::{ProxyRequest, ProxyTunnel};
pub use verdict::{Accepted, Agreed, RequestError};
pub use version::HttpVersion;

pub(crate) use accept::Accept;
pub(crate) use client::ClientHandshake;
pub(crate) use client_request::ClientRequest;
pub(crate) use error::HandshakeError;
pub(crate) use refusal::Refusal;
pub(crate) use refusal_body::{Piece, RefusalReader};
pub(crate) use request::{PlainRequest, UpgradeRequest};
pub(crate) use response::Response;
pub(crate) use server::{PendingUpgrade, ServerHandshake, ServerStep};
pub(crate) use upgrade_response::UpgradeResponse;
pub(crate) use uri::UriError;
pub(crate) use verdict::choose_extensions;

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
