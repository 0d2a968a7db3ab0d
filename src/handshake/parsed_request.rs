//! The server's side of a handshake in another HTTP/1.1 stack: it judges a request whose head that stack has parsed,
//! and makes the response that the stack sends. The rules are those of `server.rs`.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::accept::Accept;
use super::error::HandshakeError;
use super::header_list::HeaderList;
use super::headers::{Header, Headers};
use super::parts::{write_header_lines, write_request_line};
use super::request::{PlainRequest, UpgradeRequest};
use super::server::{PendingUpgrade, ServerHandshake, ServerStep};
use super::verdict::{Accepted, RequestError, choose_extensions};
use super::version::HttpVersion;
use crate::config::Config;
use crate::error::UsageError;

/// A valid request whose head another HTTP/1.1 stack has parsed. It is judged like one that
/// [`Connection::server`](crate::Connection::server) has read (RFC 6455 4.2.1).
///
/// [`UpgradeRequest::accept`] returns the response to send and the [`Upgrade`](crate::Upgrade) for
/// [`Connection::from_upgrade`](crate::Connection::from_upgrade). When the stack has sent the response, it hands over
/// the transport, and the bytes that it has read behind the head. Receive these bytes first:
/// [`ReadBuffer::fill_from`](crate::ReadBuffer::fill_from) copies them into a buffer,
/// [`ReadBuffer::from`](crate::ReadBuffer) makes a buffer of a `Vec`, and
/// [`Connection::receive`](crate::Connection::receive) takes them as they are.
///
/// ```
/// use websocket_proto::handshake::{HttpVersion, ParsedRequest};
/// use websocket_proto::{Accept, Config, Connection, Event, ReadBuffer, Shared};
///
/// let config = Shared::new(Config::default());
/// // What the HTTP stack has parsed.
/// let (method, target, version) = ("GET", "/chat", HttpVersion::Http11);
/// let headers = [
///     ("host", &b"example.com"[..]),
///     ("connection", b"Upgrade"),
///     ("upgrade", b"websocket"),
///     ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
///     ("sec-websocket-version", b"13"),
/// ];
///
/// let request = match ParsedRequest::from_parts(method, target, version, headers, &config) {
///     Ok(ParsedRequest::Upgrade(request)) => request,
///     Ok(ParsedRequest::Plain(request)) => panic!("serve {}", request.resource()),
///     Err(error) => panic!("send {:?}", error.response()),
/// };
/// assert_eq!(request.resource(), "/chat");
/// let accepted = request.accept(&Accept::new(), &config)?;
/// assert_eq!(accepted.status, 101);
/// for header in &accepted.headers {
///     // Pass `header.name` and `header.value` to the HTTP stack.
/// }
///
/// // The stack has sent the response, and has read one frame behind the request.
/// let mut read_too_far = &b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..];
/// let mut conn = Connection::from_upgrade(accepted.upgrade, config)?;
/// let mut buffer = ReadBuffer::with_capacity(16 * 1024);
/// while !read_too_far.is_empty() {
///     let n = buffer.fill_from(read_too_far);
///     read_too_far = &read_too_far[n..];
///     while let Some(event) = conn.receive_from(&mut buffer) {
///         assert!(matches!(event, Event::Message(message) if message == "Hello".into()));
///     }
/// }
/// // Now read from the transport into `buffer`, as in any loop.
/// # Ok::<(), websocket_proto::UsageError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ParsedRequest {
    /// A request for WebSocket.
    Upgrade(UpgradeRequest<'static>),
    /// Any other request, which the HTTP stack answers.
    Plain(PlainRequest<'static>),
}

impl ParsedRequest {
    /// Judges the parts of a request. The target is the request-target as it was sent, such as `/chat?room=1` (RFC 9112
    /// 3.2). The headers are all that were sent, in any case, each line of a repeated header on its own.
    /// [`Config::max_head_bytes`] and [`Config::max_headers`] apply.
    ///
    /// # Errors
    ///
    /// A [`RequestError`], which has the response to send.
    pub fn from_parts<'h, I>(
        method: &str,
        target: &str,
        version: HttpVersion,
        headers: I,
        config: &Config,
    ) -> Result<ParsedRequest, RequestError>
    where
        I: IntoIterator<Item: Into<Header<'h>>>,
    {
        let headers = headers.into_iter().map(Into::into);
        let limit = config.max_head_bytes;
        write_request_line(method, target, version, limit)
            .and_then(|line| write_header_lines(line, headers, limit))
            .and_then(|head| judge(head, config))
            .map_err(RequestError::http1)
    }
}

/// Judges a whole head.
fn judge(mut head: Vec<u8>, config: &Config) -> Result<ParsedRequest, HandshakeError> {
    let mut input = &mut head[..];
    let step = ServerHandshake::new().receive(&mut input, config);
    let step = step.expect("a head that ends in a blank line, or is over the limit, is decided");
    let is_upgrade = matches!(step?, ServerStep::Upgrade(..));
    debug_assert!(input.is_empty(), "the only blank line is at the end");
    let head = Cow::Owned(head);
    Ok(match is_upgrade {
        true => ParsedRequest::Upgrade(UpgradeRequest::new(head)),
        false => ParsedRequest::Plain(PlainRequest::new(head)),
    })
}

impl UpgradeRequest<'_> {
    /// Returns the response that accepts the request, for another HTTP/1.1 stack to send (RFC 6455 4.2.2): status 101,
    /// the headers, and what was agreed on. The request may come from a [`ParsedRequest`] or from an event. If a
    /// [`Connection`](crate::Connection) has read it and is to go on with it, call
    /// [`Connection::accept`](crate::Connection::accept) instead.
    ///
    /// # Errors
    ///
    /// [`UsageError::SubprotocolNotOffered`], or the error of a header of `accept`.
    pub fn accept(&self, accept: &Accept<'_>, config: &Config) -> Result<Accepted, UsageError> {
        let (upgrade, extensions) = choose_extensions(self.extensions(), config);
        let mut head = Vec::new();
        PendingUpgrade::of(self).accept(accept, extensions.as_deref(), &mut head)?;
        let mut headers = HeaderList::default();
        for header in Headers::of_head(&head) {
            headers.push_owned(header.name, header.value);
        }
        Ok(Accepted { status: 101, headers, upgrade })
    }
}
