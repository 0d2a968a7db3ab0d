//! A client and a server: two [endpoints](Endpoint) over one [link](Link), with one virtual clock.

use alloc::vec::Vec;
use core::time::Duration;

use super::endpoint::Endpoint;
use super::link::Link;
use super::wire::Wire;
use crate::config::Config;
use crate::connection::Connection;
use crate::entropy::Entropy;
use crate::event::Event;
use crate::handshake::ClientRequest;
use crate::state::Role;
use crate::timestamp::Timestamp;

/// See [`Pair::limit_turns`].
const MAX_TURNS: u32 = 1_000_000;

/// A client and a server [`Connection`], each in the documented loop, on a simulated transport and clock.
///
/// A run depends only on the seed and on the calls: the same test has the same bytes, in the same pieces, at the same
/// times. Bytes and time move only in [`run_until_idle`](Pair::run_until_idle), [`advance`](Pair::advance) and
/// [`run`](Pair::run).
///
/// ```
/// use core::time::Duration;
/// use websocket_proto::testing::{ChunkSize, Pair};
/// use websocket_proto::{Event, Message, Role};
///
/// let mut pair = Pair::new(1);
/// pair.wire(Role::Client).chunk_reads(ChunkSize::Random(3)).delay(Duration::from_millis(40));
/// pair.run_until_idle(); // the opening handshake
/// pair.client().send("Hello")?;
/// pair.run_until_idle();
/// let events = pair.take_events(Role::Server);
/// assert!(matches!(&events[..], [Event::UpgradeRequest(_), Event::Message(Message::Text(text))] if text == "Hello"));
/// assert_eq!(pair.now().since_epoch(), Duration::from_millis(80));
///
/// pair.server().close(1000, "")?;
/// assert!(pair.run(Duration::from_secs(1)), "both ends are done");
/// # Ok::<(), websocket_proto::UsageError>(())
/// ```
#[derive(Debug)]
pub struct Pair {
    client: Endpoint,
    server: Endpoint,
    link: Link,
    max_turns: u32,
}

impl Pair {
    /// Creates two ends with default configurations, before the opening handshake for `ws://peer.test/`.
    pub fn new(seed: u64) -> Pair {
        Pair::with_configs(seed, Config::default(), Config::default())
    }

    /// Creates two ends with these configurations, before the opening handshake for `ws://peer.test/`. The client's
    /// source of entropy is replaced by [`Entropy::Seed`], so that the run can be repeated.
    pub fn with_configs(seed: u64, client: Config, server: Config) -> Pair {
        let request = ClientRequest::new("ws://peer.test/").expect("the URI is valid");
        let client =
            Connection::client(&request, Config { entropy: Entropy::Seed(seed), ..client });
        let client = client.expect("a seed and an empty request cannot fail");
        Pair::from_connections(seed, client, Connection::server(server))
    }

    /// Creates two open ends with these configurations, by [`Connection::from_upgrade`]. The client's source of entropy
    /// is replaced as in [`with_configs`](Pair::with_configs).
    pub fn open(seed: u64, client: Config, server: Config) -> Pair {
        let open = |role, config| {
            Connection::from_upgrade(role, config).expect("a seed cannot fail, a server needs none")
        };
        let client = open(Role::Client, Config { entropy: Entropy::Seed(seed), ..client });
        Pair::from_connections(seed, client, open(Role::Server, server))
    }

    /// Joins two connections of your own, for example with another request, with permessage-deflate agreed in another
    /// handshake, or with another source of entropy.
    ///
    /// # Panics
    ///
    /// If the first is not a client, or the second not a server.
    pub fn from_connections(seed: u64, client: Connection, server: Connection) -> Pair {
        assert_eq!((client.role(), server.role()), (Role::Client, Role::Server));
        Pair {
            client: Endpoint::new(client),
            server: Endpoint::new(server),
            link: Link::new(seed),
            max_turns: MAX_TURNS,
        }
    }

    /// Sets after how many turns a run panics because it seems endless. Examples are two ends that answer each other's
    /// answers, or a keepalive interval shorter than the latency. The limit is for the turns at one moment, or for all
    /// turns of one [`run_until_idle`](Pair::run_until_idle). Default: 1,000,000, enough for a message of a megabyte
    /// byte by byte.
    pub fn limit_turns(&mut self, turns: u32) {
        self.max_turns = turns;
    }

    /// The client's connection, for calls such as `send`, `ping` and `close`.
    pub fn client(&mut self) -> &mut Connection {
        self.client.conn()
    }

    /// The server's connection, for calls such as `send`, `ping` and `close`.
    pub fn server(&mut self) -> &mut Connection {
        self.server.conn()
    }

    /// The loop of one end.
    pub fn endpoint(&mut self, role: Role) -> &mut Endpoint {
        match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }

    /// Sets the reaction of `role` to events from now on; see [`Endpoint::on_event`]. By default, requests are
    /// [answered](super::answer_request).
    pub fn on_event(
        &mut self,
        role: Role,
        reaction: impl FnMut(&mut Connection, &Event<'static>) + 'static,
    ) {
        self.endpoint(role).on_event(reaction);
    }

    /// Removes and returns the events of one end so far.
    pub fn take_events(&mut self, role: Role) -> Vec<Event<'static>> {
        self.endpoint(role).take_events()
    }

    /// The wire that `writer` writes and the other end reads, to delay, cut, change or lose its bytes.
    pub fn wire(&mut self, writer: Role) -> &mut Wire {
        self.link.wire(writer)
    }

    /// All bytes that `writer` has written, before any change by the wire.
    pub fn transcript(&self, writer: Role) -> &[u8] {
        self.link.transcript(writer)
    }

    /// The present time, which begins at 0.
    pub fn now(&self) -> Timestamp {
        self.link.now()
    }

    /// Whether both ends are finished and have dropped the transport.
    pub fn is_done(&self) -> bool {
        self.client.is_done() && self.server.is_done()
    }

    /// Runs both loops until nothing moves and no bytes are in flight. Time advances only until the last bytes arrive.
    /// Deadlines before that are kept.
    ///
    /// # Panics
    ///
    /// If that takes too many turns: see [`limit_turns`](Pair::limit_turns).
    pub fn run_until_idle(&mut self) {
        let mut turns = self.turns(0);
        while let Some(arrival) = self.link.next_arrival() {
            self.pass_to(self.next_deadline().map_or(arrival, |deadline| deadline.min(arrival)));
            turns = self.turns(turns);
        }
    }

    /// Advances the time by `duration`, and runs both loops whenever bytes arrive or a deadline passes.
    pub fn advance(&mut self, duration: Duration) {
        let until = self.now() + duration;
        self.turns(0);
        while let Some(next) = self.next_moment().filter(|next| *next <= until) {
            self.pass_to(next);
            self.turns(0);
        }
        self.pass_to(until);
        self.turns(0);
    }

    /// Runs until both ends are done, `limit` has passed, or there is nothing to wait for. Returns whether both are
    /// done.
    pub fn run(&mut self, limit: Duration) -> bool {
        let until = self.now() + limit;
        self.turns(0);
        while !self.is_done() {
            let Some(next) = self.next_moment().filter(|next| *next <= until) else { return false };
            self.pass_to(next);
            self.turns(0);
        }
        true
    }

    /// The next time at which bytes arrive or a deadline passes.
    fn next_moment(&self) -> Option<Timestamp> {
        self.link.next_arrival().into_iter().chain(self.next_deadline()).min()
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        let deadlines = self.client.deadline().into_iter().chain(self.server.deadline());
        deadlines.filter(|deadline| *deadline > self.now()).min()
    }

    fn pass_to(&mut self, moment: Timestamp) {
        self.link.pass(moment.saturating_since(self.link.now()));
    }

    /// Lets both ends take turns at the present time until neither has anything to do. Returns `before` plus the number
    /// of turns.
    fn turns(&mut self, before: u32) -> u32 {
        for turns in before..self.max_turns {
            let client = self.client.turn(&mut self.link);
            let server = self.server.turn(&mut self.link);
            if !client && !server {
                return turns + 1;
            }
        }
        panic!("both ends were still busy after {} turns each", self.max_turns);
    }
}
