//! Close codes and the body of a Close frame: which codes may travel, and how code and reason are laid out
//! (RFC 6455 5.5.1, 7.4).

use core::fmt;

use crate::error::{ProtocolError, UsageError};
use crate::frame::MAX_CONTROL_BYTES;
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
    const fn may_travel(self) -> bool {
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

/// The longest close reason in bytes: 125 less the code (RFC 6455 5.5).
pub const MAX_CLOSE_REASON_BYTES: usize = MAX_CONTROL_BYTES - 2;

/// The longest front of a reason that a Close frame can carry: [`MAX_CLOSE_REASON_BYTES`] at most, cut between two
/// characters (RFC 6455 5.5, 5.5.1). [`Connection::close`](crate::Connection::close) refuses a longer one.
///
/// ```
/// use websocket_proto::cut_close_reason;
///
/// assert_eq!(cut_close_reason("going away"), "going away");
/// assert_eq!(cut_close_reason(&"\u{20ac}".repeat(50)), "\u{20ac}".repeat(41)); // 41 times 3 bytes
/// ```
#[must_use]
pub fn cut_close_reason(reason: &str) -> &str {
    if reason.len() <= MAX_CLOSE_REASON_BYTES {
        return reason;
    }
    // A character has 4 bytes at most.
    let mut len = MAX_CLOSE_REASON_BYTES;
    while !reason.is_char_boundary(len) {
        len -= 1;
    }
    &reason[..len]
}

/// The body of a Close frame to be sent, in place.
#[derive(Clone, Copy)]
pub(crate) struct CloseBody {
    bytes: [u8; MAX_CONTROL_BYTES],
    len: u8,
}

impl CloseBody {
    /// RFC 6455 5.5.1: a Close frame may have no body.
    pub(crate) const EMPTY: CloseBody = CloseBody { bytes: [0; MAX_CONTROL_BYTES], len: 0 };

    /// Code and reason, checked as a caller's.
    pub(crate) fn new(code: CloseCode, reason: &str) -> Result<CloseBody, UsageError> {
        if !code.may_travel() {
            return Err(UsageError::CloseCodeNotSendable(code));
        }
        if reason.len() > MAX_CLOSE_REASON_BYTES {
            return Err(UsageError::CloseReasonTooLong { len: reason.len() });
        }
        let mut body = CloseBody::EMPTY;
        body.bytes[..2].copy_from_slice(&code.get().to_be_bytes());
        body.bytes[2..2 + reason.len()].copy_from_slice(reason.as_bytes());
        body.len = 2 + reason.len() as u8;
        Ok(body)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Checks what has arrived of a received Close frame's payload of `len` bytes: fails at the first byte that
/// decides (RFC 6455 5.5.1).
pub(crate) fn check_received(payload: &[u8], len: usize) -> Result<(), ProtocolError> {
    // RFC 6455 5.5.1: if there is a body, its first two bytes are the code.
    if len == 1 {
        return Err(ProtocolError::CloseTooShort);
    }
    match *payload {
        [] => Ok(()),
        [high] => {
            let code = u16::from(high) << 8;
            match (code..=code | 0xff).any(|code| CloseCode(code).may_travel()) {
                true => Ok(()),
                false => Err(ProtocolError::InvalidCloseCode { code }),
            }
        }
        [high, low, ref reason @ ..] => {
            let code = u16::from_be_bytes([high, low]);
            if !CloseCode(code).may_travel() {
                // The verdict and its text are those of the first byte, if that had decided.
                check_received(&[high], len)?;
                return Err(ProtocolError::InvalidCloseCode { code });
            }
            match core::str::from_utf8(reason) {
                Ok(_) => Ok(()),
                Err(error) if error.error_len().is_none() && payload.len() < len => Ok(()),
                Err(_) => Err(ProtocolError::InvalidCloseReason),
            }
        }
    }
}

/// Code and reason of a payload that [`check_received`] has passed; no body is reported as 1005 (RFC 6455 7.1.5).
pub(crate) fn parse(payload: &[u8]) -> (CloseCode, &str) {
    match payload {
        [high, low, reason @ ..] => {
            let reason = core::str::from_utf8(reason).expect("the reason was checked to be UTF-8");
            (CloseCode(u16::from_be_bytes([*high, *low])), reason)
        }
        _ => (CloseCode::NO_STATUS, ""),
    }
}
