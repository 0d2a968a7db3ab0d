//! What a page is told about a connection that it watches: records on the page's second WebSocket. Each record is a
//! kind, the number of the connection, the time in µs, the size of its body, and the body: bytes for heads and frames,
//! otherwise JSON. If the page does not read, records are lost and counted; the connection does not wait.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::IoSlice;
use std::rc::Rc;

use websocket_proto::{Clock, Closed, Connection, Timestamp};

use crate::orders::Knobs;
use crate::tap::{Piece, Tap};

/// The bytes of records that wait for one page.
const WAITING_BYTES: usize = 16 << 20;
/// The bytes of a decompressed message that the page gets.
const CONTENT_BYTES: usize = 4096;

/// The records that wait for a page.
pub(crate) struct Notes {
    pub(crate) clock: Clock,
    pub(crate) bytes: Vec<u8>,
    /// The records that were lost since the last record that was not.
    pub(crate) lost: u32,
}

pub(crate) type SharedNotes = Rc<RefCell<Notes>>;

impl Notes {
    pub(crate) fn put(&mut self, kind: u8, number: u32, body: &[&[u8]]) {
        let size: usize = body.iter().map(|part| part.len()).sum();
        if self.bytes.len() + size > WAITING_BYTES {
            self.lost += 1;
            return;
        }
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost).to_string();
            self.put(b'L', 0, &[lost.as_bytes()]);
        }
        let now = self.clock.now().since_epoch().as_micros() as u64;
        self.bytes.push(kind);
        self.bytes.extend(number.to_be_bytes());
        self.bytes.extend(now.to_be_bytes());
        self.bytes.extend((size as u32).to_be_bytes());
        body.iter().for_each(|part| self.bytes.extend_from_slice(part));
    }

    pub(crate) fn put_text(&mut self, kind: u8, number: u32, text: &str) {
        self.put(kind, number, &[text.as_bytes()]);
    }
}

/// A string of JSON.
pub(crate) fn quoted(text: &str) -> String {
    let mut json = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..'\x20' => {
                write!(json, "\\u{:04x}", u32::from(character)).expect("a String takes all")
            }
            character => json.push(character),
        }
    }
    json + "\""
}

/// A connection that a page watches.
pub(crate) struct Watch {
    number: u32,
    pub(crate) notes: SharedNotes,
    /// Input and output, in this order.
    taps: [Tap; 2],
    messages: [u32; 2],
    wire_bytes: [u64; 2],
    state: String,
}

impl Watch {
    pub(crate) fn new(number: usize, notes: SharedNotes) -> Watch {
        let (taps, messages, wire_bytes) = Default::default();
        Watch { number: number as u32, notes, taps, messages, wire_bytes, state: String::new() }
    }

    pub(crate) fn pass_input(&mut self, bytes: &[u8]) {
        self.pass(0, bytes);
    }

    /// Takes the first `n` bytes of the slices.
    pub(crate) fn pass_output(&mut self, slices: &[IoSlice<'_>], mut n: usize) {
        for slice in slices {
            let part = &slice[..n.min(slice.len())];
            self.pass(1, part);
            n -= part.len();
        }
    }

    fn pass(&mut self, way: usize, bytes: &[u8]) {
        self.wire_bytes[way] += bytes.len() as u64;
        let mut notes = self.notes.borrow_mut();
        self.taps[way].pass(bytes, |piece| note(&mut notes, self.number, way, &piece));
    }

    /// Notes the content of a message that was received (way 0) or sent (way 1) compressed: frames do not show it.
    pub(crate) fn note_message(&mut self, way: usize, bytes: &[u8], conn: &Connection) {
        self.messages[way] += 1;
        if conn.deflate_params().is_some() {
            let front = &bytes[..bytes.len().min(CONTENT_BYTES)];
            let (number, size) =
                (self.messages[way].to_be_bytes(), (bytes.len() as u32).to_be_bytes());
            self.notes.borrow_mut().put(b'M', self.number, &[&[way as u8], &number, &size, front]);
        }
    }

    pub(crate) fn note_open(&mut self, conn: &Connection, verdicts: &str) {
        let (config, deflate) = (conn.config(), conn.deflate_params());
        let ms = |time: Option<std::time::Duration>| {
            time.map_or("null".into(), |time| time.as_millis().to_string())
        };
        let text = format!(
            r#"{{"limits":{{"max_frame_bytes":{},"max_message_bytes":{},"max_fragments":{},"max_outgoing_bytes":{},"high_water_bytes":{},"low_water_bytes":{},"max_queued_pongs":{}}},"timers":{{"handshake_timeout":{},"close_timeout":{},"idle_timeout":{},"keepalive_interval":{},"release_after":{}}},"deflate":{},"verdicts":{verdicts}}}"#,
            config.max_frame_bytes(),
            config.max_message_bytes(),
            config.max_fragments(),
            config.max_outgoing_bytes(),
            config.high_water_bytes(),
            config.low_water_bytes(),
            config.max_queued_pongs(),
            ms(config.handshake_timeout()),
            ms(config.close_timeout()),
            ms(config.idle_timeout()),
            ms(config.keepalive_interval()),
            config.release_after().as_millis(),
            deflate.map_or("null".into(), |params| quoted(&format!("{params:?}"))),
        );
        self.notes.borrow_mut().put_text(b'O', self.number, &text);
    }

    /// Notes what the machine says of itself, if it has changed.
    pub(crate) fn note_state(&mut self, conn: &Connection, knobs: &Knobs, wake: Option<Timestamp>) {
        let text = format!(
            r#"{{"state":"{}","buffered":{},"outgoing":{},"writable":{},"congested":{},"reads":{},"paused":{},"left":{},"received":{},"written":{},"wake":{}}}"#,
            conn.state(),
            conn.buffered_amount(),
            conn.outgoing_len(),
            conn.is_writable(),
            conn.is_congested(),
            conn.wants_read(),
            knobs.is_paused,
            knobs.to_produce,
            self.wire_bytes[0],
            self.wire_bytes[1],
            wake.map_or("null".into(), |wake| wake.since_epoch().as_micros().to_string()),
        );
        if text != self.state {
            self.notes.borrow_mut().put_text(b'S', self.number, &text);
            self.state = text;
        }
    }

    pub(crate) fn note_closed(&mut self, closed: &Closed) {
        let mut notes = self.notes.borrow_mut();
        for (way, tap) in self.taps.iter_mut().enumerate() {
            tap.finish(|piece| note(&mut notes, self.number, way, &piece));
        }
        let text = format!(
            r#"{{"clean":{},"code":{},"reason":{},"cause":{},"sent":{}}}"#,
            closed.is_clean(),
            closed.code(),
            quoted(closed.reason()),
            quoted(&closed.cause().to_string()),
            closed.sent_code().map_or("null".into(), |code| code.to_string()),
        );
        notes.put_text(b'C', self.number, &text);
    }
}

fn note(notes: &mut Notes, number: u32, way: usize, piece: &Piece<'_>) {
    match piece {
        Piece::Head(bytes) => notes.put(b'H', number, &[&[way as u8], bytes]),
        Piece::Frame { header, payload, message } => {
            let front = [way as u8, header.len() as u8];
            notes.put(b'F', number, &[&front, &message.to_be_bytes(), header, payload]);
        }
    }
}
