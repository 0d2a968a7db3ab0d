//! The request of a client as the application sees it: an upgrade to WebSocket, or any other request. Both hold the
//! head, which `server.rs` has checked; each getter reads it again.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use super::headers::{Headers, split_line};
use super::version::HttpVersion;
use super::{extensions, syntax};

/// A valid request for WebSocket that waits to be accepted or rejected (RFC 6455 4.2.1).
///
/// It borrows the head from the input if the head lies whole there. Each getter searches the head.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UpgradeRequest<'a> {
    /// `server.rs` has checked it; every getter relies on that.
    head: Cow<'a, [u8]>,
}

const _: () = assert!(size_of::<UpgradeRequest<'_>>() == 24 || size_of::<usize>() != 8);

impl<'a> UpgradeRequest<'a> {
    pub(super) fn new(head: Cow<'a, [u8]>) -> Self {
        UpgradeRequest { head: with_path(head) }
    }

    /// The request-target as it was sent, except that `http://host?query` becomes `http://host/?query`, since an empty
    /// path is the same as `/` (RFC 9110 4.2.3).
    pub fn target(&self) -> &str {
        request_line(&self.head).1
    }

    /// The resource name, path and query: `/chat?room=1` (RFC 6455 3). It begins with a slash.
    pub fn resource(&self) -> &str {
        let target = self.target();
        split_target(target).map_or(target, |(_, resource)| resource)
    }

    /// The host, with its port if one was sent. It is taken from the target if that is a whole URI (RFC 9112 3.2.2),
    /// else from the `Host` header.
    pub fn host(&self) -> &str {
        let header = || self.header("Host").and_then(|host| core::str::from_utf8(host).ok());
        match split_target(self.target()) {
            Some((Some(authority), _)) => authority,
            _ => header().unwrap_or(""),
        }
    }

    /// The origin of the page that connects, as browsers send it (RFC 6455 10.2). `None` if the header is absent,
    /// repeated, or not UTF-8.
    ///
    /// Other programs can send any value. [`OriginPolicy`](crate::OriginPolicy) checks it.
    pub fn origin(&self) -> Option<&str> {
        let mut origins = self.headers().named("Origin");
        let origin = origins.next()?;
        if origins.next().is_some() { None } else { core::str::from_utf8(origin).ok() }
    }

    /// The offered subprotocols in the client's order of preference (RFC 6455 4.2.1).
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.headers()
            .named("Sec-WebSocket-Protocol")
            .flat_map(syntax::list)
            .filter_map(syntax::token)
    }

    /// The values of the `Sec-WebSocket-Extensions` headers; their grammar has been checked (RFC 6455 9.1).
    pub fn extensions(&self) -> impl Iterator<Item = &[u8]> {
        self.headers().named(extensions::HEADER)
    }

    /// All headers in the order they were sent.
    pub fn headers(&self) -> Headers<'_> {
        Headers::of(&self.head)
    }

    /// The value of the first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().get(name)
    }

    /// The whole head, blank line included, with the target as [`target`](UpgradeRequest::target) has it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.head
    }

    /// Detaches the request from the input; it copies the head unless it is owned already.
    pub fn into_owned(self) -> UpgradeRequest<'static> {
        UpgradeRequest { head: Cow::Owned(self.head.into_owned()) }
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
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PlainRequest<'a> {
    /// `server.rs` has checked it; every getter relies on that.
    head: Cow<'a, [u8]>,
}

const _: () = assert!(size_of::<PlainRequest<'_>>() == 24 || size_of::<usize>() != 8);

impl<'a> PlainRequest<'a> {
    pub(super) fn new(head: Cow<'a, [u8]>) -> Self {
        PlainRequest { head }
    }

    /// The method; case matters.
    pub fn method(&self) -> &str {
        request_line(&self.head).0
    }

    /// Whether the method is HEAD, whose response has no body.
    pub fn is_head(&self) -> bool {
        self.method() == "HEAD"
    }

    /// The request-target as it was sent.
    pub fn target(&self) -> &str {
        request_line(&self.head).1
    }

    /// The version of HTTP.
    pub fn version(&self) -> HttpVersion {
        match split_line(&self.head).0 {
            [.., b'0'] => HttpVersion::Http10,
            _ => HttpVersion::Http11,
        }
    }

    /// All headers in the order they were sent.
    pub fn headers(&self) -> Headers<'_> {
        Headers::of(&self.head)
    }

    /// The value of the first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().get(name)
    }

    /// The whole head, blank line included.
    pub fn as_bytes(&self) -> &[u8] {
        &self.head
    }

    /// The whole head, blank line included, for another HTTP stack.
    pub fn into_bytes(self) -> Vec<u8> {
        self.head.into_owned()
    }

    /// Detaches the request from the input; it copies the head unless it is owned already.
    pub fn into_owned(self) -> PlainRequest<'static> {
        PlainRequest { head: Cow::Owned(self.head.into_owned()) }
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

/// Method and target of a valid request line.
fn request_line(head: &[u8]) -> (&str, &str) {
    let line = core::str::from_utf8(split_line(head).0)
        .expect("a request line that was found good is UTF-8");
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
    // The method is GET; most targets are paths.
    if head.get("GET ".len()) == Some(&b'/') {
        return head;
    }
    let target = request_line(&head).1;
    let Some((_, query)) = split_target(target).filter(|(_, name)| name.starts_with('?')) else {
        return head;
    };
    let at = "GET ".len() + target.len() - query.len();
    let mut whole = Vec::with_capacity(head.len() + 1);
    whole.extend_from_slice(&head[..at]);
    whole.push(b'/');
    whole.extend_from_slice(&head[at..]);
    Cow::Owned(whole)
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
