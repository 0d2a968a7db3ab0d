//! How a connection ends: by a closing handshake (RFC 6455 7.1.2), by a failure (7.1.7), with a direction of its
//! transport. What a Close frame may say is the business of [`crate::close`]; when time ends it, of `time`.

use super::{Connection, Phase, compressor};
use crate::close::CloseBody;
use crate::close_code::CloseCode;
#[cfg(doc)]
use crate::config::Config;
use crate::error::UsageError;
use crate::event::{CloseCause, Closed, Event};
use crate::message::Chunk;
use crate::state::State;

impl Connection {
    /// The transport has ended in the direction from the peer: a read of 0 bytes, an END_STREAM. Without a Close
    /// from the peer this is an end with code 1006 (RFC 6455 7.1.5), which [`poll_event`](Connection::poll_event)
    /// then reports. What is queued after the closing handshake is still to be written. May be called again.
    pub fn receive_eof(&mut self) {
        if self.life.has_read_end() {
            return;
        }
        self.life.end_read();
        match self.life.phase() {
            // The answer to the request can still reach the peer.
            Phase::Decision => {}
            // What came before the end is received first.
            Phase::Open | Phase::Closing | Phase::WriteClosed if self.life.has_early_bytes() => {}
            Phase::Request
            | Phase::Response
            | Phase::Open
            | Phase::Closing
            | Phase::WriteClosed => self.end_without_close(CloseCause::TransportEnded),
            Phase::Flushing | Phase::AwaitingEnd | Phase::Draining | Phase::Finished => {}
        }
    }

    /// The write side of the transport is over: a write has failed, or the shutdown that
    /// [`wants_shutdown`](Connection::wants_shutdown) asked for was done. What is queued is dropped; the
    /// [buffered amount](Connection::buffered_amount) stays as it is. May be called again.
    ///
    /// A transport that fails for writing may still deliver what the peer said last. So if our Close was not written
    /// before, the connection is closing from now on: messages are received, [`send`](Connection::send) gives
    /// [`UsageError::NotOpen`], and the peer's Close, if it comes within [`Config::close_timeout`], gives its code,
    /// with [`CloseCause::Peer`]. A client still receives the response to its request. A server that has not
    /// answered its request is finished at once, with [`CloseCause::Aborted`]. So is a connection that has failed, or was
    /// answered by a response, if that could not be written; its cause was told before.
    pub fn write_closed(&mut self) {
        if self.life.has_write_end() {
            return;
        }
        self.life.end_write();
        let is_end_unwritten = self.send.has_unwritten_end();
        self.send.drop_queue();
        match self.life.phase() {
            Phase::Request | Phase::Decision => self.end_without_close(CloseCause::Aborted),
            Phase::Open => self.go(Phase::WriteClosed),
            Phase::Closing if is_end_unwritten => self.go(Phase::WriteClosed),
            // The peer is drained so that our last word reaches it, and it will not.
            Phase::Draining if is_end_unwritten => self.go(Phase::Finished),
            Phase::Response
            | Phase::Closing
            | Phase::WriteClosed
            | Phase::Flushing
            | Phase::AwaitingEnd
            | Phase::Draining
            | Phase::Finished => {}
        }
    }

    /// The transport cannot be read any more, or the caller gives it up. The connection is finished at once: nothing
    /// more is written or read. For a write that fails, call [`write_closed`](Connection::write_closed) instead.
    /// Without a closing handshake before, [`poll_event`](Connection::poll_event) then reports an end with code 1006.
    /// May be called again.
    pub fn abort(&mut self) {
        match self.life.phase().state() {
            State::Connecting | State::Open | State::Closing => {
                self.end_without_close(CloseCause::Aborted);
            }
            State::Closed => {
                self.send.drop_queue();
                self.go(Phase::Finished);
            }
        }
    }

    /// Ends the connection and its transport. If the server's refusal is being read, that is the cause instead.
    pub(super) fn end_without_close(&mut self, cause: CloseCause) {
        let cause = match self.refusal_so_far() {
            Some(error) => CloseCause::Protocol(error.into()),
            None => cause,
        };
        self.send.drop_queue();
        self.end(Phase::Finished, cause);
    }

    /// Ends the connection without a Close from the peer; [`poll_event`](Connection::poll_event) reports it.
    pub(super) fn end(&mut self, to: Phase, cause: CloseCause) {
        self.go(to);
        self.life.set_closed(Closed::abnormal(cause));
    }

    /// Fails the connection (RFC 6455 7.1.7): with a Close frame, if it was open. `chunk` was received before, and comes
    /// first; [`poll_event`](Connection::poll_event) then reports the end. Only this function fails a connection.
    #[cold]
    pub(super) fn fail<'a>(&mut self, cause: CloseCause, chunk: Option<Chunk<'a>>) -> Event<'a> {
        if let (Phase::Open, Some(code)) = (self.life.phase(), close_code(&cause)) {
            self.queue_close(&CloseBody::new(code, "").expect("the codes of failures can be sent"));
        }
        self.go(Phase::Draining);
        let closed = Closed::abnormal(cause);
        match chunk {
            None => Event::Closed(closed),
            Some(chunk) => {
                self.life.set_closed(closed);
                Event::Chunk(chunk)
            }
        }
    }

    /// Queues a Close frame behind all that is queued, unless nothing can be written any more.
    pub(super) fn queue_close(&mut self, body: &CloseBody) {
        if !self.life.has_write_end() {
            self.send.send_close(body, compressor(&mut self.codec));
        }
    }

    /// Starts the closing handshake with a code and a reason of at most 123 bytes (RFC 6455 7.1.2). Messages that were
    /// sent before go out first; messages of the peer still arrive. A request that waits for a decision is answered by
    /// 503; before that, and on a client that is not open yet, there is nobody to tell: the connection ends with
    /// [`CloseCause::Aborted`]. When it is closing or closed already, nothing happens.
    ///
    /// # Errors
    ///
    /// [`UsageError::CloseCodeNotSendable`] and [`UsageError::CloseReasonTooLong`], whatever the state. A server does
    /// not send 1010 (RFC 6455 7.4.1).
    pub fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), UsageError> {
        let code = code.into();
        let body = CloseBody::new(code, reason)?;
        if !code.is_sendable_by(self.role()) {
            return Err(UsageError::CloseCodeNotSendable(code));
        }
        self.start_close(&body);
        Ok(())
    }

    /// Starts the closing handshake without a code, which the peer sees as 1005 (RFC 6455 7.1.5); otherwise like
    /// [`close`](Connection::close).
    pub fn close_without_code(&mut self) {
        self.start_close(&CloseBody::EMPTY);
    }

    fn start_close(&mut self, body: &CloseBody) {
        match self.life.phase() {
            Phase::Request | Phase::Response => self.end_without_close(CloseCause::Aborted),
            Phase::Decision => self.answer_by(503, CloseCause::Aborted),
            Phase::Open => {
                self.queue_close(body);
                self.go(Phase::Closing);
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

/// The code of the Close frame with which a connection fails for this cause.
fn close_code(cause: &CloseCause) -> Option<CloseCode> {
    match cause {
        CloseCause::Protocol(error) => error.close_code(),
        // An automatic reply has no masking key. The key of our Close was drawn before.
        CloseCause::Entropy(_) => Some(CloseCode::GOING_AWAY),
        CloseCause::Peer
        | CloseCause::Local
        | CloseCause::Rejected
        | CloseCause::TransportEnded
        | CloseCause::Aborted
        | CloseCause::TimedOut(_) => None,
    }
}
