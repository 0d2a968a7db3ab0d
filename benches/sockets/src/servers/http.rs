//! The opening handshake through hyper, for crates that need it.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::Served;

/// Serves the requests of a connection until it is upgraded.
pub async fn serve<E: std::error::Error + Send + Sync + 'static>(
    stream: TcpStream,
    respond: impl Fn(Request<Incoming>) -> Result<Response<Empty<Bytes>>, E>,
) -> Served {
    let service = hyper::service::service_fn(|request| {
        let response = respond(request);
        async move { response }
    });
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await?;
    Ok(())
}
