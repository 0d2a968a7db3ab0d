//! The small grammars of HTTP that both roles need: tokens, field values, comma lists, hosts, ports. Callers decide
//! which header has which grammar, and what a violation means.

use core::net::Ipv6Addr;
use core::str::FromStr;

/// A table of letters, digits and the bytes in `others`.
const fn alphanumeric_and(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut i = 0;
    while i < others.len() {
        table[others[i] as usize] = true;
        i += 1;
    }
    table
}

/// Which bytes are token characters (RFC 9110 5.6.2).
const TOKEN: [bool; 256] = alphanumeric_and(b"!#$%&'*+-.^_`|~");

/// Which bytes may stand unescaped in a registered name: unreserved and sub-delimiters (RFC 3986 2.2, 2.3).
const NAME: [bool; 256] = alphanumeric_and(b"-._~!$&'()*+,;=");

/// Whether `byte` may be part of a token.
#[inline]
pub(super) fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// The number of bytes at the front that are `FIRST` or above, and not DEL.
#[inline]
pub(super) fn len_from<const FIRST: u8>(text: &[u8]) -> usize {
    let stop = |word: u64| {
        let del = word ^ (0x7f * ONES);
        // A borrow can mark a byte wrongly, but only above a byte that is marked correctly.
        let is_below = word.wrapping_sub(u64::from(FIRST) * ONES) & !word;
        let is_del = del.wrapping_sub(ONES) & !del;
        (is_below | is_del) & TOPS
    };
    let len = skip_eights(text, stop);
    let is_out = |&byte: &u8| byte < FIRST || byte == 0x7f;
    text[len..].iter().position(is_out).map_or(text.len(), |more| len + more)
}

/// The number of bytes at the front that may be part of a token.
#[inline]
pub(super) fn token_len(text: &[u8]) -> usize {
    // Letters, digits and hyphens are skipped eight at a time; the table decides about the others.
    let stop = |word: u64| {
        let low = word & !TOPS;
        let within = |low: u64, first: u8, last: u8| {
            (low + u64::from(0x80 - first) * ONES) & !(low + u64::from(0x7f - last) * ONES)
        };
        let is_letter = within(low | (0x20 * ONES), b'a', b'z');
        let is_other = within(low, b'0', b'9') | within(low, b'-', b'-');
        !((is_letter | is_other) & !word) & TOPS
    };
    let mut len = skip_eights(text, stop);
    while text.get(len).is_some_and(|&byte| is_token_byte(byte)) {
        len += 1;
        len += skip_eights(&text[len..], stop);
    }
    len
}

/// The value 0x01, and the value 0x80, in each byte of a word.
const ONES: u64 = u64::MAX / 0xff;
const TOPS: u64 = ONES << 7;

/// The number of bytes before the first one that `stop` marks, in whole words of eight bytes. `stop` gets a word with
/// the first byte lowest, and marks a byte by its top bit. Marks above the lowest one may be wrong.
#[inline]
fn skip_eights(text: &[u8], stop: impl Fn(u64) -> u64) -> usize {
    let mut len = 0;
    while let Some(eight) = text[len..].first_chunk::<8>() {
        let marks = stop(u64::from_le_bytes(*eight));
        if marks != 0 {
            return len + (marks.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    len
}

/// Whether `bytes` is a token: at least one character, no separators (RFC 9110 5.6.2, RFC 6455 4.1).
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// The text of a token; `None` if `bytes` is not a token.
pub(super) fn token(bytes: &[u8]) -> Option<&str> {
    if is_token(bytes) { core::str::from_utf8(bytes).ok() } else { None }
}

/// The number of bytes at the front that may be part of a header's value: tabs, and all but control characters (RFC
/// 9110 5.5).
#[inline]
pub(super) fn value_len(text: &[u8]) -> usize {
    let mut len = len_from::<b' '>(text);
    while text.get(len) == Some(&b'\t') {
        len += 1;
        len += len_from::<b' '>(&text[len..]);
    }
    len
}

/// Whether the caller's value can be sent and arrives unchanged (RFC 9110 5.5): no control character but the tab, and
/// no white space at its ends, which the receiver would trim.
pub(super) fn is_field_value(value: &[u8]) -> bool {
    value_len(value) == value.len() && trim(value).len() == value.len()
}

/// `bytes` without the spaces and tabs at its ends.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The elements of a comma list, without empty ones (RFC 9110 5.6.1.2). Whether they are tokens is not checked.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    value.split(|&byte| byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// Whether `text` equals `known`, without regard to case; `known` is in lower case. Its length is a constant, so the
/// compiler compares whole words.
#[inline]
pub(super) fn is_in_any_case<const N: usize>(text: &[u8], known: &[u8; N]) -> bool {
    let difference = |text: &[u8; N]| {
        text.iter()
            .zip(known)
            .fold(0, |all, (byte, known)| all | (byte.to_ascii_lowercase() ^ known))
    };
    <&[u8; N]>::try_from(text).is_ok_and(|text| difference(text) == 0)
}

/// Whether a comma list has `token`, without regard to case; `token` is in lower case. Only whole elements count.
#[inline]
pub(super) fn list_has<const N: usize>(value: &[u8], token: &[u8; N]) -> bool {
    // Most lists have this one element only.
    is_in_any_case(value, token)
        || (value.len() > N && list(value).any(|element| is_in_any_case(element, token)))
}

/// Whether `authority` is `host[:port]` with a host that is not empty (RFC 9110 7.2, RFC 3986 3.2.2): a name, an IPv4
/// address or an IPv6 address in brackets; no user information. The port is empty or at most 65535.
pub(super) fn is_authority(authority: &[u8]) -> bool {
    // Most authorities are a name only.
    let name_len = name_len(authority);
    if name_len == authority.len() {
        return name_len > 0;
    }
    let Some((host, port)) = split_authority(authority) else { return false };
    is_host(host) && port.is_none_or(|port| parse_port(port).is_some())
}

/// Whether two authorities name the same host and port, without regard to case, to the form of an IPv6 address, and to
/// whether the default port is omitted (RFC 3986 6.2.3). A malformed authority equals no other.
pub(super) fn is_same_authority(one: &[u8], other: &[u8], default_port: u16) -> bool {
    let parts = |authority| {
        let (host, port) = split_authority(authority)?;
        Some((host, parse_port(port.unwrap_or(b""))?.unwrap_or(default_port)))
    };
    let (Some((one, one_port)), Some((other, other_port))) = (parts(one), parts(other)) else {
        return false;
    };
    let is_same_host = match (ipv6(one), ipv6(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one.eq_ignore_ascii_case(other),
    };
    is_same_host && one_port == other_port
}

/// The address of a host in brackets.
fn ipv6(host: &[u8]) -> Option<Ipv6Addr> {
    let address = host.strip_prefix(b"[")?.strip_suffix(b"]")?;
    core::str::from_utf8(address).ok()?.parse().ok()
}

/// Splits `host[:port]`. Brackets stay with the host. Returns `None` if they are unbalanced.
pub(super) fn split_authority(authority: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let host_len = if authority.first() == Some(&b'[') {
        authority.iter().position(|&byte| byte == b']')? + 1
    } else {
        authority.iter().position(|&byte| byte == b':').unwrap_or(authority.len())
    };
    match &authority[host_len..] {
        [] => Some((authority, None)),
        [b':', port @ ..] => Some((&authority[..host_len], Some(port))),
        _ => None,
    }
}

/// Whether `host` is a registered name or an IPv6 address in brackets (RFC 3986 3.2.2). IPvFuture is not supported.
fn is_host(host: &[u8]) -> bool {
    match host {
        [] => false,
        [b'[', address @ .., b']'] => is_ipv6(address),
        _ => {
            let mut rest = &host[name_len(host)..];
            loop {
                rest = match rest {
                    [] => return true,
                    [b'%', high, low, rest @ ..]
                        if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
                    {
                        rest
                    }
                    [byte, rest @ ..] if is_name_byte(*byte) => rest,
                    _ => return false,
                };
            }
        }
    }
}

/// Whether `address` is the text of an IPv6 address, without a zone (RFC 6874 keeps zones off the wire).
pub(super) fn is_ipv6(address: &[u8]) -> bool {
    core::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// Whether `byte` is unreserved or a sub-delimiter, which may stand unescaped in a name, a path or a query.
pub(super) fn is_name_byte(byte: u8) -> bool {
    NAME[byte as usize]
}

/// The number of bytes at the front that may stand unescaped in a name.
pub(super) fn name_len(text: &[u8]) -> usize {
    text.iter().position(|&byte| !is_name_byte(byte)).unwrap_or(text.len())
}

/// Reads a port. Returns `Some(None)` if it is empty, which means the default (RFC 3986 3.2.3).
pub(super) fn parse_port(port: &[u8]) -> Option<Option<u16>> {
    if port.is_empty() { Some(None) } else { number(port).map(Some) }
}

/// Reads a decimal number that has only digits and fits the type.
pub(super) fn number<T: FromStr>(digits: &[u8]) -> Option<T> {
    // `parse` would accept a sign.
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn token_characters_are_those_of_the_rfc() {
        // rfc6455-4.1-34: U+0021 to U+007E without the separators of RFC 2616
        for byte in 0..=255u8 {
            let separator = b"()<>@,;:\\\"/[]?={} \t".contains(&byte);
            assert_eq!(
                is_token_byte(byte),
                (0x21..=0x7e).contains(&byte) && !separator,
                "{byte:#x}"
            );
        }
        assert!(!is_token(b""));
    }

    #[test]
    fn bytes_in_words_are_told_apart_like_bytes() {
        // Any two bytes, in all places of a text of two and a half words: the first one that stops decides.
        for first in 0..=255u8 {
            for second in [0, b' ', b'!', b'-', b':', b'_', b'z', 0x7f, 0x80, 0xff] {
                for at in 0..20 {
                    let mut text = *b"Sec-WebSocket-Key9abc";
                    text[at] = first;
                    text[at + 1] = second;
                    let naive = |is_in: fn(u8) -> bool| {
                        text.iter().position(|&byte| !is_in(byte)).unwrap_or(text.len())
                    };
                    assert_eq!(token_len(&text), naive(is_token_byte), "{text:?}");
                    let is_text = |byte| byte >= b' ' && byte != 0x7f;
                    assert_eq!(len_from::<b' '>(&text), naive(is_text), "{text:?}");
                    let is_visible = |byte| byte >= b'!' && byte != 0x7f;
                    assert_eq!(len_from::<b'!'>(&text), naive(is_visible), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn case_of_letters_does_not_count_and_nothing_else_is_taken_for_them() {
        for at in 0..17 {
            for byte in 0..=255u8 {
                let mut text = *b"SEC-WEBsocket-KEY";
                text[at] = byte;
                assert_eq!(
                    is_in_any_case(&text, b"sec-websocket-key"),
                    text.eq_ignore_ascii_case(b"sec-websocket-key"),
                    "{text:?}"
                );
            }
        }
        assert!(!is_in_any_case(b"hosts", b"host") && !is_in_any_case(b"hos", b"host"));
    }

    #[test]
    fn lists_are_split_trimmed_and_compared_whole() {
        assert_eq!(list(b" a ,\t,b c,").collect::<Vec<_>>(), [&b"a"[..], b"b c"]);
        for (value, found) in [
            (&b"upgrade"[..], true),
            (b"keep-alive, Upgrade", true),
            (b"\tUPGRADE ,x", true),
            (b"upgraded", false),
            (b"x-upgrade", false),
            (b"upgrade x", false),
            (b"", false),
        ] {
            assert_eq!(list_has(value, b"upgrade"), found, "{value:?}");
        }
    }

    #[test]
    fn authority_is_a_host_and_perhaps_a_port() {
        for (text, valid) in [
            ("h", true),
            ("h:80", true),
            ("h:", true),
            ("h:65535", true),
            ("h:65536", false),
            ("h:8a", false),
            ("h:-1", false),
            ("h:80:80", false),
            ("", false),
            (":80", false),
            ("a b", false),
            ("user@h", false),
            ("h/p", false),
            ("h?q", false),
            ("h\\", false),
            ("a%2Fb", true),
            ("a%2", false),
            ("\u{e9}", false),
            ("127.0.0.1:1", true),
            ("[::1]", true),
            ("[::1]:80", true),
            ("[::1", false),
            ("[::1]80", false),
            ("[fe80::1%eth0]", false),
            ("[v1.x]", false),
            ("[]", false),
            ("::1", false),
        ] {
            assert_eq!(is_authority(text.as_bytes()), valid, "{text:?}");
        }
    }

    #[test]
    fn authorities_are_compared_by_host_and_port() {
        // rfc9113-8.3.1-02
        for (one, other, is_same) in [
            ("h", "h", true),
            ("h", "H", true),
            ("h", "h:443", true),
            ("h:", "h:0443", true),
            ("h", "h:80", false),
            ("h:80", "h:8080", false),
            ("h", "g", false),
            ("h", "h.", false),
            ("h", "", false),
            ("[::1]", "[0:0:0:0:0:0:0:1]:443", true),
            ("[::A]", "[::a]", true),
            ("[::1]", "[::2]", false),
            ("[::1]", "::1", false),
            ("h", "h:x", false),
            ("h:x", "h:x", false),
        ] {
            for (one, other) in [(one, other), (other, one)] {
                let found = is_same_authority(one.as_bytes(), other.as_bytes(), 443);
                assert_eq!(found, is_same, "{one} {other}");
            }
        }
    }

    #[test]
    fn field_values_cannot_end_their_line() {
        // rfc9110-5.5-01, 5.5-02, 5.5-03
        for (value, valid) in [
            (&b""[..], true),
            (b"a b\tc", true),
            (b"\xc3\xa9\xff", true),
            (b"a\r\nb", false),
            (b"a\nb", false),
            (b"\0", false),
        ] {
            assert_eq!(is_field_value(value), valid, "{value:?}");
        }
        assert!(!is_field_value(b"\x7f") && !is_field_value(b" a") && !is_field_value(b"a\t"));
        // Any byte, in any place of a value of three words.
        for byte in 0..=255u8 {
            for at in 1..23 {
                let mut value = [b'x'; 24];
                value[at] = byte;
                let valid = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
                assert_eq!(is_field_value(&value), valid, "{byte:#04x} at {at}");
            }
        }
    }
}
