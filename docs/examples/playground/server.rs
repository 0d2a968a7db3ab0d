//! All connections in one thread: which of them to serve next, and what one connection asks of another. `peer.rs`
//! serves a single connection.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Result;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use websocket_proto::{Clock, CloseCode, Connection, Timestamp};

use crate::orders::Order;
use crate::peer::Peer;
use crate::room::{self, Bot};
use crate::visit::{Common, Job, Task};

pub(crate) const SIGNAL: usize = usize::MAX;
pub(crate) const LISTENER: usize = usize::MAX - 1;
/// Every connection is served at least this often: it is the precision of all timeouts.
const BEAT: Duration = Duration::from_millis(100);
/// The time that the connections have to close after a signal.
const FAREWELL: Duration = Duration::from_secs(3);
/// Clients in this program at the same time.
const MAX_BOTS: usize = 8;

pub(crate) struct Server {
    registry: Registry,
    address: SocketAddr,
    /// `None` after a signal.
    listener: Option<TcpListener>,
    peers: BTreeMap<usize, Peer>,
    next_number: usize,
    /// Connections that have something to do before the next event.
    busy: BTreeSet<usize>,
    buf: Vec<u8>,
    common: Common,
    next_beat: Timestamp,
    beats: u64,
    /// The end of the program, after a signal.
    end: Option<Timestamp>,
}

impl Server {
    pub(crate) fn new(
        registry: Registry,
        listener: std::net::TcpListener,
        clock: Clock,
    ) -> Result<Server> {
        let address = listener.local_addr()?;
        let mut listener = TcpListener::from_std(listener);
        registry.register(&mut listener, Token(LISTENER), Interest::READABLE)?;
        Ok(Server {
            registry,
            address,
            listener: Some(listener),
            peers: BTreeMap::new(),
            next_number: 1,
            busy: BTreeSet::new(),
            buf: vec![0; 64 * 1024],
            common: Common::new(address, clock)?,
            next_beat: clock.now(),
            beats: 0,
            end: None,
        })
    }

    pub(crate) fn is_done(&self, now: Timestamp) -> bool {
        self.end.is_some_and(|end| self.peers.is_empty() || end <= now)
    }

    /// The longest time to wait for the sockets; `None` if nobody is connected.
    pub(crate) fn wait(&self, now: Timestamp) -> Option<Duration> {
        match (self.busy.is_empty(), self.peers.is_empty()) {
            (false, _) => Some(Duration::ZERO),
            (true, false) => Some(self.next_beat.saturating_since(now)),
            (true, true) => None,
        }
    }

    pub(crate) fn note_ready(&mut self, number: usize, event: &mio::event::Event) {
        if let Some(peer) = self.peers.get_mut(&number) {
            peer.is_readable |= event.is_readable() || event.is_read_closed();
            peer.is_writable |= event.is_writable() || event.is_write_closed();
            self.busy.insert(number);
        }
    }

    pub(crate) fn accept(&mut self) {
        while let Some(listener) = &self.listener {
            match listener.accept() {
                Ok((stream, _)) => {
                    let conn = Connection::server(self.common.plain.clone());
                    self.add(stream, conn, Job::Visitor);
                }
                // WouldBlock, or no descriptor is free: the next beat tries again.
                Err(_) => return,
            }
        }
    }

    fn add(&mut self, mut stream: TcpStream, conn: Connection, job: Job) {
        let number = self.next_number;
        let both = Interest::READABLE | Interest::WRITABLE; // never changed
        if stream.set_nodelay(true).is_ok()
            && self.registry.register(&mut stream, Token(number), both).is_ok()
        {
            self.next_number += 1;
            self.peers.insert(number, Peer::new(number, stream, conn, job));
            self.busy.insert(number); // starts the handshake timeout
        }
    }

    /// Gives each busy connection a turn, and all of them at each beat.
    pub(crate) fn serve_busy(&mut self, now: Timestamp) {
        if self.next_beat <= now {
            self.next_beat = now + BEAT;
            self.beat(now);
        }
        for number in std::mem::take(&mut self.busy) {
            self.turn(number, now);
        }
        // What the turns have noted for the pages goes out at once.
        let noted = self.peers.values().filter(|peer| peer.has_notes()).map(|peer| peer.number);
        for number in noted.collect::<Vec<_>>() {
            self.turn(number, now);
        }
    }

    fn beat(&mut self, now: Timestamp) {
        self.accept(); // after a time without a free descriptor
        self.beats += 1;
        let is_second = self.beats % 10 == 0;
        if is_second {
            let news = room::news(self.peers.values());
            let pages = self.peers.values().filter_map(Peer::notes);
            pages.for_each(|notes| notes.borrow_mut().put_text(b'N', 0, &news));
        }
        self.peers.values_mut().for_each(|peer| peer.beat(now, is_second));
        self.busy.extend(self.peers.keys());
    }

    fn turn(&mut self, number: usize, now: Timestamp) {
        let Some(peer) = self.peers.get_mut(&number) else { return };
        peer.serve(now, &mut self.buf, &mut self.common);
        if peer.is_gone() {
            let _ = self.registry.deregister(&mut peer.stream); // fails if the socket is broken
            self.peers.remove(&number);
        } else if peer.is_busy() {
            self.busy.insert(number);
        }
        for task in std::mem::take(&mut self.common.tasks) {
            self.perform(task, number, now);
        }
    }

    /// Performs what the connection `from` has asked for.
    fn perform(&mut self, task: Task, from: usize, now: Timestamp) {
        match task {
            Task::Say(message) => {
                for (number, peer) in &mut self.peers {
                    if peer.hear(&message) {
                        self.busy.insert(*number);
                    }
                }
            }
            Task::Order(Order::Bot(bot)) => self.add_bot(bot, now),
            Task::Order(Order::Knob { number, verb, argument }) => {
                let [Some(peer), Some(page)] = [number, from].map(|number| self.peers.get(&number))
                else {
                    return;
                };
                let notes = peer.watch.as_ref().map(|watch| &watch.notes);
                if notes.zip(page.notes()).is_some_and(|(notes, own)| Rc::ptr_eq(notes, own)) {
                    let peer = self.peers.get_mut(&number).expect("it was found");
                    peer.obey(&verb, &argument);
                    self.busy.insert(number);
                }
            }
        }
    }

    fn add_bot(&mut self, bot: Bot, now: Timestamp) {
        let is_bot = |peer: &&Peer| matches!(peer.job, Job::Bot(..));
        if self.peers.values().filter(is_bot).count() == MAX_BOTS {
            return;
        }
        let (Ok(stream), Some(conn)) =
            (TcpStream::connect(self.address), bot.connection(self.address))
        else {
            return;
        };
        self.add(stream, conn, Job::Bot(bot, now + bot.life()));
    }

    /// Stops accepting, and closes all connections.
    pub(crate) fn close_all(&mut self, now: Timestamp) {
        self.end = Some(if self.end.is_none() { now + FAREWELL } else { now }); // a second signal ends at once
        self.listener = None;
        for peer in self.peers.values_mut() {
            peer.conn.close(CloseCode::GOING_AWAY, "").expect("1001 can be sent");
        }
        self.busy.extend(self.peers.keys());
    }
}
