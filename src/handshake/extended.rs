//! The opening handshake over HTTP/2 and HTTP/3: extended CONNECT (RFC 8441, RFC 9220), which reads and writes lists of
//! headers. Streams, SETTINGS and HTTP frames are left to the HTTP stack. WebSocket frames, masking included, are as in
//! RFC 6455.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use super::accept::Accept;
use super::client_request::ClientRequest;
use super::error::HandshakeError;
use super::fields::{Fields, Single, check_chosen_subprotocol, offered_subprotocols};
use super::header_list::HeaderList;
use super::headers::{Header, Headers};
use super::verdict::{Accepted, Agreed, RequestError, choose_extensions, judge_extensions};
use super::version::VERSION;
use super::{extensions, syntax};
use crate::config::Config;
use crate::error::UsageError;

const SUBPROTOCOL: &str = "sec-websocket-protocol";
const EXTENSIONS: &str = "sec-websocket-extensions";

impl ClientRequest {
    /// The headers of an extended CONNECT for this request, pseudo-headers first, names in lower case (RFC 8441 5).
    ///
    /// Send them only after the peer has sent `SETTINGS_ENABLE_CONNECT_PROTOCOL` (RFC 8441 3, RFC 9220 3).
    ///
    /// # Errors
    ///
    /// The error of the request's origin, subprotocols or headers.
    pub fn extended_connect(&self, config: &Config) -> Result<HeaderList<'_>, UsageError> {
        self.check()?;
        check_stream_headers(&self.headers)?;
        let uri = &self.uri;
        let mut list = HeaderList::default();
        // RFC 8441 5: no Host, Connection, Upgrade or Sec-WebSocket-Key.
        for (name, value) in [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", if uri.is_secure() { "https" } else { "http" }),
            (":path", uri.resource()),
            (":authority", uri.authority()),
            ("sec-websocket-version", VERSION),
        ] {
            list.push(name, value);
        }
        if let Some(origin) = &self.origin {
            list.push("origin", origin);
        }
        if !self.subprotocols.is_empty() {
            list.push(SUBPROTOCOL, self.subprotocols.join(", "));
        }
        #[cfg(feature = "deflate")]
        if let Some(deflate) = &config.deflate {
            list.push(EXTENSIONS, deflate.offer());
        }
        #[cfg(not(feature = "deflate"))]
        let _ = config;
        for header in &self.headers {
            // RFC 9113 8.2.1: names are in lower case.
            list.push(header.name.to_ascii_lowercase(), header.value);
        }
        Ok(list)
    }

    /// Judges the response to [`extended_connect`](ClientRequest::extended_connect): 2xx opens the connection (RFC 8441
    /// 5), if its subprotocol and extensions are among those that were offered. Pseudo-headers may be among the
    /// headers.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Status`] for any other status, 101 included. [`HandshakeError::ExtensionMissing`] if the
    /// server did not accept an extension that `config` requires; only then the stream is open, and can be closed with
    /// code 1010 (RFC 6455 7.4.1) or reset. [`HandshakeError::InvalidHeaderValue`] for a value with white space around
    /// it (RFC 9113 8.2.1). [`HandshakeError::HeadTooLong`] and [`HandshakeError::TooManyHeaders`] for a list above a
    /// limit of [`ExtendedConnect::parse`]. Otherwise the error of the headers.
    pub fn extended_response<'h, I>(
        &self,
        status: u16,
        headers: I,
        config: &Config,
    ) -> Result<Agreed<'h>, HandshakeError>
    where
        I: IntoIterator<Item: Into<Header<'h>>>,
    {
        if !(200..300).contains(&status) {
            return Err(HandshakeError::Status { status });
        }
        let (mut extensions, mut subprotocols) = (Vec::new(), Vec::new());
        let mut size = ListSize::default();
        for header in headers.into_iter().map(Into::into) {
            size.add(header, config)?;
            if !syntax::is_field_value(header.value) {
                return Err(HandshakeError::InvalidHeaderValue);
            }
            if header.is(EXTENSIONS) {
                extensions.push(header.value);
            } else if header.is(SUBPROTOCOL) {
                subprotocols.push(header.value);
            }
        }
        let upgrade = judge_extensions(extensions.iter().copied(), config)?;
        let subprotocol = check_chosen_subprotocol(
            subprotocols.into_iter(),
            |chosen| self.subprotocols.iter().any(|offered| offered == chosen),
            config.require_subprotocol && !self.subprotocols.is_empty(),
        )?;
        Ok(Agreed { subprotocol, upgrade })
    }
}

/// A valid extended CONNECT for WebSocket, as a server received it (RFC 8441 5, RFC 9220 3).
///
/// The stream of an accepted request is the transport of a [`Connection`](crate::Connection). END_STREAM is its end:
/// send it when the connection [`wants_shutdown`](crate::Connection::wants_shutdown), and call
/// [`receive_eof`](crate::Connection::receive_eof) when it arrives. RST_STREAM is its loss: send it with CANCEL when
/// the connection [`wants_reset`](crate::Connection::wants_reset), and call [`abort`](crate::Connection::abort) when it
/// arrives.
///
/// ```
/// use websocket_proto::handshake::ExtendedConnect;
/// use websocket_proto::{Accept, ClientRequest, Config};
///
/// // The client's HTTP stack sends this list of headers, and the server's HTTP stack receives it.
/// let (request, config) = (ClientRequest::new("wss://example.com/chat")?, Config::default());
/// let sent = request.extended_connect(&config)?;
///
/// let connect = match ExtendedConnect::parse(&sent, &config) {
///     Ok(connect) => connect,
///     Err(error) => panic!("send {:?}", error.response()),
/// };
/// assert_eq!((connect.host(), connect.resource()), ("example.com", "/chat"));
/// let accepted = connect.accept(&Accept::new(), &config)?;
/// // The HTTP stack sends the status as `:status`, and behind it the headers.
/// assert_eq!((accepted.status, accepted.headers.headers().count()), (200, 0));
/// # Ok::<(), websocket_proto::UsageError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ExtendedConnect<'h> {
    scheme: &'h str,
    authority: &'h str,
    path: &'h str,
    headers: HeaderList<'h>,
    /// The offered subprotocols as a comma list.
    offered: Option<Box<str>>,
}

impl<'h> ExtendedConnect<'h> {
    /// Reads the headers of a CONNECT request, pseudo-headers included, in their order. [`Config::max_headers`] limits
    /// their number, and [`Config::max_head_bytes`] their size: the bytes of each name and value, and 4 more, as in a
    /// line of HTTP/1.1.
    ///
    /// # Errors
    ///
    /// A [`RequestError`], which has the response to send.
    pub fn parse<I>(headers: I, config: &Config) -> Result<Self, RequestError>
    where
        I: IntoIterator<Item: Into<Header<'h>>>,
    {
        parse(headers.into_iter().map(Into::into), config).map_err(RequestError::extended)
    }

    /// The scheme: `https`, or `http` if the connection is not secure (RFC 8441 5).
    #[must_use]
    pub fn scheme(&self) -> &'h str {
        self.scheme
    }

    /// The host, with its port if one was sent: the value of `:authority`. It names the server; no tunnel is made to it
    /// (RFC 8441 4).
    #[doc(alias = "authority")]
    #[must_use]
    pub fn host(&self) -> &'h str {
        self.authority
    }

    /// The resource name: path and query (RFC 8441 5).
    #[must_use]
    pub fn resource(&self) -> &'h str {
        self.path
    }

    /// The origin of the page that connects, as browsers send it (RFC 6455 10.2). There is at most one, and it is
    /// ASCII. [`OriginPolicy::is_allowed`](crate::OriginPolicy::is_allowed) checks it.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.header("origin").and_then(|origin| core::str::from_utf8(origin).ok())
    }

    /// The offered subprotocols in the client's order of preference (RFC 6455 4.2.1).
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.offered.iter().flat_map(|all| syntax::list(all.as_bytes())).filter_map(syntax::token)
    }

    /// The values of the `sec-websocket-extensions` headers; their grammar has been checked (RFC 6455 9.1).
    pub fn extensions(&self) -> impl Iterator<Item = &[u8]> {
        named(self.headers(), EXTENSIONS)
    }

    /// All headers but the pseudo-headers, in the order in which they were sent.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.headers.headers()
    }

    /// The value of the first header of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().get(name)
    }

    /// Returns the response that accepts the request; its status is 200, and it has no `Sec-WebSocket-Accept`
    /// (RFC 8441 5).
    ///
    /// # Errors
    ///
    /// [`UsageError::SubprotocolNotOffered`], or the error of a header of `accept`.
    pub fn accept(&self, accept: &Accept<'_>, config: &Config) -> Result<Accepted, UsageError> {
        if accept
            .subprotocol
            .is_some_and(|chosen| !self.subprotocols().any(|offered| offered == chosen))
        {
            return Err(UsageError::SubprotocolNotOffered);
        }
        accept.check_headers()?;
        check_stream_headers(&accept.headers)?;
        let mut headers = HeaderList::default();
        if let Some(name) = accept.subprotocol {
            headers.push_owned(SUBPROTOCOL, name);
        }
        let (upgrade, extensions) = choose_extensions(self.extensions(), config);
        if let Some(extensions) = extensions {
            headers.push(EXTENSIONS, extensions);
        }
        for header in &accept.headers {
            // RFC 9113 8.2.1: names are in lower case.
            headers.push_owned(header.name.to_ascii_lowercase(), header.value);
        }
        Ok(Accepted { status: 200, headers, upgrade })
    }
}

/// Refuses headers that are about a connection, which a stream must not have (RFC 9113 8.2.2).
fn check_stream_headers(list: &HeaderList<'_>) -> Result<(), UsageError> {
    let is_reserved = |header: Header<'_>| {
        header.is("keep-alive")
            || header.is("proxy-connection")
            || (header.is("te") && !header.value.eq_ignore_ascii_case(b"trailers"))
    };
    if list.headers().any(is_reserved) { Err(UsageError::ReservedHeader) } else { Ok(()) }
}

impl fmt::Debug for ExtendedConnect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtendedConnect")
            .field("authority", &self.authority)
            .field("resource_bytes", &self.path.len())
            .field("headers", &self.headers().count())
            .finish()
    }
}

/// The values of all headers of this name.
fn named<'h>(
    headers: impl Iterator<Item = Header<'h>> + Clone,
    name: &'static str,
) -> impl Iterator<Item = &'h [u8]> + Clone {
    headers.filter(move |header| header.is(name)).map(|header| header.value)
}

/// The size of a list of headers so far.
#[derive(Default)]
struct ListSize {
    headers: usize,
    bytes: usize,
}

impl ListSize {
    /// Adds a header. Returns an error if the list is over a limit (RFC 6455 10.4).
    fn add(&mut self, header: Header<'_>, config: &Config) -> Result<(), HandshakeError> {
        self.headers += 1;
        self.bytes = self.bytes.saturating_add(header.name.len() + 4 + header.value.len());
        let (limit, max_headers) = (config.max_head_bytes, config.max_headers);
        if self.bytes > limit {
            return Err(HandshakeError::HeadTooLong { limit });
        }
        if self.headers > max_headers {
            return Err(HandshakeError::TooManyHeaders { limit: max_headers });
        }
        Ok(())
    }
}

const MALFORMED: HandshakeError = HandshakeError::InvalidExtendedConnect;

/// The pseudo-headers of a request, all required by RFC 8441, and the other headers.
struct Parts<'h> {
    protocol: &'h str,
    scheme: &'h str,
    path: &'h str,
    authority: &'h str,
    headers: HeaderList<'h>,
}

fn divide<'h>(
    all: impl Iterator<Item = Header<'h>>,
    config: &Config,
) -> Result<Parts<'h>, HandshakeError> {
    let mut size = ListSize::default();
    let [mut method, mut protocol, mut scheme, mut path, mut authority] = [None; 5];
    let mut headers = HeaderList::default();
    for header in all {
        size.add(header, config)?;
        let Header { name, value } = header;
        // RFC 9113 8.2.1: names are lower-case tokens; values have no white space around them. RFC 9110 5.5: they have
        // no control character but the tab.
        let bare = name.strip_prefix(':').unwrap_or(name);
        let is_name = syntax::is_token(bare.as_bytes())
            && !bare.bytes().any(|byte| byte.is_ascii_uppercase());
        if !is_name || !syntax::is_field_value(value) {
            return Err(MALFORMED);
        }
        let place = match name {
            ":method" => &mut method,
            ":protocol" => &mut protocol,
            ":scheme" => &mut scheme,
            ":path" => &mut path,
            ":authority" => &mut authority,
            // RFC 9113 8.2.2, RFC 8441 5: headers about a connection are malformed here.
            "connection" | "upgrade" | "keep-alive" | "proxy-connection" | "transfer-encoding" => {
                return Err(MALFORMED);
            }
            // RFC 9113 8.2.2: TE may only be `trailers`.
            "te" if !value.eq_ignore_ascii_case(b"trailers") => return Err(MALFORMED),
            // RFC 9113 8.3: a request has no other pseudo-headers.
            _ if name.starts_with(':') => return Err(MALFORMED),
            _ => {
                headers.push(name, value);
                continue;
            }
        };
        // RFC 9113 8.3: pseudo-headers come first, each once.
        if place.is_some() || headers.headers().next().is_some() {
            return Err(MALFORMED);
        }
        *place = Some(core::str::from_utf8(value).map_err(|_| MALFORMED)?);
    }
    // RFC 8441 4: a request with :protocol also has :scheme and :path.
    let (Some("CONNECT"), Some(protocol), Some(scheme), Some(path), Some(authority)) =
        (method, protocol, scheme, path, authority)
    else {
        return Err(MALFORMED);
    };
    Ok(Parts { protocol, scheme, path, authority, headers })
}

fn parse<'h>(
    all: impl Iterator<Item = Header<'h>>,
    config: &Config,
) -> Result<ExtendedConnect<'h>, HandshakeError> {
    let Parts { protocol, scheme, path, authority, headers } = divide(all, config)?;
    if protocol != "websocket" {
        return Err(HandshakeError::OtherProtocol);
    }
    let is_path =
        path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    // RFC 8441 5: the scheme is https for wss and http for ws.
    if !matches!(scheme, "http" | "https")
        || !is_path
        || !syntax::is_authority(authority.as_bytes())
    {
        return Err(MALFORMED);
    }
    // RFC 8441 5: the key is ignored.
    let fields = Fields::gather(headers.headers().map(|header| (header.name, header.value)));
    fields.check_version()?;
    fields.check_version_once()?;
    if fields.has_body {
        return Err(HandshakeError::Body);
    }
    let lines = |name| named(headers.headers(), name);
    // RFC 9113 8.3.1: a Host that differs from :authority is malformed.
    let default_port = if scheme == "https" { 443 } else { 80 };
    let is_ours = |host| syntax::is_same_authority(host, authority.as_bytes(), default_port);
    if !lines("host").all(is_ours) {
        return Err(MALFORMED);
    }
    // RFC 6454 7: at most one origin, of ASCII. A malformed one must not look like an absent one to a policy.
    if lines("origin").count() > 1 || lines("origin").any(|origin| !origin.is_ascii()) {
        return Err(MALFORMED);
    }
    let offered =
        if fields.has_subprotocols { offered_subprotocols(lines(SUBPROTOCOL))? } else { None };
    fields.check_extensions()?;
    debug_assert!(
        EXTENSIONS.eq_ignore_ascii_case(extensions::HEADER) && fields.upgrade == Single::Absent
    );
    Ok(ExtendedConnect { scheme, authority, path, headers, offered })
}

#[cfg(test)]
#[path = "extended_tests.rs"]
mod tests;
