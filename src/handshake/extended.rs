//! The opening handshake over HTTP/2 and HTTP/3: extended CONNECT (RFC 8441, RFC 9220), which reads and writes lists of
//! headers. Streams, SETTINGS and HTTP frames are left to the HTTP stack. WebSocket frames, masking included, are as in
//! RFC 6455.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use super::client_request::ClientRequest;
use super::error::HandshakeError;
use super::fields::{
    Fields, Single, check_chosen_subprotocol, check_extensions, offered_subprotocols,
};
use super::response::Accept;
use super::version::VERSION;
use super::{extensions, syntax};
use crate::config::Config;
use crate::error::UsageError;

const SUBPROTOCOL: &str = "sec-websocket-protocol";
const EXTENSIONS: &str = "sec-websocket-extensions";

/// Name and value of a header for HTTP/2 or HTTP/3. The value is bytes, mostly ASCII (RFC 9110 5.5).
pub type ExtendedHeader<'a> = (Cow<'a, str>, Cow<'a, [u8]>);

impl ClientRequest {
    /// The headers of an extended CONNECT for this request, pseudo-headers first, names in lower case (RFC 8441 5).
    ///
    /// Send them only after the peer has sent `SETTINGS_ENABLE_CONNECT_PROTOCOL` (RFC 8441 3, RFC 9220 3).
    ///
    /// # Errors
    /// The error of the request's origin, subprotocols or headers.
    pub fn extended_connect(&self, config: &Config) -> Result<Vec<ExtendedHeader<'_>>, UsageError> {
        self.check()?;
        self.headers.iter().try_for_each(|(name, value)| check_stream_header(name, value))?;
        let uri = &self.uri;
        // RFC 8441 5: no Host, Connection, Upgrade or Sec-WebSocket-Key.
        let mut headers: Vec<ExtendedHeader<'_>> = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", if uri.is_secure() { "https" } else { "http" }),
            (":path", uri.resource()),
            (":authority", uri.authority()),
            ("sec-websocket-version", VERSION),
        ]
        .into_iter()
        .map(|(name, value)| (name.into(), value.as_bytes().into()))
        .collect();
        if let Some(origin) = &self.origin {
            headers.push(("origin".into(), origin.as_bytes().into()));
        }
        if !self.subprotocols.is_empty() {
            headers.push((SUBPROTOCOL.into(), self.subprotocols.join(", ").into_bytes().into()));
        }
        #[cfg(feature = "deflate")]
        if let Some(deflate) = &config.deflate {
            headers.push((EXTENSIONS.into(), deflate.offer().into_bytes().into()));
        }
        #[cfg(not(feature = "deflate"))]
        let _ = config;
        // RFC 9113 8.2.1: names are in lower case.
        headers.extend(
            self.headers
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase().into(), (&value[..]).into())),
        );
        Ok(headers)
    }

    /// Judges the response to [`extended_connect`](ClientRequest::extended_connect): 2xx opens the connection (RFC 8441
    /// 5), if its subprotocol and extensions are among those that were offered.
    ///
    /// # Errors
    /// [`HandshakeError::Status`] for any other status, 101 included. [`HandshakeError::ExtensionMissing`] if the
    /// server did not accept an extension that `config` requires; only then the stream is open, and can be closed with
    /// code 1010 (RFC 6455 7.4.1) or reset. Otherwise the error of the headers.
    pub fn extended_response<'h, I>(
        &self,
        status: u16,
        headers: I,
        config: &Config,
    ) -> Result<ExtendedResponse<'h>, HandshakeError>
    where
        I: IntoIterator<Item = (&'h str, &'h [u8]), IntoIter: Clone>,
    {
        if !(200..300).contains(&status) {
            return Err(HandshakeError::Status { status });
        }
        let headers = headers.into_iter();
        let extensions = named(headers.clone(), EXTENSIONS);
        let is_there = extensions.clone().next().is_some();
        // RFC 6455 4.2.2: a server that chose no extension omits the header.
        if is_there && check_extensions(extensions.clone())? == 0 {
            return Err(HandshakeError::InvalidExtensions);
        }
        #[cfg(feature = "deflate")]
        let (deflate, is_offered) = match &config.deflate {
            Some(deflate) => match deflate.agree(extensions)? {
                // RFC 6455 7.4.1.
                None if deflate.required => return Err(HandshakeError::ExtensionMissing),
                agreed => (agreed, true),
            },
            None => (None, false),
        };
        #[cfg(not(feature = "deflate"))]
        let is_offered = false;
        if is_there && !is_offered {
            return Err(HandshakeError::ExtensionNotOffered);
        }
        let subprotocol = check_chosen_subprotocol(
            named(headers, SUBPROTOCOL),
            |chosen| self.subprotocols.iter().any(|offered| offered == chosen),
            config.require_subprotocol && !self.subprotocols.is_empty(),
        )?;
        Ok(ExtendedResponse {
            subprotocol,
            #[cfg(feature = "deflate")]
            deflate,
        })
    }
}

/// A response that opens a connection over HTTP/2 or HTTP/3 (RFC 8441 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExtendedResponse<'h> {
    /// The subprotocol that the server chose among the offered ones; `None` if it chose none.
    pub subprotocol: Option<&'h str>,
    /// The agreed parameters of permessage-deflate, for
    /// [`Connection::from_upgrade_with_deflate`](crate::Connection::from_upgrade_with_deflate).
    #[cfg(feature = "deflate")]
    pub deflate: Option<crate::deflate::DeflateParams>,
}

/// How a server accepts an extended CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExtendedAccept {
    /// The response's headers, `:status` first.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The agreed parameters of permessage-deflate, for
    /// [`Connection::from_upgrade_with_deflate`](crate::Connection::from_upgrade_with_deflate).
    #[cfg(feature = "deflate")]
    pub deflate: Option<crate::deflate::DeflateParams>,
}

/// A valid extended CONNECT for WebSocket, as a server received it (RFC 8441 5, RFC 9220 3).
#[derive(Clone, PartialEq, Eq)]
pub struct ExtendedConnect<'h> {
    scheme: &'h str,
    authority: &'h str,
    path: &'h str,
    headers: Vec<(&'h str, &'h [u8])>,
    /// The offered subprotocols as a comma list.
    offered: Option<Box<str>>,
}

impl<'h> ExtendedConnect<'h> {
    /// Reads the headers of a CONNECT request, pseudo-headers included, in their order.
    ///
    /// # Errors
    /// An [`ExtendedRefusal`], with the status and headers of the answer.
    pub fn parse<I>(headers: I) -> Result<Self, ExtendedRefusal>
    where
        I: IntoIterator<Item = (&'h str, &'h [u8])>,
    {
        parse(headers.into_iter()).map_err(|error| ExtendedRefusal { error })
    }

    /// The scheme: `https`, or `http` if the connection is not secure (RFC 8441 5).
    pub fn scheme(&self) -> &'h str {
        self.scheme
    }

    /// The host, with its port if one was sent. It names the server; no tunnel is made to it (RFC 8441 4).
    pub fn authority(&self) -> &'h str {
        self.authority
    }

    /// The resource name: path and query (RFC 8441 5).
    pub fn resource(&self) -> &'h str {
        self.path
    }

    /// The origin of the page that connects, as browsers send it (RFC 6455 10.2). There is at most one, and it is
    /// ASCII. [`OriginPolicy::is_allowed`](crate::OriginPolicy::is_allowed) checks it.
    pub fn origin(&self) -> Option<&'h str> {
        self.header("origin").and_then(|origin| core::str::from_utf8(origin).ok())
    }

    /// The offered subprotocols in the client's order of preference (RFC 6455 4.2.1).
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.offered.iter().flat_map(|all| syntax::list(all.as_bytes())).filter_map(syntax::token)
    }

    /// The values of the `sec-websocket-extensions` headers; their grammar has been checked (RFC 6455 9.1).
    pub fn extensions(&self) -> impl Iterator<Item = &'h [u8]> {
        named(self.headers.iter().copied(), EXTENSIONS)
    }

    /// All headers but the pseudo-headers, in the order in which they were sent.
    pub fn headers(&self) -> impl Iterator<Item = (&'h str, &'h [u8])> {
        self.headers.iter().copied()
    }

    /// The value of the first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&'h [u8]> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|&(_, value)| value)
    }

    /// The headers of the response that accepts the request; its status is 200, and it has no `Sec-WebSocket-Accept`
    /// (RFC 8441 5).
    ///
    /// # Errors
    /// [`UsageError::SubprotocolNotOffered`], or the error of a header of `accept`.
    pub fn accept(
        &self,
        accept: &Accept<'_>,
        config: &Config,
    ) -> Result<ExtendedAccept, UsageError> {
        if accept
            .subprotocol
            .is_some_and(|chosen| !self.subprotocols().any(|offered| offered == chosen))
        {
            return Err(UsageError::SubprotocolNotOffered);
        }
        accept.check_headers()?;
        accept.headers.iter().try_for_each(|(name, value)| check_stream_header(name, value))?;
        let subprotocol =
            accept.subprotocol.map(|name| (SUBPROTOCOL.to_string(), name.as_bytes().to_vec()));
        #[cfg(feature = "deflate")]
        let (deflate, extensions) =
            match config.deflate.as_ref().and_then(|deflate| deflate.accept(self.extensions())) {
                Some((params, response)) => {
                    (Some(params), Some((EXTENSIONS.to_string(), response.into_bytes())))
                }
                None => (None, None),
            };
        #[cfg(not(feature = "deflate"))]
        let (_, extensions) = (config, None);
        let others =
            accept.headers.iter().map(|&(name, value)| (name.to_ascii_lowercase(), value.to_vec()));
        let status = (":status".to_string(), b"200".to_vec());
        Ok(ExtendedAccept {
            headers: [status]
                .into_iter()
                .chain(subprotocol)
                .chain(extensions)
                .chain(others)
                .collect(),
            #[cfg(feature = "deflate")]
            deflate,
        })
    }
}

/// Refuses headers that are about a connection, which a stream must not have (RFC 9113 8.2.2).
fn check_stream_header(name: &str, value: &[u8]) -> Result<(), UsageError> {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    if is("keep-alive")
        || is("proxy-connection")
        || (is("te") && !value.eq_ignore_ascii_case(b"trailers"))
    {
        return Err(UsageError::ReservedHeader);
    }
    Ok(())
}

impl fmt::Debug for ExtendedConnect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtendedConnect")
            .field("authority", &self.authority)
            .field("resource_bytes", &self.path.len())
            .field("headers", &self.headers.len())
            .finish()
    }
}

/// Why an extended CONNECT is refused, and how to answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedRefusal {
    error: HandshakeError,
}

impl ExtendedRefusal {
    /// What is wrong.
    #[must_use]
    pub fn error(&self) -> &HandshakeError {
        &self.error
    }

    /// The status of the answer: 501 for another protocol (RFC 9220 3), else 400.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.error {
            HandshakeError::OtherProtocol => 501,
            // A 426 needs Upgrade, which HTTP/2 and HTTP/3 do not have.
            _ => 400,
        }
    }

    /// The headers of the answer: the supported version, if the client asked for another (RFC 6455 4.4).
    #[must_use]
    pub fn headers(&self) -> &'static [(&'static str, &'static str)] {
        match self.error {
            HandshakeError::Version { .. } => &[("sec-websocket-version", VERSION)],
            _ => &[],
        }
    }
}

impl fmt::Display for ExtendedRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl core::error::Error for ExtendedRefusal {}

fn named<'h>(
    headers: impl Iterator<Item = (&'h str, &'h [u8])> + Clone,
    name: &'static str,
) -> impl Iterator<Item = &'h [u8]> + Clone {
    headers
        .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| syntax::trim(value))
}

const MALFORMED: HandshakeError = HandshakeError::InvalidExtendedConnect;

/// The pseudo-headers of a request, all required by RFC 8441, and the other headers.
struct Parts<'h> {
    protocol: &'h str,
    scheme: &'h str,
    path: &'h str,
    authority: &'h str,
    headers: Vec<(&'h str, &'h [u8])>,
}

fn divide<'h>(all: impl Iterator<Item = (&'h str, &'h [u8])>) -> Result<Parts<'h>, HandshakeError> {
    let [mut method, mut protocol, mut scheme, mut path, mut authority] = [None; 5];
    let mut headers = Vec::new();
    for (name, value) in all {
        // RFC 9113 8.2.1: names are lower-case tokens. RFC 9110 5.5: values have no control character but the tab.
        let bare = name.strip_prefix(':').unwrap_or(name);
        let is_name = syntax::is_token(bare.as_bytes())
            && !bare.bytes().any(|byte| byte.is_ascii_uppercase());
        if !is_name || syntax::value_len(value) < value.len() {
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
                headers.push((name, value));
                continue;
            }
        };
        // RFC 9113 8.3: pseudo-headers come first, each once.
        if place.is_some() || !headers.is_empty() {
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
    all: impl Iterator<Item = (&'h str, &'h [u8])>,
) -> Result<ExtendedConnect<'h>, HandshakeError> {
    let Parts { protocol, scheme, path, authority, headers } = divide(all)?;
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
    let fields = Fields::gather(headers.iter().copied());
    fields.check_version()?;
    fields.check_version_once()?;
    if fields.has_body {
        return Err(HandshakeError::Body);
    }
    let lines = |name| named(headers.iter().copied(), name);
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
