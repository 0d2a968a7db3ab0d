//! Headers to send: the list, the check of those that an application adds, and the bytes they become. Which names are
//! reserved is said by each writer of a head, from the two lists below.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::headers::{Header, Headers, Pair};
use super::syntax;
use super::write_lines::put_header;
use crate::error::UsageError;

/// A list of headers in the order in which they are sent, pseudo-headers first: what an HTTP stack writes. With the
/// feature `http`, the list of an extended CONNECT converts into an `http::Request`.
///
/// ```
/// use websocket_proto::{ClientRequest, Config};
///
/// let request = ClientRequest::new("wss://example.com/chat")?;
/// let list = request.extended_connect(&Config::default())?;
/// for header in &list {
///     // Pass `header.name` and `header.value` to the HTTP stack.
/// }
/// assert_eq!(list.headers().get(":path"), Some(&b"/chat"[..]));
/// # Ok::<(), websocket_proto::UsageError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct HeaderList<'a> {
    list: Vec<Pair<'a>>,
}

impl<'a> HeaderList<'a> {
    /// The headers in order.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::of_list(&self.list)
    }

    /// Adds a header. Nothing is checked.
    pub(super) fn push(
        &mut self,
        name: impl Into<Cow<'a, str>>,
        value: impl Into<HeaderValue<'a>>,
    ) {
        self.list.push((name.into(), value.into().0));
    }

    /// Checks the headers that an application has added: names, values, and that no name is reserved.
    #[inline]
    pub(super) fn check(&self, reserved: &[&str]) -> Result<(), UsageError> {
        self.list.iter().try_for_each(|(name, value)| check(name, value, reserved))
    }

    /// The length in bytes of the header lines. It saturates: the same text may be borrowed many times.
    #[inline]
    pub(super) fn byte_len(&self) -> u64 {
        let line = |(name, value): &Pair<'_>| [name.len(), 4, value.len()].map(|part| part as u64);
        self.list.iter().flat_map(line).fold(0, u64::saturating_add)
    }

    /// Passes the parts of the header lines to `put`. The list has passed [`check`](HeaderList::check).
    #[inline]
    pub(super) fn put(&self, put: &mut dyn FnMut(&[u8])) {
        for (name, value) in &self.list {
            put_header(put, name, value);
        }
    }
}

impl HeaderList<'static> {
    /// Adds a header, and copies what is borrowed. Nothing is checked.
    pub(super) fn push_owned<'v>(
        &mut self,
        name: impl Into<Cow<'v, str>>,
        value: impl Into<HeaderValue<'v>>,
    ) {
        self.push(name.into().into_owned(), value.into().0.into_owned());
    }
}

impl<'l> IntoIterator for &'l HeaderList<'_> {
    type Item = Header<'l>;
    type IntoIter = Headers<'l>;

    fn into_iter(self) -> Headers<'l> {
        self.headers()
    }
}

impl fmt::Debug for HeaderList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.headers().fmt(f)
    }
}

/// The value of a header to send: text or bytes, borrowed or owned.
///
/// Every method that adds a header takes what converts into it: `&str`, `String`, `&[u8]`, `Vec<u8>`, `&[u8; N]`, and
/// references to these, and a `Cow` of them. The value is checked when it is sent (RFC 9110 5.5). It may have bytes
/// from 0x80. It must not have control characters other than the tab, or white space at its ends.
///
/// ```
/// use websocket_proto::Response;
///
/// let nonce = [0x61, 0xe9];
/// let text = Response::new(403).header("X-Reason", "closed").header("X-Hour", String::from("12"));
/// let bytes = Response::new(403).header("X-Nonce", &nonce).header("X-Name", vec![0xe9]);
/// # let _ = (text, bytes);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HeaderValue<'a>(Cow<'a, [u8]>);

impl HeaderValue<'_> {
    /// The bytes of the value.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for HeaderValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeaderValue({} bytes)", self.0.len())
    }
}

macro_rules! from {
    ($($type:ty, $value:ident => $bytes:expr;)*) => {$(
        impl<'a> From<$type> for HeaderValue<'a> {
            fn from($value: $type) -> Self {
                HeaderValue($bytes)
            }
        }
    )*};
}

from! {
    &'a str, text => Cow::Borrowed(text.as_bytes());
    &'a String, text => Cow::Borrowed(text.as_bytes());
    String, text => Cow::Owned(text.into_bytes());
    &'a [u8], bytes => Cow::Borrowed(bytes);
    &'a Vec<u8>, bytes => Cow::Borrowed(bytes);
    Vec<u8>, bytes => Cow::Owned(bytes);
    Cow<'a, [u8]>, bytes => bytes;
}

impl<'a> From<Cow<'a, str>> for HeaderValue<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for HeaderValue<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        bytes[..].into()
    }
}

/// Checks a header that an application adds.
fn check(name: &str, value: &[u8], reserved: &[&str]) -> Result<(), UsageError> {
    if !syntax::is_token(name.as_bytes()) {
        Err(UsageError::InvalidHeaderName)
    } else if reserved.iter().any(|other| other.eq_ignore_ascii_case(name)) {
        Err(UsageError::ReservedHeader)
    } else if !syntax::is_field_value(value) {
        Err(UsageError::InvalidHeaderValue)
    } else {
        Ok(())
    }
}

/// Headers of a 101, and of a request, that an application must not add: the handshake writes them, or they would break
/// it.
pub(super) const RESERVED_IN_UPGRADE: &[&str] = &[
    "Connection",
    "Content-Length",
    "Host",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Version",
    "Transfer-Encoding",
    "Upgrade",
];

/// Headers of other responses that an application must not add.
pub(super) const RESERVED_IN_RESPONSE: &[&str] =
    &["Connection", "Content-Length", "Sec-WebSocket-Accept", "Transfer-Encoding", "Upgrade"];

/// Headers of a response that another HTTP/1.1 stack writes itself, from the body.
#[cfg(feature = "http")]
pub(super) const RESERVED_IN_FRAMING: &[&str] =
    &["Content-Length", "Sec-WebSocket-Accept", "Transfer-Encoding"];
