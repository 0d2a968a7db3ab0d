//! The opening handshake of a server in two steps: receive the request, then answer it.

use core::fmt;
use std::vec::Vec;

use super::machine::Found;
use super::socket::WebSocket;
use super::transport::Transport;
use crate::drive::input::Input;
use crate::drive::{Error, Request};
use crate::{Accept, Closed, Config, Connection, Event, Response, Shared, UpgradeRequest};

/// A client's request that waits for the answer of a server.
///
/// Between the two steps the program can do what it likes: look up a session, serve a page, hand the request to another
/// HTTP server. No timeout runs meanwhile. To drop it drops the transport.
///
/// ```
/// use std::net::TcpStream;
/// use websocket_proto::drive::blocking::Incoming;
/// use websocket_proto::drive::{Error, Request};
/// use websocket_proto::{Accept, Config, Response};
///
/// # fn is_known(_: &[u8]) -> bool { true }
/// fn serve(stream: TcpStream) -> Result<(), Error> {
///     let incoming = Incoming::receive(stream, Config::default())?;
///     match incoming.request() {
///         Request::Upgrade(request) => {
///             if !is_known(request.header("Cookie").unwrap_or_default()) {
///                 incoming.respond(401)?;
///                 return Ok(());
///             }
///             let mut ws = incoming.accept(&Accept::new())?;
///             ws.send("Welcome")?;
///             ws.close(1000, "")?;
///         }
///         Request::Plain(request) if request.resource() == "/health" => {
///             incoming.respond(Response::new(200).body("ok"))?;
///         }
///         Request::Plain(_) => {
///             let (_stream, _bytes) = incoming.into_parts(); // for another HTTP server
///         }
///     }
///     Ok(())
/// }
/// ```
pub struct Incoming<T> {
    pub(super) ws: WebSocket<T>,
    pub(super) request: Request,
}

/// # Accept
impl<T: Transport> WebSocket<T> {
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
    /// [`Config::handshake_timeout`](crate::Config::handshake_timeout). The client has got the response then.
    pub fn accept(transport: T, config: impl Into<Shared<Config>>) -> Result<WebSocket<T>, Error> {
        WebSocket::accept_with(transport, config, |_| Ok(Accept::new()))
    }

    /// Receives a client's request, and lets `decide` accept it, or refuse it with a response (RFC 6455 4.2.2). A
    /// request that does not ask for a WebSocket is answered with 426.
    ///
    /// ```
    /// use std::net::TcpStream;
    /// use websocket_proto::drive::{Error, blocking::WebSocket};
    /// use websocket_proto::{Accept, Config, OriginPolicy, Response};
    ///
    /// # fn serve(stream: TcpStream, origins: &OriginPolicy) -> Result<(), Error> {
    /// let mut ws = WebSocket::accept_with(stream, Config::default(), |request| {
    ///     origins.check(request)?;
    ///     match request.subprotocols().find(|name| *name == "v2.chat") {
    ///         Some(chat) => Ok(Accept::new().subprotocol(chat)),
    ///         None => Err(Response::from(404)),
    ///     }
    /// })?;
    /// # ws.send("") }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`accept`](WebSocket::accept). A refused request is [`Error::Closed`] with
    /// [`CloseCause::Rejected`](crate::CloseCause::Rejected). [`Error::Usage`] if what `decide` returned cannot be
    /// sent; the client gets a 500 then.
    pub fn accept_with(
        transport: T,
        config: impl Into<Shared<Config>>,
        decide: impl for<'r> FnOnce(&'r UpgradeRequest<'static>) -> Result<Accept<'r>, Response>,
    ) -> Result<WebSocket<T>, Error> {
        let Incoming { ws, request } = Incoming::receive(transport, config)?;
        let response = match &request {
            Request::Upgrade(request) => match decide(request) {
                Ok(accept) => return self::accept(ws, &accept),
                Err(response) => response,
            },
            Request::Plain(_) => Response::new(426),
        };
        Err(respond(ws, response)?.into())
    }
}

impl<T: Transport> Incoming<T> {
    /// Receives a client's request. A request that is not valid HTTP/1.1, or not a valid handshake (RFC 6455 4.2.1), is
    /// answered with the right status.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Closed`] if no valid request arrived in
    /// [`Config::handshake_timeout`](crate::Config::handshake_timeout).
    pub fn receive(transport: T, config: impl Into<Shared<Config>>) -> Result<Incoming<T>, Error> {
        let mut ws = WebSocket::new(transport, Connection::server(config), Input::default());
        loop {
            match ws.turn(None) {
                Found::Finish => return Err(ws.machine.end.unopened()),
                Found::Nothing => continue,
                Found::Event => {}
            }
            let request = match ws.machine.take_event(&mut ws.input).map(Event::into_owned) {
                Some(Event::UpgradeRequest(request)) => Request::Upgrade(request),
                Some(Event::PlainRequest(request)) => Request::Plain(request),
                _ => continue,
            };
            ws.input.settle();
            return Ok(Incoming { ws, request });
        }
    }

    /// Accepts the request, and writes the 101 (RFC 6455 4.2.2).
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the request is [plain](Request::Plain), or if what was passed cannot be sent; the client
    /// gets a 500 then. [`Error::Io`] if the response could not be written.
    pub fn accept(self, accept: &Accept<'_>) -> Result<WebSocket<T>, Error> {
        self::accept(self.ws, accept)
    }

    /// Accepts the request with a configuration that depends on it, and writes the 101 (RFC 6455 4.2.2). Extensions are
    /// negotiated by this configuration, and its limits and timeouts are those of the WebSocket. Frames that the client
    /// has sent behind its request are received.
    ///
    /// ```
    /// use std::net::TcpStream;
    /// use websocket_proto::drive::blocking::Incoming;
    /// use websocket_proto::drive::{Error, Request};
    /// use websocket_proto::{Accept, Config, Shared};
    ///
    /// fn serve(
    ///     stream: TcpStream,
    ///     [small, large]: &[Shared<Config>; 2],
    /// ) -> Result<(), Error> {
    ///     let incoming = Incoming::receive(stream, small.clone())?;
    ///     let config = match incoming.request() {
    ///         Request::Upgrade(request) if request.resource() == "/upload" => large,
    ///         _ => small,
    ///     };
    ///     let mut ws = incoming.accept_with(&Accept::new(), config.clone())?;
    ///     ws.send("Welcome")
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`accept`](Incoming::accept). [`Error::Usage`] also if the head of the request is above a limit of this
    /// configuration; the client gets a 500 then.
    pub fn accept_with(
        mut self,
        accept: &Accept<'_>,
        config: impl Into<Shared<Config>>,
    ) -> Result<WebSocket<T>, Error> {
        self.ws.machine.conn = self.request.received_with(config);
        self::accept(self.ws, accept)
    }

    /// Answers the request with a status such as 403, or with a whole response, and ends the connection. It returns
    /// when the client has ended its side, or after [`Config::close_timeout`](crate::Config::close_timeout).
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the response cannot be sent. [`Error::Io`] if it could not be written.
    pub fn respond(self, response: impl Into<Response>) -> Result<Closed, Error> {
        respond(self.ws, response.into())
    }

    /// Hands the request on: returns the transport, without timeouts, and all bytes that were read from it.
    #[must_use]
    pub fn into_parts(self) -> (T, Vec<u8>) {
        let bytes = [self.request.as_bytes(), self.ws.input.unreceived()].concat();
        (self.ws.line.into_transport(), bytes)
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
        self.ws.transport()
    }
}

impl<T> fmt::Debug for Incoming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("request", &self.request).finish_non_exhaustive()
    }
}

/// Accepts the request that was received.
pub(super) fn accept<T: Transport>(
    mut ws: WebSocket<T>,
    accept: &Accept<'_>,
) -> Result<WebSocket<T>, Error> {
    if let Err(error) = ws.with(|conn| conn.accept(accept)) {
        // A plain request, or parts that cannot be sent. The client shall not wait for an answer.
        let _ = respond(ws, Response::new(500));
        return Err(error.into());
    }
    ws.flush()?;
    ws.machine.end.accepted()?;
    Ok(ws)
}

/// Answers the request that was received, and runs the connection to its end.
pub(super) fn respond<T: Transport>(
    mut ws: WebSocket<T>,
    response: Response,
) -> Result<Closed, Error> {
    ws.with(|conn| conn.respond(response))?;
    ws.finish();
    ws.machine.end.responded()
}
