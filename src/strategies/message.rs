//! Payloads of messages: ASCII text, Unicode text and bytes, often of the sizes at which a frame's header changes its
//! form. `stream.rs` makes frames of them.

use alloc::string::String;
use alloc::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::message::Message;

/// The payload of a message. Unlike [`Message`] it shows the payload in `Debug`, since a counterexample must be
/// readable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "RFC 6455 5.6 has no third kind")]
pub enum Payload {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
}

impl Payload {
    /// The payload's bytes, unmasked and uncompressed.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Payload::Text(text) => text.as_bytes(),
            Payload::Binary(bytes) => bytes,
        }
    }
}

impl From<Message<'_>> for Payload {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Payload::Text(text.into_owned()),
            Message::Binary(bytes) => Payload::Binary(bytes.into_owned()),
        }
    }
}

impl<'a> From<&'a Payload> for Message<'a> {
    fn from(payload: &'a Payload) -> Self {
        match payload {
            Payload::Text(text) => text.into(),
            Payload::Binary(bytes) => bytes.into(),
        }
    }
}

/// A valid message of at most `max_bytes`: text or binary, mostly short; 0, 125, 126, 65,535 and 65,536 bytes and their
/// neighbours are likely (RFC 6455 5.2).
pub fn message(max_bytes: usize) -> BoxedStrategy<Payload> {
    prop_oneof![
        text(max_bytes).prop_map(Payload::Text),
        ascii(max_bytes).prop_map(Payload::Text),
        binary(max_bytes).prop_map(Payload::Binary),
    ]
    .boxed()
}

/// Unicode text of at most `max_bytes` in UTF-8, with characters of every encoded length, and often the first and last
/// ones of each length.
pub fn text(max_bytes: usize) -> BoxedStrategy<String> {
    text_of(character().boxed(), max_bytes)
}

/// ASCII text of at most `max_bytes`, control characters included.
pub fn ascii(max_bytes: usize) -> BoxedStrategy<String> {
    let character =
        prop_oneof![9 => proptest::char::range(' ', '~'), 1 => proptest::char::range('\0', '\x7f')];
    text_of(character.boxed(), max_bytes)
}

/// Bytes, at most `max_bytes` of them.
pub fn binary(max_bytes: usize) -> BoxedStrategy<Vec<u8>> {
    prop_oneof![
        12 => vec(any::<u8>(), 0..=max_bytes.min(16)),
        4 => (vec(any::<u8>(), 1..=8), long(max_bytes)).prop_map(|(pattern, len)| {
            pattern.into_iter().cycle().take(len).collect()
        }),
    ]
    .boxed()
}

fn text_of(character: BoxedStrategy<char>, max_bytes: usize) -> BoxedStrategy<String> {
    let short = vec(character.clone(), 0..=max_bytes.min(16));
    prop_oneof![
        12 => short.prop_map(move |chars| fill(chars.into_iter(), max_bytes, false)),
        // A long text is a short one repeated. Thousands of independent characters would find no more, and take long to
        // generate and to shrink.
        4 => (vec(character, 1..=8), long(max_bytes))
            .prop_map(|(chars, len)| fill(chars.into_iter().cycle(), len, true)),
    ]
    .boxed()
}

/// As many of the characters as fit into `len` bytes, padded to exactly `len` on request.
fn fill(chars: impl Iterator<Item = char>, len: usize, exactly: bool) -> String {
    let mut text = String::new();
    for character in chars {
        if text.len() + character.len_utf8() > len {
            break;
        }
        text.push(character);
    }
    while exactly && text.len() < len {
        text.push('a');
    }
    text
}

/// Any character; often the first or last one of an encoded length, or a neighbour of the surrogates.
fn character() -> impl Strategy<Value = char> {
    const BORDERS: [char; 11] = [
        '\0',
        '\x7f',
        '\u{80}',
        '\u{7ff}',
        '\u{800}',
        '\u{d7ff}',
        '\u{e000}',
        '\u{feff}',
        '\u{ffff}',
        '\u{10000}',
        '\u{10ffff}',
    ];
    prop_oneof![
        4 => proptest::char::range(' ', '~'),
        2 => proptest::char::range('\u{80}', '\u{7ff}'),
        2 => proptest::char::range('\u{800}', '\u{d7ff}'),
        2 => proptest::char::range('\u{10000}', '\u{10ffff}'),
        2 => select(&BORDERS[..]),
        1 => any::<char>(),
    ]
}

/// Lengths up to `max`; those at which the form of a frame's length changes (RFC 6455 5.2) are likely.
fn long(max: usize) -> BoxedStrategy<usize> {
    let borders: Vec<usize> = [0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537]
        .into_iter()
        .filter(|&len| len <= max)
        .collect();
    let short: Vec<usize> = borders.iter().copied().filter(|&len| len <= 127).collect();
    prop_oneof![6 => 0..=max.min(300), 6 => select(short), 2 => select(borders), 1 => 0..=max]
        .boxed()
}
