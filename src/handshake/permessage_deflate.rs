//! How permessage-deflate is agreed on (RFC 7692 7.1): offers and responses as text, and what comes of them.

use alloc::string::String;
use core::fmt::Write;
use core::iter;

use super::error::HandshakeError;
use super::extensions::{self, Extension, Param};
use crate::deflate::{Deflate, DeflateParams, clamp_bits};

const NAME: &str = "permessage-deflate";

impl DeflateParams {
    /// Writes it as one offer of a client, with windows brought into the range that can be had.
    fn write_offer(&self, out: &mut String) {
        out.push_str(NAME);
        if self.server_no_context_takeover {
            out.push_str("; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            out.push_str("; client_no_context_takeover");
        }
        if let bits @ ..15 = clamp_bits(self.server_max_window_bits) {
            write!(out, "; server_max_window_bits={bits}").expect("a String takes all");
        }
        // RFC 7692 7.1.2.2: it tells the server that it may limit us.
        match clamp_bits(self.client_max_window_bits) {
            15 => out.push_str("; client_max_window_bits"),
            bits => write!(out, "; client_max_window_bits={bits}").expect("a String takes all"),
        }
    }

    /// Whether a server that was offered this may answer so.
    fn allows(&self, response: &Sent) -> bool {
        // RFC 7692 7.1.1.1: what was asked for must be granted; 7.1.2.1: with the same or a smaller window.
        let is_window_granted =
            match (clamp_bits(self.server_max_window_bits), response.server_max_window_bits) {
                (15, _) => true,
                (asked, granted) => granted.is_some_and(|granted| granted <= asked),
            };
        is_window_granted
            && (response.server_no_context_takeover || !self.server_no_context_takeover)
    }
}

/// The parameters of one element of the header, as they were sent.
#[derive(Default)]
struct Sent {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// `Some(None)`: without a value.
    client_max_window_bits: Option<Option<u8>>,
}

impl Sent {
    /// `None` for a parameter that is not defined, is repeated, or has a value that it must not have (RFC 7692 7.1).
    fn read(extension: &Extension<'_>) -> Option<Sent> {
        let mut sent = Sent::default();
        for Param { name, value } in extension.params() {
            let value = value.as_deref();
            match name {
                b"server_no_context_takeover"
                    if !sent.server_no_context_takeover && value.is_none() =>
                {
                    sent.server_no_context_takeover = true;
                }
                b"client_no_context_takeover"
                    if !sent.client_no_context_takeover && value.is_none() =>
                {
                    sent.client_no_context_takeover = true;
                }
                b"server_max_window_bits" if sent.server_max_window_bits.is_none() => {
                    sent.server_max_window_bits = Some(window_bits(value?)?);
                }
                b"client_max_window_bits" if sent.client_max_window_bits.is_none() => {
                    sent.client_max_window_bits = Some(match value {
                        Some(value) => Some(window_bits(value)?),
                        None => None,
                    });
                }
                _ => return None,
            }
        }
        Some(sent)
    }

    /// What a server's response comes to. RFC 7692 5: it alone says so, whichever offer was taken.
    fn agreed(&self) -> Option<DeflateParams> {
        Some(DeflateParams {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            server_max_window_bits: self.server_max_window_bits.unwrap_or(15),
            client_max_window_bits: match self.client_max_window_bits {
                // RFC 7692 7.1.2.2: in a response it has a value.
                Some(bits) => bits?,
                None => 15,
            },
        })
    }
}

/// RFC 7692 7.1.2: a decimal number from 8 to 15 without leading zeroes.
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + (digit - b'0')),
        _ => None,
    }
}

impl Deflate {
    /// What a client offers, in order.
    fn offers(&self) -> impl Iterator<Item = DeflateParams> {
        let first = DeflateParams {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            server_max_window_bits: self.server_max_window_bits,
            client_max_window_bits: self.client_max_window_bits,
        };
        iter::once(first).chain(self.fallbacks.iter().copied())
    }

    /// A client's offers: the value of `Sec-WebSocket-Extensions`. [`Connection::client`](crate::Connection::client)
    /// sends it by itself; this is for a handshake done elsewhere.
    pub fn offer(&self) -> String {
        let mut offer = String::new();
        for params in self.offers() {
            if !offer.is_empty() {
                offer.push_str(", ");
            }
            params.write_offer(&mut offer);
        }
        offer
    }

    /// A server's choice among the offers of a client, given the values of all its `Sec-WebSocket-Extensions` lines:
    /// what is agreed, and the value for the response. `None` if there is no offer that can be accepted, which is no
    /// failure (RFC 7692 5). [`Connection::server`](crate::Connection::server) does it by itself.
    pub fn accept<'h>(
        &self,
        offers: impl Iterator<Item = &'h [u8]>,
    ) -> Option<(DeflateParams, String)> {
        offers
            .flat_map(extensions::parse)
            .map_while(Result::ok)
            .filter(|extension| extension.name == NAME.as_bytes())
            .find_map(|offer| self.accept_one(&Sent::read(&offer)?))
    }

    fn accept_one(&self, offer: &Sent) -> Option<(DeflateParams, String)> {
        let server_bits = offer.server_max_window_bits.unwrap_or(15).min(self.server_bits());
        // RFC 7692 7.1.2.1: an offer that asks for a window we cannot have is declined.
        if server_bits < 9 {
            return None;
        }
        let params = DeflateParams {
            server_no_context_takeover: offer.server_no_context_takeover
                || self.server_no_context_takeover,
            // RFC 7692 7.1.1.2: the client's hint is taken, as it saves us the window.
            client_no_context_takeover: offer.client_no_context_takeover
                || self.client_no_context_takeover,
            server_max_window_bits: server_bits,
            // RFC 7692 7.1.2.2: only a client that said so can be limited.
            client_max_window_bits: match offer.client_max_window_bits {
                Some(bits) => bits.unwrap_or(15).min(self.client_bits()),
                None => 15,
            },
        };
        let mut response = String::from(NAME);
        if params.server_no_context_takeover {
            response.push_str("; server_no_context_takeover");
        }
        if params.client_no_context_takeover {
            response.push_str("; client_no_context_takeover");
        }
        if offer.server_max_window_bits.is_some() || server_bits < 15 {
            write!(response, "; server_max_window_bits={server_bits}").expect("a String takes all");
        }
        if params.client_max_window_bits < 15 {
            write!(response, "; client_max_window_bits={}", params.client_max_window_bits)
                .expect("a String takes all");
        }
        Some((params, response))
    }

    /// A client's judgement of the server's response to [`offer`](Deflate::offer), which must fit one of the offers,
    /// given the values of all its `Sec-WebSocket-Extensions` lines; `None` if the extension was declined.
    /// [`Connection::client`](crate::Connection::client) does it by itself.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::InvalidExtensions`], [`HandshakeError::ExtensionNotOffered`] and
    /// [`HandshakeError::ExtensionParameters`]: the connection has failed (RFC 7692 7).
    pub fn agree<'h>(
        &self,
        response: impl Iterator<Item = &'h [u8]>,
    ) -> Result<Option<DeflateParams>, HandshakeError> {
        let mut agreed = None;
        for extension in response.flat_map(extensions::parse) {
            let extension = extension.map_err(|_| HandshakeError::InvalidExtensions)?;
            // RFC 6455 4.1: nothing that was not offered; once is what was offered.
            if extension.name != NAME.as_bytes() || agreed.is_some() {
                return Err(HandshakeError::ExtensionNotOffered);
            }
            let params = Sent::read(&extension)
                .filter(|sent| self.offers().any(|offered| offered.allows(sent)))
                .and_then(|sent| sent.agreed());
            agreed = Some(params.ok_or(HandshakeError::ExtensionParameters)?);
        }
        Ok(agreed)
    }
}
