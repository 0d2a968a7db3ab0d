//! What a connection does when time passes: it ends at a deadline, sends keepalive pings, and frees unused memory.
//! [`crate::timer`] computes the deadlines.

use core::time::Duration;

use super::{Connection, Phase};
use crate::close::CloseBody;
use crate::close_code::CloseCode;
#[cfg(doc)]
use crate::config::Config;
use crate::error::UsageError;
use crate::event::{CloseCause, Timeout};
use crate::state::State;
use crate::timer::{Deadline, Span};
use crate::timestamp::Timestamp;

/// # Tell the time
impl Connection {
    /// Tells the time, and returns the latest moment for the next call. This moment is later than `now`;
    /// [`saturating_since`](Timestamp::saturating_since) gives the time to wait. `None` means that no call is needed.
    /// [`poll_event`](Connection::poll_event) then returns the event of a timeout. Timeouts and keepalive pings happen
    /// only in this call: a program that never calls it has neither. It also frees memory that was not used for
    /// [`Config::release_after`].
    ///
    /// Only elapsed time decides, not the number of calls. The first call at or after a deadline does not end the
    /// connection. It returns a moment one millisecond later, so that a process that was stopped can first read the
    /// bytes that have arrived. A call at that moment or later ends the connection. Bytes that are received between the
    /// two calls defer the end. On an open connection, bytes that the transport takes from a backlog defer it too.
    #[doc(alias("handle_timeout", "poll_timeout"))]
    pub fn tick(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.is_finished() {
            self.release_memory();
            return None;
        }
        let memory = self.free_unused(now);
        let span = self.span();
        let limit = match span {
            Span::Handshake => self.config.handshake_timeout,
            Span::Silence | Span::Congestion => self.config.idle_timeout,
            Span::Answer | Span::Flush | Span::Closing | Span::Linger => self.config.close_timeout,
            Span::None => None,
        };
        let deadline = match self.life.timer.observe(now, span, limit) {
            Deadline::None => None,
            Deadline::At(deadline) => Some(deadline),
            Deadline::Passed => {
                self.time_out(span);
                return self.tick(now);
            }
        };
        let ping = match (self.life.phase(), self.config.keepalive_interval) {
            (Phase::Open, Some(interval)) if !self.life.timer.is_late() => {
                match self.life.liveness() {
                    None => Some(self.keep_alive(now, interval)),
                    Some(_) => match self.keep_numbered_alive(now, span, interval) {
                        None => return self.tick(now),
                        next => next,
                    },
                }
            }
            _ => None,
        };
        [memory, deadline, ping].into_iter().flatten().min()
    }

    /// Returns the round-trip time of the last pong that answers one of our keepalive pings: from the first
    /// [`tick`](Connection::tick) after the ping was written to the first one after the pong was received. `None` if
    /// there was no such pong, or if neither [`Config::measure_round_trip`] nor [`Config::pong_timeout`] is set.
    ///
    /// ```
    /// use core::time::Duration;
    /// use websocket_proto::{Config, Connection, Role, Timestamp};
    ///
    /// let config = Config::builder()
    ///     .keepalive_interval(Duration::from_secs(20))
    ///     .measure_round_trip(true)
    ///     .build()?;
    /// let mut conn = Connection::from_upgrade(Role::Client, config)?;
    /// conn.tick(Timestamp::from_millis(0));
    /// conn.tick(Timestamp::from_millis(20_000)); // queues a ping
    /// conn.advance(conn.outgoing().len()); // written
    /// conn.tick(Timestamp::from_millis(20_000));
    /// let mut pong = *b"\x8a\x04\x00\x00\x00\x01";
    /// let _ = conn.receive(&mut &mut pong[..]);
    /// conn.tick(Timestamp::from_millis(20_035));
    /// assert_eq!(conn.round_trip_time(), Some(Duration::from_millis(35)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[doc(alias("rtt", "latency"))]
    pub fn round_trip_time(&self) -> Option<Duration> {
        self.life.liveness()?.round_trip()
    }

    /// Frees memory that serves only further messages: the queue's buffer if nothing is queued, a
    /// [recycled](Connection::recycle) payload, the codecs of permessage-deflate. The memory of an unfinished message
    /// stays, and so do the windows of permessage-deflate. [`tick`](Connection::tick) does the same after
    /// [`Config::release_after`].
    pub fn release_memory(&mut self) {
        self.send.free_memory();
        self.recv.free_memory();
        if let Some(codec) = &mut self.codec {
            codec.free_memory();
        }
    }

    /// Returns the period that the timer measures in this phase.
    fn span(&self) -> Span {
        match self.life.phase() {
            Phase::Request | Phase::Decision | Phase::Response => Span::Handshake,
            Phase::Open if self.send.is_congested() => Span::Congestion,
            Phase::Open => Span::Silence,
            Phase::Answering => Span::Answer,
            _ if self.send.has_unwritten_end() => Span::Flush,
            Phase::Closing | Phase::WriteClosed => Span::Closing,
            Phase::Flushing | Phase::AwaitingEnd | Phase::Draining => Span::Linger,
            Phase::Finished => Span::None,
        }
    }

    /// Frees memory that was not used for [`Config::release_after`]. Returns when other memory is due to be freed.
    fn free_unused(&mut self, now: Timestamp) -> Option<Timestamp> {
        let after = self.config.release_after;
        let queue = self.send.free_unused(now, after);
        let message = self.recv.free_unused(now, after, self.life.timer.has_received());
        let codec = self.codec.as_mut().and_then(|codec| codec.free_unused(now, after));
        [queue, message, codec].into_iter().flatten().min()
    }

    /// Sends a ping if an `interval` of silence has passed, unless a ping is still queued. Returns when the next ping
    /// is due.
    #[inline(always)]
    fn keep_alive(&mut self, now: Timestamp, interval: Duration) -> Timestamp {
        let (due, next) = self.life.timer.ping_due(now, interval);
        if due && !self.send.has_waiting_ping() {
            // If the ping cannot be queued, the next interval tries again.
            let _ = self.send_keepalive();
        }
        next
    }

    /// Queues a keepalive ping. It has a number only if its pong is waited for or measured.
    #[cold]
    fn send_keepalive(&mut self) -> Result<(), UsageError> {
        if !self.config.measure_round_trip && self.config.pong_timeout.is_none() {
            return self.ping(b"");
        }
        let number = self.life.begin_liveness().next_number();
        self.ping(&number.to_be_bytes())?;
        self.life.begin_liveness().note_queued(number);
        Ok(())
    }

    /// The same as [`keep_alive`](Connection::keep_alive) if the pongs are waited for or measured. Returns when the
    /// next ping is due or the pong is late. `None` if the pong is late, and the connection has failed.
    #[cold]
    fn keep_numbered_alive(
        &mut self,
        now: Timestamp,
        span: Span,
        interval: Duration,
    ) -> Option<Timestamp> {
        match self.watch_pong(now, span) {
            Deadline::None => Some(self.keep_alive(now, interval)),
            Deadline::At(deadline) => Some(self.keep_alive(now, interval).min(deadline)),
            Deadline::Passed => {
                self.fail_silent(Timeout::Pong, "pong timeout");
                None
            }
        }
    }

    /// Tells the keepalive pings the time, and returns the deadline for the pong.
    fn watch_pong(&mut self, now: Timestamp, span: Span) -> Deadline {
        let is_waiting = self.send.has_waiting_ping();
        let limit = self.config.pong_timeout;
        let silent_until = limit.map(|limit| self.life.timer.deadline(now, limit));
        let Some(liveness) = self.life.liveness_mut() else { return Deadline::None };
        liveness.observe(now, is_waiting);
        match (limit, silent_until, span) {
            (Some(limit), Some(silent_until), Span::Silence) => {
                liveness.deadline(now, limit, silent_until)
            }
            // While the connection is congested, the caller may have stopped reading.
            _ => {
                liveness.suspend();
                Deadline::None
            }
        }
    }

    /// Fails an open connection whose peer is silent.
    fn fail_silent(&mut self, timeout: Timeout, reason: &str) {
        let body =
            CloseBody::new(CloseCode::GOING_AWAY, reason).expect("code and reason can be sent");
        let closed = self.fail_with(CloseCause::TimedOut(timeout), Some(&body));
        self.life.set_closed(closed);
    }

    /// Ends the connection, or drops its queue, because the timeout of `span` has passed.
    fn time_out(&mut self, span: Span) {
        match span {
            Span::Handshake => self.time_out_opening(),
            Span::Silence | Span::Congestion => self.fail_silent(Timeout::Idle, "idle timeout"),
            // RFC 6455 5.5.1: the peer's Close is answered as soon as is practical.
            Span::Answer => {
                let code = self.life.unanswered_code().expect("it is stored in `Answering`");
                self.answer_close(&CloseBody::answer_to(code));
            }
            Span::Flush | Span::Closing if self.life.phase().state() == State::Closing => {
                self.end_without_close(CloseCause::TimedOut(Timeout::Close));
                self.life.give_up();
            }
            Span::Flush | Span::Closing | Span::Linger | Span::None => {
                // Behind a complete closing handshake the end is an orderly one, although the peer does not end.
                let is_orderly = span == Span::Linger && self.life.phase() != Phase::Draining;
                self.send.drop_queue();
                self.enter_phase(Phase::Finished);
                if !is_orderly {
                    self.life.give_up();
                }
            }
        }
    }
}
