//! How two ends agree on permessage-deflate (RFC 7692 7.1): it writes and reads offers and responses. What they mean to
//! the codecs is left to `deflate`.

use alloc::string::String;
use core::fmt::Write;
use core::iter;

use super::error::{HandshakeError, named};
use super::extensions::{self, Extension, ExtensionParam, ExtensionValue};
use crate::deflate::{Deflate, DeflateParams};

const NAME: &str = "permessage-deflate";

impl DeflateParams {
    /// Writes these parameters as one offer of a client, with windows clamped to 9 to 15 bits. Only an offer
    /// `with_client_window` has `client_max_window_bits`.
    fn write_offer(&self, with_client_window: bool, out: &mut String) {
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
        if !with_client_window {
            return;
        }
        // RFC 7692 7.1.2.2: the parameter tells the server that it may limit the client's window.
        match clamp_bits(self.client_max_window_bits) {
            15 => out.push_str("; client_max_window_bits"),
            bits => write!(out, "; client_max_window_bits={bits}").expect("a String takes all"),
        }
    }

    /// Whether `response` is a valid answer to this offer.
    fn allows(&self, response: &Sent) -> bool {
        // RFC 7692 7.1.1.1, 7.1.2.1: the server must grant what was asked for; its window may be smaller.
        let is_window_granted =
            match (clamp_bits(self.server_max_window_bits), response.server_max_window_bits) {
                (15, _) => true,
                (asked, granted) => granted.is_some_and(|granted| granted <= asked),
            };
        is_window_granted
            && (response.server_no_context_takeover || !self.server_no_context_takeover)
    }
}

/// The parameters of one offer or response, as they were sent.
#[derive(Default)]
struct Sent {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// `Some(None)` if it was sent without a value.
    client_max_window_bits: Option<Option<u8>>,
}

impl Sent {
    /// Reads the parameters. Returns `None` if one is not defined, is repeated, or has a wrong value (RFC 7692 7.1).
    fn read(extension: &Extension<'_>) -> Option<Sent> {
        let mut sent = Sent::default();
        for ExtensionParam { name, value } in extension.params() {
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

    /// The parameters that a server's response means. RFC 7692 5: they do not depend on the offer that the server took.
    fn agreed(&self) -> Option<DeflateParams> {
        Some(DeflateParams {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            server_max_window_bits: self.server_max_window_bits.unwrap_or(15),
            client_max_window_bits: match self.client_max_window_bits {
                // RFC 7692 7.1.2.2: in a response the parameter has a value.
                Some(bits) => bits?,
                None => 15,
            },
        })
    }
}

/// The window bits of options that no [`Config`](crate::Config) has checked. zlib has no raw DEFLATE with 8 bits.
fn clamp_bits(bits: u8) -> u8 {
    bits.clamp(9, 15)
}

/// Reads a window size: a decimal number from 8 to 15 without leading zeros (RFC 7692 7.1.2).
fn window_bits(value: ExtensionValue<'_>) -> Option<u8> {
    let mut digits = value.bytes();
    match (digits.next()?, digits.next(), digits.next()) {
        (digit @ b'8'..=b'9', None, None) => Some(digit - b'0'),
        (b'1', Some(digit @ b'0'..=b'5'), None) => Some(10 + (digit - b'0')),
        _ => None,
    }
}

impl Deflate {
    /// The offers of a client in order of preference.
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
    /// sends it; call this only for a handshake that is done elsewhere.
    #[must_use]
    pub fn offer(&self) -> String {
        let mut offer = String::new();
        for params in self.offers() {
            if !offer.is_empty() {
                offer.push_str(", ");
            }
            params.write_offer(self.offer_client_max_window_bits, &mut offer);
        }
        offer
    }

    /// A server's choice among the offers of a client, given the values of all its `Sec-WebSocket-Extensions` lines:
    /// the agreed parameters, and the value for the response. `None` if no offer is acceptable: the connection then
    /// goes on without compression (RFC 7692 5). [`Connection::server`](crate::Connection::server) does this; call it
    /// only for a handshake that is done elsewhere.
    pub fn accept<'h>(
        &self,
        offers: impl IntoIterator<Item = &'h [u8]>,
    ) -> Option<(DeflateParams, String)> {
        offers
            .into_iter()
            .flat_map(extensions::parse)
            .map_while(Result::ok)
            .filter(|extension| extension.name == NAME.as_bytes())
            .find_map(|offer| self.accept_one(&Sent::read(&offer)?))
    }

    fn accept_one(&self, offer: &Sent) -> Option<(DeflateParams, String)> {
        let server_bits =
            offer.server_max_window_bits.unwrap_or(15).min(clamp_bits(self.server_max_window_bits));
        // RFC 7692 7.1.2.1: an offer that asks for 8 bits is declined, since the compressor cannot have them.
        if server_bits < 9 {
            return None;
        }
        // RFC 7692 7.1.1.1: a server that does not support the parameter declines the offer.
        if offer.server_no_context_takeover && self.refuse_server_no_context_takeover {
            return None;
        }
        let params = DeflateParams {
            server_no_context_takeover: offer.server_no_context_takeover
                || self.server_no_context_takeover,
            // RFC 7692 7.1.1.2: the client's hint is followed, since it saves memory for the window.
            client_no_context_takeover: offer.client_no_context_takeover
                || self.client_no_context_takeover,
            server_max_window_bits: server_bits,
            // RFC 7692 7.1.2.2: only a client that sent the parameter can be limited.
            client_max_window_bits: match offer.client_max_window_bits {
                Some(bits) => bits.unwrap_or(15).min(clamp_bits(self.client_max_window_bits)),
                None => 15,
            },
        };
        if self.client_window_required
            && params.client_max_window_bits > clamp_bits(self.client_max_window_bits)
        {
            return None;
        }
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

    /// Whether a client takes `response`: it is a valid answer to one of the offers, and has nothing that these options
    /// refuse.
    fn allows(&self, response: &Sent) -> bool {
        // RFC 7692 7.1.2.2: the response has the parameter only if the offer has it.
        let is_offered =
            self.offer_client_max_window_bits || response.client_max_window_bits.is_none();
        let is_refused =
            self.refuse_server_no_context_takeover && response.server_no_context_takeover;
        is_offered && !is_refused && self.offers().any(|offered| offered.allows(response))
    }

    /// Checks the server's response to [`offer`](Deflate::offer), given the values of all its
    /// `Sec-WebSocket-Extensions` lines. Returns the agreed parameters, or `None` if the server declined the extension.
    /// The response must fit one of the offers, and must have nothing that these options refuse.
    /// [`Connection::client`](crate::Connection::client) does this; call it only for a handshake that is done
    /// elsewhere.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::InvalidExtensions`], [`HandshakeError::ExtensionNotOffered`] and
    /// [`HandshakeError::ExtensionParameters`]: the connection has failed (RFC 7692 7).
    pub fn agree<'h>(
        &self,
        response: impl IntoIterator<Item = &'h [u8]>,
    ) -> Result<Option<DeflateParams>, HandshakeError> {
        let mut agreed = None;
        for extension in response.into_iter().flat_map(extensions::parse) {
            let extension = extension.map_err(|_| HandshakeError::InvalidExtensions)?;
            // RFC 6455 4.1: the response lists only what was offered, and the extension was offered for one use.
            if extension.name != NAME.as_bytes() || agreed.is_some() {
                let name = named(extension.name);
                return Err(HandshakeError::ExtensionNotOffered { name });
            }
            let params = Sent::read(&extension)
                .filter(|sent| self.allows(sent))
                .and_then(|sent| sent.agreed());
            agreed = Some(params.ok_or(HandshakeError::ExtensionParameters)?);
        }
        Ok(agreed)
    }
}
