//! The room: what one member says is encoded once and sent to all. Nobody can harm the others: who says too much is not
//! read, who does not read misses messages, who vanishes is gone.

use std::net::SocketAddr;
use std::time::Duration;

use websocket_proto::{ClientRequest, Config, Connection, PreparedMessage, State, Timestamp};

use crate::orders::Knobs;
use crate::peer::Peer;
use crate::visit::Job;
use crate::watch::{SharedNotes, quoted};

/// The messages that a member may send in a tenth of a second.
const ALLOWANCE: u32 = 5;

pub(crate) struct Member {
    name: String,
    allowance: u32,
    /// Messages that were not sent to this member, because it does not read.
    missed: u32,
    /// The time of a ping without an answer.
    pinged: Option<Timestamp>,
    round_trip: Option<Duration>,
}

impl Member {
    pub(crate) fn new(name: &str) -> Member {
        let name = if name.is_empty() { "someone" } else { name }.chars().take(20).collect();
        Member { name, allowance: ALLOWANCE, missed: 0, pinged: None, round_trip: None }
    }

    /// Returns what all members shall hear; `None` if the member has said too much.
    pub(crate) fn say(&mut self, text: &str) -> Option<PreparedMessage> {
        self.allowance = self.allowance.checked_sub(1)?;
        Some(PreparedMessage::new(format!("{}: {text}", self.name)))
    }

    pub(crate) fn note_pong(&mut self, payload: &[u8], now: Timestamp) {
        if self.pinged.is_some_and(|pinged| payload == stamp(pinged)) {
            self.round_trip = self.pinged.take().map(|pinged| now.saturating_since(pinged));
        }
    }
}

fn stamp(time: Timestamp) -> [u8; 8] {
    (time.since_epoch().as_nanos() as u64).to_be_bytes()
}

impl Job {
    /// Whether to read no further until the next beat.
    pub(crate) fn is_over_allowance(&self) -> bool {
        matches!(self, Job::Room(member) if member.allowance == 0)
    }
}

impl Peer {
    /// Sends a message of the room, if this is a member. Returns whether it was sent.
    pub(crate) fn hear(&mut self, message: &PreparedMessage) -> bool {
        let Job::Room(member) = &mut self.job else { return false };
        if !self.conn.is_writable() || self.conn.send_prepared(message).is_err() {
            member.missed += 1;
            return false;
        }
        if let Some(watch) = &mut self.watch {
            watch.note_message(1, message.payload(), &self.conn);
        }
        true
    }

    /// Called ten times a second.
    pub(crate) fn beat(&mut self, now: Timestamp, is_second: bool) {
        match &mut self.job {
            Job::Room(member) => {
                member.allowance = ALLOWANCE;
                let is_open = self.conn.state() == State::Open;
                if is_second
                    && is_open
                    && member.pinged.is_none()
                    && self.conn.ping(&stamp(now)).is_ok()
                {
                    member.pinged = Some(now);
                }
            }
            Job::Bot(_, until) if *until <= now => self.conn.abort(),
            _ => {}
        }
    }

    /// The records of the page behind this connection.
    pub(crate) fn notes(&self) -> Option<&SharedNotes> {
        match &self.job {
            Job::Page(notes) => Some(notes),
            _ => None,
        }
    }
}

/// The state of the server and of all members.
pub(crate) fn news<'p>(peers: impl Iterator<Item = &'p Peer> + Clone) -> String {
    let micros =
        |time: Option<Duration>| time.map_or("null".into(), |time| time.as_micros().to_string());
    let members = peers.clone().filter_map(|peer| {
        let Job::Room(member) = &peer.job else { return None };
        Some(format!(
            r#"{{"number":{},"name":{},"buffered":{},"missed":{},"waits":{},"round_trip":{}}}"#,
            peer.number,
            quoted(&member.name),
            peer.conn.buffered_amount(),
            member.missed,
            member.pinged.is_some(),
            micros(member.round_trip),
        ))
    });
    let members = members.collect::<Vec<_>>().join(",");
    // Only Linux has this file.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    let (count, memory) = (peers.count(), memory.unwrap_or("null"));
    format!(r#"{{"connections":{count},"memory_kib":{memory},"members":[{members}]}}"#)
}

/// A client that behaves badly, in this program: it ends without a Close.
#[derive(Clone, Copy)]
pub(crate) enum Bot {
    /// Does not read.
    Stalls,
    /// Sends as much as it can.
    Floods,
    /// Is gone after two seconds.
    Vanishes,
}

impl Bot {
    pub(crate) fn named(name: &str) -> Option<Bot> {
        [Bot::Stalls, Bot::Floods, Bot::Vanishes].into_iter().find(|bot| bot.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Bot::Stalls => "stalls",
            Bot::Floods => "floods",
            Bot::Vanishes => "vanishes",
        }
    }

    pub(crate) fn life(self) -> Duration {
        Duration::from_secs(if matches!(self, Bot::Vanishes) { 2 } else { 20 })
    }

    pub(crate) fn connection(self, server: SocketAddr) -> Option<Connection> {
        let request = ClientRequest::new(&format!("ws://{server}/ws?name={}", self.name())).ok()?;
        Connection::client(&request.subprotocol("room"), Config::default()).ok()
    }

    pub(crate) fn knobs(self) -> Knobs {
        let (is_paused, floods) = (matches!(self, Bot::Stalls), matches!(self, Bot::Floods));
        Knobs { is_paused, to_produce: if floods { 1_000_000 } else { 0 }, ..Knobs::default() }
    }
}
