//! The opening handshake as a part of the connection's life: where the bytes go, who decides, what is kept meanwhile
//! (RFC 6455 4). What a head must look like is the business of [`crate::handshake`].

use super::{Connection, Phase, Role};
use crate::Shared;
use crate::config::Config;
use crate::error::UsageError;
use crate::event::{CloseCause, Closed, Event, Timeout};
use crate::handshake::{
    Accept, ClientHandshake, ClientRequest, ClientStep, HandshakeError, PendingUpgrade, Response,
    ServerHandshake, ServerStep,
};

/// What an opening handshake needs for its next step.
#[derive(Default)]
pub(super) enum Opening {
    /// It is over, or was done elsewhere.
    #[default]
    Done,
    /// A request is being read.
    Request(ServerHandshake),
    /// A request for a WebSocket waits for the caller.
    Upgrade(PendingUpgrade),
    /// A plain request waits for the caller; a response to HEAD has no body.
    Plain { head_only: bool },
    /// The response is being read.
    Response(ClientHandshake),
}

impl Connection {
    /// The server's side of a new transport connection, which begins with the client's request.
    pub fn server(config: impl Into<Shared<Config>>) -> Connection {
        let mut connection = Connection::new(Role::Server, Phase::Request, config.into());
        connection.rare().opening = Opening::Request(ServerHandshake::new());
        connection
    }

    /// The client's side of a new transport connection; the request is outgoing at once.
    ///
    /// # Errors
    ///
    /// [`UsageError::Entropy`]; [`UsageError::InvalidHeaderName`], [`UsageError::InvalidHeaderValue`],
    /// [`UsageError::ReservedHeader`], [`UsageError::InvalidSubprotocol`], [`UsageError::DuplicateSubprotocol`] for what
    /// was put into the request.
    pub fn client(
        request: &ClientRequest,
        config: impl Into<Shared<Config>>,
    ) -> Result<Connection, UsageError> {
        let mut connection = Connection::new(Role::Client, Phase::Response, config.into());
        // RFC 6455 4.1: the nonce is random for each connection.
        let mut nonce = [0; 16];
        connection.config.entropy.fill(&mut connection.entropy_state, &mut nonce)?;
        connection.draw_close_key()?;
        let mut handshake = None;
        connection.outgoing.push_head(|out| {
            handshake = Some(ClientHandshake::new(request, nonce, None, out)?);
            Ok::<(), UsageError>(())
        })?;
        connection.rare().opening = match handshake {
            Some(handshake) => Opening::Response(handshake),
            None => Opening::Done,
        };
        Ok(connection)
    }

    /// Accepts the request that [`Event::UpgradeRequest`] has shown: the 101 is queued, the connection is open, and
    /// messages can be sent at once (RFC 6455 4.2.2). What the client sent behind its request comes out of
    /// [`poll_event`](Connection::poll_event) and [`receive`](Connection::receive).
    ///
    /// # Errors
    ///
    /// [`UsageError::NoRequestPending`]; [`UsageError::SubprotocolNotOffered`], [`UsageError::InvalidHeaderName`],
    /// [`UsageError::InvalidHeaderValue`], [`UsageError::ReservedHeader`]. Nothing is queued then, and the request
    /// still waits.
    pub fn accept(&mut self, accept: &Accept<'_>) -> Result<(), UsageError> {
        let Some(Opening::Upgrade(pending)) = self.rare.as_ref().map(|rare| &rare.opening) else {
            return Err(UsageError::NoRequestPending);
        };
        self.outgoing.push_head(|out| pending.accept(accept, None, out))?;
        self.rare().opening = Opening::Done;
        self.phase = Phase::Open;
        if self.eof && !self.has_early() {
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
    /// [`UsageError::InvalidHeaderValue`], [`UsageError::ReservedHeader`]. Nothing is queued then, and the request still
    /// waits.
    pub fn reject(&mut self, response: impl Into<Response>) -> Result<(), UsageError> {
        match self.rare.as_ref().map(|rare| &rare.opening) {
            Some(Opening::Upgrade(_)) => self.answer(&response.into(), false),
            _ => Err(UsageError::NoRequestPending),
        }
    }

    /// Answers the request that [`Event::PlainRequest`] has shown; the connection then ends, with
    /// [`CloseCause::Rejected`].
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
        self.outgoing.push_head(|out| response.write(head_only, out))?;
        self.end(Phase::Draining);
        self.rare().news = Some(Closed::abnormal(CloseCause::Rejected));
        Ok(())
    }

    pub(super) fn receive_opening<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        let config = self.config.clone();
        match &mut self.rare().opening {
            Opening::Request(handshake) => match handshake.receive(input, &config)? {
                Ok(ServerStep::Upgrade(request, pending)) => {
                    self.decide(Opening::Upgrade(pending));
                    Some(Event::UpgradeRequest(request))
                }
                Ok(ServerStep::Plain(request)) => {
                    self.decide(Opening::Plain { head_only: request.is_head() });
                    Some(Event::PlainRequest(request))
                }
                Err(error) => Some(self.refuse(error)),
            },
            Opening::Response(handshake) => match handshake.receive(input, &config)? {
                Ok(ClientStep::Open(response)) => {
                    self.rare = None;
                    self.phase = Phase::Open;
                    Some(Event::Open(response))
                }
                Err(error) => {
                    self.end_without_close(CloseCause::Protocol(error.into()));
                    self.poll_event()
                }
            },
            Opening::Upgrade(_) | Opening::Plain { .. } => self.keep_early(input),
            Opening::Done => unreachable!("the phase says that the handshake is not over"),
        }
    }

    fn decide(&mut self, opening: Opening) {
        self.rare().opening = opening;
        self.phase = Phase::Decision;
    }

    /// RFC 6455 4.2.2: what follows the request are frames, once it is accepted.
    fn keep_early<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        let limit = self.config.max_early_bytes;
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
            let written = self.outgoing.push_head(|out| response.write(false, out));
            debug_assert!(written.is_ok(), "the refusals of the handshake are well-formed");
        }
        self.fail(error.into())
    }

    pub(super) fn refusal_at_eof(&mut self) -> Option<HandshakeError> {
        match &mut self.rare.as_mut()?.opening {
            Opening::Response(handshake) => handshake.receive_eof(),
            _ => None,
        }
    }

    /// A server says 408 to a request that is not complete, or was not decided, in time.
    pub(super) fn time_out_opening(&mut self) {
        let cause = CloseCause::TimedOut(Timeout::Handshake);
        match self.role {
            Role::Client => self.end_without_close(cause),
            Role::Server => {
                let response = Response::new(if self.phase == Phase::Request { 408 } else { 503 });
                let written = self.outgoing.push_head(|out| response.write(false, out));
                debug_assert!(written.is_ok(), "the response is well-formed");
                self.end(Phase::Draining);
                self.rare().news = Some(Closed::abnormal(cause));
            }
        }
    }
}
