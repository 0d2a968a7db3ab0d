//! The body of a Close frame: the layout of code and reason, and the check of a received body (RFC 6455 5.5.1).
//! `close_code.rs` knows the codes.

use crate::close_code::CloseCode;
use crate::error::{ProtocolError, UsageError};
use crate::frame::MAX_CONTROL_BYTES;

/// The longest close reason in bytes: 125, less 2 for the code (RFC 6455 5.5).
pub const MAX_CLOSE_REASON_BYTES: usize = MAX_CONTROL_BYTES - 2;

/// Cuts a reason to at most [`MAX_CLOSE_REASON_BYTES`], between two characters (RFC 6455 5.5, 5.5.1).
/// [`Connection::close`](crate::Connection::close) returns an error for a longer one.
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
    // At most 3 steps, since a character has at most 4 bytes.
    let mut len = MAX_CLOSE_REASON_BYTES;
    while !reason.is_char_boundary(len) {
        len -= 1;
    }
    &reason[..len]
}

/// The body of a Close frame to be sent, without an allocation.
#[derive(Clone, Copy)]
pub(crate) struct CloseBody {
    bytes: [u8; MAX_CONTROL_BYTES],
    len: u8,
}

impl CloseBody {
    /// The body of a Close frame without a code (RFC 6455 5.5.1).
    pub(crate) const EMPTY: CloseBody = CloseBody { bytes: [0; MAX_CONTROL_BYTES], len: 0 };

    /// Lays out the caller's code and reason. Which role may send the code is not checked here.
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

    /// The body that answers a Close with this code: it has the same code (RFC 6455 5.5.1).
    pub(crate) fn answer_to(code: CloseCode) -> CloseBody {
        match code {
            CloseCode::NO_STATUS => CloseBody::EMPTY,
            code => CloseBody::new(code, "").expect("a received code can be sent"),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Returns the code and the reason. An empty body has neither; its code is reported as 1005 (RFC 6455 7.1.5).
    pub(crate) fn code_and_reason(&self) -> (CloseCode, &str) {
        parse(self.as_bytes())
    }
}

/// Checks `payload`, the received beginning of a Close body of `len` bytes. Fails as soon as a byte decides that the
/// body is invalid (RFC 6455 5.5.1).
pub(crate) fn check_received(payload: &[u8], len: usize) -> Result<(), ProtocolError> {
    // RFC 6455 5.5.1: a body begins with a code of two bytes.
    if len == 1 {
        return Err(ProtocolError::CloseTooShort);
    }
    match *payload {
        [] => Ok(()),
        [high] => {
            let code = u16::from(high) << 8;
            match (code..=code | 0xff).any(|code| CloseCode::new(code).may_travel()) {
                true => Ok(()),
                false => Err(ProtocolError::InvalidCloseCode { code }),
            }
        }
        [high, low, ref reason @ ..] => {
            let code = u16::from_be_bytes([high, low]);
            if !CloseCode::new(code).may_travel() {
                // If the first byte decides, the error must be the same as when it arrived alone.
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

/// Code and reason of a body that [`check_received`] has accepted. An empty body is reported as 1005 (RFC 6455 7.1.5).
pub(crate) fn parse(payload: &[u8]) -> (CloseCode, &str) {
    match payload {
        [high, low, reason @ ..] => {
            let reason = core::str::from_utf8(reason).expect("the reason was checked to be UTF-8");
            (CloseCode::new(u16::from_be_bytes([*high, *low])), reason)
        }
        _ => (CloseCode::NO_STATUS, ""),
    }
}
