//! The request of a client: its URI, origin, subprotocols and headers, how they are checked, and how they are written
//! over HTTP/1.1 (RFC 6455 4.1). `extended.rs` writes it for HTTP/2 and HTTP/3; `client.rs` reads the response.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::header_list::{HeaderList, HeaderValue, RESERVED_IN_UPGRADE};
use super::uri::{Uri, UriError};
use super::version::VERSION;
use super::write_lines::{put_header, write_parts};
use super::{extensions, fields, syntax};
use crate::error::UsageError;

/// A request for WebSocket, as a client sends it (RFC 6455 4.1).
///
/// Its parts are checked when [`Connection::client`](crate::Connection::client) takes it, or when it is written for
/// extended CONNECT; nothing is sent if one of them is invalid. One request serves any number of connections, each with
/// a key of its own.
///
/// ```
/// use websocket_proto::ClientRequest;
///
/// let request = ClientRequest::new("wss://example.com/chat")?
///     .subprotocol("v2.chat")
///     .header("Authorization", "Bearer 123");
/// assert_eq!(request.uri().port(), 443);
/// # Ok::<(), websocket_proto::UriError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientRequest {
    pub(super) uri: Uri,
    pub(super) origin: Option<String>,
    pub(super) subprotocols: Vec<String>,
    pub(super) headers: HeaderList<'static>,
}

impl ClientRequest {
    /// A request for the resource of a `ws` or `wss` URI.
    ///
    /// # Errors
    ///
    /// What is wrong with the URI; see [`Uri`].
    pub fn new(uri: &str) -> Result<Self, UriError> {
        Uri::parse(uri).map(ClientRequest::from)
    }

    /// Sets the `Origin` header. Browsers must send it, other programs may (RFC 6455 4.1).
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Offers a subprotocol, a token. Those that were offered before it are preferred; none may be offered twice (RFC
    /// 6455 4.1).
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: impl Into<String>) -> Self {
        self.subprotocols.push(subprotocol.into());
        self
    }

    /// Adds a header, such as `Cookie` or `Authorization`. The headers of the handshake itself are reserved. The value
    /// is text or bytes; see [`HeaderValue`](crate::handshake::HeaderValue).
    #[must_use]
    pub fn header<'v>(
        mut self,
        name: impl Into<Cow<'v, str>>,
        value: impl Into<HeaderValue<'v>>,
    ) -> Self {
        self.headers.push_owned(name, value);
        self
    }

    /// The URI, which says where to connect and whether to use TLS.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Checks the origin, the subprotocols and the headers.
    pub(super) fn check(&self) -> Result<(), UsageError> {
        // RFC 6455 4.1: subprotocols are tokens, and each of them is offered once.
        if !self.subprotocols.iter().all(|name| syntax::is_token(name.as_bytes())) {
            return Err(UsageError::InvalidSubprotocol);
        }
        if fields::duplicate(self.subprotocols.iter().collect()).is_some() {
            return Err(UsageError::DuplicateSubprotocol);
        }
        // RFC 6454 7: one Origin, which is not empty.
        if self
            .origin
            .as_ref()
            .is_some_and(|origin| origin.is_empty() || !syntax::is_field_value(origin.as_bytes()))
        {
            return Err(UsageError::InvalidHeaderValue);
        }
        self.headers.check(RESERVED_IN_UPGRADE)?;
        let added = self.headers.headers().get_all("Origin").count();
        if added + usize::from(self.origin.is_some()) > 1 {
            return Err(UsageError::ReservedHeader);
        }
        Ok(())
    }

    /// Bytes of the application's headers and subprotocols.
    pub(crate) fn own_len(&self) -> u64 {
        let subprotocols = self.subprotocols.iter().map(|name| name.len() as u64);
        self.headers.byte_len() + subprotocols.sum::<u64>()
    }

    /// Writes a request that [`check`](ClientRequest::check) has passed. `key` is base64, `offered` is the comma list
    /// of subprotocols, and `extensions` is a header value that the crate has made.
    pub(super) fn write(
        &self,
        key: &[u8; 24],
        offered: &str,
        extensions: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        write_parts(out, |put| {
            // RFC 6455 4.1: GET, the resource name, HTTP/1.1.
            put(b"GET ");
            put(self.uri.resource().as_bytes());
            put(b" HTTP/1.1\r\nHost: ");
            put(self.uri.authority().as_bytes());
            put(b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ");
            put(key);
            put(b"\r\nSec-WebSocket-Version: ");
            put(VERSION.as_bytes());
            put(b"\r\n");
            if let Some(origin) = &self.origin {
                put_header(put, "Origin", origin.as_bytes());
            }
            // RFC 6455 4.1: the header is absent if the list is empty.
            if !offered.is_empty() {
                put_header(put, "Sec-WebSocket-Protocol", offered.as_bytes());
            }
            if let Some(extensions) = extensions {
                put_header(put, extensions::HEADER, extensions.as_bytes());
            }
            self.headers.put(put);
            put(b"\r\n");
        });
    }
}

impl From<Uri> for ClientRequest {
    fn from(uri: Uri) -> Self {
        ClientRequest {
            uri,
            origin: None,
            subprotocols: Vec::new(),
            headers: HeaderList::default(),
        }
    }
}

impl fmt::Debug for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientRequest")
            .field("uri", &self.uri)
            .field("origin", &self.origin)
            .field("subprotocols", &self.subprotocols)
            .field("headers", &self.headers.headers().count())
            .finish()
    }
}
