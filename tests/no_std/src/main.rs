//! A client and a server exchange bytes in memory, in a program without std: the handshake, a message and its echo, a
//! ping, the closing handshake. The exit status is 0 if all of it worked.
//!
//! The program has its own panic handler and allocator. If std were linked, its panic handler would be a second one,
//! which is a compile error. The C library only starts and ends the program.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::sync::atomic::{AtomicUsize, Ordering};

use websocket_proto::{
    Accept, ClientRequest, CloseCode, Config, Connection, Entropy, Event, Message, Timestamp,
};

#[link(name = "c")]
unsafe extern "C" {
    safe fn _exit(status: c_int) -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    _exit(101)
}

// The precompiled `alloc` was built to unwind and refers to these two symbols. Here panics abort, so they are never
// called.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    _exit(102)
}

const ARENA_BYTES: usize = 1 << 20;

/// An allocator that never frees memory, because the program is short.
#[repr(align(16))]
struct Arena {
    bytes: UnsafeCell<[u8; ARENA_BYTES]>,
    used: AtomicUsize,
}

// SAFETY: `bytes` is accessed only through the pieces that `alloc` returns, and each piece is returned once.
unsafe impl Sync for Arena {}

// SAFETY: pieces lie within the arena, do not overlap, and have the requested alignment, up to that of the arena.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > align_of::<Arena>() {
            return core::ptr::null_mut();
        }
        let size = layout.size().next_multiple_of(align_of::<Arena>());
        let start = self.used.fetch_add(size, Ordering::Relaxed);
        if start + size > ARENA_BYTES {
            return core::ptr::null_mut();
        }
        // SAFETY: `start` is inside the array, as checked above.
        unsafe { self.bytes.get().cast::<u8>().add(start) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ARENA: Arena = Arena { bytes: UnsafeCell::new([0; ARENA_BYTES]), used: AtomicUsize::new(0) };

#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    match talk() {
        Some(()) => 0,
        None => 1,
    }
}

/// Returns `None` if anything is wrong.
fn talk() -> Option<()> {
    let config = Config::builder().entropy(Entropy::Seed(7)).build().ok()?;
    let request = ClientRequest::new("ws://example.com/chat").ok()?.subprotocol("v1.chat");
    let mut client = Connection::client(&request, config.clone()).ok()?;
    let mut server = Connection::server(config);
    let now = Timestamp::from_millis(1);
    let (mut echoes, mut pongs, mut ends) = (0, 0, 0);

    while !(client.is_finished() && server.is_finished()) {
        client.tick(now);
        server.tick(now);
        let mut wire = take(&mut client);
        let mut input = &mut wire[..];
        while let Some(event) = server.receive(&mut input) {
            match event {
                Event::UpgradeRequest(request) => {
                    let chosen = request.subprotocols().next()?;
                    server.accept(&Accept::new().subprotocol(chosen)).ok()?;
                }
                Event::Message(message) => server.send(message).ok()?,
                Event::Closed(closed) => {
                    ends += usize::from(closed.is_clean() && closed.code() == CloseCode::NORMAL)
                }
                _ => {}
            }
        }

        let mut wire = take(&mut server);
        let mut input = &mut wire[..];
        while let Some(event) = client.receive(&mut input) {
            match event {
                Event::Open(response) => {
                    (response.subprotocol()? == "v1.chat").then_some(())?;
                    client.send("Grüße aus dem Nichts").ok()?;
                    client.ping(b"there?").ok()?;
                }
                Event::Message(Message::Text(text)) => {
                    echoes += usize::from(text == "Grüße aus dem Nichts")
                }
                Event::Pong(payload) => pongs += usize::from(*payload == *b"there?"),
                Event::Closed(closed) => ends += usize::from(closed.is_clean()),
                _ => {}
            }
        }
        if echoes == 1 && pongs == 1 {
            client.close(1000, "done").ok()?;
        }
        if server.wants_shutdown() {
            client.receive_eof();
        }
    }
    ((echoes, pongs, ends) == (1, 1, 2)).then_some(())
}

/// Writes everything that is outgoing, and returns it.
fn take(conn: &mut Connection) -> Vec<u8> {
    let mut wire = Vec::new();
    while conn.wants_write() {
        wire.extend_from_slice(conn.outgoing());
        conn.advance(conn.outgoing().len());
    }
    wire
}
