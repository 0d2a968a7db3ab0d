//! The close code (RFC 6455 7.4) as a value: the codes that have a name, and who may send which.
//! The Close frame that carries one is left to `close.rs`, and which error is answered by which code to `error.rs`.

use core::fmt;

use crate::state::Role;

/// A close code (RFC 6455 7.4). Any number can be held; [`is_sendable_by`](CloseCode::is_sendable_by) says which may be
/// sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection was fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// 1001: a server goes down, or a browser leaves the page.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// 1003: a type of data that the endpoint cannot accept.
    pub const UNSUPPORTED_DATA: CloseCode = CloseCode(1003);
    /// 1005: reported for a Close frame without a code; never sent.
    pub const NO_STATUS: CloseCode = CloseCode(1005);
    /// 1006: reported for an end without a Close frame; never sent.
    pub const ABNORMAL: CloseCode = CloseCode(1006);
    /// 1007: data that does not fit its type, as text that is not UTF-8.
    pub const INVALID_PAYLOAD: CloseCode = CloseCode(1007);
    /// 1008: a message that violates a policy.
    pub const POLICY_VIOLATION: CloseCode = CloseCode(1008);
    /// 1009: a message too big to process.
    pub const TOO_BIG: CloseCode = CloseCode(1009);
    /// 1010: a client misses an extension that it needs; not for servers.
    pub const EXTENSION_REQUIRED: CloseCode = CloseCode(1010);
    /// 1011: an unexpected condition at a server.
    pub const INTERNAL_ERROR: CloseCode = CloseCode(1011);
    /// 1012: the service restarts (registered after the RFC).
    pub const SERVICE_RESTART: CloseCode = CloseCode(1012);
    /// 1013: try again later (registered after the RFC).
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode(1013);
    /// 1014: a gateway's upstream was invalid (registered after the RFC).
    pub const BAD_GATEWAY: CloseCode = CloseCode(1014);
    /// 1015: reserved for failures of the TLS handshake; never sent.
    pub const TLS_HANDSHAKE: CloseCode = CloseCode(1015);

    /// A code of any value.
    pub const fn new(code: u16) -> CloseCode {
        CloseCode(code)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether an endpoint of this role may send the code: 1000 to 1003, 1007 to 1014, 3000 to 4999 (RFC 6455 7.4 and
    /// the registrations since); a server all of these but 1010 (RFC 6455 7.4.1).
    ///
    /// [`Connection::close`](crate::Connection::close) takes the same codes.
    pub const fn is_sendable_by(self, role: Role) -> bool {
        match role {
            Role::Client => self.may_travel(),
            Role::Server => self.may_travel() && self.0 != Self::EXTENSION_REQUIRED.0,
        }
    }

    /// Whether the code may be on the wire. A received 1010 is taken from either role.
    pub(crate) const fn may_travel(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        CloseCode(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl PartialEq<u16> for CloseCode {
    fn eq(&self, other: &u16) -> bool {
        self.0 == *other
    }
}

impl PartialEq<CloseCode> for u16 {
    fn eq(&self, other: &CloseCode) -> bool {
        *self == other.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}
