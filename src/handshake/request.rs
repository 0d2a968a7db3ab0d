//! The request of a client as the server's application sees it: an upgrade to WebSocket, or any other request.
//! `server.rs` has checked it.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use super::head::Head;
use super::headers::{Headers, split_line};
use super::version::HttpVersion;
use super::{extensions, syntax};

/// A valid request for WebSocket that waits to be accepted or rejected (RFC 6455 4.2.1).
///
/// It borrows the head from the input if the head lies whole there. Each getter searches the head.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UpgradeRequest<'a> {
    head: Head<'a>,
}

impl<'a> UpgradeRequest<'a> {
    pub(super) fn new(head: Cow<'a, [u8]>) -> Self {
        UpgradeRequest { head: Head::new(with_path(head)) }
    }

    /// The request-target as it was sent, except that `http://host?query` becomes `http://host/?query`, since an empty
    /// path is the same as `/` (RFC 9110 4.2.3).
    #[must_use]
    pub fn target(&self) -> &str {
        self.head.target()
    }

    /// The resource name, path and query: `/chat?room=1` (RFC 6455 3). It begins with a slash.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.head.resource()
    }

    /// The host, with its port if one was sent. It is taken from the target if that is a whole URI (RFC 9112 3.2.2),
    /// else from the `Host` header.
    #[must_use]
    pub fn host(&self) -> &str {
        self.head.host().expect("a valid upgrade has one valid Host")
    }

    /// The origin of the page that connects, as browsers send it (RFC 6455 10.2). `None` if the header is absent,
    /// repeated, or not UTF-8.
    ///
    /// Other programs can send any value. [`OriginPolicy`](crate::OriginPolicy) checks it.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        let mut origins = self.headers().get_all("Origin");
        let origin = origins.next()?;
        if origins.next().is_some() { None } else { core::str::from_utf8(origin).ok() }
    }

    /// The offered subprotocols in the client's order of preference (RFC 6455 4.2.1).
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.headers()
            .get_all("Sec-WebSocket-Protocol")
            .flat_map(syntax::list)
            .filter_map(syntax::token)
    }

    /// The values of the `Sec-WebSocket-Extensions` headers; their grammar has been checked (RFC 6455 9.1).
    pub fn extensions(&self) -> impl Iterator<Item = &[u8]> {
        self.headers().get_all(extensions::HEADER)
    }

    /// All headers in the order they were sent.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.head.headers()
    }

    /// The value of the first header of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.header(name)
    }

    /// The whole head, blank line included, with the target as [`target`](UpgradeRequest::target) has it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.head.as_bytes()
    }

    /// The whole head, as [`as_bytes`](UpgradeRequest::as_bytes) has it; it is copied unless it is owned already.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.head.into_bytes()
    }

    /// Detaches the request from the input; it copies the head unless it is owned already.
    #[must_use]
    pub fn into_owned(self) -> UpgradeRequest<'static> {
        UpgradeRequest { head: self.head.into_owned() }
    }
}

impl fmt::Debug for UpgradeRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query or a header may hold a secret.
        f.debug_struct("UpgradeRequest")
            .field("resource_bytes", &self.resource().len())
            .field("headers", &self.headers().count())
            .finish()
    }
}

/// A well-formed HTTP/1.1 or HTTP/1.0 request that does not ask for WebSocket.
///
/// Its syntax has been checked, but not its `Host`. If it has a body, that follows in the input, unread. The answer has
/// `Connection: close` in both versions (RFC 9112 9.3).
///
/// It borrows the head from the input if the head lies whole there. Each getter searches the head.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PlainRequest<'a> {
    head: Head<'a>,
}

impl<'a> PlainRequest<'a> {
    pub(super) fn new(head: Cow<'a, [u8]>) -> Self {
        PlainRequest { head: Head::new(with_path(head)) }
    }

    /// The method; case matters.
    #[must_use]
    pub fn method(&self) -> &str {
        self.head.request_line().0
    }

    /// Whether the method is HEAD, whose response has no body.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.method() == "HEAD"
    }

    /// The request-target as it was sent, except that `http://host?query` becomes `http://host/?query`, since an empty
    /// path is the same as `/` (RFC 9110 4.2.3).
    #[must_use]
    pub fn target(&self) -> &str {
        self.head.target()
    }

    /// The resource name, path and query: `/status?verbose`. It is the whole [`target`](PlainRequest::target) if that
    /// has none, as `*` and `host:port`, or has characters that must not be sent.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.head.resource()
    }

    /// The host, with its port if one was sent. It is taken from the target if that is a whole URI (RFC 9112 3.2.2),
    /// else from the `Host` header. `None` if the header is absent, repeated, or not a host.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.head.host()
    }

    /// The version of HTTP.
    #[must_use]
    pub fn version(&self) -> HttpVersion {
        match self.head.first_line() {
            [.., b'0'] => HttpVersion::Http10,
            _ => HttpVersion::Http11,
        }
    }

    /// All headers in the order they were sent.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.head.headers()
    }

    /// The value of the first header of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.header(name)
    }

    /// The whole head, blank line included, with the target as [`target`](PlainRequest::target) has it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.head.as_bytes()
    }

    /// The whole head, as [`as_bytes`](PlainRequest::as_bytes) has it, for another HTTP stack; it is copied unless it
    /// is owned already.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.head.into_bytes()
    }

    /// Detaches the request from the input; it copies the head unless it is owned already.
    #[must_use]
    pub fn into_owned(self) -> PlainRequest<'static> {
        PlainRequest { head: self.head.into_owned() }
    }
}

impl fmt::Debug for PlainRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainRequest")
            .field("method", &self.method())
            .field("version", &self.version())
            .field("target_bytes", &self.target().len())
            .field("headers", &self.headers().count())
            .finish()
    }
}

/// The parts of a request's head.
impl Head<'_> {
    /// Method and target.
    fn request_line(&self) -> (&str, &str) {
        split_request_line(self.first_line())
    }

    fn target(&self) -> &str {
        self.request_line().1
    }

    /// Path and query; the whole target if it has none.
    fn resource(&self) -> &str {
        let target = self.target();
        split_target(target).map_or(target, |(_, resource)| resource)
    }

    /// The host of the target, or of the only `Host` header. `None` if neither is valid.
    fn host(&self) -> Option<&str> {
        if let Some((Some(authority), _)) = split_target(self.target()) {
            return Some(authority);
        }
        let mut hosts = self.headers().get_all("Host");
        let host = hosts.next().filter(|host| syntax::is_authority(host))?;
        if hosts.next().is_some() { None } else { core::str::from_utf8(host).ok() }
    }
}

/// Method and target of a valid request line.
fn split_request_line(line: &[u8]) -> (&str, &str) {
    let line = core::str::from_utf8(line).expect("a request line that was found good is UTF-8");
    let mut parts = line.split(' ');
    (parts.next().unwrap_or(""), parts.next().unwrap_or(""))
}

/// Whether a request-target has a resource name (RFC 6455 4.2.1).
pub(super) fn has_resource(target: &[u8]) -> bool {
    match target {
        [b'/', ..] => is_sendable(target),
        _ => core::str::from_utf8(target).ok().and_then(split_target).is_some(),
    }
}

/// Inserts a `/` into the target if it is a whole URI with a query and no path (RFC 9110 4.2.3), so that every getter
/// can borrow from the head.
fn with_path(head: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    // Most requests are a GET of a path.
    if head.starts_with(b"GET /") {
        return head;
    }
    let Some(at) = path_is_missing_at(&head) else { return head };
    let mut whole = Vec::with_capacity(head.len() + 1);
    whole.extend_from_slice(&head[..at]);
    whole.push(b'/');
    whole.extend_from_slice(&head[at..]);
    Cow::Owned(whole)
}

/// Where the query of a request-target begins that is a whole URI without a path.
fn path_is_missing_at(head: &[u8]) -> Option<usize> {
    let (method, target) = split_request_line(split_line(head).0);
    let (_, query) = split_target(target)?;
    let at = method.len() + " ".len() + target.len() - query.len();
    query.starts_with('?').then_some(at)
}

/// Whether a target has only characters that can be sent: visible ASCII, and no fragment.
fn is_sendable(target: &[u8]) -> bool {
    // No branch for each byte, so that the compiler can compare many bytes at once.
    target.iter().fold(true, |all, byte| all & byte.is_ascii_graphic() & (*byte != b'#'))
}

/// Splits a request-target into the authority, if it is a whole URI, and the resource name (RFC 6455 4.2.1). Returns
/// `None` if it has no resource name, as `*` and `host:port`. The resource name may be a query alone until
/// [`with_path`] has inserted the path.
fn split_target(target: &str) -> Option<(Option<&str>, &str)> {
    if !is_sendable(target.as_bytes()) {
        return None;
    }
    if target.starts_with('/') {
        return Some((None, target));
    }
    let (scheme, rest) = target.split_once("://")?;
    if !["http", "https", "ws", "wss"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return None;
    }
    // An empty path is the root (RFC 9110 4.2.3).
    let (authority, resource) = match rest.find(['/', '?']) {
        None => (rest, "/"),
        Some(at) => rest.split_at(at),
    };
    if syntax::is_authority(authority.as_bytes()) {
        Some((Some(authority), resource))
    } else {
        None
    }
}
