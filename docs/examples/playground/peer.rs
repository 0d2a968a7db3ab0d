//! One connection: reads and writes its socket, and asks the machine what to do next. What its messages mean is in
//! `visit.rs`.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;
use websocket_proto::{Connection, Timestamp};

use crate::orders::Knobs;
use crate::visit::{Common, Job};
use crate::watch::Watch;

/// The number of reads from one connection, and of writes to it, before the next connection is served.
const READS_PER_TURN: usize = 2;
const WRITES_PER_TURN: usize = 8;

pub(crate) struct Peer {
    /// The number that the page shows for the connection.
    pub(crate) number: usize,
    pub(crate) stream: TcpStream,
    pub(crate) conn: Connection,
    pub(crate) job: Job,
    pub(crate) knobs: Knobs,
    /// The copies of the bytes for a page that watches.
    pub(crate) watch: Option<Watch>,
    /// Bytes that go out first, past the machine: the violations of `attacks.rs`.
    pub(crate) raw: Vec<u8>,
    /// Whether the socket can be read and written, until an operation would block. mio reports each change once.
    pub(crate) is_readable: bool,
    pub(crate) is_writable: bool,
}

impl Peer {
    pub(crate) fn new(number: usize, stream: TcpStream, conn: Connection, job: Job) -> Peer {
        let (knobs, watch, raw) = (Knobs::default(), None, Vec::new());
        let (is_readable, is_writable) = (false, false);
        Peer { number, stream, conn, job, knobs, watch, raw, is_readable, is_writable }
    }

    /// Whether to read. Backpressure: who does not read the answers is not read.
    fn may_read(&self) -> bool {
        let is_held = self.knobs.is_paused || self.job.is_over_allowance();
        self.is_readable && self.conn.wants_read() && !self.conn.is_congested() && !is_held
    }

    fn may_write(&self) -> bool {
        self.is_writable && (self.conn.wants_write() || !self.raw.is_empty())
    }

    /// Whether the connection can go on without an event of its socket.
    pub(crate) fn is_busy(&self) -> bool {
        self.may_read() || self.may_write()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.conn.is_finished()
    }

    /// Serves until the socket would block, or all reads and writes of this turn are used.
    pub(crate) fn serve(&mut self, now: Timestamp, buf: &mut [u8], common: &mut Common) {
        let (mut filled, mut reads, mut writes) = (0, 0, 0);
        loop {
            let piece = if self.knobs.cuts_reads { 1 } else { buf.len() };
            for input in buf[..std::mem::take(&mut filled)].chunks_mut(piece) {
                self.receive(input, common);
            }
            self.receive(&mut [], common); // events caused by time and by the end of the transport
            if self.produce().is_err() {
                self.conn.abort(); // the queue is full
            }
            if self.may_write() && writes < WRITES_PER_TURN {
                writes += 1;
                self.write();
                continue;
            }
            if self.conn.wants_shutdown() {
                let _ = self.stream.shutdown(Shutdown::Write); // fails if the peer has gone
                self.conn.write_closed();
            }
            let wake = self.conn.tick(now);
            if let Some(watch) = &mut self.watch {
                watch.note_state(&self.conn, &self.knobs, wake);
            }
            if self.conn.is_finished() {
                return;
            }
            if self.may_write() && writes < WRITES_PER_TURN {
                continue; // `tick` queued bytes
            }
            if !self.may_read() || reads == READS_PER_TURN {
                return;
            }
            reads += 1;
            filled = self.read(buf);
        }
    }

    /// Gives the input to the machine, and each event to the job. The page's copy is made before, since the machine
    /// unmasks in place.
    fn receive(&mut self, mut input: &mut [u8], common: &mut Common) {
        if let Some(watch) = &mut self.watch {
            watch.pass_input(input);
        }
        while let Some(event) = self.conn.receive(&mut input) {
            if let Err(error) = self.react(event, input, common) {
                eprintln!("connection {} dropped: {error}", self.number);
                self.conn.abort();
            }
        }
    }

    fn write(&mut self) {
        let mut slices = [IoSlice::new(&[]); 16];
        let is_raw = !self.raw.is_empty();
        let count = match is_raw {
            true => 1,
            false => self.conn.outgoing_slices(&mut slices),
        };
        if is_raw {
            slices[0] = IoSlice::new(&self.raw);
        }
        match self.stream.write_vectored(&slices[..count]) {
            Ok(n @ 1..) => {
                if let Some(watch) = &mut self.watch {
                    watch.pass_output(&slices[..count], n);
                }
                match is_raw {
                    true => drop(self.raw.drain(..n)),
                    false => self.conn.advance(n),
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_writable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => {
                self.raw.clear();
                self.conn.write_closed();
            }
        }
    }

    /// Reads once and returns the number of bytes.
    fn read(&mut self, buf: &mut [u8]) -> usize {
        match self.stream.read(buf) {
            Ok(0) => self.conn.receive_eof(),
            Ok(n) => return n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_readable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.conn.abort(),
        }
        0
    }
}
