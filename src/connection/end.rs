//! How a connection ends: by a closing handshake (RFC 6455 7.1.2), by a failure (7.1.7), or when a direction of its
//! transport ends. [`crate::close`] has the rules for the body of a Close frame, and `time` has the timeouts.

use super::{Connection, Phase, compressor};
use crate::close::CloseBody;
use crate::close_code::CloseCode;
#[cfg(doc)]
use crate::config::Config;
use crate::error::UsageError;
use crate::event::{CloseCause, Closed, Event};
use crate::message::Chunk;
use crate::state::{Role, State};

/// # Close, and end the transport
impl Connection {
    /// Starts the closing handshake with a code and a reason of at most 123 bytes (RFC 6455 7.1.2). Messages that were
    /// sent before are written first, and messages of the peer still arrive. A connection that is not open yet ends
    /// with [`CloseCause::Aborted`] instead. A server whose request is not answered yet answers it with 503. If the
    /// connection is closing or closed, nothing happens.
    ///
    /// # Errors
    ///
    /// [`UsageError::CloseCodeNotSendable`] and [`UsageError::CloseReasonTooLong`], in every state. A server cannot
    /// send 1010 (RFC 6455 7.4.1).
    #[doc(alias("start_closing"))]
    pub fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), UsageError> {
        let code = code.into();
        let body = CloseBody::new(code, reason)?;
        if !code.is_sendable_by(self.role()) {
            return Err(UsageError::CloseCodeNotSendable(code));
        }
        self.start_close(&body);
        Ok(())
    }

    /// Starts the closing handshake with an empty Close frame, which the peer reports as code 1005 (RFC 6455 7.1.5).
    /// Apart from that it does the same as [`close`](Connection::close).
    pub fn close_without_code(&mut self) {
        self.start_close(&CloseBody::EMPTY);
    }

    /// Tells that the peer has ended its direction of the transport: a read of 0 bytes, an END_STREAM. If the peer has
    /// not sent a Close, the connection ends with code 1006 (RFC 6455 7.1.5), and
    /// [`poll_event`](Connection::poll_event) returns [`Event::Closed`]. A server that has not answered its request
    /// ends after the answer, and after the messages that the client sent with its request. If the closing handshake is
    /// done, the queued bytes must still be written. A second call does nothing.
    #[doc(alias("receive_end"))]
    pub fn receive_eof(&mut self) {
        if self.life.has_read_end() {
            return;
        }
        self.life.end_read();
        match self.life.phase() {
            // The peer may still read a response that rejects its request.
            Phase::Decision => {}
            // The buffered bytes came before the end, so they are received first.
            Phase::Open | Phase::Closing | Phase::WriteClosed if self.life.has_early_bytes() => {}
            Phase::Request
            | Phase::Response
            | Phase::Open
            | Phase::Closing
            | Phase::WriteClosed => self.end_without_close(CloseCause::TransportEnded),
            Phase::Flushing | Phase::AwaitingEnd | Phase::Draining | Phase::Finished => {}
        }
    }

    /// Returns whether the write side of the transport should be shut down now: a half-close, with TLS a close_notify,
    /// with HTTP/2 an END_STREAM. The peer then receives all bytes and the end of the transport, and its own bytes can
    /// still be read. This is false while bytes are outgoing. Call [`write_closed`](Connection::write_closed) when the
    /// shutdown is done or has failed; until then this stays true.
    #[must_use]
    pub fn wants_shutdown(&self) -> bool {
        if self.life.has_write_end() || self.send.len() > 0 {
            return false;
        }
        match self.life.phase() {
            // RFC 6455 7.1.1: the server ends its side first, and the client ends its side after that.
            Phase::Draining => self.role() == Role::Server || self.is_finished(),
            Phase::AwaitingEnd | Phase::Flushing | Phase::Finished => self.is_finished(),
            Phase::Request
            | Phase::Decision
            | Phase::Response
            | Phase::Open
            | Phase::Closing
            | Phase::WriteClosed => false,
        }
    }

    /// Tells that the write side of the transport has ended: a write has failed, or the caller has done the shutdown
    /// that [`wants_shutdown`](Connection::wants_shutdown) asks for. The queue is dropped; the [buffered
    /// amount](Connection::buffered_amount) stays as it is. A second call does nothing.
    ///
    /// A transport that cannot be written may still deliver the peer's Close. So a connection whose Close was not
    /// written does not end here: its state becomes [`State::Closing`]. Messages are still received, and
    /// [`send`](Connection::send) returns [`UsageError::NotOpen`]. If the peer's Close arrives within
    /// [`Config::close_timeout`], its code is reported with [`CloseCause::Peer`].
    ///
    /// A client that waits for the response to its request still receives it. A server that has not answered its
    /// request is finished at once, with [`CloseCause::Aborted`]. A connection that has failed or was rejected is
    /// finished at once if its Close or response was not written.
    pub fn write_closed(&mut self) {
        if self.life.has_write_end() {
            return;
        }
        self.life.end_write();
        let is_end_unwritten = self.send.has_unwritten_end();
        self.send.drop_queue();
        match self.life.phase() {
            Phase::Request | Phase::Decision => self.end_without_close(CloseCause::Aborted),
            Phase::Open => self.enter_phase(Phase::WriteClosed),
            Phase::Closing if is_end_unwritten => self.enter_phase(Phase::WriteClosed),
            // Draining serves only to deliver our Close or response, which cannot be written any more.
            Phase::Draining if is_end_unwritten => self.enter_phase(Phase::Finished),
            Phase::Response
            | Phase::Closing
            | Phase::WriteClosed
            | Phase::Flushing
            | Phase::AwaitingEnd
            | Phase::Draining
            | Phase::Finished => {}
        }
    }

    /// Finishes the connection at once, because the transport cannot be read any more, or because the caller gives it
    /// up. Nothing more is written or read. If a write fails, call [`write_closed`](Connection::write_closed) instead.
    /// If [`Event::Closed`] was not reported before and no Close was received, [`poll_event`](Connection::poll_event)
    /// returns it with code 1006. A second call does nothing.
    pub fn abort(&mut self) {
        match self.life.phase().state() {
            State::Connecting | State::Open | State::Closing => {
                self.end_without_close(CloseCause::Aborted);
            }
            State::Closed => {
                self.send.drop_queue();
                self.enter_phase(Phase::Finished);
            }
        }
    }

    /// Returns whether the transport can be dropped. If it is true, [`Event::Closed`] was returned already, or
    /// [`poll_event`](Connection::poll_event) returns it.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match self.life.phase() {
            Phase::Finished => true,
            Phase::Flushing => self.send.len() == 0,
            // The peer has ended its side, but it may still read.
            Phase::AwaitingEnd | Phase::Draining => {
                self.life.has_read_end() && self.send.len() == 0
            }
            Phase::Request
            | Phase::Decision
            | Phase::Response
            | Phase::Open
            | Phase::Closing
            | Phase::WriteClosed => false,
        }
    }

    /// Finishes the connection without a Close from the peer. If a client is reading the server's refusal, the refusal
    /// is the cause instead of `cause`.
    pub(super) fn end_without_close(&mut self, cause: CloseCause) {
        let cause = match self.refusal_so_far() {
            Some(error) => CloseCause::Protocol(error.into()),
            None => cause,
        };
        self.send.drop_queue();
        self.end(Phase::Finished, cause);
    }

    /// Ends the connection without a Close from the peer. [`poll_event`](Connection::poll_event) returns
    /// [`Event::Closed`].
    pub(super) fn end(&mut self, to: Phase, cause: CloseCause) {
        self.enter_phase(to);
        self.life.set_closed(Closed::abnormal(cause));
    }

    /// Fails the connection (RFC 6455 7.1.7). If the connection was open and the cause has a close code, a Close frame
    /// is queued. A client that got no valid 101 ends by `end_without_close` instead. A `chunk` that was received
    /// before the fault is returned first; [`poll_event`](Connection::poll_event) then returns [`Event::Closed`].
    #[cold]
    pub(super) fn fail<'a>(&mut self, cause: CloseCause, chunk: Option<Chunk<'a>>) -> Event<'a> {
        if let (Phase::Open, Some(code)) = (self.life.phase(), failure_code(&cause)) {
            self.queue_close(&CloseBody::new(code, "").expect("the codes of failures can be sent"));
        }
        self.enter_phase(Phase::Draining);
        let closed = Closed::abnormal(cause);
        match chunk {
            None => Event::Closed(closed),
            Some(chunk) => {
                self.life.set_closed(closed);
                Event::Chunk(chunk)
            }
        }
    }

    /// Queues a Close frame at the end of the queue, unless the write side has ended.
    pub(super) fn queue_close(&mut self, body: &CloseBody) {
        if !self.life.has_write_end() {
            self.send.send_close(body, compressor(&mut self.codec));
        }
    }

    fn start_close(&mut self, body: &CloseBody) {
        match self.life.phase() {
            Phase::Request | Phase::Response => self.end_without_close(CloseCause::Aborted),
            Phase::Decision => self.answer_with_status(503, CloseCause::Aborted),
            Phase::Open => {
                self.queue_close(body);
                self.enter_phase(Phase::Closing);
            }
            Phase::Closing
            | Phase::WriteClosed
            | Phase::Flushing
            | Phase::AwaitingEnd
            | Phase::Draining
            | Phase::Finished => {}
        }
    }
}

/// The code of the Close frame that a connection sends when it fails with this cause.
fn failure_code(cause: &CloseCause) -> Option<CloseCode> {
    match cause {
        CloseCause::Protocol(error) => error.close_code(),
        // There was no masking key for a pong. The key of our Close was drawn when the connection was made.
        CloseCause::Entropy(_) => Some(CloseCode::GOING_AWAY),
        CloseCause::Peer
        | CloseCause::Local
        | CloseCause::Rejected
        | CloseCause::TransportEnded
        | CloseCause::Aborted
        | CloseCause::TimedOut(_) => None,
    }
}
