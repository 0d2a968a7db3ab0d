//! Close codes by what may be done with them, and reasons (RFC 6455 5.5.1, 7.4).

use alloc::string::String;

use proptest::prelude::*;

use super::message;
use crate::close_code::CloseCode;
use crate::state::Role;

/// A code that the application of this role may send: 1010 is a client's alone (RFC 6455 7.4.1).
pub fn sendable_code(role: Role) -> BoxedStrategy<CloseCode> {
    received_code()
        .prop_filter_map("1010 is not for servers", move |code| {
            (role == Role::Client || code != 1010).then_some(code)
        })
        .boxed()
}

/// A code that may be on the wire: 1000 to 1003, 1007 to 1014, 3000 to 4999 (RFC 6455 7.4 and the registrations since).
pub fn received_code() -> BoxedStrategy<CloseCode> {
    prop_oneof![1000..=1003u16, 1007..=1014u16, 3000..=4999u16, Just(4999), Just(3000)]
        .prop_map(CloseCode::new)
        .boxed()
}

/// A code that must not be on the wire: those that are only reported, those that nobody has registered, and those out
/// of range (RFC 6455 7.4).
pub fn forbidden_code() -> BoxedStrategy<CloseCode> {
    prop_oneof![
        1004..=1006u16,
        1015..=2999u16,
        0..=999u16,
        5000..=u16::MAX,
        Just(1015),
        Just(2999),
        Just(999),
        Just(5000),
    ]
    .prop_map(CloseCode::new)
    .boxed()
}

/// A reason of at most 123 bytes, often empty, often as long as it can be (RFC 6455 5.5).
pub fn close_reason() -> BoxedStrategy<String> {
    prop_oneof![
        2 => Just(String::new()),
        4 => message::text(123),
        1 => "[ -~]{123}",
    ]
    .boxed()
}
