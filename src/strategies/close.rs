//! Close codes that may be sent, may be received, or are forbidden; and close reasons (RFC 6455 5.5.1, 7.4).

use alloc::string::String;
use core::ops::RangeInclusive;

use proptest::prelude::*;
use proptest::sample::select;

use super::message;
use crate::close_code::CloseCode;
use crate::state::Role;

/// A code that an application of this role may send. Only a client sends 1010 (RFC 6455 7.4.1).
pub fn sendable_code(role: Role) -> BoxedStrategy<CloseCode> {
    received_code()
        .prop_filter_map("1010 is not for servers", move |code| {
            (role == Role::Client || code != 1010).then_some(code)
        })
        .boxed()
}

/// A code that may be on the wire: 1000 to 1003, 1007 to 1014, 3000 to 4999 (RFC 6455 7.4 and the registrations since).
pub fn received_code() -> BoxedStrategy<CloseCode> {
    any_of(ON_THE_WIRE)
}

/// A code that must not be on the wire: one that is only reported, is not registered, or is out of range (RFC 6455
/// 7.4).
pub fn forbidden_code() -> BoxedStrategy<CloseCode> {
    any_of(NOT_ON_THE_WIRE)
}

/// The ranges of RFC 6455 7.4 and the registry, written by hand: they test the library's own table.
const ON_THE_WIRE: &[RangeInclusive<u16>] = &[1000..=1003, 1007..=1014, 3000..=4999];
const NOT_ON_THE_WIRE: &[RangeInclusive<u16>] =
    &[1004..=1006, 1015..=2999, 0..=999, 5000..=u16::MAX];

/// A code of these ranges; the ends of a range are likely.
fn any_of(ranges: &'static [RangeInclusive<u16>]) -> BoxedStrategy<CloseCode> {
    select(ranges)
        .prop_flat_map(|range| {
            let ends = [*range.start(), *range.end()];
            prop_oneof![4 => range, 1 => select(ends.to_vec())]
        })
        .prop_map(CloseCode::new)
        .boxed()
}

/// A reason of at most 123 bytes, often empty, sometimes of exactly 123 bytes (RFC 6455 5.5).
pub fn close_reason() -> BoxedStrategy<String> {
    prop_oneof![
        2 => Just(String::new()),
        4 => message::text(123),
        1 => "[ -~]{123}",
    ]
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::super::faults::is_decided_by_high_byte;
    use super::*;

    #[test]
    fn codes_by_hand_are_those_of_the_library() {
        // rfc6455-7.4-01, rfc6455-7.4.2-01
        let has = |ranges: &[RangeInclusive<u16>], code| ranges.iter().any(|r| r.contains(&code));
        for code in 0..=u16::MAX {
            let is_sendable = CloseCode::new(code).is_sendable_by(Role::Client);
            assert_eq!(has(ON_THE_WIRE, code), is_sendable, "{code}");
            assert_eq!(has(NOT_ON_THE_WIRE, code), !is_sendable, "{code}");
            let same_high_byte = code & 0xff00..=code | 0x00ff;
            let is_decided = !same_high_byte.into_iter().any(|code| has(ON_THE_WIRE, code));
            assert_eq!(is_decided_by_high_byte(code), is_decided, "{code}");
        }
    }
}
