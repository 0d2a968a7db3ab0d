//! The headers that matter to a handshake, gathered in one pass over the lines of a head, and the checks that both
//! roles and extended CONNECT share. The order of the checks is left to each of them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::error::{HandshakeError, named};
use super::extensions::{self, InvalidExtensions};
use super::syntax::{self, is_in_any_case, list_has};
use super::version::parse_websocket_version;

/// A header that must not be repeated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Single<'h> {
    #[default]
    Absent,
    Once(&'h [u8]),
    Repeated,
}

impl<'h> Single<'h> {
    fn add(&mut self, value: &'h [u8]) {
        *self = match self {
            Single::Absent => Single::Once(value),
            Single::Once(_) | Single::Repeated => Single::Repeated,
        };
    }
}

/// The headers of one head that matter to the handshake.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields<'h> {
    pub(super) host: Single<'h>,
    pub(super) key: Single<'h>,
    pub(super) version: Single<'h>,
    pub(super) accept: Single<'h>,
    /// `Upgrade`, for a client, which accepts one value only.
    pub(super) upgrade: Single<'h>,
    /// `Upgrade` has the token `websocket`, for a server, which accepts a list.
    pub(super) has_upgrade_websocket: bool,
    /// `Connection` has the token `upgrade`.
    pub(super) has_connection_upgrade: bool,
    /// A body is announced.
    pub(super) has_body: bool,
    /// `Sec-WebSocket-Protocol` is present.
    pub(super) has_subprotocols: bool,
    /// The number of extensions over all lines of `Sec-WebSocket-Extensions`; `None` without such a line. A client may
    /// send an empty list, as Python's websockets does: it offers nothing.
    pub(super) extensions: Option<Result<usize, InvalidExtensions>>,
}

impl<'h> Fields<'h> {
    /// Gathers the headers of a head.
    pub(super) fn gather(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> Self {
        let mut fields = Fields::default();
        headers.for_each(|(name, value)| fields.add(name.as_bytes(), value));
        fields
    }

    /// Adds one header. The length of the name is compared first, so most headers cost one comparison.
    #[inline(always)]
    pub(super) fn add(&mut self, name: &[u8], value: &'h [u8]) {
        match name.len() {
            4 if is_in_any_case(name, b"host") => self.host.add(value),
            7 if is_in_any_case(name, b"upgrade") => {
                self.upgrade.add(value);
                self.has_upgrade_websocket |= list_has(value, b"websocket");
            }
            10 if is_in_any_case(name, b"connection") => {
                self.has_connection_upgrade |= list_has(value, b"upgrade");
            }
            14 if is_in_any_case(name, b"content-length") => self.has_body |= value != b"0",
            17 if is_in_any_case(name, b"sec-websocket-key") => self.key.add(value),
            17 if is_in_any_case(name, b"transfer-encoding") => self.has_body = true,
            20 if is_in_any_case(name, b"sec-websocket-accept") => self.accept.add(value),
            21 if is_in_any_case(name, b"sec-websocket-version") => self.version.add(value),
            22 if is_in_any_case(name, b"sec-websocket-protocol") => self.has_subprotocols = true,
            24 if is_in_any_case(name, b"sec-websocket-extensions") => self.add_extensions(value),
            _ => {}
        }
    }

    fn add_extensions(&mut self, value: &[u8]) {
        let before = self.extensions.unwrap_or(Ok(0));
        self.extensions = Some(before.and_then(|count| Ok(count + extensions::count(value)?)));
    }

    /// RFC 6455 4.2.1, 4.4: the version is `13`, in this spelling. A repeated header passes here;
    /// [`check_version_once`](Fields::check_version_once) refuses it.
    pub(super) fn check_version(&self) -> Result<(), HandshakeError> {
        match self.version {
            Single::Once(b"13") | Single::Repeated => Ok(()),
            Single::Once(other) => {
                Err(HandshakeError::Version { seen: parse_websocket_version(other) })
            }
            Single::Absent => Err(HandshakeError::Version { seen: None }),
        }
    }

    /// RFC 6455 9.1: the listed extensions keep the grammar. Returns their number.
    pub(super) fn check_extensions(&self) -> Result<Option<usize>, HandshakeError> {
        self.extensions.transpose().map_err(|InvalidExtensions| HandshakeError::InvalidExtensions)
    }

    /// RFC 6455 11.3.5: the version is sent once.
    pub(super) fn check_version_once(&self) -> Result<(), HandshakeError> {
        if self.version == Single::Repeated {
            Err(HandshakeError::DuplicateVersion)
        } else {
            Ok(())
        }
    }
}

/// The subprotocols that a client offers over all lines of the header, joined into one comma list (RFC 6455 4.1, 4.3).
/// Each must be a token and occur once; case matters (RFC 7936 2). Returns `None` if the lists are empty: RFC 6455 4.3
/// requires an element, but some clients send an empty list to offer nothing.
pub(super) fn offered_subprotocols<'h>(
    lines: impl Iterator<Item = &'h [u8]> + Clone,
) -> Result<Option<Box<str>>, HandshakeError> {
    let names = || lines.clone().flat_map(syntax::list);
    let count = names().count();
    if count == 0 {
        return Ok(None);
    }
    if !names().all(syntax::is_token) {
        return Err(HandshakeError::InvalidSubprotocol);
    }
    // A few names are compared pairwise. A head can hold thousands; many are sorted.
    let repeated = match count {
        0..=8 => {
            let is_before =
                |(at, name): &(usize, &[u8])| names().take(*at).any(|other| other == *name);
            names().enumerate().find(is_before).map(|(_, name)| name)
        }
        _ => {
            let mut all = Vec::with_capacity(count);
            all.extend(names());
            duplicate(all)
        }
    };
    if let Some(name) = repeated {
        return Err(HandshakeError::DuplicateSubprotocol { name: named(name) });
    }
    let mut joined =
        Vec::with_capacity(lines.clone().map(|line| line.len() + 1).sum::<usize>() - 1);
    for (i, line) in lines.enumerate() {
        if i > 0 {
            joined.push(b',');
        }
        joined.extend_from_slice(line);
    }
    let joined = String::from_utf8(joined).expect("tokens, commas and white space are ASCII");
    Ok(Some(joined.into_boxed_str()))
}

/// An element that occurs twice. It sorts them, since a head can hold thousands.
pub(super) fn duplicate<T: Ord + Copy>(mut elements: Vec<T>) -> Option<T> {
    elements.sort_unstable();
    elements.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// Checks the grammar of the extensions on these lines (RFC 6455 9.1), and returns their number.
pub(super) fn check_extensions<'h>(
    lines: impl Iterator<Item = &'h [u8]>,
) -> Result<usize, HandshakeError> {
    let count: Result<usize, InvalidExtensions> = lines.map(extensions::count).sum();
    count.map_err(|InvalidExtensions| HandshakeError::InvalidExtensions)
}

/// The error for the extensions on these lines, whose grammar was checked, if none was offered.
#[cold]
pub(super) fn extension_not_offered<'h>(lines: impl Iterator<Item = &'h [u8]>) -> HandshakeError {
    let name = extensions::first_name(lines).unwrap_or_default();
    HandshakeError::ExtensionNotOffered { name: named(name) }
}

/// Checks the subprotocol in a server's answer (RFC 6455 4.1, 4.2.2): at most one, a token, and one that was offered.
pub(super) fn check_chosen_subprotocol<'h>(
    mut lines: impl Iterator<Item = &'h [u8]>,
    mut is_offered: impl FnMut(&str) -> bool,
    is_required: bool,
) -> Result<Option<&'h str>, HandshakeError> {
    let Some(chosen) = lines.next() else {
        return if is_required { Err(HandshakeError::SubprotocolMissing) } else { Ok(None) };
    };
    if lines.next().is_some() {
        return Err(HandshakeError::SeveralSubprotocols);
    }
    let chosen = syntax::token(chosen).ok_or(HandshakeError::InvalidSubprotocol)?;
    match is_offered(chosen) {
        true => Ok(Some(chosen)),
        false => Err(HandshakeError::SubprotocolNotOffered { name: named(chosen.as_bytes()) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_merged_in_order() {
        // rfc6455-4.2.1-12, rfc6455-4.2.2-11, rfc6455-11.3.4-01, rfc7936-2-01
        for (lines, expected) in [
            (&["chat, superchat"][..], Ok(Some("chat, superchat"))),
            (&["b", "a"], Ok(Some("b,a"))),
            (&["chat,Chat"], Ok(Some("chat,Chat"))),
            (&[",, chat ,"], Ok(Some(",, chat ,"))),
            (&["", "chat"], Ok(Some(",chat"))),
            (&[""], Ok(None)),
            (&[",", " ", ",\t,"], Ok(None)),
            (&[",", "a b"], Err(HandshakeError::InvalidSubprotocol)),
            (&["a b"], Err(HandshakeError::InvalidSubprotocol)),
            (&["a/b"], Err(HandshakeError::InvalidSubprotocol)),
            (&["\"a\""], Err(HandshakeError::InvalidSubprotocol)),
            (
                &["chat", "x,chat"],
                Err(HandshakeError::DuplicateSubprotocol { name: "chat".into() }),
            ),
            (&["a,b,c,d,e,f,g,h,i"], Ok(Some("a,b,c,d,e,f,g,h,i"))),
            (
                &["a,b,c,d,e,f,g,h", "i,a"],
                Err(HandshakeError::DuplicateSubprotocol { name: "a".into() }),
            ),
        ] {
            let found = offered_subprotocols(lines.iter().map(|line| line.as_bytes()));
            let found = found.as_ref().map(Option::as_deref).map_err(Clone::clone);
            assert_eq!(found, expected, "{lines:?}");
        }
    }

    #[test]
    fn errors_hold_the_first_64_bytes_of_a_name() {
        use core::iter::once;
        let (long, name) = ("x".repeat(1000), "x".repeat(64).into_boxed_str());
        let lines = [long.as_bytes(), long.as_bytes()];
        assert_eq!(
            offered_subprotocols(lines.into_iter()),
            Err(HandshakeError::DuplicateSubprotocol { name: name.clone() })
        );
        assert_eq!(
            check_chosen_subprotocol(once(lines[0]), |_| false, false),
            Err(HandshakeError::SubprotocolNotOffered { name: name.clone() })
        );
        assert_eq!(
            extension_not_offered(lines.into_iter()),
            HandshakeError::ExtensionNotOffered { name }
        );
        let behind_an_empty_line = [&b" , "[..], b"foo; a=1, b"].into_iter();
        let error = extension_not_offered(behind_an_empty_line);
        assert_eq!(error, HandshakeError::ExtensionNotOffered { name: "foo".into() });
    }
}
