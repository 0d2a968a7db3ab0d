//! A transport in memory: a read copies from a repeated block, a write copies into a ring. These copies stand for those
//! of a kernel.

use std::cell::{RefCell, UnsafeCell};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

use base64::Engine;
use sha1::Digest;

/// Counts of the uses of the transport.
pub struct Stats {
    pub reads: Counter,
    pub writes: Counter,
    pub written_bytes: Counter,
}

/// A counter for a program with one thread.
pub struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed) + n, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

pub static STATS: Stats = Stats {
    reads: Counter(AtomicU64::new(0)),
    writes: Counter(AtomicU64::new(0)),
    written_bytes: Counter(AtomicU64::new(0)),
};

impl Stats {
    pub fn reset(&self) {
        for counter in [&self.reads, &self.writes, &self.written_bytes] {
            counter.0.store(0, Relaxed);
        }
    }
}

const RING_BYTES: usize = 64 * 1024;

#[repr(align(64))]
struct Ring(UnsafeCell<[u8; RING_BYTES]>);

thread_local! {
    static RING: Ring = const { Ring(UnsafeCell::new([0; RING_BYTES])) };
    /// The bytes written in [`Mode::Capture`].
    static CAPTURED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// The request and the response of [`Mode::MockServer`].
    static MOCK: RefCell<(Vec<u8>, Vec<u8>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// Clears the captured bytes, and makes room for `bytes`.
pub fn clear_captured(bytes: usize) {
    CAPTURED.with_borrow_mut(|captured| {
        captured.clear();
        captured.reserve(bytes);
    });
}

pub fn captured() -> &'static [u8] {
    CAPTURED.with_borrow(|captured| captured.clone().leak())
}

/// Copies between transport and caller. It does not use the C library's copy, which on some processors is ten times
/// slower for some distances between source and destination. The addresses of a crate's buffers would then decide its
/// rank.
#[inline]
fn copy(from: &[u8], to: &mut [u8]) {
    assert_eq!(from.len(), to.len());
    #[cfg(target_arch = "x86_64")]
    if from.len() >= 256 && is_x86_feature_detected!("avx2") {
        // SAFETY: AVX2 was detected, and both have the same length.
        return unsafe { copy_avx2(from.as_ptr(), to.as_mut_ptr(), from.len()) };
    }
    to.copy_from_slice(from);
}

/// # Safety
///
/// The CPU has AVX2. `len` is at least 32; `len` bytes are readable at `from` and writable at `to`, and do not overlap.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn copy_avx2(from: *const u8, to: *mut u8, len: usize) {
    use std::arch::x86_64::{__m256i, _mm256_loadu_si256, _mm256_storeu_si256};
    const WIDTH: usize = 32;
    // SAFETY: all offsets end at `len` or before.
    unsafe {
        let load = |at: usize| _mm256_loadu_si256(from.add(at).cast::<__m256i>());
        let store = |at: usize, value| _mm256_storeu_si256(to.add(at).cast::<__m256i>(), value);
        let last = load(len - WIDTH);
        let mut at = 0;
        while at + 4 * WIDTH <= len {
            let values = [load(at), load(at + 32), load(at + 64), load(at + 96)];
            for (i, value) in values.into_iter().enumerate() {
                store(at + i * WIDTH, value);
            }
            at += 4 * WIDTH;
        }
        while at + WIDTH <= len {
            store(at, load(at));
            at += WIDTH;
        }
        store(len - WIDTH, last);
    }
}

/// Where written bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Ring,
    Capture,
    /// A server that answers the written request.
    MockServer,
}

const PARTS: usize = 4;

#[derive(Debug)]
pub struct Transport {
    /// The bytes that are read first. No read goes beyond the end of a part.
    parts: [&'static [u8]; PARTS],
    part: usize,
    /// The bytes that are read after the parts, repeatedly.
    block: &'static [u8],
    at: usize,
    /// The number of bytes still to be read from the repeated block.
    left: usize,
    max_read: usize,
    ring_at: usize,
    mode: Mode,
}

impl Transport {
    /// The peer sends `total` bytes by repeating `block`. A read returns at most `max_read` bytes.
    pub fn sending(block: &'static [u8], total: usize, max_read: usize) -> Self {
        Transport { block, left: total, max_read, ..Transport::sink() }
    }

    /// The peer sends these parts, and no read contains bytes of two parts.
    pub fn sending_parts(parts: [&'static [u8]; PARTS], max_read: usize) -> Self {
        Transport { parts, max_read, ..Transport::sink() }
    }

    /// The peer sends nothing.
    pub fn sink() -> Self {
        Transport {
            parts: [&[]; PARTS],
            part: 0,
            block: &[],
            at: 0,
            left: 0,
            max_read: usize::MAX,
            ring_at: 0,
            mode: Mode::Ring,
        }
    }

    /// Written bytes are stored; see [`captured`].
    pub fn capture() -> Self {
        Transport { mode: Mode::Capture, ..Transport::sink() }
    }

    pub fn mock_server() -> Self {
        MOCK.with_borrow_mut(|(request, response)| {
            request.clear();
            response.clear();
        });
        Transport { mode: Mode::MockServer, ..Transport::sink() }
    }

    #[inline]
    pub fn read(&mut self, buf: &mut [u8]) -> usize {
        STATS.reads.add(1);
        if (self.part < PARTS || self.mode == Mode::MockServer)
            && let Some(n) = self.read_first(buf)
        {
            return n;
        }
        let n = buf.len().min(self.max_read).min(self.left).min(self.block.len() - self.at);
        copy(&self.block[self.at..self.at + n], &mut buf[..n]);
        self.at += n;
        if self.at == self.block.len() {
            self.at = 0;
        }
        self.left -= n;
        n
    }

    #[cold]
    fn read_first(&mut self, buf: &mut [u8]) -> Option<usize> {
        if self.mode == Mode::MockServer {
            return Some(read_response(buf));
        }
        while let Some(part) = self.parts.get_mut(self.part) {
            if part.is_empty() {
                self.part += 1;
                continue;
            }
            let n = buf.len().min(self.max_read).min(part.len());
            let (now, later) = part.split_at(n);
            copy(now, &mut buf[..n]);
            *part = later;
            return Some(n);
        }
        None
    }

    /// Returns `None` if there are bytes to read, `Some(true)` if bytes may arrive later, `Some(false)` if none will.
    fn would_block(&self) -> Option<bool> {
        if !self.block.is_empty() || self.parts.iter().any(|part| !part.is_empty()) {
            return None;
        }
        match self.mode {
            Mode::Ring => Some(false),
            Mode::MockServer => MOCK.with_borrow(|(request, response)| {
                (request.is_empty() && response.is_empty()).then_some(true)
            }),
            Mode::Capture => None,
        }
    }

    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        STATS.writes.add(1);
        self.put(bytes);
        bytes.len()
    }

    #[inline]
    pub fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> usize {
        STATS.writes.add(1);
        slices.iter().for_each(|slice| self.put(slice));
        slices.iter().map(|slice| slice.len()).sum()
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        STATS.written_bytes.add(bytes.len() as u64);
        match self.mode {
            Mode::Ring => self.put_in_ring(bytes),
            Mode::Capture => CAPTURED.with_borrow_mut(|captured| captured.extend_from_slice(bytes)),
            Mode::MockServer => {
                MOCK.with_borrow_mut(|(request, _)| request.extend_from_slice(bytes))
            }
        }
    }

    #[inline]
    fn put_in_ring(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(RING_BYTES - self.ring_at));
            self.with_room(now.len(), |room| copy(now, room));
            bytes = later;
        }
    }

    /// Lets the bound write up to `n` bytes directly into the ring, without a copy.
    pub fn with_room(&mut self, n: usize, fill: impl FnOnce(&mut [u8])) -> usize {
        let n = n.min(RING_BYTES - self.ring_at);
        RING.with(|ring| {
            // SAFETY: there is one thread, and `fill` does not use the ring. The range is within the ring.
            let room = unsafe {
                std::slice::from_raw_parts_mut(ring.0.get().cast::<u8>().add(self.ring_at), n)
            };
            fill(room);
        });
        self.ring_at = (self.ring_at + n) % RING_BYTES;
        n
    }
}

#[inline(never)]
fn read_response(buf: &mut [u8]) -> usize {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    MOCK.with_borrow_mut(|(request, response)| {
        if response.is_empty() && !request.is_empty() {
            let mut hash = sha1::Sha1::new();
            hash.update(key_of(request));
            hash.update(GUID);
            let mut accept = [0; 28];
            base64::engine::general_purpose::STANDARD
                .encode_slice(hash.finalize(), &mut accept)
                .expect("20 bytes are 28 characters");
            response.extend_from_slice(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Accept: ",
            );
            response.extend_from_slice(&accept);
            response.extend_from_slice(
                b"\r\nServer: nginx/1.24.0\r\nDate: Sun, 22 Nov 2026 07:00:00 GMT\r\n\r\n",
            );
            request.clear();
        }
        let n = buf.len().min(response.len());
        buf[..n].copy_from_slice(&response[..n]);
        response.drain(..n);
        n
    })
}

fn key_of(request: &[u8]) -> [u8; 24] {
    const NAME: &[u8] = b"sec-websocket-key:";
    let line = request
        .split(|&byte| byte == b'\n')
        .find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))
        .expect("the request has a key");
    let value = line[NAME.len()..].trim_ascii();
    value.try_into().expect("a key has 24 characters")
}

/// Runs the mock server alone, to measure its cost.
pub fn mock_server_alone(request: &[u8]) -> usize {
    let mut io = Transport::mock_server();
    io.write(request);
    let mut buf = [0; 1024];
    io.read(&mut buf)
}

impl io::Read for Transport {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(Transport::read(self, buf))
    }
}

impl io::Write for Transport {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(Transport::write(self, bytes))
    }

    #[inline]
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(Transport::write_vectored(self, slices))
    }

    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl tokio::io::AsyncRead for Transport {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(soon) = self.would_block() {
            if soon {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        // Like a socket, this writes to uninitialized memory.
        // SAFETY: bytes are only written to the slice, and `n` of them were.
        let n = unsafe {
            let room = buf.unfilled_mut();
            let room = std::slice::from_raw_parts_mut(room.as_mut_ptr().cast::<u8>(), room.len());
            let n = self.read(room);
            buf.assume_init(n);
            n
        };
        buf.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl tokio::io::AsyncWrite for Transport {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.write(bytes)))
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.write_vectored(slices)))
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl futures::AsyncRead for Transport {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.read(buf)))
    }
}

impl futures::AsyncWrite for Transport {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.write(bytes)))
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.write_vectored(slices)))
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl wtx::stream::StreamReader for Transport {
    #[inline]
    async fn read(&mut self, buf: &mut [u8]) -> wtx::Result<usize> {
        Ok(Transport::read(self, buf))
    }
}

impl wtx::stream::StreamWriter for Transport {
    #[inline]
    async fn write_all(&mut self, bytes: &[u8]) -> wtx::Result<()> {
        self.write(bytes);
        Ok(())
    }

    #[inline]
    async fn write_all_vectored(&mut self, slices: &[&[u8]]) -> wtx::Result<()> {
        STATS.writes.add(1);
        slices.iter().for_each(|slice| self.put(slice));
        Ok(())
    }
}

/// Polls the future until it is ready. The transport is always ready.
#[inline]
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
}
