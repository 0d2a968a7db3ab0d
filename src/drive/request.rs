//! A request that a server has received, before it is answered.

use crate::{Config, Connection, PlainRequest, Shared, UpgradeRequest};

/// A request that a server has received.
///
/// ```
/// use websocket_proto::drive::Request;
///
/// fn log(request: &Request) {
///     match request {
///         Request::Upgrade(request) => println!("WebSocket {}", request.resource()),
///         Request::Plain(request) => println!("{} {}", request.method(), request.resource()),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "a request asks for WebSocket, or does not")]
pub enum Request {
    /// A valid request for a WebSocket.
    Upgrade(UpgradeRequest<'static>),
    /// Any other HTTP request.
    Plain(PlainRequest<'static>),
}

impl Request {
    /// The whole head, blank line included.
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Request::Upgrade(request) => request.as_bytes(),
            Request::Plain(request) => request.as_bytes(),
        }
    }

    /// A connection with another configuration that has received this request, too. If the request is above a limit of
    /// that configuration, none is pending.
    pub(super) fn received_with(&self, config: impl Into<Shared<Config>>) -> Connection {
        let mut conn = Connection::server(config);
        let mut head = self.as_bytes().to_vec();
        let _ = conn.receive(&mut &mut head[..]); // the same request, or its refusal
        conn
    }
}
