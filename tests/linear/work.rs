//! Work that must be linear: `linear_work CASE N` does it for the size N. The script `run` beside this file counts the
//! instructions, because a program cannot count its own on the stable toolchain. Without arguments it lists the cases.

use std::fmt::Write as _;

use websocket_proto::handshake::accept_key;
use websocket_proto::{
    Accept, ClientRequest, Config, Connection, Deflate, DeflateParams, Delivery, Entropy, Event,
    FrameHeader, Opcode, Role, Upgrade,
};

type Case = (&'static str, fn(usize));

/// Work that was quadratic in some implementation, or could be.
const CASES: &[Case] = &[
    ("request_byte_by_byte", |n| request(&format!("X: {}", "x".repeat(n)), 1)),
    ("request_of_short_lines_byte_by_byte", |n| request(&"a: b\r\n".repeat(n / 6), 1)),
    ("request_by_7_bytes", |n| request(&format!("Cookie: {}", "x ".repeat(n / 2)), 7)),
    ("response_byte_by_byte", response),
    ("spaces_in_a_subprotocol", |n| {
        request(&format!("Sec-WebSocket-Protocol: b{}x", " ".repeat(n)), usize::MAX);
    }),
    ("many_subprotocols", |n| {
        let mut line = "Sec-WebSocket-Protocol: a".to_string();
        (0..n / 8)
            .for_each(|i| write!(line, ", b{i:05}").expect("writing to a String does not fail"));
        request(&line, usize::MAX);
    }),
    ("many_offers", |n| {
        let offers = "permessage-deflate; unknown, ".repeat(n / 29);
        request(&format!("Sec-WebSocket-Extensions: {offers}x"), usize::MAX);
    }),
    ("commas_in_extensions", |n| {
        request(&format!("Sec-WebSocket-Extensions: {}x", ",".repeat(n)), usize::MAX);
    }),
    ("early_bytes_byte_by_byte", early),
    ("text_byte_by_byte", |n| frames(&frame(0x81, "é".repeat(n / 2).as_bytes()), 1)),
    ("text_by_1460_bytes", |n| frames(&frame(0x81, "€".repeat(8 * n).as_bytes()), 1460)),
    ("text_in_fragments_of_one_byte", |n| frames(&fragments(0x01, &"é".repeat(n / 2)), 4096)),
    ("binary_in_fragments_of_one_byte", |n| frames(&fragments(0x02, &"x".repeat(n)), 4096)),
    ("empty_fragments", |n| frames(&[frame(0x02, b""), frame(0x00, b"").repeat(n)].concat(), 4096)),
    ("pings_without_a_reader", |n| frames(&frame(0x89, b"ping").repeat(n), 4096)),
    ("empty_blocks_byte_by_byte", |n| {
        let blocks = [&b"\x00\x00\x00\xff\xff".repeat(n / 5)[..], b"\x00"].concat();
        frames(&frame(0xc2, &blocks), 1);
    }),
    ("final_blocks_that_are_paid_for", |n| {
        // A full window first; then 2 of each 256 bytes are a final block.
        let mut paid = [&b"\x00\xf9\x00\x06\xff"[..], &[b'x'; 249], b"\x03\x00"].concat();
        paid = paid.repeat(n / 256);
        paid.push(0x00);
        let window = [&b"\x00\xff\x7f\x00\x80"[..], &[b'x'; 0x7fff], b"\x00"].concat();
        frames(&[frame(0xc2, &window), frame(0xc2, &paid)].concat(), 4096);
    }),
    ("messages_of_one_final_block", |n| frames(&frame(0xc2, b"\x03\x00\x00").repeat(n / 9), 4096)),
    ("a_bomb", |n| frames(&frame(0xc2, &bomb(64 * n)), 1460)),
    ("frames_as_they_are_by_1_byte", |n| raw_frames(&fragments(0x01, &"x".repeat(n)), 1)),
    ("frames_as_they_are", |n| raw_frames(&fragments(0x01, &"\u{e9}".repeat(n / 2)), 4096)),
    ("empty_frames_as_they_are", |n| {
        raw_frames(&[frame(0x02, b""), frame(0x00, b"").repeat(n)].concat(), 4096);
    }),
    ("a_bomb_as_it_is", |n| raw_frames(&frame(0xc2, &bomb(64 * n)), 1460)),
    ("frame_in_pieces_of_one_byte", |n| frame_in_pieces(n, false)),
    ("pings_within_an_unfinished_frame", |n| frame_in_pieces(n, true)),
    ("message_cut_into_frames_of_one_byte", cut),
    ("queue_written_byte_by_byte", queue),
    ("deep_queue_released_and_refilled", deep_queue),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => CASES.iter().for_each(|(name, _)| println!("{name}")),
        [name, n] => {
            let case = CASES.iter().find(|(known, _)| known == name).expect("the case exists");
            case.1(n.parse().expect("a size"));
        }
        _ => panic!("usage: linear_work [CASE N]"),
    }
}

fn config() -> Config {
    Config::builder()
        .max_head_bytes(usize::MAX / 2)
        .max_headers(usize::MAX)
        .max_early_bytes(usize::MAX / 2)
        .max_message_bytes(u64::MAX)
        .max_frame_bytes(u64::MAX)
        .max_fragments(u32::MAX)
        .max_outgoing_bytes(u64::MAX)
        .deflate(Deflate::default())
        .entropy(Entropy::Seed(1))
        .build()
        .expect("each value is allowed on 64 bits")
}

/// Feeds `bytes` in pieces, and accepts an upgrade request.
fn feed(conn: &mut Connection, bytes: &[u8], size: usize) {
    let mut bytes = bytes.to_vec();
    let size = size.min(bytes.len());
    for piece in bytes.chunks_mut(size) {
        let mut input = piece;
        while let Some(event) = conn.receive(&mut input) {
            if let Event::UpgradeRequest(_) = event {
                conn.accept(&Accept::default()).expect("a request is pending");
            }
        }
    }
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

fn request(lines: &str, size: usize) {
    let head = format!("{REQUEST}{}\r\n\r\n", lines.trim_end());
    feed(&mut Connection::server(config()), head.as_bytes(), size);
}

fn response(n: usize) {
    let request = ClientRequest::new("ws://a/").expect("a good URI");
    let mut conn = Connection::client(&request, config()).expect("a seed cannot fail");
    let request = String::from_utf8(conn.outgoing().to_vec()).expect("ASCII");
    let key = request.split("Key: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let accept = accept_key(key.expect("the request has a key").as_bytes());
    let accept = std::str::from_utf8(&accept).expect("base64");
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    let filler = "x".repeat(n);
    let head = format!("{head}Sec-WebSocket-Accept: {accept}\r\nX: {filler}\r\n\r\n");
    feed(&mut conn, head.as_bytes(), 1);
    assert!(conn.deflate_params().is_none());
}

fn early(n: usize) {
    let mut conn = Connection::server(config());
    let mut head = format!("{REQUEST}\r\n").into_bytes();
    assert!(conn.receive(&mut &mut head[..]).is_some());
    for _ in 0..n / 6 {
        for mut byte in frame(0x82, b"") {
            assert!(conn.receive(&mut std::slice::from_mut(&mut byte)).is_none());
        }
    }
    conn.accept(&Accept::default()).expect("a request is pending");
    let mut messages = 0;
    while conn.poll_event().is_some() {
        messages += 1;
    }
    assert_eq!(messages, n / 6);
}

/// A frame with a masking key of zeros, so that masking changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

fn fragments(first: u8, payload: &str) -> Vec<u8> {
    let mut bytes = frame(first, b"");
    payload.bytes().for_each(|byte| bytes.extend(frame(0x00, &[byte])));
    bytes.extend(frame(0x80, b""));
    bytes
}

const PARAMS: DeflateParams = DeflateParams {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
};

/// Lets a server receive these frames.
fn frames(bytes: &[u8], size: usize) {
    let conn = Connection::from_upgrade(Upgrade::new(Role::Server).deflate(PARAMS), config());
    let mut conn = conn.expect("a server needs no entropy");
    feed(&mut conn, bytes, size);
    assert_eq!(conn.state(), websocket_proto::State::Open);
}

/// Lets a server receive these frames as they are, and passes them on to another connection.
fn raw_frames(bytes: &[u8], size: usize) {
    let config = config().to_builder().delivery(Delivery::Frames).build();
    let config = config.expect("the delivery is the only change");
    let open = |role| Connection::from_upgrade(Upgrade::new(role).deflate(PARAMS), config.clone());
    let mut from = open(Role::Server).expect("a server needs no entropy");
    let mut on = open(Role::Client).expect("a seed cannot fail");
    let mut bytes = bytes.to_vec();
    for piece in bytes.chunks_mut(size) {
        let mut input = piece;
        while let Some(event) = from.receive(&mut input) {
            match event {
                Event::FrameHeader(header) => on.begin_frame(&header),
                Event::FramePayload(payload) => on.send_payload(payload.as_bytes()),
                other => panic!("{other:?}"),
            }
            .expect("the frame can be passed on");
        }
    }
    while on.wants_write() {
        on.advance(on.outgoing().len().min(100));
    }
}

/// Sends the payload of a frame byte by byte. If `pings`, the peer pings after each byte, and we do.
fn frame_in_pieces(n: usize, pings: bool) {
    let mut conn = Connection::from_upgrade(Role::Client, config()).expect("a seed cannot fail");
    let header = FrameHeader {
        fin: true,
        rsv: 0,
        opcode: Opcode::Binary,
        mask: None,
        payload_len: n as u64,
    };
    conn.begin_frame(&header).expect("the connection is open");
    for _ in 0..n {
        if pings {
            let mut ping = *b"\x89\x04ping";
            assert!(conn.receive(&mut &mut ping[..]).is_some());
            conn.ping(b"waits").expect("the queue is not limited");
        }
        conn.send_payload(b"x").expect("the payload is not whole");
        while !conn.outgoing().is_empty() {
            conn.advance(1);
        }
    }
}

/// Cuts a message into frames of one byte.
fn cut(n: usize) {
    let config = config().to_builder().max_outgoing_frame_bytes(1).build();
    let config = config.expect("one byte is allowed");
    let mut conn = Connection::from_upgrade(Role::Client, config).expect("a seed cannot fail");
    conn.send(vec![b'x'; n]).expect("the queue is not limited");
    while conn.wants_write() {
        conn.advance(conn.outgoing().len().min(1000));
    }
}

/// The compressed payload of a message of zeros.
fn bomb(len: usize) -> Vec<u8> {
    let config = config().to_builder().delivery(Delivery::Chunks).build();
    let config = config.expect("the delivery is the only change");
    let conn = Connection::from_upgrade(Upgrade::new(Role::Server).deflate(PARAMS), config);
    let mut conn = conn.expect("a server needs no entropy");
    conn.send(vec![0; len]).expect("the queue is not limited");
    let header = match conn.outgoing()[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    conn.outgoing_chunks().flatten().copied().skip(header).collect()
}

/// Queues messages of all sizes, and writes them byte by byte.
fn queue(n: usize) {
    let conn = Connection::from_upgrade(Role::Client, config());
    let mut conn = conn.expect("a seed cannot fail");
    for i in 0..n / 64 {
        conn.send(&vec![b'x'; i % 64][..]).expect("the queue is not limited");
        conn.ping(b"").expect("the connection is open");
    }
    while conn.wants_write() {
        conn.advance(1);
    }
}

/// Each turn writes one small frame and queues another, so the depth of the queue stays the same. At this depth a
/// buffer that has grown by doubling is nearly full.
fn deep_queue(n: usize) {
    let mut conn = Connection::from_upgrade(Role::Server, config()).expect("no entropy is needed");
    let depth = n as u64 * 59_364 / 80_000;
    conn.send("x").expect("the queue is not limited");
    while conn.outgoing_len() + 16 <= depth {
        conn.send(&[b'x'; 14]).expect("the queue is not limited");
    }
    for _ in 0..n / 16 {
        conn.advance(16);
        conn.send(&[b'x'; 14]).expect("the queue is not limited");
    }
}
