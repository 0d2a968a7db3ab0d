//! Which pages may open a connection: an exact list of origins (RFC 6455 10.2).
//! Who a client is, is left to authentication: only browsers are bound to tell the truth here (RFC 6455 10.1).

use alloc::string::String;
use alloc::vec::Vec;

use super::request::UpgradeRequest;
use super::response::Response;

/// A list of the origins whose pages may connect (RFC 6455 10.2), against cross-site WebSocket hijacking.
///
/// Requests without an `Origin`, as programs other than browsers send them, are refused unless
/// [`allow_missing`](OriginPolicy::allow_missing) is set.
///
/// ```
/// use websocket_proto::OriginPolicy;
///
/// let policy = OriginPolicy::new(["https://example.com", "https://example.com:8443"]);
/// assert!(policy.is_allowed(Some("https://Example.com")));
/// assert!(!policy.is_allowed(Some("https://example.com.evil")));
/// assert!(!policy.is_allowed(None));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OriginPolicy {
    allowed: Vec<String>,
    allows_missing: bool,
}

impl OriginPolicy {
    /// Allows these origins, spelled `scheme://host[:port]` as browsers do: the default port left out, no slash at the
    /// end. `null`, which stands for any opaque origin, is allowed only if it is listed.
    #[must_use]
    pub fn new<I: IntoIterator<Item: Into<String>>>(origins: I) -> Self {
        OriginPolicy {
            allowed: origins.into_iter().map(Into::into).collect(),
            allows_missing: false,
        }
    }

    /// Allows requests that have no `Origin`, too. Default: `false`.
    #[must_use]
    pub fn allow_missing(mut self, allow: bool) -> Self {
        self.allows_missing = allow;
        self
    }

    /// Whether this origin, or the absence of one, is allowed. Whole origins are compared, without regard to the case
    /// of ASCII letters, which scheme and host do not have.
    #[must_use]
    pub fn is_allowed(&self, origin: Option<&str>) -> bool {
        match origin {
            Some(origin) => self.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)),
            None => self.allows_missing,
        }
    }

    /// Checks a request. A request with several `Origin` headers, or one that is not UTF-8, is refused.
    ///
    /// # Errors
    /// The response to reject it with: 403 (RFC 6455 10.2).
    pub fn check(&self, request: &UpgradeRequest<'_>) -> Result<(), Response> {
        let origin = request.origin();
        // No origin in spite of the header means that it cannot be told which.
        let is_ambiguous = origin.is_none() && request.header("Origin").is_some();
        if !is_ambiguous && self.is_allowed(origin) { Ok(()) } else { Err(Response::new(403)) }
    }
}

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
        let policy = OriginPolicy::new(["https://example.com", "http://h:8080"]);
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
    fn missing_and_null_are_let_in_on_request_only() {
        let policy = OriginPolicy::new(["null"]).allow_missing(true);
        assert!(is_let_in(&policy, ""));
        assert!(is_let_in(&policy, "Origin: null\r\n"));
        assert!(!is_let_in(&policy, "Origin: a\r\nOrigin: a\r\n"), "two are not none");
        let head = b"GET / HTTP/1.1\r\nOrigin: \xff\r\n\r\n".to_vec();
        let request = UpgradeRequest::new(Cow::Borrowed(&head[..]));
        assert!(policy.check(&request).is_err());
        assert_eq!(request.origin(), None);
    }
}
