//! Which pages may open a connection: an exact list of origins (RFC 6455 10.2). Only browsers send an Origin that can
//! be trusted; other clients must be authenticated by the application (RFC 6455 10.1).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::net::{Ipv4Addr, Ipv6Addr};

use super::request::UpgradeRequest;
use super::response::Response;
use super::syntax;

/// A list of the origins whose pages may connect (RFC 6455 10.2), against cross-site WebSocket hijacking.
///
/// Requests without an `Origin`, which programs other than browsers send, are refused unless
/// [`allow_missing`](OriginPolicy::allow_missing) is set.
///
/// ```
/// use websocket_proto::OriginPolicy;
///
/// let policy = OriginPolicy::new(["https://example.com", "capacitor://localhost"])?;
/// assert!(policy.is_allowed(Some("https://Example.com")));
/// assert!(!policy.is_allowed(Some("https://example.com.evil")));
/// assert!(!policy.is_allowed(None));
/// # Ok::<(), websocket_proto::OriginError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct OriginPolicy {
    /// The origins as browsers write them (RFC 6454 6.2).
    allowed: Vec<String>,
    /// The origins without a port that are allowed with any port.
    any_port: Vec<String>,
    allows_missing: bool,
}

impl OriginPolicy {
    /// Allows these origins: `scheme://host`, or `scheme://host:port`, of any scheme; or `null`, which matches any
    /// opaque origin.
    ///
    /// An entry is changed to what browsers send (RFC 6454 6.2): it is put in lower case, and the default port of
    /// `http`, `https`, `ws` and `wss` and one slash at the end are removed.
    ///
    /// # Errors
    ///
    /// The index of the first entry that is not an origin: one with a path, a query, a user, a wildcard, or a host that
    /// is not ASCII.
    pub fn new<I: IntoIterator<Item: Into<String>>>(origins: I) -> Result<Self, OriginError> {
        let mut allowed = Vec::new();
        for (index, origin) in origins.into_iter().enumerate() {
            allowed.push(normalize(origin.into()).ok_or(OriginError { index })?);
        }
        Ok(OriginPolicy { allowed, ..OriginPolicy::default() })
    }

    /// Allows these origins with any port, for development servers that choose one. An entry is `scheme://host`, and is
    /// changed as by [`new`](OriginPolicy::new).
    ///
    /// Other programs on that host can serve pages on other ports, so list only hosts that you trust as a whole.
    ///
    /// ```
    /// use websocket_proto::OriginPolicy;
    ///
    /// let policy = OriginPolicy::new(["https://example.com"])?.allow_any_port(["http://localhost"])?;
    /// assert!(policy.is_allowed(Some("http://localhost:5173")));
    /// assert!(!policy.is_allowed(Some("http://localhost.evil:5173")));
    /// assert!(!policy.is_allowed(Some("https://example.com:5173")));
    /// # Ok::<(), websocket_proto::OriginError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The index of the first entry that is not an origin, or that has a port or no host.
    pub fn allow_any_port<I>(mut self, origins: I) -> Result<Self, OriginError>
    where
        I: IntoIterator<Item: Into<String>>,
    {
        for (index, origin) in origins.into_iter().enumerate() {
            let origin = normalize(origin.into()).filter(|origin| has_host_only(origin));
            self.any_port.push(origin.ok_or(OriginError { index })?);
        }
        Ok(self)
    }

    /// Whether requests without an `Origin` are allowed. Default: `false`.
    #[must_use]
    pub fn allow_missing(mut self, allow: bool) -> Self {
        self.allows_missing = allow;
        self
    }

    /// Whether this origin, or the absence of one, is allowed. The origin is compared as it was sent, except for ASCII
    /// case: scheme and host are case-insensitive.
    #[must_use]
    pub fn is_allowed(&self, origin: Option<&str>) -> bool {
        match origin {
            Some(origin) => {
                self.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
                    || self.any_port.iter().any(|allowed| is_on_a_port_of(allowed, origin))
            }
            None => self.allows_missing,
        }
    }

    /// Checks a request. It is refused if it has several `Origin` headers or one that is not UTF-8.
    ///
    /// # Errors
    ///
    /// The response that rejects the request: 403 (RFC 6455 10.2).
    pub fn check(&self, request: &UpgradeRequest<'_>) -> Result<(), Response> {
        let origin = request.origin();
        // `origin` returns `None` for several headers too: these must not pass as a missing one.
        let is_ambiguous = origin.is_none() && request.header("Origin").is_some();
        if !is_ambiguous && self.is_allowed(origin) { Ok(()) } else { Err(Response::new(403)) }
    }
}

/// Whether an entry that was [normalized](normalize) has a host and no port.
fn has_host_only(origin: &str) -> bool {
    let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
    let parts = syntax::split_authority(authority.as_bytes());
    matches!(parts, Some((host, None)) if !host.is_empty())
}

/// Whether an origin is `allowed`, alone or with a port. Browsers leave the default port out (RFC 6454 6.2).
fn is_on_a_port_of(allowed: &str, origin: &str) -> bool {
    let Some((front, rest)) = origin.split_at_checked(allowed.len()) else { return false };
    let is_port = |port: &str| syntax::number::<u16>(port.as_bytes()).is_some();
    front.eq_ignore_ascii_case(allowed)
        && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

/// Writes an origin as browsers do (RFC 6454 4, 6.2). Returns `None` if the text is not an origin.
fn normalize(mut origin: String) -> Option<String> {
    origin.make_ascii_lowercase();
    if origin == "null" {
        return Some(origin);
    }
    if origin.ends_with('/') && !origin.ends_with("://") {
        origin.pop();
    }
    let (scheme, authority) = origin.split_once("://")?;
    // RFC 3986 3.1: a letter, then letters, digits, plus, minus and dot.
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme {
        return None;
    }
    let default_port = match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        // Origins of other schemes may have no host, such as file://.
        _ if authority.is_empty() => return Some(origin),
        _ => None,
    };
    // Browsers send no escapes, since they decode them, and no wildcards.
    if !syntax::is_authority(authority.as_bytes()) || authority.contains(['%', '*']) {
        return None;
    }
    let (host, port) = syntax::split_authority(authority.as_bytes())?;
    let host = normalize_host(core::str::from_utf8(host).ok()?, default_port.is_some())?;
    let port = syntax::parse_port(port.unwrap_or(b""))?;
    let mut normal = format!("{scheme}://{host}");
    if let Some(port) = port.filter(|_| port != default_port) {
        write!(normal, ":{port}").expect("a String takes all");
    }
    Some(normal)
}

/// Writes a host as browsers do: an IPv6 address in its shortest form; an IPv4 address, if the scheme `is_web`, as four
/// decimal numbers. Returns `None` for a list, and for a host that browsers would read as a different IPv4 address or
/// refuse.
fn normalize_host(host: &str, is_web: bool) -> Option<String> {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().ok()?;
        return Some(match (address.to_ipv4_mapped(), address.segments()) {
            // Browsers write the last 32 bits in hexadecimal, not in dots.
            (Some(_), [.., high, low]) => format!("[::ffff:{high:x}:{low:x}]"),
            (None, _) => format!("[{address}]"),
        });
    }
    let last = host.strip_suffix('.').unwrap_or(host).rsplit('.').next()?;
    let is_number = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
    if (is_web && is_number && host.parse::<Ipv4Addr>().is_err()) || host.contains(',') {
        return None;
    }
    Some(host.into())
}

/// Error: an entry of an [`OriginPolicy`] is not an origin (RFC 6454 6.2), so no request could match it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct OriginError {
    /// The index of the entry, counted from 0.
    pub index: usize,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} is neither scheme://host, scheme://host:port nor null", self.index)
    }
}

impl core::error::Error for OriginError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::Cow;
    use std::format;

    fn is_let_in(policy: &OriginPolicy, lines: &str) -> bool {
        let head = format!("GET / HTTP/1.1\r\n{lines}\r\n").into_bytes();
        match policy.check(&UpgradeRequest::new(Cow::Owned(head))) {
            Ok(()) => true,
            Err(response) => {
                assert_eq!(response.status(), 403);
                false
            }
        }
    }

    #[test]
    fn only_listed_origins_are_let_in() {
        // rfc6455-4.2.1-11, rfc6455-4.2.2-05, rfc6455-10.2-01, rfc6455-10.2-02
        let policy = OriginPolicy::new(["https://example.com", "http://h:8080"]).expect("origins");
        for (lines, allowed) in [
            ("Origin: https://example.com\r\n", true),
            ("ORIGIN: HTTPS://EXAMPLE.COM\r\n", true),
            ("Origin: http://h:8080\r\n", true),
            ("Origin: http://h\r\n", false),
            ("Origin: http://example.com\r\n", false),
            ("Origin: https://example.com:443\r\n", false),
            ("Origin: https://example.com/\r\n", false),
            ("Origin: https://example.com.evil\r\n", false),
            ("Origin: https://evil.example.com\r\n", false),
            ("Origin: https://example.co\r\n", false),
            ("Origin: evil https://example.com\r\n", false),
            ("Origin: null\r\n", false),
            ("Origin:\r\n", false),
            ("", false),
            ("Origin: https://example.com\r\nOrigin: https://example.com\r\n", false),
            ("Origin: https://example.com\r\nOrigin: https://evil\r\n", false),
        ] {
            assert_eq!(is_let_in(&policy, lines), allowed, "{lines:?}");
        }
    }

    #[test]
    fn any_port_of_a_host_is_let_in_on_request_only() {
        // rfc6455-10.2-01
        let policy = OriginPolicy::new(["https://a.example:8443"]).expect("an origin");
        let policy = policy.allow_any_port(["HTTP://LocalHost/", "https://[::1]", "app://x"]);
        let policy = policy.expect("hosts without a port");
        for (origin, allowed) in [
            ("http://localhost", true),
            ("http://localhost:1", true),
            ("HTTP://LOCALHOST:65535", true),
            ("https://[::1]:3000", true),
            ("app://x:9", true),
            ("https://a.example:8443", true),
            ("https://a.example:8444", false),
            ("https://localhost:1", false),
            ("http://localhost:", false),
            ("http://localhost:65536", false),
            ("http://localhost:x", false),
            ("http://localhost:1/", false),
            ("http://localhost:1:2", false),
            ("http://localhost.evil", false),
            ("http://localhost@evil", false),
            ("http://localhos\u{e9}:1", false),
            ("http://localhos", false),
            ("", false),
        ] {
            assert_eq!(policy.is_allowed(Some(origin)), allowed, "{origin}");
        }
        assert!(!policy.is_allowed(None));
        for entry in ["http://h:80", "http://h:81", "null", "file://", "http://*", "h", ""] {
            let policy = OriginPolicy::default().allow_any_port(["http://good", entry]);
            let is_default = entry == "http://h:80";
            assert_eq!(policy.is_ok(), is_default, "{entry}: the default port is no port");
            assert!(is_default || policy == Err(OriginError { index: 1 }), "{entry}");
        }
    }

    #[test]
    fn missing_and_null_are_let_in_on_request_only() {
        let policy = OriginPolicy::new(["null"]).expect("an origin").allow_missing(true);
        assert!(is_let_in(&policy, ""));
        assert!(is_let_in(&policy, "Origin: null\r\n"));
        assert!(!is_let_in(&policy, "Origin: a\r\nOrigin: a\r\n"), "two are not none");
        let head = b"GET / HTTP/1.1\r\nOrigin: \xff\r\n\r\n".to_vec();
        let request = UpgradeRequest::new(Cow::Borrowed(&head[..]));
        assert!(policy.check(&request).is_err());
        assert_eq!(request.origin(), None);
    }

    #[test]
    fn entries_are_written_as_browsers_write_origins() {
        // rfc6454-4-01, rfc6454-6.2-01, rfc6454-7.1-01
        for (entry, origin) in [
            ("https://client.example:443", "https://client.example"),
            ("https://client.example/", "https://client.example"),
            ("HTTPS://Client.Example:443/", "https://client.example"),
            ("https://client.example:", "https://client.example"),
            ("https://client.example:0443", "https://client.example"),
            ("https://client.example:80", "https://client.example:80"),
            ("http://client.example:80", "http://client.example"),
            ("http://client.example:0008080/", "http://client.example:8080"),
            ("http://127.0.0.1:9001", "http://127.0.0.1:9001"),
            ("https://[::1]:443/", "https://[::1]"),
            ("https://[0:0:0:0:0:0:0:1]", "https://[::1]"),
            ("https://[2001:DB8::0:1]:8443", "https://[2001:db8::1]:8443"),
            ("https://[::FFFF:1.2.3.4]", "https://[::ffff:102:304]"),
            ("app://1.2", "app://1.2"),
            ("https://xn--mnchen-3ya.example", "https://xn--mnchen-3ya.example"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("capacitor://localhost:443", "capacitor://localhost:443"),
            ("chrome-extension://abcdef/", "chrome-extension://abcdef"),
            ("app://-", "app://-"),
            ("file://", "file://"),
            ("file:///", "file://"),
            ("null", "null"),
            ("NULL", "null"),
        ] {
            let policy = OriginPolicy::new([entry]).expect(entry);
            assert_eq!(policy.allowed, [origin], "{entry}");
            assert!(is_let_in(&policy, &format!("Origin: {origin}\r\n")), "{entry}");
            // A normal form does not change again.
            assert_eq!(OriginPolicy::new([origin]), Ok(policy));
        }
    }

    #[test]
    fn entries_that_are_no_origin_are_an_error() {
        // rfc6454-6.2-01
        for entry in [
            "https://127.1",
            "https://0x7f.1",
            "https://0x7f000001",
            "https://2130706433",
            "https://1.2.3.256",
            "https://01.2.3.4",
            "https://1.2.3.4.",
            "https://a.example,b.example",
            "",
            "*",
            "/",
            "://",
            "https:",
            "https://",
            "https:///",
            "https://:443",
            "client.example",
            "//client.example",
            "client.example:443",
            "https://client.example//",
            "https://client.example/app",
            "https://client.example?x",
            "https://client.example#x",
            "https://user@client.example",
            "https://*.client.example",
            "https://*",
            "https://client.example:*",
            "https://client.example:65536",
            "https://client.example:x",
            "https://m\u{fc}nchen.example",
            "https://client%2eexample",
            "https://client.example https://other.example",
            " https://client.example",
            "https://client.example,https://other.example",
            "https://[::1",
            "https://[::g]",
            "1http://client.example",
            "ht_tp://client.example",
            "null/",
        ] {
            let entries = ["https://good.example", entry, "bad"];
            assert_eq!(OriginPolicy::new(entries), Err(OriginError { index: 1 }), "{entry:?}");
        }
        assert_eq!(OriginPolicy::new([""; 0]), Ok(OriginPolicy::default()));
    }

    #[test]
    fn origins_of_requests_are_compared_as_they_were_sent() {
        // rfc6455-10.2-01
        let policy = OriginPolicy::new(["https://client.example:443/"]).expect("an origin");
        for (origin, is_allowed) in [
            ("https://client.example", true),
            ("https://client.example:443", false),
            ("https://client.example/", false),
            ("https://client.example:", false),
            ("http://client.example", false),
        ] {
            assert_eq!(policy.is_allowed(Some(origin)), is_allowed, "{origin}");
        }
    }
}
