//! How a connection ends: by a closing handshake (RFC 6455 7.1.2), by a failure (7.1.7), or when a direction of its
//! transport ends. [`crate::close`] has the rules for the body of a Close frame, and `time` has the timeouts.

use super::{Connection, Phase, compressor};
use crate::close::CloseBody;
use crate::close_code::CloseCode;
#[cfg(doc)]
use crate::config::Config;
use crate::error::UsageError;
use crate::event::{CloseCause, Closed, Event, SentClose};
use crate::state::Role;
#[cfg(doc)]
use crate::state::State;

/// # Close, and end the transport
impl Connection {
    /// Starts the closing handshake with a code and a reason of at most 123 bytes (RFC 6455 7.1.2). Messages that were
    /// sent before are written first, and messages of the peer still arrive. If a frame is
    /// [unfinished](Connection::unfinished_frame), the Close waits for the rest of its payload. A connection that is
    /// not open yet ends with [`CloseCause::Aborted`] instead. A server whose request is not answered yet answers it
    /// with 503. If the connection is closing or closed, nothing happens.
    ///
    /// After [`Event::CloseReceived`] this is the answer to the peer's Close (RFC 6455 5.5.1). The connection is then
    /// closed, and [`poll_event`](Connection::poll_event) returns [`Event::Closed`]. A message whose last fragment was
    /// not sent stays incomplete.
    ///
    /// # Errors
    ///
    /// [`UsageError::CloseCodeNotSendable`] and [`UsageError::CloseReasonTooLong`], in every state. A server cannot
    /// send 1010 (RFC 6455 7.4.1).
    #[doc(alias("start_closing"))]
    pub fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), UsageError> {
        let body = self.close_body(code.into(), reason)?;
        self.start_close(&body);
        Ok(())
    }

    /// Starts the closing handshake with an empty Close frame, which the peer reports as code 1005 (RFC 6455 7.1.5).
    /// Apart from that it does the same as [`close`](Connection::close).
    pub fn close_without_code(&mut self) {
        self.start_close(&CloseBody::EMPTY);
    }

    /// Fails the connection with a code and reason of the caller's (RFC 6455 7.1.7), as a mistake of the peer does: for
    /// messages that break the rules of a subprotocol, for a peer that exceeds a quota. A Close with this code and a
    /// reason of at most 123 bytes is queued behind the messages that were sent before, unless a Close was queued
    /// before. If a frame is [unfinished](Connection::unfinished_frame), no Close is sent, since it cannot cut the
    /// frame. What the peer sends from now on is read and dropped, its Close included.
    /// [`poll_event`](Connection::poll_event) returns [`Event::Closed`] with [`CloseCause::Failed`] and code 1006. Go
    /// on with the loop until [`is_finished`](Connection::is_finished): the Close must be written, and the transport
    /// read to its end.
    ///
    /// Before the connection is open, there is no Close frame. A server whose request is not answered yet answers it
    /// with 503; [`respond`](Connection::respond) takes another status. Any other connection that is not open yet is
    /// finished at once. If the connection is closed, nothing happens.
    ///
    /// After [`Event::CloseReceived`] there is nothing left to fail, and this is the same as
    /// [`close`](Connection::close): the answer to the peer's Close. If a frame is unfinished, there is no answer,
    /// since the rest of the frame will not come.
    ///
    /// [`close`](Connection::close) is the friendly way: it delivers what the peer sends until its own Close.
    ///
    /// ```
    /// use websocket_proto::{CloseCause, CloseCode, Config, Connection, Event, Role};
    ///
    /// let mut conn = Connection::from_upgrade(Role::Server, Config::default())?;
    /// conn.fail(CloseCode::POLICY_VIOLATION, "too many subscriptions")?;
    /// assert!(conn.outgoing().starts_with(b"\x88\x18\x03\xf0too many"));
    /// let Some(Event::Closed(closed)) = conn.poll_event() else { panic!() };
    /// assert_eq!((closed.code(), closed.cause()), (CloseCode::ABNORMAL, &CloseCause::Failed));
    /// assert!(conn.wants_read() && !conn.is_finished()); // to drain the transport
    /// # Ok::<(), websocket_proto::UsageError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`close`](Connection::close).
    pub fn fail(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), UsageError> {
        let body = self.close_body(code.into(), reason)?;
        match self.life.phase() {
            Phase::Request | Phase::Response => self.end_without_close(CloseCause::Failed),
            Phase::Decision => self.answer_with_status(503, CloseCause::Failed),
            Phase::Open | Phase::Closing | Phase::WriteClosed => {
                let closed = self.fail_with(CloseCause::Failed, Some(&body));
                self.life.set_closed(closed);
            }
            // A Close cannot cut a frame, and the caller will not send the rest.
            Phase::Answering if self.send.has_open_frame() => {
                self.end_unanswered(self.after_both_closes());
            }
            Phase::Answering => self.answer_close(&body),
            Phase::Flushing | Phase::AwaitingEnd | Phase::Draining | Phase::Finished => {}
        }
        Ok(())
    }

    /// Tells that the peer has ended its direction of the transport: a read of 0 bytes, an END_STREAM. If the peer has
    /// not sent a Close, the connection ends with code 1006 (RFC 6455 7.1.5), and
    /// [`poll_event`](Connection::poll_event) returns [`Event::Closed`]. A server that has not answered its request
    /// ends after the answer, and after the messages that the client sent with its request. If the peer's Close has
    /// arrived, the queued bytes must still be written, and [`Event::CloseReceived`] can still be answered. A second
    /// call does nothing.
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
            // The peer's Close has arrived. The peer may still read.
            Phase::Answering
            | Phase::Flushing
            | Phase::AwaitingEnd
            | Phase::Draining
            | Phase::Finished => {}
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
            | Phase::Answering
            | Phase::Closing
            | Phase::WriteClosed => false,
        }
    }

    /// Returns whether the transport should be reset, because it was given up: by [`abort`](Connection::abort), or by a
    /// [`Config::close_timeout`] that has passed before the closing handshake was complete. The connection is then
    /// finished. HTTP/2 sends RST_STREAM with CANCEL (RFC 8441 5), HTTP/3 resets both directions with
    /// H3_REQUEST_CANCELLED (RFC 9220 3). The peer must not take the end for an orderly one: a frame may be cut. Ask
    /// this before [`wants_shutdown`](Connection::wants_shutdown), which is true as well if the write side has not
    /// ended.
    ///
    /// A loop on TCP does not need this. It drops the socket.
    ///
    /// ```
    /// use websocket_proto::{Config, Connection, Role};
    ///
    /// let mut conn = Connection::from_upgrade(Role::Server, Config::default())?;
    /// conn.abort(); // the stream was reset
    /// let answer = match () {
    ///     () if conn.wants_reset() => "RST_STREAM(CANCEL)",
    ///     () if conn.wants_shutdown() => "END_STREAM",
    ///     () => "nothing",
    /// };
    /// assert_eq!(answer, "RST_STREAM(CANCEL)");
    /// # Ok::<(), websocket_proto::UsageError>(())
    /// ```
    #[must_use]
    pub fn wants_reset(&self) -> bool {
        self.life.is_given_up()
    }

    /// Tells that the write side of the transport has ended: a write has failed, or the caller has done the shutdown
    /// that [`wants_shutdown`](Connection::wants_shutdown) asks for. The queue is dropped; the [buffered
    /// amount](Connection::buffered_amount) stays as it is. A second call does nothing.
    ///
    /// A transport that cannot be written may still deliver the peer's Close. So a connection whose Close was not
    /// written does not end here: its state becomes [`State::Closing`]. Messages are still received, and
    /// [`send`](Connection::send) returns [`UsageError::NotOpen`]. If the peer's Close arrives within
    /// [`Config::close_timeout`], its code is reported with [`CloseCause::Peer`]. A connection that has reported
    /// [`Event::CloseReceived`] is closed, since that cannot be answered any more.
    ///
    /// A client that waits for the response to its request still receives it. A server that has not answered its
    /// request is finished at once, with [`CloseCause::Aborted`]. A connection that has failed or was rejected is
    /// finished at once if its Close or response was not written. So is a connection that fails later, unless
    /// its Close was written before this call: then the transport is still read to its end.
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
            Phase::Answering => self.end_unanswered(self.after_both_closes()),
            Phase::Closing if is_end_unwritten => {
                self.life.take_sent();
                self.enter_phase(Phase::WriteClosed);
            }
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
    /// If [`Event::Closed`] was not reported before, [`poll_event`](Connection::poll_event) returns it: with code 1006,
    /// or after [`Event::CloseReceived`] with the peer's code. A second call does nothing.
    pub fn abort(&mut self) {
        let was_finished = self.is_finished();
        match self.life.phase() {
            Phase::Request
            | Phase::Decision
            | Phase::Response
            | Phase::Open
            | Phase::Closing
            | Phase::WriteClosed => self.end_without_close(CloseCause::Aborted),
            Phase::Answering => {
                self.send.drop_queue();
                self.end_unanswered(Phase::Finished);
            }
            Phase::Flushing | Phase::AwaitingEnd | Phase::Draining | Phase::Finished => {
                self.send.drop_queue();
                self.enter_phase(Phase::Finished);
            }
        }
        if !was_finished {
            self.life.give_up();
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
            | Phase::Answering
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
        if self.send.has_unwritten_end() {
            // Our Close cannot be written any more.
            self.life.take_sent();
        }
        self.send.drop_queue();
        self.end(Phase::Finished, cause);
    }

    /// Ends the connection without a Close from the peer. [`poll_event`](Connection::poll_event) returns
    /// [`Event::Closed`].
    pub(super) fn end(&mut self, to: Phase, cause: CloseCause) {
        let closed = self.abnormal_end(cause);
        self.enter_phase(to);
        self.life.set_closed(closed);
    }

    /// Makes the last event of a connection that ends now without a Close from the peer.
    fn abnormal_end(&mut self, cause: CloseCause) -> Closed {
        let cut = match cause {
            // The peer's frames mean nothing any more.
            CloseCause::Protocol(_) => None,
            _ => self.recv.cut(),
        };
        let (sent, head) = (self.life.take_sent(), self.take_head());
        Closed::abnormal(cause).with_sent(sent).with_cut(cut).with_failed_head(head)
    }

    /// Fails the connection because of what was received. If the cause has a close code, a Close with it goes out. A
    /// piece of a message that was received `before` the fault is returned first;
    /// [`poll_event`](Connection::poll_event) then returns [`Event::Closed`].
    #[cold]
    pub(super) fn fail_for<'a>(
        &mut self,
        cause: CloseCause,
        before: Option<Event<'a>>,
    ) -> Event<'a> {
        let body = failure_code(&cause)
            .map(|code| CloseBody::new(code, "").expect("the codes of failures can be sent"));
        let closed = self.fail_with(cause, body.as_ref());
        match before {
            None => Event::Closed(closed),
            Some(before) => {
                self.life.set_closed(closed);
                before
            }
        }
    }

    /// Fails an open or closing connection (RFC 6455 7.1.7). If it was open, the Close is queued. The caller reports
    /// the end.
    pub(super) fn fail_with(&mut self, cause: CloseCause, body: Option<&CloseBody>) -> Closed {
        if self.send.has_waiting_close() {
            self.life.take_sent();
        }
        let closed = self.abnormal_end(cause);
        let closed = match (self.life.phase(), body) {
            // A Close cannot cut a frame, and the caller will not send the rest.
            (Phase::Open, Some(_)) if self.send.has_open_frame() => closed,
            (Phase::Open, Some(body)) => closed.with_sent(self.queue_close(body)),
            _ => closed,
        };
        let to = match self.life.phase() {
            // Draining serves only to deliver our Close, which cannot be written any more.
            Phase::WriteClosed => Phase::Finished,
            _ => Phase::Draining,
        };
        self.enter_phase(to);
        closed
    }

    /// Checks the code and reason of a Close that the caller asks for.
    fn close_body(&self, code: CloseCode, reason: &str) -> Result<CloseBody, UsageError> {
        let body = CloseBody::new(code, reason)?;
        // RFC 6455 7.4.1: only clients send 1010.
        if !code.is_sendable_by(self.role()) {
            return Err(UsageError::CloseCodeNotSendable(code));
        }
        Ok(body)
    }

    /// Queues a Close frame at the end of the queue, and returns what it says. If the write side has ended, it does
    /// nothing.
    pub(super) fn queue_close(&mut self, body: &CloseBody) -> Option<SentClose> {
        if self.life.has_write_end() {
            return None;
        }
        self.send.send_close(body, compressor(&mut self.codec));
        let (code, reason) = body.code_and_reason();
        Some(SentClose::new(code, reason))
    }

    /// Answers the peer's Close. [`poll_event`](Connection::poll_event) returns [`Event::Closed`].
    pub(super) fn answer_close(&mut self, body: &CloseBody) {
        let sent = self.queue_close(body);
        self.end_answering(sent, self.after_both_closes());
    }

    /// Ends the connection without an answer to the peer's Close.
    fn end_unanswered(&mut self, to: Phase) {
        self.end_answering(None, to);
    }

    fn end_answering(&mut self, sent: Option<SentClose>, to: Phase) {
        let closed =
            self.life.take_unanswered().expect("the peer's Close is stored in `Answering`");
        self.enter_phase(to);
        self.life.set_closed(closed.with_sent(sent));
    }

    /// The phase after both Close frames, or after the peer's if ours cannot be sent.
    pub(super) fn after_both_closes(&self) -> Phase {
        match self.role() {
            Role::Server => Phase::Flushing,
            Role::Client => Phase::AwaitingEnd,
        }
    }

    fn start_close(&mut self, body: &CloseBody) {
        match self.life.phase() {
            Phase::Request | Phase::Response => self.end_without_close(CloseCause::Aborted),
            Phase::Decision => self.answer_with_status(503, CloseCause::Aborted),
            Phase::Open => {
                let sent = self.queue_close(body).expect("an open connection can be written");
                self.life.set_sent(sent);
                self.enter_phase(Phase::Closing);
            }
            Phase::Answering => self.answer_close(body),
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
        | CloseCause::Answered
        | CloseCause::TransportEnded
        | CloseCause::Aborted
        | CloseCause::Failed
        | CloseCause::TimedOut(_) => None,
    }
}
