//! Echoes text and binary messages of one connection, without std, on a heap of stated size. The limits are chosen so
//! that the worst case fits, whatever the peer sends: `WORST_CASE_BYTES` adds up the formulas of docs/security.md that
//! apply to this loop.
//!
//! Standard input and output stand for the modem of a device. They must be a socket, as inetd and socat make it:
//!
//! `cargo build --release && socat TCP-LISTEN:9001,fork,reuseaddr EXEC:target/release/websocket-proto-arena`
//!
//! At the end it prints the most bytes of the arena that were in use. For a device of your own, replace `board.rs`.

#![no_std]
#![no_main]

mod arena;
mod board;

use core::ffi::c_int;
use core::fmt::Write;
use core::time::Duration;

use arena::{ARENA, ARENA_BYTES};
use websocket_proto::{Accept, Config, Connection, Event, State};

/// The read buffer. It is on the stack.
const INPUT_BYTES: usize = 1024;
/// The largest message.
const MESSAGE_BYTES: usize = 4 * 1024;
/// Nothing is read while bytes wait to be written. So the queue has at most the echo of one message, whose first part
/// came with earlier reads, and the echoes of what one read delivers. The rest is room for headers of frames.
const OUTGOING_BYTES: usize = MESSAGE_BYTES + INPUT_BYTES + 64;
/// A browser sends less than 1 KiB, and the cookies of the page.
const HEAD_BYTES: usize = 2 * 1024;
const HEADERS: usize = 32;
const PONGS: u8 = 4;

/// The worst case while the request is read, by the formulas of docs/security.md, Bounds. No byte is early, since the
/// request is decided at once.
const OPENING_BYTES: usize = 11 * HEAD_BYTES + 2 * 1024 + 32 * HEADERS;
const RECEIVING_BYTES: usize = 2 * MESSAGE_BYTES + 2 * 1024;
/// A piece of the queue that is partly written takes no more, since nothing is queued before it is written whole. A
/// loop that reads or sends meanwhile must add `OUTGOING_BYTES`.
const SENDING_BYTES: usize = 6 * OUTGOING_BYTES + 524 * PONGS as usize + 2 * 1024;
/// While a buffer grows, the old one exists too. The largest buffer is that of the queue.
const GROWING_BYTES: usize = 2 * OUTGOING_BYTES;
/// The memory of the request is freed before messages are received.
const WORST_CASE_BYTES: usize = {
    let open = RECEIVING_BYTES + SENDING_BYTES + GROWING_BYTES;
    if open > OPENING_BYTES { open } else { OPENING_BYTES }
};
/// The rest is for what the allocator needs itself, and for gaps between blocks.
const _: () = assert!(WORST_CASE_BYTES + 8 * 1024 <= ARENA_BYTES);

#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    let status = match echo() {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(board::Log, "{error}");
            1
        }
    };
    let peak = ARENA.peak();
    let _ = writeln!(
        board::Log,
        "peak {peak} bytes, worst case {WORST_CASE_BYTES}, arena {ARENA_BYTES}"
    );
    status
}

fn echo() -> Result<(), websocket_proto::UsageError> {
    let config = Config::builder()
        .max_head_bytes(HEAD_BYTES)
        .max_headers(HEADERS)
        .max_early_bytes(0)
        .max_message_bytes(MESSAGE_BYTES as u64)
        .max_frame_bytes(MESSAGE_BYTES as u64)
        .max_outgoing_bytes(OUTGOING_BYTES as u64)
        .max_queued_pongs(PONGS)
        .idle_timeout(Duration::from_secs(60)) // also for a peer that does not read
        .build()
        .expect("these values are allowed");
    // A server needs no source of randomness. For a client, `ConfigBuilder::entropy` is the board's generator.
    let mut conn = Connection::server(config);
    let (mut buf, mut filled) = ([0; INPUT_BYTES], 0);
    loop {
        let mut input = &mut buf[..core::mem::take(&mut filled)];
        while let Some(event) = conn.receive(&mut input) {
            match event {
                Event::UpgradeRequest(_) => conn.accept(&Accept::new())?,
                Event::PlainRequest(_) => conn.respond(404)?,
                Event::Message(message) if conn.state() == State::Open => conn.send(message)?,
                _ => {}
            }
        }
        if conn.wants_shutdown() {
            board::shut_down();
            conn.write_closed();
        }
        if conn.is_finished() {
            return Ok(());
        }
        let wake = conn.tick(board::now());
        if conn.is_finished() {
            return Ok(());
        }
        let reads = conn.wants_read() && !conn.wants_write();
        let ready = board::wait(wake, reads, conn.wants_write());
        if ready.write {
            match board::write(conn.outgoing()) {
                Ok(n) => conn.advance(n),
                Err(_) => conn.write_closed(), // the peer's Close can still arrive
            }
        }
        if ready.read {
            match board::read(&mut buf) {
                Ok(0) => conn.receive_eof(),
                Ok(n) => filled = n,
                Err(_) => conn.abort(),
            }
        }
    }
}
