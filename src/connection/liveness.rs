//! The keepalive pings that the peer must answer: their number, the wait for the pong, the round-trip time. It sends
//! nothing and ends nothing: `time` does.

use core::time::Duration;

use crate::timer::{Deadline, GRACE};
use crate::timestamp::Timestamp;

/// The keepalive pings of a connection that waits for their pongs or measures their round trip.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    /// The number in the latest ping. A ping that repeats an unanswered one has the same number, so that its pong
    /// answers both.
    number: u32,
    ping: Ping,
    /// The `tick` that first found that the pong is late.
    late: Option<Timestamp>,
    round_trip: Option<Duration>,
}

/// The latest ping that does not repeat another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Ping {
    /// It was answered, or none was sent.
    #[default]
    Answered,
    /// It was queued. No `tick` has found it written.
    Queued,
    /// A `tick` found at this moment that it was written.
    Written(Timestamp),
    /// It was written at this moment, and was answered since the last `tick`.
    AnsweredSince(Timestamp),
}

impl Liveness {
    /// The number for the payload of the next ping.
    pub(super) fn next_number(&self) -> u32 {
        match self.ping {
            Ping::Answered | Ping::AnsweredSince(_) => self.number.wrapping_add(1),
            Ping::Queued | Ping::Written(_) => self.number,
        }
    }

    /// Notes that a ping with this number was queued.
    pub(super) fn note_queued(&mut self, number: u32) {
        if number != self.number {
            self.number = number;
            self.ping = Ping::Queued;
        }
    }

    /// Notes a pong.
    pub(super) fn receive_pong(&mut self, payload: &[u8]) {
        if *payload != self.number.to_be_bytes() {
            return;
        }
        self.ping = match self.ping {
            // The round trip is not known: no `tick` came between the write of the ping and its pong.
            Ping::Queued => Ping::Answered,
            Ping::Written(at) => Ping::AnsweredSince(at),
            Ping::Answered | Ping::AnsweredSince(_) => self.ping,
        };
    }

    /// Tells the time. `is_waiting` tells that a ping is not wholly written.
    pub(super) fn observe(&mut self, now: Timestamp, is_waiting: bool) {
        match self.ping {
            Ping::Queued if !is_waiting => self.ping = Ping::Written(now),
            Ping::AnsweredSince(at) => {
                self.round_trip = Some(now.saturating_since(at));
                self.ping = Ping::Answered;
            }
            Ping::Answered | Ping::Queued | Ping::Written(_) => {}
        }
    }

    /// Returns the deadline for the pong, which is `limit` after the ping was written and not before `silent_until`.
    /// `None` if no pong is expected. The first call at or after the deadline only notes that the pong is late, since a
    /// process that was stopped must first read the bytes that have arrived.
    pub(super) fn deadline(
        &mut self,
        now: Timestamp,
        limit: Duration,
        silent_until: Timestamp,
    ) -> Deadline {
        let Ping::Written(at) = self.ping else {
            self.late = None;
            return Deadline::None;
        };
        let deadline = (at + limit).max(silent_until);
        if now < deadline {
            self.late = None;
            return Deadline::At(deadline);
        }
        let end = *self.late.get_or_insert(now) + GRACE;
        if now < end { Deadline::At(end) } else { Deadline::Passed }
    }

    /// Stops the wait for the pong. It starts again when [`deadline`](Liveness::deadline) is called.
    pub(super) fn suspend(&mut self) {
        self.late = None;
    }

    /// The round trip of the last ping that was answered.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }
}
