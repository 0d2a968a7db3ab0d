//! What time brings: the deadline of each phase, keepalive, and memory that was not used for long. The arithmetic is
//! the business of [`crate::timer`].

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

impl Connection {
    /// Tells what time it is, and returns when to call again at the latest: a moment later than `now`, from which
    /// [`saturating_since`](Timestamp::saturating_since) makes the time to wait. `None`: there is nothing to wait for.
    /// What the time brings comes out of [`poll_event`](Connection::poll_event). All timeouts, and keepalive pings,
    /// hang on this call: a program that never makes it has none. It also frees memory that was not used for
    /// [`Config::release_after`].
    ///
    /// Elapsed time alone decides, not how often this is called. The first call at or past a deadline ends nothing, and
    /// asks to be called again a millisecond later: a process that was stopped can read first what has arrived
    /// meanwhile. A later call, at least a millisecond after, ends the connection. Bytes that arrive in between defer
    /// that; on an open connection, so do bytes that the transport takes from a backlog.
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

    /// What the time runs for.
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

    /// Frees memory that was not used for [`Config::release_after`], and returns when the next is due.
    fn free_unused(&mut self, now: Timestamp) -> Option<Timestamp> {
        let after = self.config.release_after;
        let queue = self.send.free_unused(now, after);
        let message = self.recv.free_unused(now, after, self.life.timer.has_received());
        let codec = self.codec.as_mut().and_then(|codec| codec.free_unused(now, after));
        [queue, message, codec].into_iter().flatten().min()
    }

    /// Sends a ping when an `interval` of silence has passed, unless a ping is still queued. Returns when the next is
    /// due.
    fn keep_alive(&mut self, now: Timestamp, interval: Duration) -> Timestamp {
        let (due, next) = self.life.timer.ping_due(now, interval);
        if due && !self.send.has_waiting_ping() {
            // If it cannot be queued, the next interval brings another.
            let _ = self.ping(b"");
        }
        next
    }

    /// The timeout of `span` has passed.
    fn time_out(&mut self, span: Span) {
        match span {
            Span::Handshake => self.time_out_opening(),
            Span::Silence | Span::Congestion => {
                let body = CloseBody::new(CloseCode::GOING_AWAY, "idle timeout");
                self.queue_close(&body.expect("code and reason can be sent"));
                self.end(Phase::Draining, CloseCause::TimedOut(Timeout::Idle));
            }
            Span::Flush | Span::Closing if self.life.phase().state() == State::Closing => {
                self.end_without_close(CloseCause::TimedOut(Timeout::Close));
            }
            Span::Flush | Span::Closing | Span::Linger | Span::None => {
                self.send.drop_queue();
                self.go(Phase::Finished);
            }
        }
    }

    /// Frees the memory that is kept for what comes next: the queue's, if nothing is queued; a
    /// [recycled](Connection::recycle) payload; the codecs of permessage-deflate. What belongs to a message that is not
    /// complete stays, and so do the windows of permessage-deflate. [`tick`](Connection::tick) does the same after
    /// [`Config::release_after`].
    pub fn release_memory(&mut self) {
        self.send.free_memory();
        self.recv.free_memory();
        if let Some(codec) = &mut self.codec {
            codec.free_memory();
        }
    }
}
