//! Sends masked text messages to an echo server over loopback sockets, keeps a fixed number of them in flight on each
//! connection, and measures: `load PORT --pid PID [--bytes N] [--connections N] [--window N] [--warm-ms N] [--ms N]
//! [--stop]`. It prints one line of JSON. With `--stop` it prints a line and waits for one before it sends, and waits
//! for another one before it ends its connections.
//!
//! It costs little: one thread, one read and one write for all messages that are echoed together. The frames are
//! masked once, and each echo is compared with what must arrive.

#[path = "load/frames.rs"]
mod frames;
#[path = "load/histogram.rs"]
mod histogram;
#[path = "load/process.rs"]
mod process;

use std::collections::VecDeque;
use std::error::Error;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use frames::Cycle;
use histogram::Histogram;
use process::Process;

/// More than a frame of 64 KiB, and more than a socket holds of short ones.
const READ_BYTES: usize = 256 * 1024;
/// The most pieces of one write. The frames are in a cycle, so one write takes it several times.
const MAX_SLICES: usize = 16;
/// The time that the last echoes may take.
const DRAIN: Duration = Duration::from_secs(5);
/// The time that the server has to give memory back before its memory is measured at the end.
const SETTLE: Duration = Duration::from_millis(50);

struct Options {
    port: u16,
    pid: u32,
    bytes: usize,
    connections: usize,
    window: u64,
    warm: Duration,
    measured: Duration,
    stop: bool,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().ok_or("usage: load PORT --pid PID [OPTION VALUE]...")?.parse()?;
    let (warm, measured) = (Duration::from_millis(200), Duration::from_millis(1000));
    let mut options =
        Options { port, pid: 0, bytes: 16, connections: 1, window: 1, warm, measured, stop: false };
    while let Some(name) = arguments.next() {
        if name == "--stop" {
            options.stop = true;
            continue;
        }
        let value: u64 = arguments.next().ok_or_else(|| format!("{name} has no value"))?.parse()?;
        match name.as_str() {
            "--pid" => options.pid = value.try_into()?,
            "--bytes" => options.bytes = value.try_into()?,
            "--connections" => options.connections = value.try_into()?,
            "--window" => options.window = value,
            "--warm-ms" => options.warm = Duration::from_millis(value),
            "--ms" => options.measured = Duration::from_millis(value),
            _ => return Err(format!("there is no option {name}").into()),
        }
    }
    Ok(options)
}

struct Connection {
    stream: TcpStream,
    /// Bytes of the cycles that were written and received.
    written: u64,
    received: u64,
    /// Bytes that are to be written.
    due: u64,
    /// When each message in flight was due.
    sent: VecDeque<Instant>,
    is_writable: bool,
}

/// What is counted while the clock runs.
struct Counts {
    messages: u64,
    bytes: u64,
    latencies: Histogram,
}

struct Load {
    requests: Cycle,
    echoes: Cycle,
    connections: Vec<Connection>,
    counts: Counts,
    in_flight: u64,
    is_sending: bool,
    buffer: Vec<u8>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let server = Process::new(options.pid);
    let mut load = Load {
        requests: Cycle::requests(options.bytes),
        echoes: Cycle::echoes(options.bytes),
        connections: Vec::with_capacity(options.connections),
        counts: Counts { messages: 0, bytes: 0, latencies: Histogram::default() },
        in_flight: 0,
        is_sending: true,
        buffer: vec![0; READ_BYTES],
    };
    let mut poll = Poll::new()?;
    for i in 0..options.connections {
        let mut stream = TcpStream::from_std(open(options.port)?);
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(i), both)?;
        let sent = VecDeque::with_capacity(options.window as usize);
        let (written, received, due, is_writable) = (0, 0, 0, true);
        load.connections.push(Connection { stream, written, received, due, sent, is_writable });
    }
    std::thread::sleep(SETTLE);
    let open_kib = server.resident_kib()?;
    if options.stop {
        println!("open");
        std::io::stdin().read_line(&mut String::new())?;
    }

    let began = Instant::now();
    for i in 0..load.connections.len() {
        load.send(i, options.window, Instant::now())?;
    }
    load.run(&mut poll, began + options.warm)?;
    load.counts = Counts { messages: 0, bytes: 0, latencies: Histogram::default() };
    let own = Process::new(std::process::id());
    let (server_cpu, own_cpu, began) = (server.cpu()?, own.cpu()?, Instant::now());
    load.run(&mut poll, began + options.measured)?;
    let (server_cpu, own_cpu) = (server.cpu()? - server_cpu, own.cpu()? - own_cpu);
    let elapsed = began.elapsed();
    let bytes = load.counts.bytes;

    load.is_sending = false;
    let end = Instant::now() + DRAIN;
    while load.in_flight > 0 {
        if Instant::now() > end {
            return Err(format!("{} messages were not echoed", load.in_flight).into());
        }
        load.run(&mut poll, Instant::now() + Duration::from_millis(10))?;
    }
    std::thread::sleep(SETTLE);

    // Parts of messages count: at 64 KiB few are whole when the time is over.
    let messages = bytes as f64 / load.echoes.frame_bytes() as f64;
    println!(
        "{{\"messages\": {messages:.1}, \"total\": {}, \"seconds\": {:.6}, \"user\": {:.3}, \"system\": {:.3}, \"load\": {:.3}, \
         \"p50_us\": {:.1}, \"p99_us\": {:.1}, \"open_kib\": {open_kib}, \"after_kib\": {}, \"peak_kib\": {}}}",
        load.connections.iter().map(|c| c.received).sum::<u64>() / load.echoes.frame_bytes(),
        elapsed.as_secs_f64(),
        server_cpu.user,
        server_cpu.system,
        own_cpu.user + own_cpu.system,
        load.counts.latencies.quantile(0.5).as_secs_f64() * 1e6,
        load.counts.latencies.quantile(0.99).as_secs_f64() * 1e6,
        server.resident_kib()?,
        server.peak_kib()?,
    );
    if options.stop {
        std::io::stdin().read_line(&mut String::new())?;
    }
    Ok(())
}

/// Opens a WebSocket without extensions.
fn open(port: u16) -> Result<std::net::TcpStream, Box<dyn Error>> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DRAIN))?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head)?;
    if !head.starts_with("HTTP/1.1 101 ") || head.to_lowercase().contains("extensions") {
        return Err(format!("no plain WebSocket: {head}").into());
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}

impl Load {
    fn run(&mut self, poll: &mut Poll, end: Instant) -> Result<(), Box<dyn Error>> {
        let mut events = Events::with_capacity(1024);
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            match poll.poll(&mut events, Some(end - now)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => result?,
            }
            for event in &events {
                let i = event.token().0;
                if event.is_writable() {
                    self.connections[i].is_writable = true;
                    self.write(i)?;
                }
                if event.is_readable() || event.is_read_closed() {
                    self.read(i)?;
                }
            }
        }
    }

    /// Reads until the socket is empty, and replaces each message that was echoed.
    fn read(&mut self, i: usize) -> Result<(), Box<dyn Error>> {
        loop {
            let connection = &mut self.connections[i];
            let n = match connection.stream.read(&mut self.buffer) {
                Ok(0) => return Err("the server has ended a connection".into()),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            if !self.echoes.is_at(connection.received, &self.buffer[..n]) {
                return Err("an echo differs from its message".into());
            }
            let frame = self.echoes.frame_bytes();
            let echoed = (connection.received + n as u64) / frame - connection.received / frame;
            connection.received += n as u64;
            let now = Instant::now();
            for _ in 0..echoed {
                let sent = connection.sent.pop_front().ok_or("more echoes than messages")?;
                self.counts.latencies.add(now - sent);
            }
            self.counts.messages += echoed;
            self.counts.bytes += n as u64;
            self.in_flight -= echoed;
            if self.is_sending && echoed > 0 {
                self.send(i, echoed, now)?;
            }
            if n < self.buffer.len() {
                return Ok(());
            }
        }
    }

    fn send(&mut self, i: usize, messages: u64, now: Instant) -> Result<(), Box<dyn Error>> {
        let connection = &mut self.connections[i];
        connection.due += messages * self.requests.frame_bytes();
        connection.sent.extend((0..messages).map(|_| now));
        self.in_flight += messages;
        self.write(i)
    }

    fn write(&mut self, i: usize) -> Result<(), Box<dyn Error>> {
        let connection = &mut self.connections[i];
        while connection.due > 0 && connection.is_writable {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let slices = self.requests.slices(connection.written, connection.due, &mut slices);
            match connection.stream.write_vectored(slices) {
                Ok(n) => {
                    connection.written += n as u64;
                    connection.due -= n as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    connection.is_writable = false
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
