//! The opening handshakes of both roles. A server's is done at once, or in two steps: receive the request, then answer
//! it.

use core::fmt;
use core::future::poll_fn;
use std::vec::Vec;

use ::tokio::io::{AsyncRead, AsyncWrite};

use super::machine::{Awaited, Found, Machine};
use super::socket::WebSocket;
use crate::drive::input::Input;
use crate::drive::{Error, Request};
use crate::{
    Accept, ClientRequest, Closed, Config, Connection, Event, Response, Shared, UpgradeRequest,
    UpgradeResponse,
};

/// # Open
impl<T: AsyncRead + AsyncWrite + Unpin> WebSocket<T> {
    /// Receives a client's request, and accepts it without a subprotocol (RFC 6455 4.2). A request that does not ask
    /// for a WebSocket is answered with 426. Use [`accept_with`](WebSocket::accept_with) or [`Incoming`] to look at the
    /// request.
    ///
    /// Browsers let every page connect to every server. A server that is meant for the pages of one site must check the
    /// `Origin` (RFC 6455 10.2), with [`OriginPolicy`](crate::OriginPolicy).
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Closed`] if the request was not valid, did not ask for a WebSocket, or did not arrive in
    /// [`Config::handshake_timeout`]. The client has got the response then.
    pub async fn accept(
        transport: T,
        config: impl Into<Shared<Config>>,
    ) -> Result<WebSocket<T>, Error> {
        WebSocket::accept_with(transport, config, |_| Ok(Accept::new())).await
    }

    /// Receives a client's request, and lets `decide` accept it, or refuse it with a response (RFC 6455 4.2.2). A
    /// request that does not ask for a WebSocket is answered with 426.
    ///
    /// ```
    /// # use tokio::io::{AsyncRead, AsyncWrite};
    /// use websocket_proto::drive::{Error, tokio::WebSocket};
    /// use websocket_proto::{Accept, Config, OriginPolicy, Response};
    ///
    /// # async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, origins: &OriginPolicy) -> Result<(), Error> {
    /// let mut ws = WebSocket::accept_with(stream, Config::default(), |request| {
    ///     origins.check(request)?;
    ///     match request.subprotocols().find(|name| *name == "v2.chat") {
    ///         Some(chat) => Ok(Accept::new().subprotocol(chat)),
    ///         None => Err(Response::from(404)),
    ///     }
    /// })
    /// .await?;
    /// # ws.send("").await }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`accept`](WebSocket::accept). A refused request is [`Error::Closed`] with
    /// [`CloseCause::Rejected`](crate::CloseCause::Rejected). [`Error::Usage`] if what `decide` returned cannot be
    /// sent; the client gets a 500 then.
    pub async fn accept_with(
        transport: T,
        config: impl Into<Shared<Config>>,
        decide: impl for<'r> FnOnce(&'r UpgradeRequest<'static>) -> Result<Accept<'r>, Response>,
    ) -> Result<WebSocket<T>, Error> {
        let Incoming { machine, input, request } = Incoming::receive(transport, config).await?;
        let response = match &request {
            Request::Upgrade(request) => match decide(request) {
                Ok(accept) => return self::accept(machine, input, &accept).await,
                Err(response) => response,
            },
            Request::Plain(_) => Response::new(426),
        };
        Err(respond(machine, input, response).await?.into())
    }

    /// Sends a client's request on a transport that is connected to the server, with TLS for `wss`, and receives the
    /// response (RFC 6455 4.1).
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for a request that cannot be sent. [`Error::Io`]. [`Error::Closed`] if the server refused:
    /// [`Closed::refusal`] has its response; and if the response was not valid, or did not arrive in
    /// [`Config::handshake_timeout`].
    pub async fn connect(
        transport: T,
        request: &ClientRequest,
        config: impl Into<Shared<Config>>,
    ) -> Result<(WebSocket<T>, UpgradeResponse<'static>), Error> {
        let conn = Connection::client(request, config)?;
        let mut ws = WebSocket { machine: Machine::new(transport, conn), input: Input::default() };
        loop {
            match ws.recv_event().await?.map(Event::into_owned) {
                Some(Event::Open(response)) => return Ok((ws, response)),
                Some(_) => {}
                None => return Err(ws.machine.end.unopened()),
            }
        }
    }
}

/// A client's request that waits for the answer of a server.
///
/// Between the two steps the program can do what it likes: look up a session, serve a page, hand the request to another
/// HTTP server. No timeout runs meanwhile. To drop it drops the transport.
///
/// ```
/// # use tokio::io::{AsyncRead, AsyncWrite};
/// use websocket_proto::drive::tokio::Incoming;
/// use websocket_proto::drive::{Error, Request};
/// use websocket_proto::{Accept, Config, Response};
///
/// # async fn is_known(_: &[u8]) -> bool { true }
/// async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Error> {
///     let incoming = Incoming::receive(stream, Config::default()).await?;
///     match incoming.request() {
///         Request::Upgrade(request) => {
///             if !is_known(request.header("Cookie").unwrap_or_default()).await {
///                 incoming.respond(401).await?;
///                 return Ok(());
///             }
///             let mut ws = incoming.accept(&Accept::new()).await?;
///             ws.send("Welcome").await?;
///             ws.close(1000, "").await?;
///         }
///         Request::Plain(request) if request.resource() == "/health" => {
///             incoming.respond(Response::new(200).body("ok")).await?;
///         }
///         Request::Plain(_) => {
///             let (_stream, _bytes) = incoming.into_parts(); // for another HTTP server
///         }
///     }
///     Ok(())
/// }
/// ```
pub struct Incoming<T> {
    pub(super) machine: Machine<T>,
    pub(super) input: Input,
    pub(super) request: Request,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Incoming<T> {
    /// Receives a client's request. A request that is not valid HTTP/1.1, or not a valid handshake (RFC 6455 4.2.1), is
    /// answered with the right status.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Closed`] if no valid request arrived in
    /// [`Config::handshake_timeout`](crate::Config::handshake_timeout).
    pub async fn receive(
        transport: T,
        config: impl Into<Shared<Config>>,
    ) -> Result<Incoming<T>, Error> {
        let mut machine = Machine::new(transport, Connection::server(config));
        let mut input = Input::default();
        loop {
            match poll_fn(|cx| machine.poll_event(cx, &mut input)).await {
                Found::Finish => return Err(machine.end.unopened()),
                Found::Event => {}
            }
            let request = match machine.take_event(&mut input).map(Event::into_owned) {
                Some(Event::UpgradeRequest(request)) => Request::Upgrade(request),
                Some(Event::PlainRequest(request)) => Request::Plain(request),
                _ => continue,
            };
            input.settle();
            return Ok(Incoming { machine, input, request });
        }
    }

    /// Accepts the request, and writes the 101 (RFC 6455 4.2.2).
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the request is [plain](Request::Plain), or if what was passed cannot be sent; the client
    /// gets a 500 then. [`Error::Io`] if the response could not be written.
    pub async fn accept(self, accept: &Accept<'_>) -> Result<WebSocket<T>, Error> {
        self::accept(self.machine, self.input, accept).await
    }

    /// Accepts the request with a configuration that depends on it, and writes the 101 (RFC 6455 4.2.2). Extensions are
    /// negotiated by this configuration, and its limits and timeouts are those of the WebSocket. Frames that the client
    /// has sent behind its request are received.
    ///
    /// ```
    /// # use tokio::io::{AsyncRead, AsyncWrite};
    /// use websocket_proto::drive::tokio::Incoming;
    /// use websocket_proto::drive::{Error, Request};
    /// use websocket_proto::{Accept, Config, Shared};
    ///
    /// async fn serve(
    ///     stream: impl AsyncRead + AsyncWrite + Unpin,
    ///     [small, large]: &[Shared<Config>; 2],
    /// ) -> Result<(), Error> {
    ///     let incoming = Incoming::receive(stream, small.clone()).await?;
    ///     let config = match incoming.request() {
    ///         Request::Upgrade(request) if request.resource() == "/upload" => large,
    ///         _ => small,
    ///     };
    ///     let mut ws = incoming.accept_with(&Accept::new(), config.clone()).await?;
    ///     ws.send("Welcome").await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`accept`](Incoming::accept). [`Error::Usage`] also if the head of the request is above a limit of this
    /// configuration; the client gets a 500 then.
    pub async fn accept_with(
        mut self,
        accept: &Accept<'_>,
        config: impl Into<Shared<Config>>,
    ) -> Result<WebSocket<T>, Error> {
        self.machine.conn = self.request.received_with(config);
        self::accept(self.machine, self.input, accept).await
    }

    /// Answers the request with a status such as 403, or with a whole response, and ends the connection. It returns
    /// when the client has ended its side, or after [`Config::close_timeout`](crate::Config::close_timeout).
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the response cannot be sent. [`Error::Io`] if it could not be written.
    pub async fn respond(self, response: impl Into<Response>) -> Result<Closed, Error> {
        respond(self.machine, self.input, response.into()).await
    }
}

impl<T> Incoming<T> {
    /// Returns the request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Returns the transport, for questions such as the peer's address.
    #[must_use]
    pub fn transport(&self) -> &T {
        &self.machine.transport
    }

    /// Hands the request on: returns the transport, and all bytes that were read from it.
    #[must_use]
    pub fn into_parts(self) -> (T, Vec<u8>) {
        let bytes = [self.request.as_bytes(), self.input.unreceived()].concat();
        (self.machine.transport, bytes)
    }
}

impl<T> fmt::Debug for Incoming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("request", &self.request).finish_non_exhaustive()
    }
}

/// Accepts the request that the machine has received.
pub(super) async fn accept<T: AsyncRead + AsyncWrite + Unpin>(
    mut machine: Machine<T>,
    input: Input,
    accept: &Accept<'_>,
) -> Result<WebSocket<T>, Error> {
    if let Err(error) = machine.with(|conn| conn.accept(accept)) {
        // A plain request, or parts that cannot be sent. The client shall not wait for an answer.
        let _ = respond(machine, input, Response::new(500)).await;
        return Err(error.into());
    }
    poll_fn(|cx| machine.poll_send(cx, Awaited::Flush)).await;
    machine.end.accepted()?;
    Ok(WebSocket { machine, input })
}

/// Answers the request that the machine has received, and runs the connection to its end.
pub(super) async fn respond<T: AsyncRead + AsyncWrite + Unpin>(
    mut machine: Machine<T>,
    mut input: Input,
    response: Response,
) -> Result<Closed, Error> {
    machine.with(|conn| conn.respond(response))?;
    while let Found::Event = poll_fn(|cx| machine.poll_event(cx, &mut input)).await {
        let _ = machine.take_event(&mut input);
    }
    machine.end.responded()
}
