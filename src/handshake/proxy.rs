//! CONNECT through an HTTP proxy, which precedes a client's handshake (RFC 6455 4.1, RFC 9110 9.3.6). The choice of the
//! proxy, and TLS through the tunnel, are left to the application.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::error::HandshakeError;
use super::fields::Fields;
use super::header_list::{HeaderList, HeaderValue, RESERVED_IN_UPGRADE};
use super::response_reader::ResponseReader;
use super::uri::Uri;
use super::write_lines::{put_header, write_parts};
use crate::Shared;
use crate::config::Config;
use crate::error::UsageError;

/// A request for a tunnel to a server, as a client sends it to an HTTP proxy (RFC 6455 4.1).
///
/// Its headers are checked by [`ProxyTunnel::new`]. One request serves any number of tunnels.
///
/// ```
/// use websocket_proto::{Uri, handshake::ProxyRequest};
///
/// let uri = Uri::parse("wss://example.com/chat")?;
/// let request = ProxyRequest::new(&uri).header("Proxy-Authorization", "Basic eDp5");
/// # let _ = request;
/// # Ok::<(), websocket_proto::UriError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProxyRequest {
    /// Host and port. RFC 9110 9.3.6: the port is never left out.
    target: String,
    headers: HeaderList<'static>,
}

impl ProxyRequest {
    /// A request for a tunnel to the host and port of `uri`.
    #[must_use]
    pub fn new(uri: &Uri) -> Self {
        let target = alloc::format!("{}:{}", uri.bracketed_host(), uri.port());
        ProxyRequest { target, headers: HeaderList::default() }
    }

    /// Adds a header for the proxy, `Proxy-Authorization` for example. The headers of a handshake are reserved. The
    /// value is text or bytes; see [`HeaderValue`](crate::handshake::HeaderValue).
    #[must_use]
    pub fn header<'v>(
        mut self,
        name: impl Into<Cow<'v, str>>,
        value: impl Into<HeaderValue<'v>>,
    ) -> Self {
        self.headers.push_owned(name, value);
        self
    }
}

impl fmt::Debug for ProxyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyRequest")
            .field("target", &self.target)
            .field("headers", &self.headers.headers().count())
            .finish()
    }
}

/// A tunnel to a server through an HTTP proxy while it is being opened (RFC 6455 4.1).
///
/// Connect to the proxy, write [`outgoing`](ProxyTunnel::outgoing), and pass what arrives to
/// [`receive`](ProxyTunnel::receive). After `Ok` the transport leads to the server: do the TLS handshake for `wss`,
/// then open the connection as without a proxy.
///
/// ```
/// use websocket_proto::handshake::{ProxyRequest, ProxyTunnel};
/// use websocket_proto::{Config, Uri};
///
/// let uri = Uri::parse("wss://example.com/chat")?;
/// let mut tunnel = ProxyTunnel::new(&ProxyRequest::new(&uri), Config::default())?;
/// assert!(tunnel.outgoing().starts_with(b"CONNECT example.com:443 HTTP/1.1\r\n"));
/// tunnel.advance(tunnel.outgoing().len());
///
/// let mut bytes = *b"HTTP/1.1 200 Connection established\r\n\r\n";
/// assert_eq!(tunnel.receive(&mut &mut bytes[..]), Some(Ok(())));
/// # Ok::<(), websocket_proto::UsageError>(())
/// ```
pub struct ProxyTunnel {
    /// The whole request.
    request: Vec<u8>,
    /// The number of bytes of it that were written.
    sent: usize,
    reader: ResponseReader,
    config: Shared<Config>,
}

impl ProxyTunnel {
    /// Checks the request, and writes it to [`outgoing`](ProxyTunnel::outgoing). The limits for heads and refusals are
    /// those of `config`.
    ///
    /// # Errors
    ///
    /// [`UsageError::InvalidHeaderName`], [`UsageError::InvalidHeaderValue`] or [`UsageError::ReservedHeader`] for a
    /// header of the request.
    pub fn new(
        request: &ProxyRequest,
        config: impl Into<Shared<Config>>,
    ) -> Result<ProxyTunnel, UsageError> {
        request.headers.check(RESERVED_IN_UPGRADE)?;
        let target = request.target.as_bytes();
        let mut bytes = Vec::new();
        write_parts(&mut bytes, |put| {
            // RFC 9110 9.3.6: the target is host and port.
            put(b"CONNECT ");
            put(target);
            put(b" HTTP/1.1\r\n");
            put_header(put, "Host", target);
            request.headers.put(put);
            put(b"\r\n");
        });
        let (config, reader) = (config.into(), ResponseReader::default());
        Ok(ProxyTunnel { request: bytes, sent: 0, reader, config })
    }

    /// The bytes to write to the proxy; empty when all were written.
    #[must_use]
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
    #[must_use = "the result is reported once"]
    pub fn receive(&mut self, input: &mut &mut [u8]) -> Option<Result<(), HandshakeError>> {
        // RFC 9110 9.3.6: any 2xx opens the tunnel. It has no body, whatever length it announces.
        let is_good =
            |status, _: &Fields<'_>, _: &[u8]| (200..300).contains(&status).then_some(Ok(()));
        let result = self.reader.receive(input, &self.config, is_good)?;
        Some(result.map(|_head| ()))
    }

    /// Tells that the proxy closed the transport. Returns its refusal if the body of one was being read.
    #[must_use = "the refusal is reported once"]
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

    fn request(uri: &str) -> ProxyRequest {
        ProxyRequest::new(&Uri::parse(uri).expect("a valid URI"))
    }

    fn tunnel(uri: &str) -> ProxyTunnel {
        ProxyTunnel::new(&request(uri), Config::default()).expect("nothing was added")
    }

    fn read(pieces: &[&[u8]]) -> (Option<Result<(), String>>, Option<Vec<u8>>) {
        let mut tunnel = tunnel("ws://h/");
        for (i, piece) in pieces.iter().enumerate() {
            let mut bytes = piece.to_vec();
            let mut input = &mut bytes[..];
            if let Some(result) = tunnel.receive(&mut input) {
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
        let asked = request("ws://h").header("Proxy-Authorization", "Basic eDp5");
        let mut with = ProxyTunnel::new(&asked, Config::default()).expect("a valid header");
        let text =
            b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\nProxy-Authorization: Basic eDp5\r\n\r\n";
        assert_eq!(with.outgoing(), text);
        with.advance(9);
        assert_eq!(with.outgoing(), &text[9..]);
        with.advance(with.outgoing().len());
        assert_eq!(with.outgoing(), b"");
        for (name, value, error) in [
            ("a", "b\n", UsageError::InvalidHeaderValue),
            ("a b", "b", UsageError::InvalidHeaderName),
            ("host", "b", UsageError::ReservedHeader),
        ] {
            let asked = request("ws://h").header(name, value);
            assert_eq!(ProxyTunnel::new(&asked, Config::default()).err(), Some(error));
        }
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
        assert_eq!(tunnel.receive(&mut &mut bytes[..]), None);
        let Some(HandshakeError::Refused(refusal)) = tunnel.receive_eof() else {
            panic!("a refusal")
        };
        assert_eq!(
            (refusal.status(), refusal.body(), refusal.is_body_complete()),
            (403, &b"why"[..], true)
        );
    }
}
