//! Echoes text and binary messages on io_uring, on one thread. The kernel chooses a buffer when bytes arrive, and
//! writes pieces of the queue while the connection goes on: `take_outgoing` gives it memory that does not move. Needs
//! Linux 6.1.
//!
//! `cargo run --release [ADDR]`; the default is 127.0.0.1:9001.

mod buffers;

use std::collections::{BTreeSet, VecDeque};
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::process::ExitCode;
use std::time::Duration;

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use slab::Slab;
use websocket_proto::{
    Accept, Clock, Config, Connection, Event, Message, Segment, Shared, State, Timestamp,
    UsageError,
};

use buffers::{BUFFER_BYTES, BUFFERS, Buffers, GROUP};

/// The size from which an echo is first offered to the socket by a system call, from where it was received: it is then
/// not copied. Shorter ones are cheaper in the queue.
const LARGE_BYTES: usize = 16 * 1024;
/// The number of pieces in one write.
const PIECES: usize = 16;
/// The wait after a failed accept, usually because no descriptor is free.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// The number of the listener; those of peers are less.
const LISTENER: usize = usize::MAX >> 1;
/// A receive waits for bytes at once, and does not look first whether there are any: `IORING_RECVSEND_POLL_FIRST`.
const POLL_FIRST: u16 = 1;

/// What an operation does. It is the lowest bit of `user_data`; the other bits are the number of the peer, or the
/// [`LISTENER`], which receives connections.
#[derive(Clone, Copy, PartialEq)]
enum Operation {
    Receive = 0,
    Write = 1,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let address = match &arguments[..] {
        [] => "127.0.0.1:9001",
        [address] if !address.starts_with('-') => address,
        _ => {
            eprintln!("usage: websocket-proto-io-uring [ADDR]");
            return ExitCode::from(2);
        }
    };
    let Err(error) = run(address);
    eprintln!("{error}");
    ExitCode::FAILURE
}

fn run(address: &str) -> Result<std::convert::Infallible> {
    let listener = TcpListener::bind(address)?;
    println!("listening on ws://{}", listener.local_addr()?);
    // It is not dropped before the process ends: until then the kernel may use what belongs to it.
    let server = Box::leak(Box::new(Server::new(listener)?));
    server.accept_connections()?;
    let mut completed = Vec::new();
    loop {
        server.wait()?;
        let entries = server.ring.completion();
        completed.extend(entries.map(|entry| (entry.user_data(), entry.result(), entry.flags())));
        let now = server.clock.now();
        for (user_data, result, flags) in completed.drain(..) {
            server.complete(user_data, result, flags, now)?;
        }
        server.continue_turns(now)?;
    }
}

struct Server {
    ring: IoUring,
    buffers: Buffers,
    listener: TcpListener,
    config: Shared<Config>,
    clock: Clock,
    peers: Slab<Peer>,
    /// The deadlines of connections, and the time of the next accept after a failed one.
    deadlines: BTreeSet<(Timestamp, usize)>,
    /// Peers whose bytes have found no free buffer.
    starved: VecDeque<usize>,
}

struct Peer {
    stream: TcpStream,
    conn: Connection,
    /// The peer's entry in [`Server::deadlines`].
    deadline: Option<Timestamp>,
    /// Whether a receive is submitted or waits for a buffer. There is at most one, so a peer has at most one buffer.
    is_receiving: bool,
    /// Whether the last receive has taken bytes, and all that had arrived. One that has found no buffer has not.
    is_drained: bool,
    /// Whether a write is submitted. There is at most one, because two could be written in any order.
    is_writing: bool,
    /// The pieces that the write takes, or its rest. They do not change while it is submitted.
    taken: VecDeque<Segment>,
    /// The addresses of the pieces.
    slices: Vec<libc::iovec>,
}

impl Server {
    fn new(listener: TcpListener) -> Result<Server> {
        // With these two, bytes are received while this thread waits, and not in the middle of its work. So a receive
        // finds all that has arrived until then.
        let ring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(1024)?;
        let buffers = Buffers::new(&ring.submitter())?;
        let config = Config::builder()
            .keepalive_interval(Duration::from_secs(20))
            .idle_timeout(Duration::from_secs(60)); // also for a peer that does not read
        Ok(Server {
            ring,
            buffers,
            listener,
            config: Shared::new(config.build()?),
            clock: Clock::new(),
            peers: Slab::new(),
            deadlines: BTreeSet::new(),
            starved: VecDeque::new(),
        })
    }

    /// Submits all operations, and waits until one completes or a deadline passes: one system call.
    fn wait(&mut self) -> Result<()> {
        let wake = self.deadlines.first().map(|(deadline, _)| *deadline);
        let time = wake.map(|wake| Timespec::from(wake.saturating_since(self.clock.now())));
        let mut arguments = SubmitArgs::new();
        if let Some(time) = &time {
            arguments = arguments.timespec(time);
        }
        match self.ring.submitter().submit_with_args(1, &arguments) {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EBUSY) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Queues an operation for the next [`wait`](Server::wait).
    fn submit(&mut self, number: usize, operation: Operation, entry: squeue::Entry) -> Result<()> {
        let entry = entry.user_data((number << 1) as u64 | operation as u64);
        loop {
            // SAFETY: an accept and a receive use no memory of this program; see `submit_write` for a write.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return Ok(());
            }
            self.ring.submit()?; // the queue is full
        }
    }

    fn accept_connections(&mut self) -> Result<()> {
        let accept = opcode::AcceptMulti::new(Fd(self.listener.as_raw_fd()));
        self.submit(LISTENER, Operation::Receive, accept.build())
    }

    fn complete(&mut self, user_data: u64, result: i32, flags: u32, now: Timestamp) -> Result<()> {
        let number = user_data as usize >> 1;
        let done = match u32::try_from(result) {
            Ok(done) => Ok(done as usize),
            Err(_) => Err(Error::from_raw_os_error(-result)),
        };
        if number == LISTENER {
            if done.is_ok() {
                // SAFETY: the kernel has made this descriptor for us alone.
                self.add(unsafe { TcpStream::from_raw_fd(result) }, now)?;
            }
            if !cqueue::more(flags) {
                self.deadlines.insert((now + ACCEPT_AGAIN, LISTENER));
            }
            return Ok(());
        }
        let peer = &mut self.peers[number]; // a peer stays until its operations complete
        if user_data & 1 == Operation::Write as u64 {
            peer.note_written(done);
            return match peer.conn.state() {
                State::Open => self.submit_next(number),
                _ => self.turn(number, None, now), // it may be finished
            };
        }
        peer.is_receiving = false;
        peer.is_drained = done.is_ok() && !cqueue::sock_nonempty(flags);
        let received = match (done, cqueue::buffer_select(flags)) {
            (Ok(0), buffer) => {
                peer.conn.receive_eof();
                buffer.map(|id| (id, 0))
            }
            (Ok(n), buffer) => Some((buffer.expect("the kernel has chosen a buffer"), n)),
            (Err(error), _) => match error.raw_os_error() {
                Some(libc::ENOBUFS) => {
                    peer.is_receiving = true;
                    self.starved.push_back(number);
                    return Ok(());
                }
                Some(libc::EINTR) => None,
                _ => {
                    peer.conn.abort();
                    None
                }
            },
        };
        self.turn(number, received, now)
    }

    /// Serves the connections whose deadline has passed, and those that wait for a buffer.
    fn continue_turns(&mut self, now: Timestamp) -> Result<()> {
        while self.deadlines.first().is_some_and(|(deadline, _)| *deadline <= now) {
            let (_, number) = self.deadlines.pop_first().expect("there is a first one");
            match number {
                LISTENER => self.accept_connections()?,
                number => self.turn(number, None, now)?,
            }
        }
        let mut receives = 0;
        while receives < BUFFERS {
            let Some(number) = self.starved.pop_front() else { break };
            self.peers[number].is_receiving = false; // until then it is not removed
            self.turn(number, None, now)?;
            let is_receiving = self.peers.get(number).is_some_and(|peer| peer.is_receiving);
            receives += u16::from(is_receiving);
        }
        Ok(())
    }

    fn add(&mut self, stream: TcpStream, now: Timestamp) -> Result<()> {
        if stream.set_nodelay(true).is_err() {
            return Ok(()); // the client has gone
        }
        let peer = Peer {
            stream,
            conn: Connection::server(self.config.clone()),
            deadline: None,
            is_receiving: false,
            is_drained: true,
            is_writing: false,
            taken: VecDeque::new(),
            slices: Vec::new(),
        };
        let number = self.peers.insert(peer);
        self.turn(number, None, now) // starts the handshake timeout
    }

    /// Serves a connection, with what it has received: the number of a buffer, and of the bytes in it.
    fn turn(
        &mut self,
        number: usize,
        received: Option<(u16, usize)>,
        now: Timestamp,
    ) -> Result<()> {
        let peer = &mut self.peers[number]; // only this function removes peers, as its last act
        let input = match received {
            Some((id, n)) => self.buffers.bytes(id, n),
            None => &mut [],
        };
        let deadline = peer.serve(now, input);
        if let Some((id, _)) = received {
            self.buffers.give(id); // before the next receive, which may need it
        }
        if peer.deadline != deadline {
            let old = std::mem::replace(&mut peer.deadline, deadline);
            old.map(|old| self.deadlines.remove(&(old, number)));
            deadline.map(|deadline| self.deadlines.insert((deadline, number)));
        }
        if peer.conn.is_finished() {
            let _ = peer.stream.shutdown(Shutdown::Both); // ends the operations
            if !peer.is_receiving && !peer.is_writing {
                self.peers.remove(number);
            }
            return Ok(());
        }
        self.submit_next(number)
    }

    /// Submits a write and a receive, if the connection wants them and they are not submitted already.
    fn submit_next(&mut self, number: usize) -> Result<()> {
        self.submit_write(number)?;
        self.submit_receive(number)
    }

    fn submit_receive(&mut self, number: usize) -> Result<()> {
        let peer = &mut self.peers[number];
        // Backpressure: a peer that does not read its echoes is not read.
        if peer.is_receiving || !peer.conn.wants_read() || peer.conn.is_congested() {
            return Ok(());
        }
        peer.is_receiving = true;
        let fd = Fd(peer.stream.as_raw_fd());
        let receive = opcode::Recv::new(fd, std::ptr::null_mut(), BUFFER_BYTES as u32)
            .ioprio(if peer.is_drained { POLL_FIRST } else { 0 })
            .buf_group(GROUP)
            .build()
            .flags(squeue::Flags::BUFFER_SELECT);
        self.submit(number, Operation::Receive, receive)
    }

    fn submit_write(&mut self, number: usize) -> Result<()> {
        let peer = &mut self.peers[number];
        if peer.is_writing || !peer.take_pieces() {
            return Ok(());
        }
        // The kernel reads the addresses when the operation is submitted, and the pieces until it completes. Both stay
        // in `peer`, which does not change them while `is_writing`, and is not removed.
        peer.is_writing = true;
        let fd = Fd(peer.stream.as_raw_fd());
        let write = match &peer.slices[..] {
            [piece] => opcode::Send::new(fd, piece.iov_base.cast(), piece.iov_len as u32).build(),
            slices => opcode::Writev::new(fd, slices.as_ptr(), slices.len() as u32).build(),
        };
        self.submit(number, Operation::Write, write)
    }
}

impl Peer {
    /// Serves the connection, without waiting. Returns its deadline.
    fn serve(&mut self, now: Timestamp, mut input: &mut [u8]) -> Option<Timestamp> {
        loop {
            while let Some(event) = self.conn.receive(&mut input) {
                let result = match event {
                    Event::UpgradeRequest(_) => self.conn.accept(&Accept::default()),
                    Event::PlainRequest(_) => self.conn.respond(404),
                    Event::Message(message) if self.conn.state() == State::Open => {
                        self.echo(message)
                    }
                    _ => Ok(()),
                };
                if let Err(error) = result {
                    eprintln!("connection dropped: {error}");
                    self.conn.abort();
                }
            }
            if self.conn.wants_shutdown() {
                let _ = self.stream.shutdown(Shutdown::Write); // fails if the peer has gone
                self.conn.write_closed();
            }
            if self.conn.is_finished() {
                return None;
            }
            let wake = self.conn.tick(now);
            if !self.conn.is_finished() {
                return wake;
            }
        }
    }

    /// Sends a message back. What the socket does not take of a large one is queued.
    fn echo(&mut self, message: Message<'_>) -> std::result::Result<(), UsageError> {
        if message.len() < LARGE_BYTES {
            return self.conn.send(message);
        }
        // It runs only if no bytes are outgoing, and then no write is submitted.
        let socket = socket2::SockRef::from(&self.stream);
        self.conn.send_through(message, |header, payload| {
            let slices = [IoSlice::new(header), IoSlice::new(payload)];
            // The socket is a blocking one: on others, io_uring does not wait either.
            let written = socket.send_vectored_with_flags(&slices, libc::MSG_DONTWAIT);
            Ok(written.unwrap_or(0)) // a lasting error comes again, by the write that is submitted
        })
    }

    /// Takes pieces of the queue behind the rest of the last write. Returns whether there is anything to write.
    fn take_pieces(&mut self) -> bool {
        while self.taken.len() < PIECES {
            let Some(segment) = self.conn.take_outgoing() else { break };
            self.taken.push_back(segment);
        }
        self.slices.clear();
        self.slices.extend(self.taken.iter().map(|segment| libc::iovec {
            iov_base: segment.as_ptr().cast_mut().cast(), // a write only reads it
            iov_len: segment.len(),
        }));
        !self.slices.is_empty()
    }

    fn note_written(&mut self, written: Result<usize>) {
        self.is_writing = false;
        match written {
            Ok(mut n @ 1..) => {
                self.conn.advance(n);
                while let Some(segment) = self.taken.front_mut() {
                    let done = n.min(segment.len());
                    segment.advance(done);
                    n -= done;
                    if !segment.is_empty() {
                        return; // partly written: the next write begins with its rest
                    }
                    let segment = self.taken.pop_front().expect("it is the front");
                    self.conn.recycle_segment(segment);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => {
                self.taken.clear();
                self.conn.write_closed(); // the peer's Close can still arrive
            }
        }
    }
}
