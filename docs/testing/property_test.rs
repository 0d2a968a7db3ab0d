//! A property test of an application that uses `websocket-proto`. The application has a codec of its own. It is tested
//! with any frames, any sizes of reads, and any violation of the protocol. The test runs with this crate's tests. To
//! copy it into your crate, add
//!
//! ```toml
//! [dev-dependencies]
//! proptest = "1"
//! websocket-proto = { version = "0.1", features = ["proptest"] }
//! ```

use proptest::collection::vec;
use proptest::prelude::*;
use websocket_proto::strategies::{
    BadStream, Chunking, Payload, RequestVerdict, Seen, Streams, bad_request, binary, chunking,
    text,
};
use websocket_proto::{
    Accept, Chunk, CloseCause, Config, Connection, Delivery, Event, ProtocolError, Role,
};

/// The application: a server that receives records in binary messages. A record is a length of two bytes and a body. A
/// record may begin and end anywhere in a message, as in MQTT. Each text message is a note, which is stored unchanged.
struct Session {
    conn: Connection,
    /// Received bytes of an incomplete record.
    pending: Vec<u8>,
    records: Vec<Vec<u8>>,
    /// The received part of an incomplete note.
    note: String,
    notes: Vec<String>,
    ended: Option<CloseCause>,
}

impl Session {
    /// Creates a session on a connection, which may be open already.
    fn new(conn: Connection) -> Session {
        let (pending, records, note, notes) = Default::default();
        Session { conn, pending, records, note, notes, ended: None }
    }

    /// The configuration of a session: chunks, so that the connection does not store messages as well.
    fn config() -> Config {
        Config::builder().delivery(Delivery::Chunks).build().expect("chunks are always allowed")
    }

    /// Handles bytes that were read from the transport.
    fn on_bytes(&mut self, mut input: &mut [u8]) {
        while let Some(event) = self.conn.receive(&mut input) {
            match event {
                Event::UpgradeRequest(_) => {
                    self.conn.accept(&Accept::default()).expect("the request waits for a decision");
                }
                Event::PlainRequest(_) => {
                    self.conn.respond(404).expect("the request waits for a decision");
                }
                Event::Chunk(chunk) => self.on_chunk(&chunk),
                Event::Closed(closed) => self.ended = Some(closed.into_cause()),
                _ => {}
            }
        }
    }

    fn on_chunk(&mut self, chunk: &Chunk<'_>) {
        match chunk.as_text() {
            Some(text) => {
                self.note.push_str(text);
                if chunk.is_last() {
                    self.notes.push(std::mem::take(&mut self.note));
                }
            }
            None => {
                self.pending.extend_from_slice(chunk.as_bytes());
                self.take_records();
            }
        }
    }

    fn take_records(&mut self) {
        while let Some((len, rest)) = self.pending.split_first_chunk() {
            let len = usize::from(u16::from_be_bytes(*len));
            if rest.len() < len {
                return;
            }
            let record = rest[..len].to_vec();
            self.pending.drain(..2 + len);
            // It fails if the peer has closed; the record counts all the same.
            let _ = self.conn.send(format!("got {len}"));
            self.records.push(record);
        }
    }
}

fn encode(records: &[Vec<u8>]) -> Vec<u8> {
    let encoded = records.iter().map(|record| {
        let len = u16::try_from(record.len()).expect("records are short");
        [&len.to_be_bytes()[..], record].concat()
    });
    encoded.collect::<Vec<_>>().concat()
}

/// The records and notes that a client uploads.
#[derive(Debug)]
struct Upload {
    records: Vec<Vec<u8>>,
    notes: Vec<String>,
    /// Splits the bytes of the records into messages.
    borders: Chunking,
}

impl Upload {
    fn any() -> impl Strategy<Value = Upload> {
        (vec(binary(300), 0..5), vec(text(300), 0..3), chunking())
            .prop_map(|(records, notes, borders)| Upload { records, notes, borders })
    }

    /// The records in binary messages, with the notes between these messages.
    fn messages(&self) -> Vec<Payload> {
        let bytes = encode(&self.records);
        let pieces = self.borders.cut(&bytes).into_iter();
        let mut messages: Vec<_> = pieces.map(|piece| Payload::Binary(piece.into())).collect();
        for (i, note) in self.notes.iter().enumerate() {
            messages.insert((2 * i + 1).min(messages.len()), Payload::Text(note.clone()));
        }
        messages
    }
}

fn open_session() -> Session {
    let conn = Connection::from_upgrade(Role::Server, Session::config());
    Session::new(conn.expect("a server needs no entropy"))
}

fn receive(session: &mut Session, pieces: Vec<&[u8]>) {
    for piece in pieces {
        session.on_bytes(&mut piece.to_vec());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        // The default of four steps for each case is too few to shrink a large stream.
        max_shrink_iters: 50_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn uploads_arrive_in_any_frames_and_reads(
        (upload, stream) in Streams::to(Role::Server).carrying(Upload::any(), Upload::messages),
        chunking in chunking(),
    ) {
        let mut session = open_session();
        receive(&mut session, chunking.cut(&stream.bytes));
        prop_assert_eq!(session.records, upload.records);
        prop_assert_eq!(session.notes, upload.notes);
        prop_assert!(session.pending.is_empty() && session.ended.is_none());
    }

    #[test]
    fn a_violation_ends_the_session_after_the_valid_frames(
        stream in Streams::to(Role::Server).max_payload_bytes(300).violating(),
        chunking in chunking(),
    ) {
        let mut session = open_session();
        receive(&mut session, chunking.cut(&stream.bytes));
        let BadStream { violation, error, expected, .. } = stream;
        prop_assert_eq!(session.ended, Some(CloseCause::Protocol(error)));
        let notes: Vec<String> = expected.into_iter().filter_map(|seen| match seen {
            Seen::Message(Payload::Text(note)) => Some(note),
            _ => None,
        }).collect();
        prop_assert_eq!(session.notes, notes);
        // The server writes a Close frame with the code of the violation last.
        let written: Vec<u8> = session.conn.outgoing_chunks().flatten().copied().collect();
        let close = [&[0x88, 2][..], &violation.close_code().get().to_be_bytes()].concat();
        prop_assert!(written.ends_with(&close));
    }

    #[test]
    fn an_invalid_request_opens_no_session(
        request in bad_request(&Session::config()),
        chunking in chunking(),
    ) {
        let mut session = Session::new(Connection::server(Session::config()));
        receive(&mut session, chunking.cut(&request.bytes));
        let response = session.conn.outgoing().to_vec();
        match request.verdict {
            RequestVerdict::Plain => prop_assert!(response.starts_with(b"HTTP/1.1 404 ")),
            RequestVerdict::Refused { status, error } => {
                let line = format!("HTTP/1.1 {status} ");
                prop_assert!(response.starts_with(line.as_bytes()));
                let cause = CloseCause::Protocol(ProtocolError::Handshake(error));
                prop_assert_eq!(session.ended, Some(cause));
            }
        }
    }
}
