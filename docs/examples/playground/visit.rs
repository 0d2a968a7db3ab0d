//! A new connection: an HTTP request for a file, or a WebSocket. Who may open one, and with which settings.

use std::cell::OnceCell;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use websocket_proto::drive::tokio::{Incoming, WebSocket};
use websocket_proto::drive::{Error, Request};
use websocket_proto::{Accept, Config, Deflate, Role};

use crate::room::Member;
use crate::server::Server;
use crate::talk::{self, Job};
use crate::wire::{Watch, Wire};
use crate::{attacks, page, pages};

/// Serves a connection to its end.
pub(crate) async fn serve(stream: TcpStream, server: Rc<Server>) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut closes = server.closes.subscribe();
    let wire = Wire { stream, watch: OnceCell::new() };
    let incoming = tokio::select! {
        incoming = Incoming::receive(wire, Config::default()) => incoming?,
        _ = closes.changed() => return Ok(()),
    };
    let request = match incoming.request() {
        Request::Upgrade(request) => request.clone(),
        Request::Plain(request) => {
            let response = pages::answer(request);
            return incoming.respond(response).await.map(drop);
        }
    };
    let (path, query) = request.resource().split_once('?').unwrap_or((request.resource(), ""));
    let value = |name| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(found, _)| *found == name).map_or("", |(_, value)| value)
    };
    let page = server.pages.borrow().get(value("tab")).and_then(Weak::upgrade);
    let page = page.filter(|_| path == "/ws");
    let number = server.last_number.get() + 1;
    server.last_number.set(number);
    let watch = Rc::new(Watch { number, page, ..Watch::default() });
    watch.put(b'I', request.as_bytes());
    let _ = incoming.transport().watch.set(watch.clone()); // it is not set yet
    if let Err(response) = server.origins.check(&request) {
        return incoming.respond(response).await.map(drop);
    }
    let known = ["inspect", "echo", "count", "room"];
    let subprotocol = request.subprotocols().find(|name| known.contains(name));
    let fragment = value("fragment").parse().ok().filter(|size| *size > 0);
    let mut config = Config::builder()
        .deflate((value("deflate") != "0").then(Deflate::default))
        .max_outgoing_frame_bytes(fragment.unwrap_or(usize::MAX))
        .keepalive_interval(Duration::from_secs(20))
        .idle_timeout(Duration::from_secs(60)); // also for a peer that does not read
    let job = match (path, subprotocol) {
        ("/inspect", Some("inspect")) => None,
        ("/ws", Some("room")) => {
            config = config.max_message_bytes(16 * 1024).measure_round_trip(true);
            config = config.keepalive_interval(Duration::from_secs(1));
            Some(Job::Room(Member::new(value("name"))))
        }
        ("/ws", Some("count")) => Some(Job::Count),
        ("/ws", Some("echo") | None) => Some(Job::Echo),
        _ => return incoming.respond(404).await.map(drop),
    };
    let config = config.build().expect("allowed settings");
    let accept = subprotocol.map_or(Accept::new(), |name| Accept::new().subprotocol(name));
    let ws = match &watch.page {
        // In place of the 101. The browser then sends nothing but a Close, which is never compressed.
        Some(page) if !value("attack").is_empty() => {
            let key = request.header("Sec-WebSocket-Key").unwrap_or_default();
            let mut wire = incoming.into_parts().0;
            wire.write_all(&attacks::with_accept(&page.attack.take(), key)).await?;
            WebSocket::from_upgrade(wire, Role::Server, b"", config)?
        }
        _ => incoming.accept_with(&accept, config).await?,
    };
    match job {
        Some(job) => talk::run(ws, job, watch, server, closes).await,
        None => page::serve(ws, value("tab"), &server, closes).await,
    }
}
