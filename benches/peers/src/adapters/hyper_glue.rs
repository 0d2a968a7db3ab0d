//! Helpers for crates that use hyper for the opening handshake.

use std::cell::OnceCell;
use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::runtime::{Builder, Runtime};

use crate::transport::Transport;

/// The runtime of this thread.
pub fn with_runtime<T>(run: impl FnOnce(&Runtime) -> T) -> T {
    thread_local!(static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() });
    RUNTIME.with(|runtime| {
        run(runtime.get_or_init(|| {
            Builder::new_current_thread().enable_time().build().expect("a runtime can be had")
        }))
    })
}

#[derive(Clone)]
pub struct Executor;

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

/// Serves one request.
pub fn serve(io: Transport, respond: impl Fn(Request<Incoming>) -> Response<Empty<Bytes>>) {
    let service = hyper::service::service_fn(|request| {
        let response = respond(request);
        async move { Ok::<_, Infallible>(response) }
    });
    with_runtime(|runtime| {
        runtime.block_on(async {
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(io), service)
                .with_upgrades()
                .await;
        });
    });
}
