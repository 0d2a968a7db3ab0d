//! The opening handshake of a connection (RFC 6455 4): which bytes go where, who decides about a request, and what is
//! buffered until the decision. [`crate::handshake`] reads and writes the heads.

use alloc::borrow::Cow;
#[cfg(feature = "deflate")]
use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Connection, Phase};
use crate::Shared;
#[cfg(feature = "deflate")]
use crate::close::CloseBody;
#[cfg(feature = "deflate")]
use crate::close_code::CloseCode;
use crate::config::Config;
#[cfg(feature = "deflate")]
use crate::deflate::{Codec, Deflate, DeflateParams};
use crate::error::UsageError;
use crate::event::{CloseCause, Closed, Event, Timeout};
use crate::handshake::{
    Accept, ClientHandshake, ClientRequest, HandshakeError, PendingUpgrade, Piece, Refusal,
    RefusalReader, Response, ServerHandshake, ServerStep, UpgradeResponse, choose_extensions,
};
use crate::send::Sender;
use crate::state::Role;
use crate::upgrade::Upgrade;

/// What an opening handshake needs for its next step.
#[derive(Default)]
pub(super) enum Opening {
    /// The handshake is over, or was done elsewhere.
    #[default]
    Done,
    /// A part of a request has arrived. Until its first byte arrives, no `Opening` is stored.
    Request(ServerHandshake),
    /// A request for a WebSocket waits for the caller. The server has chosen from the offered extensions; the last
    /// value is that of the response's `Sec-WebSocket-Extensions`.
    Upgrade(PendingUpgrade, Upgrade, Option<alloc::string::String>),
    /// A plain request waits for the caller; a response to HEAD has no body.
    Plain { head_only: bool },
    /// The server has answered on its own. The caller may replace the response until a byte of it is written.
    Refused { head_only: bool },
    /// The response is being read.
    Response(ClientHandshake),
    /// The body of the server's refusal is delivered in pieces.
    Refusal(RefusalReader),
}

/// # Make a connection
///
/// Then answer the client's request, if this is a server.
impl Connection {
    /// Makes the server's side of a new transport connection. The client sends its request first.
    #[must_use]
    #[doc(alias("accept_async"))]
    pub fn server(config: impl Into<Shared<Config>>) -> Connection {
        Connection::new(Role::Server, Phase::Request, config.into())
    }

    /// Makes the client's side of a new transport connection, and queues the request.
    ///
    /// # Errors
    ///
    /// [`UsageError::Entropy`]; [`UsageError::InvalidHeaderName`], [`UsageError::InvalidHeaderValue`],
    /// [`UsageError::ReservedHeader`], [`UsageError::InvalidSubprotocol`], [`UsageError::DuplicateSubprotocol`] for a
    /// mistake in the request; [`UsageError::BufferFull`] if its headers and subprotocols have more bytes than
    /// [`Config::max_outgoing_bytes`] or 2 GiB.
    #[doc(alias("connect"))]
    pub fn client(
        request: &ClientRequest,
        config: impl Into<Shared<Config>>,
    ) -> Result<Connection, UsageError> {
        let config = config.into();
        Sender::check_head(request.own_len(), &config)?;
        let mut connection = Connection::new(Role::Client, Phase::Response, config);
        let nonce = connection.send.begin_request(&connection.config)?;
        #[cfg(feature = "deflate")]
        let offer = connection.config.deflate.as_ref().map(Deflate::offer);
        #[cfg(not(feature = "deflate"))]
        let offer = None::<alloc::string::String>;
        let mut handshake = None;
        connection.send.send_head(|out| {
            handshake = Some(ClientHandshake::new(request, nonce, offer.as_deref(), out)?);
            Ok(())
        })?;
        let handshake = handshake.expect("without an error the request was written");
        connection.life.set_opening(Opening::Response(handshake));
        Ok(connection)
    }

    /// Accepts the request that [`Event::UpgradeRequest`] reported (RFC 6455 4.2.2). When it returns `Ok`, the server
    /// is open: the 101 response is queued, and messages can be sent at once. [`poll_event`](Connection::poll_event)
    /// and [`receive`](Connection::receive) return the messages that the client sent behind its request. If the
    /// client's transport has ended before this call, these messages are received first, and then the connection ends;
    /// without such messages it ends in this call.
    ///
    /// # Errors
    ///
    /// [`UsageError::NoRequestPending`]; [`UsageError::SubprotocolNotOffered`], [`UsageError::InvalidHeaderName`],
    /// [`UsageError::InvalidHeaderValue`], [`UsageError::ReservedHeader`]; [`UsageError::BufferFull`] for headers of
    /// more bytes than [`Config::max_outgoing_bytes`] or 2 GiB. After an error nothing is queued, and the request is
    /// still undecided.
    pub fn accept(&mut self, accept: &Accept<'_>) -> Result<(), UsageError> {
        let Some(Opening::Upgrade(pending, upgrade, extensions)) = self.life.opening() else {
            return Err(UsageError::NoRequestPending);
        };
        Sender::check_head(accept.own_len(), &self.config)?;
        self.send.send_head(|out| pending.accept(accept, extensions.as_deref(), out))?;
        let upgrade = *upgrade;
        self.use_extensions(upgrade);
        self.enter_phase(Phase::Open);
        if self.life.has_read_end() && !self.life.has_early_bytes() {
            self.end_without_close(CloseCause::TransportEnded);
        }
        Ok(())
    }

    /// Answers the request that [`Event::PlainRequest`] or [`Event::UpgradeRequest`] reported, with a status such as
    /// 403, or with a whole response. An upgrade is thereby rejected (RFC 6455 4.2.2), and the connection ends with
    /// [`CloseCause::Rejected`]; after a plain request it ends with [`CloseCause::Answered`]. If the transport takes no
    /// bytes of the response for [`Config::close_timeout`], the connection is finished.
    ///
    /// A request that is invalid, or that is not answered in time, is answered by the connection on its own, and the
    /// end is reported. As long as no byte of that response is [written](Connection::advance) or
    /// [taken](Connection::take_outgoing), this call replaces it, and reports no second end. [`Closed::response`]
    /// returns the response that is replaced.
    ///
    /// ```
    /// use websocket_proto::{Config, Connection, Event, Response};
    ///
    /// let mut conn = Connection::server(Config::default());
    /// let mut bytes = *b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n\r\n";
    /// let Some(Event::Closed(closed)) = conn.receive(&mut &mut bytes[..]) else { panic!() };
    /// let standard = closed.response().unwrap();
    /// assert_eq!(standard.status(), 426);
    /// conn.respond(standard.header("Server", "chat"))?;
    /// let text = std::str::from_utf8(conn.outgoing()).unwrap();
    /// assert!(text.contains("Sec-WebSocket-Version: 13\r\n") && text.contains("Server: chat\r\n"));
    /// # Ok::<(), websocket_proto::UsageError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`UsageError::NoRequestPending`], also if a byte of the response to be replaced is written or taken;
    /// [`UsageError::InvalidStatus`], [`UsageError::InvalidHeaderName`],
    /// [`UsageError::InvalidHeaderValue`], [`UsageError::ReservedHeader`]; [`UsageError::BufferFull`] for headers and a
    /// body of more bytes than [`Config::max_outgoing_bytes`] or 2 GiB. After an error nothing has changed: the request
    /// is still undecided, or the connection's own response is still queued.
    #[doc(alias = "reject")]
    pub fn respond(&mut self, response: impl Into<Response>) -> Result<(), UsageError> {
        let cause = match self.life.opening() {
            Some(Opening::Upgrade(..)) => Some(CloseCause::Rejected),
            Some(Opening::Plain { .. }) => Some(CloseCause::Answered),
            Some(Opening::Refused { .. }) if self.send.has_whole_head() => None,
            _ => return Err(UsageError::NoRequestPending),
        };
        let response = response.into();
        Sender::check_head(response.own_len(), &self.config)?;
        match cause {
            Some(cause) => {
                self.queue_response(&response)?;
                self.end(Phase::Draining, cause);
                Ok(())
            }
            // The end is reported, or waits to be.
            None => {
                let head_only = self.is_head_only();
                self.send.replace_head(|out| response.write(head_only, out))
            }
        }
    }

    /// Client: returns the refusal of the server while its body is being read, and until [`Event::Closed`] is returned,
    /// which then has it. Its status and headers are complete. `None` at any other time, and on a server.
    ///
    /// With [`Config::stream_refusal_body`] it tells what the pieces belong to:
    ///
    /// ```
    /// use websocket_proto::{ClientRequest, Config, Connection, Event};
    ///
    /// let config = Config::builder().stream_refusal_body(true).build().expect("an allowed value");
    /// let mut conn = Connection::client(&ClientRequest::new("ws://example.com/")?, config)?;
    /// let mut bytes = *b"HTTP/1.1 503 Busy\r\nContent-Type: text/html\r\n\r\n<p>Try";
    /// let Some(Event::RefusalBody(piece)) = conn.receive(&mut &mut bytes[..]) else { panic!() };
    /// let refusal = conn.refusal().unwrap();
    /// assert_eq!((refusal.status(), refusal.header("content-type")), (503, Some(&b"text/html"[..])));
    /// assert_eq!(*piece, *b"<p>Try");
    /// # Ok::<(), websocket_proto::UsageError>(())
    /// ```
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self.life.opening()? {
            Opening::Response(handshake) => handshake.refusal(),
            Opening::Refusal(reader) => Some(reader.refusal()),
            Opening::Done => self.life.waiting_closed()?.refusal(),
            Opening::Request(_)
            | Opening::Upgrade(..)
            | Opening::Plain { .. }
            | Opening::Refused { .. } => None,
        }
    }

    /// Makes an open connection after an opening handshake that was done elsewhere: by another HTTP/1.1 stack, or by an
    /// extended CONNECT over HTTP/2 (RFC 8441) or HTTP/3 (RFC 9220). A client's frames are masked over these too. The
    /// argument is the [`Role`], or an [`Upgrade`] if extensions were negotiated.
    ///
    /// # Errors
    ///
    /// [`UsageError::Entropy`] for a client without a source of masking keys.
    #[doc(alias("from_raw_socket", "from_partially_read", "after_handshake"))]
    pub fn from_upgrade(
        upgrade: impl Into<Upgrade>,
        config: impl Into<Shared<Config>>,
    ) -> Result<Connection, UsageError> {
        let upgrade = upgrade.into();
        let mut connection = Connection::new(upgrade.role, Phase::Open, config.into());
        if upgrade.role == Role::Client {
            connection.send.begin_masking(&connection.config)?;
        }
        connection.start_receiver();
        connection.use_extensions(upgrade);
        Ok(connection)
    }

    fn use_extensions(&mut self, upgrade: Upgrade) {
        #[cfg(feature = "deflate")]
        self.use_deflate(upgrade.deflate);
        #[cfg(not(feature = "deflate"))]
        let _ = upgrade;
    }

    #[cfg(feature = "deflate")]
    fn use_deflate(&mut self, params: Option<DeflateParams>) {
        self.codec = params.map(|params| {
            let defaults = Deflate::default();
            let options = self.config.deflate.as_ref().unwrap_or(&defaults);
            Box::new(Codec::new(self.role(), params, options))
        });
    }

    /// Answers a request with `status` before the caller has decided, and ends the connection. `poll_event` returns
    /// [`Event::Closed`].
    pub(super) fn answer_with_status(&mut self, status: u16, cause: CloseCause) {
        let queued = self.queue_response(&Response::new(status));
        debug_assert!(queued.is_ok(), "the response is well-formed");
        self.end(Phase::Draining, cause);
    }

    /// Queues a response that ends the connection. In answer to HEAD it has no body.
    fn queue_response(&mut self, response: &Response) -> Result<(), UsageError> {
        let head_only = self.is_head_only();
        self.send.send_last_head(|out| response.write(head_only, out))
    }

    /// RFC 9110 9.3.2: whether the request is a HEAD, whose response has no body.
    fn is_head_only(&self) -> bool {
        match self.life.opening() {
            Some(Opening::Request(handshake)) => handshake.is_head_method(),
            Some(Opening::Plain { head_only } | Opening::Refused { head_only }) => *head_only,
            _ => false,
        }
    }

    pub(super) fn receive_opening<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        match self.life.opening_mut() {
            None => self.receive_first(input),
            Some(Opening::Request(handshake)) => match handshake.receive(input, &self.config)? {
                Ok(step) => Some(self.decide(step)),
                Err(error) => Some(self.refuse(error)),
            },
            Some(Opening::Response(handshake)) => match handshake.receive(input, &self.config)? {
                Ok(response) => {
                    self.enter_phase(match self.life.has_write_end() {
                        false => Phase::Open,
                        true => Phase::WriteClosed,
                    });
                    match self.use_response(&response) {
                        Ok(()) => Some(Event::Open(response)),
                        Err(failed) => Some(failed),
                    }
                }
                Err(HandshakeError::Refused(refusal)) if self.config.stream_refusal_body => {
                    self.life.set_opening(Opening::Refusal(RefusalReader::new(refusal)));
                    self.receive_refusal_body(input)
                }
                Err(error) => {
                    self.end_without_close(CloseCause::Protocol(error.into()));
                    self.poll_event()
                }
            },
            Some(Opening::Refusal(_)) => self.receive_refusal_body(input),
            Some(Opening::Upgrade(..) | Opening::Plain { .. }) => self.buffer_early(input),
            Some(Opening::Done | Opening::Refused { .. }) => {
                unreachable!("the phase says that the handshake is not over")
            }
        }
    }

    /// Receives the first bytes of a request. They are usually the whole request, so the reader is stored only if more
    /// bytes are needed.
    fn receive_first<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        debug_assert_eq!(self.life.phase(), Phase::Request);
        let mut handshake = ServerHandshake::new();
        match handshake.receive(input, &self.config) {
            Some(Ok(step)) => Some(self.decide(step)),
            Some(Err(error)) => {
                self.life.set_opening(Opening::Request(handshake));
                Some(self.refuse(error))
            }
            None => {
                if !handshake.is_empty() {
                    self.life.set_opening(Opening::Request(handshake));
                }
                None
            }
        }
    }

    /// Reports a valid request, about which the caller decides.
    fn decide<'a>(&mut self, step: ServerStep<'a>) -> Event<'a> {
        match step {
            ServerStep::Upgrade(request, pending) => {
                let (upgrade, extensions) = choose_extensions(request.extensions(), &self.config);
                self.life.set_opening(Opening::Upgrade(pending, upgrade, extensions));
                self.enter_phase(Phase::Decision);
                Event::UpgradeRequest(request)
            }
            ServerStep::Plain(request) => {
                self.life.set_opening(Opening::Plain { head_only: request.is_head() });
                self.enter_phase(Phase::Decision);
                Event::PlainRequest(request)
            }
        }
    }

    /// Takes the next piece of a refusal's body. The end of the body ends the connection.
    #[cold]
    fn receive_refusal_body<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        let Some(Opening::Refusal(reader)) = self.life.opening_mut() else {
            unreachable!("the body of a refusal is being read")
        };
        let piece = reader.receive_piece(input);
        if piece == Piece::End || reader.is_at_end() {
            // The refusal becomes the cause. After the last piece, no further byte may arrive.
            self.end_without_close(CloseCause::TransportEnded);
        }
        match piece {
            Piece::Data(data) => Some(Event::RefusalBody(Cow::Borrowed(data))),
            Piece::Incomplete | Piece::End => self.poll_event(),
        }
    }

    /// RFC 6455 9.1: the response may only name extensions that the client offered.
    #[cfg(feature = "deflate")]
    fn use_response(&mut self, response: &UpgradeResponse<'_>) -> Result<(), Event<'static>> {
        if self.config.deflate.is_none() {
            return Ok(());
        }
        let config = self.config.clone();
        let Some(deflate) = &config.deflate else { return Ok(()) };
        match deflate.agree(response.extensions()) {
            // RFC 6455 7.4.1: a client that requires an extension names it in a Close with code 1010.
            Ok(None) if deflate.required => {
                let body = CloseBody::new(CloseCode::EXTENSION_REQUIRED, "permessage-deflate");
                let body = body.expect("code and reason can be sent");
                let cause = CloseCause::Protocol(HandshakeError::ExtensionMissing.into());
                let closed = self.fail_with(cause, Some(&body));
                Err(Event::Closed(closed.with_failed_head(response.as_bytes().to_vec())))
            }
            Ok(params) => {
                self.use_deflate(params);
                Ok(())
            }
            // RFC 6455 7.1.7: the handshake fails without a Close frame.
            Err(error) => {
                self.send.drop_queue();
                let closed = self.fail_with(CloseCause::Protocol(error.into()), None);
                self.enter_phase(Phase::Finished);
                Err(Event::Closed(closed.with_failed_head(response.as_bytes().to_vec())))
            }
        }
    }

    #[cfg(not(feature = "deflate"))]
    fn use_response(&mut self, _: &UpgradeResponse<'_>) -> Result<(), Event<'static>> {
        Ok(())
    }

    /// Buffers bytes that follow the request. They are frames if the caller accepts it (RFC 6455 4.2.2).
    fn buffer_early<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        let limit = self.config.max_early_bytes;
        if !self.life.buffer_early_bytes(input, limit) {
            return Some(self.refuse(HandshakeError::TooManyEarlyBytes { limit }));
        }
        *input = &mut [];
        None
    }

    /// RFC 6455 4.2.1, 10.7: a request that cannot be served is answered with an HTTP status.
    #[cold]
    fn refuse(&mut self, error: HandshakeError) -> Event<'static> {
        let response = error.response().expect("each error of a request has a response");
        Event::Closed(self.answer_unasked(&response, CloseCause::Protocol(error.into())))
    }

    /// Answers a request on its own, with a response that the caller may replace, and ends the connection. The caller
    /// of this function reports the end.
    fn answer_unasked(&mut self, response: &Response, cause: CloseCause) -> Closed {
        let head_only = self.is_head_only();
        let queued = self.queue_response(response);
        debug_assert!(queued.is_ok(), "the response is well-formed");
        let closed = self.fail_with(cause, None).with_answered(response.status());
        self.life.set_opening(Opening::Refused { head_only });
        closed
    }

    /// Takes the head that the opening handshake was reading, as far as it has arrived, or up to its fault.
    pub(super) fn take_head(&mut self) -> Vec<u8> {
        match self.life.opening_mut() {
            Some(Opening::Request(handshake)) => handshake.take_head(),
            Some(Opening::Response(handshake)) => handshake.take_head(),
            _ => Vec::new(),
        }
    }

    /// Takes the server's refusal if a client is reading its body. The end of the transport may be the end of the body.
    pub(super) fn refusal_so_far(&mut self) -> Option<HandshakeError> {
        let has_end = self.life.has_read_end();
        let opening = self.life.opening_mut()?;
        match opening {
            Opening::Response(handshake) => handshake.take_refusal(has_end),
            Opening::Refusal(_) => match core::mem::take(opening) {
                Opening::Refusal(reader) => Some(HandshakeError::Refused(reader.finish(has_end))),
                _ => None,
            },
            _ => None,
        }
    }

    /// Ends an opening handshake that took too long. A server answers an incomplete request with 408, and a request
    /// that the caller did not decide in time with 503.
    pub(super) fn time_out_opening(&mut self) {
        let cause = CloseCause::TimedOut(Timeout::Handshake);
        match self.role() {
            Role::Client => self.end_without_close(cause),
            Role::Server => {
                let status = if self.life.phase() == Phase::Request { 408 } else { 503 };
                let closed = self.answer_unasked(&Response::new(status), cause);
                self.life.set_closed(closed);
            }
        }
    }
}
