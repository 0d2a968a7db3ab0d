//! The extractor. Copy it into your program.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::{self, StatusCode, request::Parts};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use websocket_proto::drive::tokio as drive;
use websocket_proto::handshake::ParsedRequest;
use websocket_proto::{self as ws, Accept, Config, Shared, UpgradeRequest};

/// A WebSocket over what hyper hands over.
pub type WebSocket = drive::WebSocket<TokioIo<Upgraded>>;

/// A request for WebSocket. A plain request is refused with 426, a malformed one with the status of its error. The
/// router's state must be a `Shared<Config>`, or have one ([`FromRef`]).
pub struct WebSocketUpgrade {
    pub request: UpgradeRequest<'static>,
    config: Shared<Config>,
    transport: OnUpgrade,
}

impl<S: Send + Sync> FromRequestParts<S> for WebSocketUpgrade
where
    Shared<Config>: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let config = Shared::from_ref(state);
        let request = match ParsedRequest::from_http_parts(parts, &config) {
            Ok(ParsedRequest::Upgrade(request)) => request,
            Ok(ParsedRequest::Plain(_)) => return Err(response(ws::Response::new(426).try_into())),
            Err(error) => return Err(response(error.response().try_into())),
        };
        let transport = parts.extensions.remove::<OnUpgrade>();
        let transport = transport.ok_or(StatusCode::INTERNAL_SERVER_ERROR.into_response())?;
        Ok(WebSocketUpgrade { request, config, transport })
    }
}

impl WebSocketUpgrade {
    /// Accepts the request. `serve` gets the WebSocket, once hyper has sent the response.
    pub fn accept<F>(
        self,
        accept: &Accept<'_>,
        serve: impl FnOnce(WebSocket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send,
    {
        let WebSocketUpgrade { request, config, transport } = self;
        let accepted = match request.accept(accept, &config) {
            Ok(accepted) => accepted,
            Err(error) => {
                eprintln!("cannot accept: {error}");
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
        };
        let response = response(Response::try_from(&accepted));
        tokio::spawn(async move {
            let transport = match transport.await {
                Ok(transport) => TokioIo::new(transport),
                Err(error) => return eprintln!("connection dropped: {error}"),
            };
            // The bytes that hyper has read behind the head are in `transport`, so there are no leftovers.
            match WebSocket::from_upgrade(transport, accepted.upgrade, b"", config) {
                Ok(ws) => serve(ws).await,
                Err(error) => eprintln!("cannot start: {error}"),
            }
        });
        response
    }
}

fn response(result: http::Result<Response>) -> Response {
    result.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
