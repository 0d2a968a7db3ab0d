//! Close codes (RFC 6455 7.4): their names, and which role may send them. `close.rs` puts a code into a Close frame;
//! `error.rs` says which code answers an error.

use core::fmt;

use crate::state::Role;

/// A close code (RFC 6455 7.4). It can be any number; [`is_sendable_by`](CloseCode::is_sendable_by) says which may be
/// sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

/// Which role may send a code.
#[derive(Clone, Copy)]
enum Sender {
    Either,
    Client,
    Nobody,
}

/// Makes a constant of each row, and the function that says who may send a code.
macro_rules! close_codes {
    ($($name:ident = $number:literal, $sender:ident, $meaning:literal;)*) => {
        impl CloseCode {
            $(
                #[doc = concat!(stringify!($number), ": ", $meaning)]
                pub const $name: CloseCode = CloseCode($number);
            )*

            /// Every code that has a name here, in ascending order.
            pub const NAMED: &[CloseCode] = &[$(CloseCode::$name),*];

            /// RFC 6455 7.4.2: 3000 to 3999 are for libraries and frameworks, 4000 to 4999 for private use.
            const fn sender(self) -> Sender {
                match self.0 {
                    $($number => Sender::$sender,)*
                    3000..=4999 => Sender::Either,
                    _ => Sender::Nobody,
                }
            }
        }
    };
}

// RFC 6455 7.4.1, and from 1012 on the registry of IANA (RFC 6455 11.7). A new code is a row here, in ascending order;
// the tests in tests/close_codes.rs name what else lists the codes.
close_codes! {
    NORMAL = 1000, Either, "the purpose of the connection was fulfilled.";
    GOING_AWAY = 1001, Either, "a server goes down, or a browser leaves the page.";
    PROTOCOL_ERROR = 1002, Either, "the peer broke the protocol.";
    UNSUPPORTED_DATA = 1003, Either, "a type of data that the endpoint cannot accept.";
    NO_STATUS = 1005, Nobody, "reported for a Close frame without a code; never sent.";
    ABNORMAL = 1006, Nobody, "reported for an end without a Close frame; never sent.";
    INVALID_PAYLOAD = 1007, Either, "data that does not fit its type, as text that is not UTF-8.";
    POLICY_VIOLATION = 1008, Either, "a message that violates a policy.";
    TOO_BIG = 1009, Either, "a message too big to process.";
    EXTENSION_REQUIRED = 1010, Client, "a client misses an extension that it needs; not for servers.";
    INTERNAL_ERROR = 1011, Either, "an unexpected condition at a server.";
    SERVICE_RESTART = 1012, Either, "the service restarts (registered after the RFC).";
    TRY_AGAIN_LATER = 1013, Either, "try again later (registered after the RFC).";
    BAD_GATEWAY = 1014, Either, "a gateway's upstream was invalid (registered after the RFC).";
    TLS_HANDSHAKE = 1015, Nobody, "reserved for failures of the TLS handshake; never sent.";
}

impl CloseCode {
    /// A code of any value.
    #[must_use]
    pub const fn new(code: u16) -> CloseCode {
        CloseCode(code)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether an endpoint of this role may send the code: 1000 to 1003, 1007 to 1014, 3000 to 4999 (RFC 6455 7.4 and
    /// the registrations since); a server all of these but 1010 (RFC 6455 7.4.1).
    ///
    /// [`Connection::close`](crate::Connection::close) takes the same codes.
    #[must_use]
    pub const fn is_sendable_by(self, role: Role) -> bool {
        match self.sender() {
            Sender::Either => true,
            Sender::Client => matches!(role, Role::Client),
            Sender::Nobody => false,
        }
    }

    /// Whether the code may be on the wire. A received 1010 is accepted from either role.
    pub(crate) const fn may_travel(self) -> bool {
        !matches!(self.sender(), Sender::Nobody)
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
