//! Runs a hot path a given number of times: `instructions CASE TIMES`. The script `run` beside this file counts the
//! instructions, which are the same on a busy and on an idle machine. Without arguments it lists the cases.

use std::hint::black_box;
use std::time::Duration;

use websocket_proto::handshake::accept_key;
use websocket_proto::{
    Accept, ClientRequest, Config, Connection, Event, FrameHeader, MAX_HEADER_BYTES, Opcode,
    PreparedMessage, ReadBuffer, Role, Shared, Timestamp, UsageError, apply_mask,
};

const KEY: [u8; 4] = [1, 2, 3, 4];

type Case = (&'static str, fn(usize));

const CASES: &[Case] = &[
    ("mask_16", |times| mask(16, times)),
    ("mask_128", |times| mask(128, times)),
    ("mask_1k", |times| mask(1024, times)),
    ("header_decode", header_decode),
    ("header_encode", header_encode),
    ("receive_16_binary", |times| receive(Role::Server, 2, 16, times)),
    ("receive_16_text", |times| receive(Role::Server, 1, 16, times)),
    ("receive_128_text", |times| receive(Role::Server, 1, 128, times)),
    ("receive_1k_text", |times| receive(Role::Server, 1, 1024, times)),
    ("receive_16k_binary", |times| receive(Role::Server, 2, 16_384, times)),
    ("receive_from_16_binary", |times| receive_from(16, 64 * 22, times)),
    ("receive_from_1k_binary_cut", |times| receive_from(1024, 1000, times)),
    ("receive_16_binary_as_client", |times| receive(Role::Client, 2, 16, times)),
    ("receive_1k_text_in_two_reads", receive_cut),
    ("receive_4_fragments_of_16", receive_fragments),
    ("receive_64k_in_reads_of_4k", receive_large),
    ("receive_ping_and_write_pong", receive_ping),
    ("send_16", |times| send(Role::Server, 16, 1, times)),
    ("send_16_of_64", |times| send(Role::Server, 16, 64, times)),
    ("send_1k", |times| send(Role::Server, 1024, 1, times)),
    ("send_16_as_client", |times| send(Role::Client, 16, 1, times)),
    ("send_1k_as_client", |times| send(Role::Client, 1024, 1, times)),
    ("send_16k_owned", send_owned),
    ("send_prepared_1k", send_prepared),
    ("send_through_16", |times| send_through(Role::Server, 16, times)),
    ("send_through_1k_as_client", |times| send_through(Role::Client, 1024, times)),
    ("echo_16", echo),
    ("tick", tick),
    ("handshake_server", handshake_server),
    ("handshake_client", handshake_client),
    #[cfg(feature = "deflate")]
    ("deflate_and_inflate_1k", deflate),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => CASES.iter().for_each(|(name, _)| println!("{name}")),
        [name, times] => {
            let case = CASES.iter().find(|(known, _)| *known == name).expect("the case exists");
            case.1(times.parse().expect("a number of times"));
        }
        _ => panic!("usage: instructions [CASE TIMES]"),
    }
}

fn config() -> Shared<Config> {
    Shared::new(Config::default())
}

fn open(role: Role) -> Connection {
    Connection::from_upgrade(role, config()).expect("a server needs no entropy, a client has it")
}

/// A frame to `role`. Its payload is ASCII both masked and unmasked, so it can be received again after it was unmasked
/// in place.
fn frame_to(role: Role, first: u8, len: usize) -> Vec<u8> {
    let header = FrameHeader {
        fin: first & 0x80 != 0,
        rsv: 0,
        opcode: Opcode::from_first_byte(first).expect("a valid opcode"),
        mask: (role == Role::Server).then_some(KEY),
        payload_len: len as u64,
    };
    let mut bytes = [0; MAX_HEADER_BYTES];
    let size = header.encode(&mut bytes);
    let payload = (0..len).map(|i| b'@' + (i % 23) as u8);
    bytes[..size].iter().copied().chain(payload).collect()
}

fn flush(conn: &mut Connection) -> usize {
    let mut written = 0;
    while conn.wants_write() {
        let n = black_box(conn.outgoing()).len();
        conn.advance(n);
        written += n;
    }
    written
}

/// Ticks an open connection with timeouts, each time a little later.
fn tick(times: usize) {
    let config = Config::builder().idle_timeout(Duration::from_secs(60));
    let config = config.keepalive_interval(Duration::from_secs(20)).build();
    let config = config.expect("each value is allowed");
    let conn = Connection::from_upgrade(Role::Server, config);
    let mut conn = conn.expect("a server needs no entropy");
    for turn in 0..times {
        let now = Timestamp::new(Duration::from_micros(black_box(turn as u64)));
        assert!(conn.tick(now).is_some());
    }
}

fn mask(len: usize, times: usize) {
    let mut payload = vec![7; len];
    for _ in 0..times {
        apply_mask(black_box(&mut payload[..]), black_box(KEY));
    }
    assert_eq!(payload[0], if times % 2 == 0 { 7 } else { 7 ^ KEY[0] });
}

fn header_decode(times: usize) {
    let frame = frame_to(Role::Server, 0x82, 1024);
    for _ in 0..times {
        let (header, size) = FrameHeader::decode(black_box(&frame)).expect("good").expect("whole");
        assert_eq!((header.payload_len, size), (1024, 8));
    }
}

fn header_encode(times: usize) {
    let header = FrameHeader {
        fin: true,
        rsv: 0,
        opcode: Opcode::Binary,
        mask: Some(KEY),
        payload_len: 1024,
    };
    let mut bytes = [0; MAX_HEADER_BYTES];
    for _ in 0..times {
        assert_eq!(black_box(&header).encode(black_box(&mut bytes)), 8);
    }
}

fn receive(role: Role, opcode: u8, len: usize, times: usize) {
    let mut conn = open(role);
    let mut frame = frame_to(role, 0x80 | opcode, len);
    for _ in 0..times {
        let mut input = black_box(&mut frame[..]);
        match conn.receive(&mut input) {
            Some(Event::Message(message)) => assert_eq!(black_box(message).len(), len),
            other => panic!("{other:?}"),
        }
        assert!(input.is_empty());
    }
}

/// Receives messages of `len` bytes in reads of `read` bytes through a `ReadBuffer`.
fn receive_from(len: usize, read: usize, times: usize) {
    let mut conn = open(Role::Server);
    let frame = frame_to(Role::Server, 0x82, len);
    let wire = frame.repeat(read.max(64));
    let mut buffer = ReadBuffer::with_capacity(16 * 1024);
    let mut received = 0;
    let mut reads = wire.chunks(read).cycle();
    while received < times {
        let piece = reads.next().expect("the cycle never ends");
        buffer.spare()[..piece.len()].copy_from_slice(piece);
        buffer.filled(piece.len());
        while let Some(event) = conn.receive_from(black_box(&mut buffer)) {
            match event {
                Event::Message(message) => assert_eq!(black_box(message).len(), len),
                other => panic!("{other:?}"),
            }
            received += 1;
        }
    }
}

/// Feeds pieces that make one message of `len` bytes.
fn receive_pieces(conn: &mut Connection, pieces: &mut [Vec<u8>], len: usize) {
    let mut received = 0;
    for piece in pieces {
        let mut input = black_box(&mut piece[..]);
        while let Some(event) = conn.receive(&mut input) {
            match event {
                Event::Message(message) => received += black_box(message).len(),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(received, len);
}

fn receive_cut(times: usize) {
    let mut conn = open(Role::Server);
    let mut front = frame_to(Role::Server, 0x81, 1024);
    let back = front.split_off(500);
    let mut pieces = [front, back];
    for _ in 0..times {
        receive_pieces(&mut conn, &mut pieces, 1024);
    }
}

fn receive_fragments(times: usize) {
    let mut conn = open(Role::Server);
    let fragments = [0x01, 0x00, 0x00, 0x80].map(|first| frame_to(Role::Server, first, 16));
    let mut pieces = [fragments.concat()];
    for _ in 0..times {
        receive_pieces(&mut conn, &mut pieces, 64);
    }
}

fn receive_large(times: usize) {
    let mut conn = open(Role::Server);
    let frame = frame_to(Role::Server, 0x82, 65_536);
    let mut pieces: Vec<Vec<u8>> = frame.chunks(4096).map(<[u8]>::to_vec).collect();
    for _ in 0..times {
        receive_pieces(&mut conn, &mut pieces, 65_536);
    }
}

fn receive_ping(times: usize) {
    let mut conn = open(Role::Server);
    let mut frame = frame_to(Role::Server, 0x89, 16);
    for _ in 0..times {
        match conn.receive(&mut black_box(&mut frame[..])) {
            Some(Event::Ping(payload)) => assert_eq!(black_box(payload).len(), 16),
            other => panic!("{other:?}"),
        }
        assert_eq!(flush(&mut conn), 18);
    }
}

/// Sends messages, and writes after each `batch` of them.
fn send(role: Role, len: usize, batch: usize, times: usize) {
    let mut conn = open(role);
    let payload = vec![7; len];
    let mut written = 0;
    for i in 1..=times {
        conn.send(black_box(&payload[..])).expect("the connection is open");
        if i % batch == 0 {
            written += flush(&mut conn);
        }
    }
    written += flush(&mut conn);
    let header = if len < 126 { 2 } else { 4 } + if role == Role::Client { 4 } else { 0 };
    assert_eq!(written, times * (header + len));
}

/// Sends payloads that are moved into the queue. The count includes making them.
fn send_owned(times: usize) {
    let mut conn = open(Role::Server);
    let payload = vec![7; 16 * 1024];
    for _ in 0..times {
        conn.send(black_box(payload.clone())).expect("the connection is open");
        assert_eq!(flush(&mut conn), 4 + payload.len());
    }
}

fn send_prepared(times: usize) {
    let mut conn = open(Role::Server);
    let message = PreparedMessage::new(&[7; 1024]);
    for _ in 0..times {
        conn.send_prepared(black_box(&message)).expect("the connection is open");
        assert_eq!(flush(&mut conn), 1028);
    }
}

/// Sends to a transport that accepts everything.
fn send_through(role: Role, len: usize, times: usize) {
    let mut conn = open(role);
    let payload = vec![7; len];
    let mut written = 0;
    for _ in 0..times {
        conn.send_through(black_box(&payload[..]), |header, payload| {
            written += black_box(header).len() + black_box(payload).len();
            Ok::<usize, UsageError>(header.len() + payload.len())
        })
        .expect("the connection is open");
    }
    let header = if len < 126 { 2 } else { 4 } + if role == Role::Client { 4 } else { 0 };
    assert_eq!(written, times * (header + len));
}

fn echo(times: usize) {
    let mut conn = open(Role::Server);
    let mut frame = frame_to(Role::Server, 0x82, 16);
    for _ in 0..times {
        let mut input = black_box(&mut frame[..]);
        while let Some(event) = conn.receive(&mut input) {
            if let Event::Message(message) = event {
                conn.send(message).expect("the connection is open");
            }
        }
        assert_eq!(flush(&mut conn), 18);
    }
}

const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: example.com\r\nConnection: keep-alive, Upgrade\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nUpgrade: websocket\r\n\
    Origin: https://example.com\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.5\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n\r\n";

fn handshake_server(times: usize) {
    let config = config();
    let mut request = REQUEST.to_vec();
    for _ in 0..times {
        let mut conn = Connection::server(config.clone());
        match conn.receive(&mut black_box(&mut request[..])) {
            Some(Event::UpgradeRequest(request)) => assert_eq!(request.resource(), "/chat"),
            other => panic!("{other:?}"),
        }
        conn.accept(&Accept::default()).expect("the request is pending");
        assert!(flush(&mut conn) > 100);
    }
}

/// A client's handshake. The count includes making the request and the server's response.
fn handshake_client(times: usize) {
    const NAME: &[u8] = b"Sec-WebSocket-Key: ";
    let config = config();
    for _ in 0..times {
        let request = ClientRequest::new(black_box("ws://example.com/chat")).expect("a good URI");
        let mut conn = Connection::client(&request, config.clone()).expect("the OS has entropy");
        let sent = conn.outgoing();
        let at = sent.windows(NAME.len()).position(|w| w == NAME).expect("a key") + NAME.len();
        let accept = accept_key(&sent[at..at + 24]);
        let mut answer =
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: "
                .to_vec();
        answer.extend_from_slice(&accept);
        answer.extend_from_slice(b"\r\n\r\n");
        flush(&mut conn);
        let event = conn.receive(&mut &mut answer[..]);
        assert!(matches!(event, Some(Event::Open(_))), "{event:?}");
    }
}

#[cfg(feature = "deflate")]
fn deflate(times: usize) {
    let config = Config::builder().deflate(websocket_proto::Deflate::default()).build();
    let config = Shared::new(config.expect("the default options are allowed"));
    let offers = [&b"permessage-deflate"[..]];
    let deflate = config.deflate().expect("deflate is set above");
    let (params, _) = deflate.accept(offers).expect("the offer is valid");
    let open = |role| {
        Connection::from_upgrade(
            websocket_proto::Upgrade::new(role).deflate(params),
            config.clone(),
        )
        .expect("entropy")
    };
    let (mut server, mut client) = (open(Role::Server), open(Role::Client));
    let text: String =
        (0..60).map(|i| format!("\"price\":{},", 1000 + i * i * 37 % 9000)).collect();
    for _ in 0..times {
        server.send(black_box(&text[..])).expect("the connection is open");
        let mut wire = server.outgoing().to_vec();
        server.advance(wire.len());
        match client.receive(&mut &mut wire[..]) {
            Some(Event::Message(websocket_proto::Message::Text(received))) => {
                assert_eq!(received, text);
                client.recycle(received.into());
            }
            other => panic!("{other:?}"),
        }
    }
}
