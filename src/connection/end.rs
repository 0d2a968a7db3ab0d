//! How a connection ends: by a closing handshake (RFC 6455 7.1.2), by a failure (7.1.7), with a direction of its
//! transport. What a Close frame may say is the business of [`crate::close`]; when time ends it, of `time`.

use alloc::boxed::Box;

use super::receive::FrameState;
use super::{Connection, Ended, Phase};
use crate::assembler::Assembler;
use crate::close::CloseBody;
use crate::close_code::CloseCode;
#[cfg(doc)]
use crate::config::Config;
use crate::error::{ProtocolError, UsageError};
use crate::event::{CloseCause, Closed, Event};
use crate::frame::{FIN, Opcode};
use crate::message::Chunk;
use crate::state::{Role, State};

impl Connection {
    /// The transport has ended in the direction from the peer: a read of 0 bytes, an END_STREAM. Without a Close
    /// from the peer this is an end with code 1006 (RFC 6455 7.1.5), which [`poll_event`](Connection::poll_event)
    /// then reports. What is queued after the closing handshake is still to be written. May be called again.
    pub fn receive_eof(&mut self) {
        if self.ended.note(Ended::READ) {
            return;
        }
        match self.phase {
            // The answer to the request can still reach the peer.
            Phase::Decision => {}
            // What came before the end is received first.
            Phase::Open | Phase::Closing | Phase::WriteClosed if self.has_early() => {}
            Phase::Request
            | Phase::Response
            | Phase::Open
            | Phase::Closing
            | Phase::WriteClosed => self.end_without_close(CloseCause::TransportEnded),
            Phase::Flushing | Phase::Waiting | Phase::Draining | Phase::Finished => {}
        }
        self.refresh();
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
        if self.ended.note(Ended::WRITE) {
            return;
        }
        let is_end_unwritten = self.outgoing.has_unwritten_end();
        self.outgoing.abandon();
        match self.phase {
            Phase::Request | Phase::Decision => self.end_without_close(CloseCause::Aborted),
            Phase::Open => self.phase = Phase::WriteClosed,
            Phase::Closing if is_end_unwritten => self.phase = Phase::WriteClosed,
            // The peer is drained so that our last word reaches it, and it will not.
            Phase::Draining if is_end_unwritten => self.phase = Phase::Finished,
            Phase::Response
            | Phase::Closing
            | Phase::WriteClosed
            | Phase::Flushing
            | Phase::Waiting
            | Phase::Draining
            | Phase::Finished => {}
        }
        self.refresh();
    }

    /// The transport cannot be read any more, or the caller gives it up. The connection is finished at once: nothing
    /// more is written or read. For a write that fails, call [`write_closed`](Connection::write_closed) instead.
    /// Without a closing handshake before, [`poll_event`](Connection::poll_event) then reports an end with code 1006.
    /// May be called again.
    pub fn abort(&mut self) {
        match self.phase.state() {
            State::Connecting | State::Open | State::Closing => {
                self.end_without_close(CloseCause::Aborted);
            }
            State::Closed => {
                self.outgoing.abandon();
                self.phase = Phase::Finished;
            }
        }
        self.refresh();
    }

    /// Ends the connection and its transport; `poll_event` reports it. If a refusal of the server is being read, the
    /// refusal is the cause.
    pub(super) fn end_without_close(&mut self, cause: CloseCause) {
        let cause = match self.refusal_so_far() {
            Some(error) => CloseCause::Protocol(error.into()),
            None => cause,
        };
        self.outgoing.abandon();
        self.end_pending(Phase::Finished, cause);
    }

    /// The connection is closed, without a Close of the peer; `poll_event` reports it.
    pub(super) fn end_pending(&mut self, phase: Phase, cause: CloseCause) {
        self.end(phase);
        self.rare().pending = Some(Closed::abnormal(cause));
    }

    /// The connection is closed; what was being received is dropped.
    pub(super) fn end(&mut self, phase: Phase) {
        self.phase = phase;
        self.message = Assembler::default();
        self.frame = FrameState::default();
        self.outgoing.sending = None;
        self.rare = None;
        #[cfg(feature = "deflate")]
        {
            self.codec = None;
        }
    }

    /// RFC 6455 7.1.7: fails the connection for what the peer did, with a Close frame if it was established.
    #[cold]
    pub(super) fn fail(&mut self, error: ProtocolError) -> Event<'static> {
        Event::Closed(self.end_failed(error))
    }

    /// The same, where `chunk` was received before: it comes first, and the end out of `poll_event`.
    #[cold]
    pub(super) fn fail_after<'a>(
        &mut self,
        chunk: Option<Chunk<'a>>,
        error: ProtocolError,
    ) -> Event<'a> {
        let closed = self.end_failed(error);
        match chunk {
            None => Event::Closed(closed),
            Some(chunk) => {
                self.rare().pending = Some(closed);
                Event::Chunk(chunk)
            }
        }
    }

    fn end_failed(&mut self, error: ProtocolError) -> Box<Closed> {
        if let (Phase::Open, Some(code)) = (self.phase, error.close_code()) {
            self.queue_close(&CloseBody::new(code, "").expect("the codes of errors can be sent"));
        }
        self.end(Phase::Draining);
        Closed::abnormal(CloseCause::Protocol(error))
    }

    /// Queues a Close frame after all that is queued, unless nothing can be written any more. RFC 6455 5.5.1: no data
    /// follows it.
    pub(super) fn queue_close(&mut self, body: &CloseBody) {
        if self.ended.write() {
            return;
        }
        let key = match self.role {
            Role::Client => Some(self.close_key),
            Role::Server => None,
        };
        self.outgoing.push(FIN | Opcode::Close as u8, body.as_bytes(), key);
        self.outgoing.sending = None;
        self.outgoing.note_end();
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
        if !code.is_sendable_by(self.role) {
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
        match self.phase {
            Phase::Request | Phase::Response => self.end_without_close(CloseCause::Aborted),
            Phase::Decision => self.answer_by(503, CloseCause::Aborted),
            Phase::Open => {
                self.queue_close(body);
                self.phase = Phase::Closing;
            }
            Phase::Closing
            | Phase::WriteClosed
            | Phase::Flushing
            | Phase::Waiting
            | Phase::Draining
            | Phase::Finished => {}
        }
        self.refresh();
    }
}
