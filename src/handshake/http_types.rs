//! Conversions from and to the types of the crate `http`, which hyper, axum, h2 and others use. They decide nothing.

use alloc::string::ToString as _;
use alloc::vec::Vec;

use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version};

use super::client_upgrade::ClientUpgrade;
use super::error::HandshakeError;
use super::extended::ExtendedConnect;
use super::header_list::HeaderList;
use super::headers::{Header, Headers};
use super::parsed_request::ParsedRequest;
use super::response::Response;
use super::verdict::{Accepted, Agreed, RequestError};
use super::version::HttpVersion;
use crate::config::Config;
use crate::error::UsageError;

/// An item of an [`http::HeaderMap`], so that a reference to the map can be passed as headers.
impl<'h> From<(&'h HeaderName, &'h HeaderValue)> for Header<'h> {
    fn from((name, value): (&'h HeaderName, &'h HeaderValue)) -> Self {
        Header { name: name.as_str(), value: value.as_bytes() }
    }
}

impl From<HttpVersion> for Version {
    fn from(version: HttpVersion) -> Self {
        match version {
            HttpVersion::Http10 => Version::HTTP_10,
            HttpVersion::Http11 => Version::HTTP_11,
        }
    }
}

/// Fails with [`HandshakeError::HttpVersion`] for any version but 1.0 and 1.1.
impl TryFrom<Version> for HttpVersion {
    type Error = HandshakeError;

    fn try_from(version: Version) -> Result<Self, HandshakeError> {
        let (major, minor) = match version {
            Version::HTTP_10 => return Ok(HttpVersion::Http10),
            Version::HTTP_11 => return Ok(HttpVersion::Http11),
            Version::HTTP_09 => (0, 9),
            Version::HTTP_3 => (3, 0),
            _ => (2, 0),
        };
        Err(HandshakeError::HttpVersion { major, minor })
    }
}

/// # With the crate `http`
impl ParsedRequest {
    /// Judges a request, like [`from_parts`](ParsedRequest::from_parts).
    ///
    /// ```
    /// use websocket_proto::handshake::ParsedRequest;
    /// use websocket_proto::{Accept, Config, UsageError};
    ///
    /// /// The response to a request, for hyper.
    /// fn answer<B>(request: &http::Request<B>, config: &Config) -> Result<http::Response<String>, Box<dyn std::error::Error>> {
    ///     let request = match ParsedRequest::from_http(request, config) {
    ///         Ok(ParsedRequest::Upgrade(request)) => request,
    ///         Ok(ParsedRequest::Plain(_)) => return Ok(http::Response::new("hello".into())),
    ///         Err(error) => return Ok(http::Response::<Vec<u8>>::try_from(error.response())?.map(|_| error.to_string())),
    ///     };
    ///     let accepted = request.accept(&Accept::new(), config)?;
    ///     // `Connection::from_upgrade` takes `accepted.upgrade` when the response has been sent.
    ///     Ok(http::Response::try_from(&accepted)?)
    /// }
    ///
    /// let request = http::Request::get("/").header("host", "example.com").body(()).unwrap();
    /// assert_eq!(answer(&request, &Config::default()).unwrap().body(), "hello");
    /// ```
    ///
    /// # Errors
    ///
    /// A [`RequestError`], which has the response to send. A request over HTTP/2 or HTTP/3 fails with
    /// [`HandshakeError::HttpVersion`]: [`ExtendedConnect`](crate::handshake::ExtendedConnect) reads those. A fragment
    /// in the target is not seen: `http::Uri` has removed it.
    pub fn from_http<B>(
        request: &Request<B>,
        config: &Config,
    ) -> Result<ParsedRequest, RequestError> {
        judge(request.method(), request.uri(), request.version(), request.headers(), config)
    }

    /// Judges a request without its body, like [`from_parts`](ParsedRequest::from_parts).
    ///
    /// # Errors
    ///
    /// Those of [`from_http`](ParsedRequest::from_http).
    pub fn from_http_parts(parts: &Parts, config: &Config) -> Result<ParsedRequest, RequestError> {
        judge(&parts.method, &parts.uri, parts.version, &parts.headers, config)
    }
}

fn judge(
    method: &Method,
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
    config: &Config,
) -> Result<ParsedRequest, RequestError> {
    let version = HttpVersion::try_from(version).map_err(RequestError::http1)?;
    ParsedRequest::from_parts(method.as_str(), &uri.to_string(), version, headers, config)
}

/// # With the crate `http`
impl<'h> ExtendedConnect<'h> {
    /// Reads a request, like [`parse`](ExtendedConnect::parse). The types of `http` have no place for `:protocol`. The
    /// HTTP stack puts it into the request's extensions: `h2::ext::Protocol`, `hyper::ext::Protocol`,
    /// `h3::ext::Protocol`.
    ///
    /// ```
    /// use websocket_proto::handshake::ExtendedConnect;
    /// use websocket_proto::{Accept, ClientRequest, Config};
    ///
    /// // The request that the client's HTTP stack sends, and the server's stack receives.
    /// let (client, config) = (ClientRequest::new("wss://example.com/chat")?, Config::default());
    /// let request: http::Request<()> = (&client.extended_connect(&config)?).try_into().expect("few headers");
    ///
    /// let connect = ExtendedConnect::from_http(&request, "websocket", &config).expect("a valid request");
    /// assert_eq!((connect.host(), connect.resource()), ("example.com", "/chat"));
    /// let accepted = connect.accept(&Accept::new(), &config)?;
    /// let response: http::Response<()> = (&accepted).try_into().expect("few headers");
    ///
    /// let agreed = client.extended_response(response.status().as_u16(), response.headers(), &config);
    /// assert!(agreed.is_ok());
    /// # Ok::<(), websocket_proto::UsageError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A [`RequestError`], which has the response to send. A request without an authority, a scheme or a path is
    /// malformed (RFC 8441 4).
    pub fn from_http<B>(
        request: &'h Request<B>,
        protocol: &'h str,
        config: &Config,
    ) -> Result<Self, RequestError> {
        let uri = request.uri();
        let parts = [
            (":method", Some(request.method().as_str())),
            (":protocol", Some(protocol)),
            (":scheme", uri.scheme_str()),
            (":authority", uri.authority().map(Authority::as_str)),
            (":path", uri.path_and_query().map(PathAndQuery::as_str)),
        ];
        let pseudo = parts.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let pseudo = pseudo.map(|(name, value)| Header { name, value: value.as_bytes() });
        ExtendedConnect::parse(pseudo.chain(request.headers().iter().map(Header::from)), config)
    }
}

/// The request of [`ClientRequest::extended_connect`](crate::ClientRequest::extended_connect). Its `:protocol` is left
/// out: put `websocket` into the extensions, in the type of the HTTP stack (`h2::ext::Protocol`,
/// `hyper::ext::Protocol`, `h3::ext::Protocol`). Fails if the list has no pseudo-headers, if the map of headers cannot
/// hold so many, if a name is too long for it, or if the path has more than 65,534 bytes.
impl<B: Default> TryFrom<&HeaderList<'_>> for Request<B> {
    type Error = http::Error;

    fn try_from(list: &HeaderList<'_>) -> Result<Self, http::Error> {
        let pseudo = |name| list.headers().get(name).unwrap_or_default();
        let uri = Uri::builder()
            .scheme(pseudo(":scheme"))
            .authority(pseudo(":authority"))
            .path_and_query(pseudo(":path"))
            .build()?;
        let request = Request::builder().method(pseudo(":method")).uri(uri);
        list.headers()
            .filter(|header| !header.name.starts_with(':'))
            .fold(request, |request, Header { name, value }| request.header(name, value))
            .body(B::default())
    }
}

/// # With the crate `http`
impl ClientUpgrade {
    /// Judges a response, like [`response`](ClientUpgrade::response).
    ///
    /// ```
    /// use websocket_proto::{ClientRequest, Config};
    ///
    /// let config = Config::default();
    /// let upgrade = ClientRequest::new("ws://example.com/chat")?.upgrade(&config)?;
    /// let request: http::Request<()> = http::Request::try_from(&upgrade).expect("few headers");
    /// assert_eq!(request.uri(), "/chat");
    /// assert_eq!(request.headers()["host"], "example.com");
    ///
    /// // The response that hyper returns for it.
    /// let response = http::Response::builder().status(404).body(()).unwrap();
    /// let error = upgrade.http_response(&response, &config).unwrap_err();
    /// assert_eq!(error.to_string(), "response status is 404");
    /// # Ok::<(), websocket_proto::UsageError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`response`](ClientUpgrade::response).
    pub fn http_response<'h, B>(
        &self,
        response: &'h http::Response<B>,
        config: &Config,
    ) -> Result<Agreed<'h>, HandshakeError> {
        let version = HttpVersion::try_from(response.version())?;
        self.response(version, response.status().as_u16(), response.headers(), config)
    }
}

/// The URI is the target in origin-form, such as `/chat`. Fails if the map of headers cannot hold so many, if a name is
/// too long for it, or if the target has more than 65,534 bytes.
impl<B: Default> TryFrom<&ClientUpgrade> for Request<B> {
    type Error = http::Error;

    fn try_from(upgrade: &ClientUpgrade) -> Result<Self, http::Error> {
        let request = Request::builder().method(upgrade.method()).uri(upgrade.target());
        upgrade
            .headers()
            .fold(request, |request, Header { name, value }| request.header(name, value))
            .body(B::default())
    }
}

/// Fails if the map of headers cannot hold so many, or a name is too long for it.
impl<B: Default> TryFrom<&Accepted> for http::Response<B> {
    type Error = http::Error;

    fn try_from(accepted: &Accepted) -> Result<Self, http::Error> {
        response(accepted.status, accepted.headers.headers()).body(B::default())
    }
}

/// A 426 gets the headers that it needs, and a 204, 205 or 304 has no body. Fails for what
/// [`Connection::respond`](crate::Connection::respond) refuses: a status that is not 200 to 599, a name or a value that
/// is not allowed, a header that the HTTP stack writes itself. Fails if the map of headers cannot hold so many.
impl<B: From<Vec<u8>>> TryFrom<Response> for http::Response<B> {
    type Error = http::Error;

    fn try_from(refusal: Response) -> Result<Self, http::Error> {
        let refusal = refusal.for_another_stack().map_err(|error| match error {
            UsageError::InvalidStatus(_) => StatusCode::from_u16(0).expect_err("too small").into(),
            UsageError::InvalidHeaderValue => {
                HeaderValue::from_bytes(b"\n").expect_err("a control character").into()
            }
            _ => http::Error::from(HeaderName::from_bytes(b"").expect_err("empty")),
        })?;
        let builder = response(refusal.status(), refusal.headers());
        builder.body(refusal.into_body().into())
    }
}

fn response(status: u16, headers: Headers<'_>) -> http::response::Builder {
    headers.fold(http::Response::builder().status(status), |response, Header { name, value }| {
        response.header(name, value)
    })
}
