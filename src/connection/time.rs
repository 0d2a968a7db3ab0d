//! What a connection does when time passes: it ends at a deadline, sends keepalive pings, and frees unused memory.
//! [`crate::timer`] computes the deadlines.

use core::time::Duration;

use super::{Connection, Phase};
use crate::close::CloseBody;
use crate::close_code::CloseCode;
#[cfg(doc)]
use crate::config::Config;
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
            Span::Flush | Span::Closing | Span::Linger => self.config.close_timeout,
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
                Some(self.keep_alive(now, interval))
            }
            _ => None,
        };
        [memory, deadline, ping].into_iter().flatten().min()
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
    fn keep_alive(&mut self, now: Timestamp, interval: Duration) -> Timestamp {
        let (due, next) = self.life.timer.ping_due(now, interval);
        if due && !self.send.has_waiting_ping() {
            // If the ping cannot be queued, the next interval tries again.
            let _ = self.ping(b"");
        }
        next
    }

    /// Ends the connection, or drops its queue, because the timeout of `span` has passed.
    fn time_out(&mut self, span: Span) {
        match span {
            Span::Handshake => self.time_out_opening(),
            Span::Silence | Span::Congestion => {
                let body = CloseBody::new(CloseCode::GOING_AWAY, "idle timeout")
                    .expect("code and reason can be sent");
                let closed = self.fail_with(CloseCause::TimedOut(Timeout::Idle), Some(&body));
                self.life.set_closed(closed);
            }
            Span::Flush | Span::Closing if self.life.phase().state() == State::Closing => {
                self.end_without_close(CloseCause::TimedOut(Timeout::Close));
                self.life.give_up();
            }
            Span::Flush | Span::Closing | Span::Linger | Span::None => {
                self.send.drop_queue();
                self.enter_phase(Phase::Finished);
                self.life.give_up();
            }
        }
    }
}
