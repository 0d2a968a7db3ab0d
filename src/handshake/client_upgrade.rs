//! The client's side of a handshake in another HTTP/1.1 stack: the request that this stack sends, and the judgement of
//! the response whose head it has parsed. The rules are those of `client_request.rs` and `client.rs`.

use alloc::vec::Vec;
use core::fmt;

use super::client::Expected;
use super::client_request::ClientRequest;
use super::error::HandshakeError;
use super::headers::{Header, Headers, split_line};
use super::parts::{write_header_lines, write_status_line};
use super::response_reader::judge_whole;
use super::verdict::{Agreed, judge_extensions};
use super::version::HttpVersion;
use super::{extensions, syntax};
use crate::config::Config;
use crate::error::UsageError;

impl ClientRequest {
    /// Makes the request for another HTTP/1.1 stack to send, with a key that [`Config::entropy`] gives (RFC 6455 4.1).
    /// Each call draws a new key; [`Entropy::Seed`](crate::Entropy::Seed) begins anew in each.
    ///
    /// # Errors
    ///
    /// [`UsageError::Entropy`], or the error of the request's origin, subprotocols or headers.
    pub fn upgrade(&self, config: &Config) -> Result<ClientUpgrade, UsageError> {
        config.entropy.drop_inherited_batch();
        let nonce = config.entropy.nonce(&mut 0)?;
        #[cfg(feature = "deflate")]
        let offer = config.deflate.as_ref().map(crate::deflate::Deflate::offer);
        #[cfg(not(feature = "deflate"))]
        let offer = None::<alloc::string::String>;
        let mut head = Vec::new();
        let expected = Expected::write_request(self, nonce, offer.as_deref(), &mut head)?;
        Ok(ClientUpgrade { head, expected })
    }
}

/// A client's request for another HTTP/1.1 stack to send, and the judge of its response (RFC 6455 4.1).
///
/// [`ClientRequest::upgrade`] makes it. It serves one request, since each has a key of its own. When the response has
/// been judged, the stack hands over the transport, and the bytes that it has read behind the head. Receive these bytes
/// first: [`ReadBuffer::fill_from`](crate::ReadBuffer::fill_from) copies them into a buffer,
/// [`ReadBuffer::from`](crate::ReadBuffer) makes a buffer of a `Vec`, and
/// [`Connection::receive`](crate::Connection::receive) takes them as they are.
///
/// ```
/// use websocket_proto::handshake::{HttpVersion, accept_key};
/// use websocket_proto::{ClientRequest, Config, Connection, Event, Shared};
///
/// let config = Shared::new(Config::default());
/// let upgrade = ClientRequest::new("ws://example.com/chat")?.upgrade(&config)?;
/// assert_eq!((upgrade.method(), upgrade.target()), ("GET", "/chat"));
/// for header in upgrade.headers() {
///     // Pass `header.name` and `header.value` to the HTTP stack.
/// }
///
/// // What the HTTP stack has parsed of the response.
/// let accept = accept_key(upgrade.headers().get("Sec-WebSocket-Key").unwrap());
/// let headers = [
///     ("connection", &b"Upgrade"[..]),
///     ("upgrade", b"websocket"),
///     ("sec-websocket-accept", &accept),
/// ];
/// let agreed = upgrade.response(HttpVersion::Http11, 101, headers, &config).expect("an acceptance");
///
/// let mut conn = Connection::from_upgrade(agreed.upgrade, config)?;
/// // The stack has read one frame behind the response.
/// let mut read_too_far = *b"\x81\x05Hello";
/// let mut input = &mut read_too_far[..];
/// while let Some(event) = conn.receive(&mut input) {
///     assert!(matches!(event, Event::Message(message) if message == "Hello".into()));
/// }
/// // Now read from the transport, as in any loop.
/// # Ok::<(), websocket_proto::UsageError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientUpgrade {
    /// The request's head, as a connection writes it.
    head: Vec<u8>,
    expected: Expected,
}

impl ClientUpgrade {
    /// The method: `GET`.
    #[must_use]
    pub fn method(&self) -> &str {
        self.word(0)
    }

    /// The request-target: path and query, such as `/chat?room=1`.
    #[must_use]
    pub fn target(&self) -> &str {
        self.word(1)
    }

    /// The headers to send, all that the request needs: `Host` comes first.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::of_head(&self.head)
    }

    /// Judges the final response to this request, not an interim one such as 103, as
    /// [`Connection::client`](crate::Connection::client) does (RFC 6455 4.1): a 101 opens the connection. `config` is
    /// the one that the request was made with. [`Config::max_head_bytes`] and [`Config::max_headers`] apply.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Refused`] for any other status; the HTTP stack has the refusal's body.
    /// [`HandshakeError::ExtensionMissing`] if the server did not accept an extension that `config` requires; only then
    /// the connection is open, and can be closed with code 1010 (RFC 6455 7.4.1). Otherwise the error of the headers.
    pub fn response<'h, I>(
        &self,
        version: HttpVersion,
        status: u16,
        headers: I,
        config: &Config,
    ) -> Result<Agreed<'h>, HandshakeError>
    where
        I: IntoIterator<Item: Into<Header<'h>>>,
    {
        let mut chosen = None;
        let headers = headers.into_iter().map(Into::into).inspect(|header: &Header<'h>| {
            if header.is("Sec-WebSocket-Protocol") {
                chosen = Some(header.value);
            }
        });
        let line = write_status_line(version, status);
        let mut head = write_header_lines(line, headers, config.max_head_bytes)?;
        judge_whole(&mut head, config, |status, fields, head| {
            (status == 101).then(|| self.expected.judge(head, fields, config))
        })?;
        let extensions = Headers::of_head(&head).get_all(extensions::HEADER);
        let upgrade = judge_extensions(extensions, config)?;
        Ok(Agreed { subprotocol: chosen.map(syntax::trim).and_then(syntax::token), upgrade })
    }

    /// A part of the request line.
    fn word(&self, at: usize) -> &str {
        let (line, _) = split_line(&self.head);
        let line = core::str::from_utf8(line).expect("a request line of a checked URI is ASCII");
        line.split(' ').nth(at).expect("a request line has three parts")
    }
}

impl fmt::Debug for ClientUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientUpgrade")
            .field("target_bytes", &self.target().len())
            .field("headers", &self.headers().count())
            .finish()
    }
}
