//! Valid streams of frames for a receiver of either role, with the expected events. `bad_stream.rs` breaks the rules.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;

use super::streams::Streams;
use super::wire::{BINARY, CLOSE, FIN, Hex, PING, PONG, Place, RSV1, TEXT, Wire};
use super::{Payload, Seen, close, message};
use crate::close_code::CloseCode;
use crate::event::{CloseCause, Closed, SentClose};
use crate::state::Role;

/// Frames for an open connection, and the events that it must report.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stream {
    /// The role of the receiver.
    pub role: Role,
    /// The bytes that arrive.
    pub bytes: Vec<u8>,
    /// The events that it must report, in order. The last is [`Seen::Closed`] if the stream ends with a Close.
    pub expected: Vec<Seen>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("role", &self.role)
            .field("bytes", &Hex(&self.bytes))
            .field("expected", &self.expected)
            .finish()
    }
}

impl Streams {
    /// Valid streams: whole and fragmented messages, empty fragments, control frames between them, characters that are
    /// cut by the end of a fragment, and sometimes a Close at the end.
    pub fn valid(&self) -> BoxedStrategy<Stream> {
        let streams = self.clone();
        let end = (option::of(close::received_code()), close::close_reason());
        (any::<u32>(), self.items(), option::weighted(0.3, end))
            .prop_map(move |(seed, items, end)| {
                let mut writer = Writer::new(&streams, seed);
                items.iter().for_each(|item| writer.item(item));
                if let Some((code, reason)) = end {
                    writer.close(code, reason);
                }
                Stream { role: streams.role, bytes: writer.wire.bytes, expected: writer.expected }
            })
            .boxed()
    }

    /// Valid streams of an application's own messages. Returns any value of `values` with a stream of the messages that
    /// `say` makes of it: in any fragments, with control frames between them, some compressed, without a Close. The
    /// messages must keep the receiver's limits; [`max_items`](Streams::max_items) and
    /// [`max_payload_bytes`](Streams::max_payload_bytes) are ignored.
    ///
    /// ```
    /// use proptest::prelude::*;
    /// use websocket_proto::Role;
    /// use websocket_proto::strategies::{Payload, Streams};
    ///
    /// let orders = prop::collection::vec(1..100u32, 0..5);
    /// let streams = Streams::to(Role::Server).carrying(orders, |orders| {
    ///     orders.iter().map(|n| Payload::Text(format!("buy {n}"))).collect()
    /// });
    /// # let _ = streams;
    /// ```
    pub fn carrying<T: fmt::Debug + 'static>(
        &self,
        values: impl Strategy<Value = T> + 'static,
        say: impl Fn(&T) -> Vec<Payload> + 'static,
    ) -> BoxedStrategy<(T, Stream)> {
        let streams = self.clone();
        let before = prop_oneof![3 => Just(Vec::new()), 1 => vec(control(), 0..=2)];
        // How the first messages are sent, at most 8; the others are neither fragmented nor compressed.
        let ways = vec((before, self.cuts(), self.compressed_or_not()), 0..=8);
        (any::<u32>(), ways, values)
            .prop_map(move |(seed, ways, value)| {
                let mut writer = Writer::new(&streams, seed);
                let mut ways = ways.into_iter();
                for payload in say(&value) {
                    let (before, cuts, compressed) = ways.next().unwrap_or_default();
                    before.iter().for_each(|control| writer.control(control));
                    writer.item(&Item::Message(Fragmented { payload, cuts, compressed }));
                }
                let (bytes, expected) = (writer.wire.bytes, writer.expected);
                (value, Stream { role: streams.role, bytes, expected })
            })
            .boxed()
    }

    pub(super) fn items(&self) -> BoxedStrategy<Vec<Item>> {
        let control = control();
        let item = prop_oneof![
            1 => control.prop_map(Item::Control),
            4 => self.fragmented().prop_map(Item::Message),
        ];
        vec(item, 0..=self.max_items).boxed()
    }

    pub(super) fn fragmented(&self) -> BoxedStrategy<Fragmented> {
        let limit = self.max_frame_bytes.min(self.max_message_bytes);
        let max = usize::try_from(limit).unwrap_or(usize::MAX).min(self.max_payload_bytes);
        (message::message(max), self.cuts(), self.compressed_or_not())
            .prop_map(|(payload, cuts, compressed)| Fragmented { payload, cuts, compressed })
            .boxed()
    }

    fn cuts(&self) -> BoxedStrategy<Vec<Cut>> {
        prop_oneof![1 => Just(Vec::new()), 1 => vec(cut(), 0..=4)].boxed()
    }

    fn compressed_or_not(&self) -> BoxedStrategy<bool> {
        if self.compressed { any::<bool>().boxed() } else { Just(false).boxed() }
    }
}

/// A message or a control frame.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Control(Control),
    Message(Fragmented),
}

#[derive(Debug, Clone)]
pub(super) enum Control {
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

/// A message, and the places where it is cut into frames.
#[derive(Debug, Clone)]
pub(super) struct Fragmented {
    pub(super) payload: Payload,
    pub(super) cuts: Vec<Cut>,
    pub(super) compressed: bool,
}

/// The border between two fragments, and the control frames there. Two cuts at one place make an empty fragment.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    at: Index,
    pub(super) controls: Vec<Control>,
}

pub(super) fn cut() -> impl Strategy<Value = Cut> + Clone {
    let at = any::<Index>();
    let controls = prop_oneof![2 => Just(Vec::new()), 1 => vec(control(), 0..=2)];
    (at, controls).prop_map(|(at, controls)| Cut { at, controls })
}

fn control() -> impl Strategy<Value = Control> + Clone {
    let payload = prop_oneof![
        6 => vec(any::<u8>(), 0..=4),
        // RFC 6455 5.5: up to 125 bytes.
        1 => (any::<u8>(), 124..=125usize).prop_map(|(byte, len)| alloc::vec![byte; len]),
    ];
    (any::<bool>(), payload).prop_map(|(is_pong, payload)| match is_pong {
        true => Control::Pong(payload),
        false => Control::Ping(payload),
    })
}

/// Writes frames, and collects the events that the receiver must report.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) wire: Wire,
    pub(super) expected: Vec<Seen>,
    max_fragments: usize,
}

impl Writer {
    pub(super) fn new(streams: &Streams, seed: u32) -> Writer {
        Writer {
            wire: Wire::to(streams.role, seed),
            expected: Vec::new(),
            max_fragments: streams.max_fragments as usize,
        }
    }

    pub(super) fn item(&mut self, item: &Item) {
        match item {
            Item::Control(control) => self.control(control),
            Item::Message(message) => {
                let (opcode, data) = Writer::encode(message);
                self.message(opcode, &data, &message.cuts, true);
                self.expected.push(Seen::Message(message.payload.clone()));
            }
        }
    }

    /// The first byte without FIN, and the payload on the wire.
    fn encode(message: &Fragmented) -> (u8, Vec<u8>) {
        let opcode = match message.payload {
            Payload::Text(_) => TEXT,
            Payload::Binary(_) => BINARY,
        };
        let plain = message.payload.as_bytes();
        match message.compressed {
            // Stored blocks are a little longer than the payload; the limit of a compressed frame allows that.
            true => (opcode | RSV1, stored(plain)),
            false => (opcode, plain.to_vec()),
        }
    }

    /// Writes the frames of a message and the control frames between them. `fin` tells whether the last frame ends the
    /// message. Returns where the data lies.
    pub(super) fn message(
        &mut self,
        opcode: u8,
        data: &[u8],
        cuts: &[Cut],
        fin: bool,
    ) -> Vec<Place> {
        let cuts = &cuts[..cuts.len().min(self.max_fragments - 1)];
        let mut borders: Vec<usize> = cuts.iter().map(|cut| cut.at.index(data.len() + 1)).collect();
        borders.sort_unstable();
        borders.push(data.len());
        let (mut places, mut start) = (Vec::new(), 0);
        for (i, &end) in borders.iter().enumerate() {
            if let Some(cut) = i.checked_sub(1).map(|before| &cuts[before]) {
                cut.controls.iter().for_each(|control| self.control(control));
            }
            let is_last = fin && i + 1 == borders.len();
            let first = if i == 0 { opcode } else { 0 } | if is_last { FIN } else { 0 };
            let at = self.wire.frame(first, &data[start..end]);
            places.push(Place { start, end, at });
            start = end;
        }
        places
    }

    fn control(&mut self, control: &Control) {
        match control {
            Control::Ping(payload) => {
                self.wire.frame(PING, payload);
                self.expected.push(Seen::Ping(payload.clone()));
            }
            Control::Pong(payload) => {
                self.wire.frame(PONG, payload);
                self.expected.push(Seen::Pong(payload.clone()));
            }
        }
    }

    /// Writes a Close frame. Without a code it has no reason either, and is reported as 1005 (RFC 6455 7.1.5).
    fn close(&mut self, code: Option<CloseCode>, mut reason: String) {
        let mut body = Vec::new();
        match code {
            Some(code) => {
                body.extend_from_slice(&code.get().to_be_bytes());
                body.extend_from_slice(reason.as_bytes());
            }
            None => reason.clear(),
        }
        self.wire.frame(CLOSE, &body);
        let code = code.unwrap_or(CloseCode::new(1005));
        let closed = Closed::clean(code, reason, CloseCause::Peer);
        let answer = SentClose::new(code, "");
        self.expected.push(Seen::Closed(closed.with_sent(Some(answer))));
    }
}

/// A compressed message of stored blocks (RFC 1951 3.2.4), without the four bytes that are removed from its end (RFC
/// 7692 7.2.1).
pub(super) fn stored(plain: &[u8]) -> Vec<u8> {
    let mut blocks = Vec::new();
    for block in plain.chunks(0xffff) {
        let len = block.len() as u16;
        blocks.push(0);
        blocks.extend_from_slice(&len.to_le_bytes());
        blocks.extend_from_slice(&(!len).to_le_bytes());
        blocks.extend_from_slice(block);
    }
    blocks.push(0);
    blocks
}
