//! What a board has in place of an operating system: a line to the peer, a clock, a log, and the end after a panic.
//! Here these are system calls of Linux.

use core::ffi::c_int;
use core::fmt::{self, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::BorrowedFd;
use rustix::io::{Errno, Result};
use rustix::net::{SendFlags, Shutdown};
use rustix::time::{ClockId, clock_gettime};
use websocket_proto::Timestamp;

#[link(name = "c")]
unsafe extern "C" {
    safe fn _exit(status: c_int) -> !;
}

/// Descriptors 0 to 2.
fn line(number: c_int) -> BorrowedFd<'static> {
    // SAFETY: this program closes no descriptor. If the parent has given none, system calls return an error.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// What [`wait`] has found.
pub struct Ready {
    pub read: bool,
    pub write: bool,
}

/// Waits until the line can be read or written, if that is asked for, or until a time.
pub fn wait(until: Option<Timestamp>, read: bool, write: bool) -> Ready {
    let flags = |wanted, flags| if wanted { flags } else { PollFlags::empty() };
    let (input, output) = (line(0), line(1));
    let mut fds = [
        PollFd::from_borrowed_fd(input, flags(read, PollFlags::IN)),
        PollFd::from_borrowed_fd(output, flags(write, PollFlags::OUT)),
    ];
    let timeout = until.map(|until| {
        let left = until.saturating_since(now());
        Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }
    });
    // After a signal, the caller asks again. Errors and the peer's end are found by reading and writing.
    let count = poll(&mut fds, timeout.as_ref()).unwrap_or(0);
    let is_ready = |wanted, fd: &PollFd<'_>| wanted && count > 0 && !fd.revents().is_empty();
    Ready { read: is_ready(read, &fds[0]), write: is_ready(write, &fds[1]) }
}

/// Reads what has arrived. Returns 0 at the end.
pub fn read(buf: &mut [u8]) -> Result<usize> {
    rustix::io::retry_on_intr(|| rustix::io::read(line(0), &mut *buf))
}

/// Writes as many bytes as the line takes now.
pub fn write(bytes: &[u8]) -> Result<usize> {
    match rustix::net::send(line(1), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        done => done,
    }
}

/// Ends this direction.
pub fn shut_down() {
    let _ = rustix::net::shutdown(line(1), Shutdown::Write); // fails if the peer has gone
}

/// The time since the start of the board.
pub fn now() -> Timestamp {
    let time = clock_gettime(ClockId::Monotonic);
    Timestamp::from_millis(time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000)
}

/// Standard error.
pub struct Log;

impl Write for Log {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        rustix::io::write(line(2), text.as_bytes()).map(drop).map_err(|_| fmt::Error)
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let _ = writeln!(Log, "{info}");
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
