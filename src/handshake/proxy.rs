//! CONNECT through an HTTP proxy, which precedes a client's handshake (RFC 6455 4.1, RFC 9110 9.3.6). The choice of the
//! proxy, and TLS through the tunnel, are left to the application.

use alloc::vec::Vec;
use core::fmt;

use super::error::HandshakeError;
use super::fields::Fields;
use super::response_reader::ResponseReader;
use super::uri::Uri;
use super::write_lines::{RESERVED_IN_UPGRADE, check_header, write_header};
use crate::config::Config;
use crate::error::UsageError;

/// Asks an HTTP proxy for a tunnel to the server (RFC 6455 4.1).
///
/// Connect to the proxy, write [`outgoing`](ProxyTunnel::outgoing), and pass what arrives to
/// [`receive`](ProxyTunnel::receive). After `Ok` the transport leads to the server: do the TLS handshake for `wss`,
/// then open the connection as without a proxy.
///
/// ```
/// use websocket_proto::{Config, Uri, handshake::ProxyTunnel};
///
/// let uri = Uri::parse("wss://example.com/chat")?;
/// let mut tunnel = ProxyTunnel::new(&uri);
/// assert!(tunnel.outgoing().starts_with(b"CONNECT example.com:443 HTTP/1.1\r\n"));
/// tunnel.advance(tunnel.outgoing().len());
///
/// let mut bytes = *b"HTTP/1.1 200 Connection established\r\n\r\n";
/// assert_eq!(tunnel.receive(&mut &mut bytes[..], &Config::default()), Some(Ok(())));
/// # Ok::<(), websocket_proto::UriError>(())
/// ```
pub struct ProxyTunnel {
    /// The whole request.
    request: Vec<u8>,
    /// The number of bytes of it that were written.
    sent: usize,
    reader: ResponseReader,
}

impl ProxyTunnel {
    /// A tunnel to the host and port of `uri`.
    #[must_use]
    pub fn new(uri: &Uri) -> Self {
        let mut request = Vec::new();
        // RFC 9110 9.3.6: the target is host and port, and the port is never left out.
        let target = alloc::format!("{}:{}", uri.bracketed_host(), uri.port());
        for part in ["CONNECT ", &target, " HTTP/1.1\r\n"] {
            request.extend_from_slice(part.as_bytes());
        }
        write_header(&mut request, "Host", target.as_bytes());
        request.extend_from_slice(b"\r\n");
        ProxyTunnel { request, sent: 0, reader: ResponseReader::default() }
    }

    /// Adds a header for the proxy, `Proxy-Authorization` for example. It must be added before the request is written.
    /// The value is text or bytes: bytes from 0x80 are allowed, control characters other than the tab are not (RFC 9110
    /// 5.5).
    ///
    /// # Errors
    /// [`UsageError::InvalidHeaderName`], [`UsageError::InvalidHeaderValue`] or [`UsageError::ReservedHeader`];
    /// [`UsageError::NoRequestPending`] if a part of the request was written.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, UsageError> {
        let value = value.as_ref();
        if self.sent > 0 {
            return Err(UsageError::NoRequestPending);
        }
        check_header(name, value, RESERVED_IN_UPGRADE)?;
        self.request.truncate(self.request.len() - 2);
        write_header(&mut self.request, name, value);
        self.request.extend_from_slice(b"\r\n");
        Ok(self)
    }

    /// The bytes to write to the proxy; empty when all were written.
    pub fn outgoing(&self) -> &[u8] {
        &self.request[self.sent..]
    }

    /// Tells that the first `n` bytes of [`outgoing`](ProxyTunnel::outgoing) were written.
    ///
    /// # Panics
    ///
    /// If fewer than `n` bytes are outgoing.
    pub fn advance(&mut self, n: usize) {
        assert!(
            n <= self.outgoing().len(),
            "advance({n}), but {} are outgoing",
            self.outgoing().len()
        );
        self.sent += n;
    }

    /// Takes the proxy's response off the front of `input`. Returns `None` if all of `input` was used and more is
    /// needed, and `Ok` once the tunnel is open: bytes left in `input` then come from the server.
    ///
    /// It uses the limits of `config` for heads and refusals.
    pub fn receive(
        &mut self,
        input: &mut &mut [u8],
        config: &Config,
    ) -> Option<Result<(), HandshakeError>> {
        // RFC 9110 9.3.6: any 2xx opens the tunnel. It has no body, whatever length it announces.
        let is_good =
            |status, _: &Fields<'_>, _: &[u8]| (200..300).contains(&status).then_some(Ok(()));
        let result = self.reader.receive(input, config, is_good)?;
        Some(result.map(|_head| ()))
    }

    /// Tells that the proxy closed the transport. Returns its refusal if the body of one was being read.
    pub fn receive_eof(&mut self) -> Option<HandshakeError> {
        self.reader.take_refusal(true)
    }
}

impl fmt::Debug for ProxyTunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyTunnel")
            .field("outgoing_bytes", &self.outgoing().len())
            .field("reader", &self.reader)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::every_cut;
    use super::*;
    use std::string::{String, ToString as _};

    fn tunnel(uri: &str) -> ProxyTunnel {
        ProxyTunnel::new(&Uri::parse(uri).expect("a valid URI"))
    }

    fn read(pieces: &[&[u8]]) -> (Option<Result<(), String>>, Option<Vec<u8>>) {
        let mut tunnel = tunnel("ws://h/");
        for (i, piece) in pieces.iter().enumerate() {
            let mut bytes = piece.to_vec();
            let mut input = &mut bytes[..];
            if let Some(result) = tunnel.receive(&mut input, &Config::default()) {
                let left = result.is_ok().then(|| [&*input, &pieces[i + 1..].concat()].concat());
                return (Some(result.map_err(|error| error.to_string())), left);
            }
        }
        (None, None)
    }

    #[test]
    fn request_names_host_and_port() {
        // rfc6455-4.1-10
        for (uri, line) in
            [("ws://h/p", "h:80"), ("wss://h/p", "h:443"), ("wss://[::1]:9/", "[::1]:9")]
        {
            let expected = std::format!("CONNECT {line} HTTP/1.1\r\nHost: {line}\r\n\r\n");
            assert_eq!(tunnel(uri).outgoing(), expected.as_bytes());
        }
        let mut with =
            tunnel("ws://h").header("Proxy-Authorization", "Basic eDp5").expect("a valid header");
        let text =
            b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\nProxy-Authorization: Basic eDp5\r\n\r\n";
        assert_eq!(with.outgoing(), text);
        with.advance(9);
        assert_eq!(with.outgoing(), &text[9..]);
        with.advance(with.outgoing().len());
        assert_eq!(with.outgoing(), b"");
        assert_eq!(with.header("a", "b").err(), Some(UsageError::NoRequestPending));
        assert_eq!(tunnel("ws://h").header("a", "b\n").err(), Some(UsageError::InvalidHeaderValue));
        assert_eq!(tunnel("ws://h").header("a b", "b").err(), Some(UsageError::InvalidHeaderName));
        assert_eq!(tunnel("ws://h").header("host", "b").err(), Some(UsageError::ReservedHeader));
    }

    #[test]
    fn any_2xx_opens_the_tunnel_and_nothing_else_does() {
        // rfc6455-4.1-10, rfc6455-4.1-13, rfc9112-5.2-02
        for response in [
            "HTTP/1.1 200 Connection established\r\n\r\n",
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 204\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nVia: 1.1 a,\r\n 1.1 b\r\n\r\n",
        ] {
            every_cut(response.as_bytes(), &Some(Ok(())), read);
        }
        let refused = |status: u16| Some(Err(std::format!("response status is {status}")));
        every_cut(b"HTTP/1.1 407 Log in\r\nContent-Length: 2\r\n\r\nno", &refused(407), read);
        every_cut(b"HTTP/1.0 502 Bad\r\nContent-Length: 0\r\n\r\n", &refused(502), read);
        every_cut(b"HTTP/1.1 101 No\r\n\r\n", &refused(101), read);
        every_cut(
            b"SSH-2.0\r\n",
            &Some(Err("first byte 0x53 does not begin an HTTP/1.1 message".into())),
            read,
        );
    }

    #[test]
    fn refusal_without_a_length_ends_with_the_transport() {
        let mut tunnel = tunnel("ws://h/");
        let mut bytes = *b"HTTP/1.1 403 No\r\n\r\nwhy";
        assert_eq!(tunnel.receive(&mut &mut bytes[..], &Config::default()), None);
        let Some(HandshakeError::Refused(refusal)) = tunnel.receive_eof() else {
            panic!("a refusal")
        };
        assert_eq!(
            (refusal.status(), refusal.body(), refusal.is_body_complete()),
            (403, &b"why"[..], true)
        );
    }
}
