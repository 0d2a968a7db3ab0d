//! The opening handshake as a part of the connection's life: where the bytes go, who decides, what is kept meanwhile
//! (RFC 6455 4). What a head must look like is the business of [`crate::handshake`].

use alloc::boxed::Box;

use super::{Connection, Phase, Rare, at_most_a_buffer};
use crate::Shared;
#[cfg(feature = "deflate")]
use crate::close::{CloseBody, CloseCode};
use crate::config::Config;
use crate::error::UsageError;
#[cfg(feature = "deflate")]
use crate::event::Closed;
use crate::event::{CloseCause, Event, Timeout};
use crate::handshake::{
    Accept, ClientHandshake, ClientRequest, HandshakeError, PendingUpgrade, Response,
    ServerHandshake, ServerStep, UpgradeRequest, UpgradeResponse,
};
use crate::outgoing::MAX_HEAD_BYTES;
use crate::state::Role;

/// What an opening handshake needs for its next step.
#[derive(Default)]
pub(super) enum Opening {
    /// It is over, or was done elsewhere.
    #[default]
    Done,
    /// A request is being read, of which a part has arrived. Before, there is nothing to remember.
    Request(ServerHandshake),
    /// A request for a WebSocket waits for the caller.
    Upgrade(PendingUpgrade, Extensions),
    /// A plain request waits for the caller; a response to HEAD has no body.
    Plain { head_only: bool },
    /// The response is being read.
    Response(ClientHandshake),
}

/// What the server takes of the extensions that the client offers.
#[derive(Default)]
pub(super) struct Extensions {
    #[cfg(feature = "deflate")]
    deflate: Option<(crate::deflate::DeflateParams, alloc::string::String)>,
}

impl Extensions {
    fn choose(request: &UpgradeRequest<'_>, config: &Config) -> Extensions {
        #[cfg(feature = "deflate")]
        return Extensions {
            deflate: config
                .deflate
                .as_ref()
                .and_then(|deflate| deflate.accept(request.extensions())),
        };
        #[cfg(not(feature = "deflate"))]
        {
            let _ = (request, config);
            Extensions::default()
        }
    }

    /// The value of the response's header.
    fn response(&self) -> Option<&str> {
        #[cfg(feature = "deflate")]
        return self.deflate.as_ref().map(|(_, response)| &response[..]);
        #[cfg(not(feature = "deflate"))]
        None
    }
}

impl Connection {
    /// The server's side of a new transport connection, which begins with the client's request.
    pub fn server(config: impl Into<Shared<Config>>) -> Connection {
        Connection::new(Role::Server, Phase::Request, config.into())
    }

    /// The client's side of a new transport connection; the request is outgoing at once.
    ///
    /// # Errors
    ///
    /// [`UsageError::Entropy`]; [`UsageError::InvalidHeaderName`], [`UsageError::InvalidHeaderValue`],
    /// [`UsageError::ReservedHeader`], [`UsageError::InvalidSubprotocol`], [`UsageError::DuplicateSubprotocol`] for
    /// what was put into the request; [`UsageError::BufferFull`] if its headers and subprotocols have more
    /// bytes than [`Config::max_outgoing_bytes`] or 2 GiB.
    pub fn client(
        request: &ClientRequest,
        config: impl Into<Shared<Config>>,
    ) -> Result<Connection, UsageError> {
        let mut connection = Connection::new(Role::Client, Phase::Response, config.into());
        connection.check_head(request.own_len())?;
        connection.config.entropy.drop_inherited_batch();
        // RFC 6455 4.1: the nonce is random for each connection.
        let nonce = connection.config.entropy.nonce(&mut connection.entropy_state)?;
        connection.draw_close_key()?;
        #[cfg(feature = "deflate")]
        let offer = connection.config.deflate.as_ref().map(crate::deflate::Deflate::offer);
        #[cfg(not(feature = "deflate"))]
        let offer = None::<alloc::string::String>;
        let mut handshake = None;
        connection.outgoing.push_head(|out| {
            handshake = Some(ClientHandshake::new(request, nonce, offer.as_deref(), out)?);
            Ok(())
        })?;
        let handshake = handshake.expect("without an error the request was written");
        connection.set_opening(Opening::Response(handshake));
        Ok(connection)
    }

    /// Accepts the request that [`Event::UpgradeRequest`] has shown: the 101 is queued, the connection is open, and
    /// messages can be sent at once (RFC 6455 4.2.2). What the client sent after its request comes out of
    /// [`poll_event`](Connection::poll_event) and [`receive`](Connection::receive). If the client's transport has ended
    /// meanwhile, the connection is over when what it sent before is received.
    ///
    /// # Errors
    ///
    /// [`UsageError::NoRequestPending`]; [`UsageError::SubprotocolNotOffered`], [`UsageError::InvalidHeaderName`],
    /// [`UsageError::InvalidHeaderValue`], [`UsageError::ReservedHeader`]; [`UsageError::BufferFull`] for headers
    /// of more bytes than [`Config::max_outgoing_bytes`] or 2 GiB. Nothing is queued then, and the request still waits.
    pub fn accept(&mut self, accept: &Accept<'_>) -> Result<(), UsageError> {
        let Some(Opening::Upgrade(pending, extensions)) =
            self.rare.as_ref().map(|rare| &rare.opening)
        else {
            return Err(UsageError::NoRequestPending);
        };
        self.check_head(accept.own_len())?;
        self.outgoing.push_head(|out| pending.accept(accept, extensions.response(), out))?;
        #[cfg(feature = "deflate")]
        {
            let params = extensions.deflate.as_ref().map(|(params, _)| *params);
            self.use_deflate(params);
        }
        self.rare().opening = Opening::Done;
        self.phase = Phase::Open;
        if self.ended.read() && !self.has_early() {
            self.end_without_close(CloseCause::TransportEnded);
        }
        self.refresh();
        Ok(())
    }

    /// Refuses the request that [`Event::UpgradeRequest`] has shown, with a status such as 403, or a whole response
    /// (RFC 6455 4.2.2). The connection then ends, with [`CloseCause::Rejected`].
    ///
    /// # Errors
    ///
    /// [`UsageError::NoRequestPending`], [`UsageError::InvalidStatus`], [`UsageError::InvalidHeaderName`],
    /// [`UsageError::InvalidHeaderValue`], [`UsageError::ReservedHeader`]; [`UsageError::BufferFull`] for headers and
    /// a body of more bytes than [`Config::max_outgoing_bytes`] or 2 GiB. Nothing is queued then, and the request
    /// still waits.
    pub fn reject(&mut self, response: impl Into<Response>) -> Result<(), UsageError> {
        match self.rare.as_ref().map(|rare| &rare.opening) {
            Some(Opening::Upgrade(..)) => self.answer(&response.into(), false),
            _ => Err(UsageError::NoRequestPending),
        }
    }

    /// Answers the request that [`Event::PlainRequest`] has shown; the connection then ends, with
    /// [`CloseCause::Rejected`]. The response is to be written within [`Config::close_timeout`].
    ///
    /// # Errors
    ///
    /// As [`reject`](Connection::reject).
    pub fn respond(&mut self, response: impl Into<Response>) -> Result<(), UsageError> {
        match self.rare.as_ref().map(|rare| &rare.opening) {
            Some(&Opening::Plain { head_only }) => self.answer(&response.into(), head_only),
            _ => Err(UsageError::NoRequestPending),
        }
    }

    fn answer(&mut self, response: &Response, head_only: bool) -> Result<(), UsageError> {
        self.check_head(response.own_len())?;
        self.queue_response(response, head_only)?;
        self.end_pending(Phase::Draining, CloseCause::Rejected);
        Ok(())
    }

    /// Answers a request that the caller has not decided about, and ends the connection; `poll_event` reports it.
    pub(super) fn answer_by(&mut self, status: u16, cause: CloseCause) {
        let opening = self.rare.as_ref().map(|rare| &rare.opening);
        let head_only = matches!(opening, Some(Opening::Plain { head_only: true }));
        let queued = self.queue_response(&Response::new(status), head_only);
        debug_assert!(queued.is_ok(), "the response is well-formed");
        self.end_pending(Phase::Draining, cause);
    }

    /// Queues a response that ends the connection: it is our last word.
    fn queue_response(&mut self, response: &Response, head_only: bool) -> Result<(), UsageError> {
        self.outgoing.push_head(|out| response.write(head_only, out))?;
        self.outgoing.note_end();
        Ok(())
    }

    /// Whether there is room for `own` bytes that the application puts into a request or response. It is asked before
    /// any of them is written.
    fn check_head(&self, own: u64) -> Result<(), UsageError> {
        let limit = at_most_a_buffer(self.config.max_outgoing_bytes).min(MAX_HEAD_BYTES);
        match own <= limit {
            true => Ok(()),
            false => Err(UsageError::BufferFull { needed: own, limit }),
        }
    }

    pub(super) fn receive_opening<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        let opening = self.rare.as_mut().map(|rare| &mut rare.opening);
        match opening {
            None => self.receive_first(input),
            Some(Opening::Request(handshake)) => {
                let step = handshake.receive(input, &self.config)?;
                Some(self.decide(step))
            }
            Some(Opening::Response(handshake)) => match handshake.receive(input, &self.config)? {
                Ok(response) => {
                    self.rare = None;
                    self.phase = match self.ended.write() {
                        false => Phase::Open,
                        true => Phase::WriteClosed,
                    };
                    match self.agree(&response) {
                        Ok(()) => Some(Event::Open(response)),
                        Err(failed) => Some(failed),
                    }
                }
                Err(error) => {
                    self.end_without_close(CloseCause::Protocol(error.into()));
                    self.poll_event()
                }
            },
            Some(Opening::Upgrade(..) | Opening::Plain { .. }) => self.keep_early(input),
            Some(Opening::Done) => unreachable!("the phase says that the handshake is not over"),
        }
    }

    /// The first bytes of a request, mostly all of it: what reads it is kept only if more is needed.
    fn receive_first<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        debug_assert_eq!(self.phase, Phase::Request);
        let mut handshake = ServerHandshake::new();
        match handshake.receive(input, &self.config) {
            Some(step) => Some(self.decide(step)),
            None => {
                if !handshake.is_empty() {
                    self.set_opening(Opening::Request(handshake));
                }
                None
            }
        }
    }

    /// A head was judged: the caller decides what becomes of a good one.
    fn decide<'a>(&mut self, step: Result<ServerStep<'a>, HandshakeError>) -> Event<'a> {
        match step {
            Ok(ServerStep::Upgrade(request, pending)) => {
                let extensions = Extensions::choose(&request, &self.config);
                self.set_opening(Opening::Upgrade(pending, extensions));
                self.phase = Phase::Decision;
                Event::UpgradeRequest(request)
            }
            Ok(ServerStep::Plain(request)) => {
                self.set_opening(Opening::Plain { head_only: request.is_head() });
                self.phase = Phase::Decision;
                Event::PlainRequest(request)
            }
            Err(error) => self.refuse(error),
        }
    }

    #[inline]
    fn set_opening(&mut self, opening: Opening) {
        match &mut self.rare {
            Some(rare) => rare.opening = opening,
            None => self.rare = Some(Box::new(Rare { opening, ..Rare::default() })),
        }
    }

    /// RFC 6455 9.1: what the response says of extensions must fit what was offered.
    #[cfg(feature = "deflate")]
    fn agree(&mut self, response: &UpgradeResponse<'_>) -> Result<(), Event<'static>> {
        if self.config.deflate.is_none() {
            return Ok(());
        }
        let config = self.config.clone();
        let Some(deflate) = &config.deflate else { return Ok(()) };
        match deflate.agree(response.extensions()) {
            // RFC 6455 7.4.1: a client that needs an extension says which with 1010.
            Ok(None) if deflate.required => {
                let body = CloseBody::new(CloseCode::EXTENSION_REQUIRED, "permessage-deflate");
                self.queue_close(&body.expect("code and reason can be sent"));
                self.end(Phase::Draining);
                let cause = CloseCause::Protocol(HandshakeError::ExtensionMissing.into());
                Err(Event::Closed(Closed::abnormal(cause)))
            }
            Ok(params) => {
                self.use_deflate(params);
                Ok(())
            }
            // RFC 6455 7.1.7: the handshake fails without a Close frame.
            Err(error) => {
                self.end(Phase::Finished);
                self.outgoing.abandon();
                Err(Event::Closed(Closed::abnormal(CloseCause::Protocol(error.into()))))
            }
        }
    }

    #[cfg(not(feature = "deflate"))]
    fn agree(&mut self, _: &UpgradeResponse<'_>) -> Result<(), Event<'static>> {
        Ok(())
    }

    /// RFC 6455 4.2.2: what follows the request are frames, once it is accepted.
    fn keep_early<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        let limit = at_most_a_buffer(self.config.max_early_bytes as u64) as usize;
        let rare = self.rare();
        if input.len() > limit - rare.early.len() {
            return Some(self.refuse(HandshakeError::TooManyEarlyBytes { limit }));
        }
        rare.early.extend_from_slice(input);
        *input = &mut [];
        None
    }

    /// RFC 6455 4.2.1, 10.7: a request that cannot be served is answered with an HTTP status.
    #[cold]
    fn refuse(&mut self, error: HandshakeError) -> Event<'static> {
        if let Some(response) = error.refusal() {
            let queued = self.queue_response(&response, false);
            debug_assert!(queued.is_ok(), "the refusals of the handshake are well-formed");
        }
        self.fail(error.into())
    }

    /// Client: the refusal whose body is being read. The end of the transport may be the end of the body.
    pub(super) fn refusal_so_far(&mut self) -> Option<HandshakeError> {
        match &mut self.rare.as_mut()?.opening {
            Opening::Response(handshake) => handshake.take_refusal(self.ended.read()),
            _ => None,
        }
    }

    /// A server says 408 to a request that is not complete in time, and 503 to one that was not decided in time.
    pub(super) fn time_out_opening(&mut self) {
        let cause = CloseCause::TimedOut(Timeout::Handshake);
        match self.role {
            Role::Client => self.end_without_close(cause),
            Role::Server => {
                self.answer_by(if self.phase == Phase::Request { 408 } else { 503 }, cause);
            }
        }
    }
}
