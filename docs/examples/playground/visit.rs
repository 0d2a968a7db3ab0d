//! A new connection: an HTTP request for a file, or a WebSocket. Who may open one, and with which settings.

use std::cell::OnceCell;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use websocket_proto::drive::tokio::{Incoming, WebSocket};
use websocket_proto::drive::{Error, Request};
use websocket_proto::{Accept, Deflate, Shared, UpgradeRequest};

use crate::page::Page;
use crate::room::Member;
use crate::server::Server;
use crate::talk::{Job, Talk};
use crate::wire::{Watch, Wire};
use crate::{attacks, pages};

pub(crate) async fn serve(stream: TcpStream, server: Rc<Server>) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut closes = server.closes.subscribe();
    let wire = Wire { stream, watch: OnceCell::new() };
    let incoming = tokio::select! {
        incoming = Incoming::receive(wire, server.config.clone().build().expect("allowed")) => incoming?,
        _ = closes.changed() => return Ok(()),
    };
    match incoming.request() {
        Request::Upgrade(request) => upgrade(request.clone(), incoming, &server).await,
        Request::Plain(request) => {
            let response = pages::answer(request);
            incoming.respond(response).await.map(drop)
        }
    }
}

async fn upgrade(
    request: UpgradeRequest<'static>,
    incoming: Incoming<Wire>,
    server: &Rc<Server>,
) -> Result<(), Error> {
    let (path, query) = request.resource().split_once('?').unwrap_or((request.resource(), ""));
    let value = |name| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(found, _)| *found == name).map_or("", |(_, value)| value)
    };
    let number = server.last_number.get() + 1;
    server.last_number.set(number);
    let page = server.pages.borrow().get(value("tab")).and_then(Weak::upgrade);
    let page = page.filter(|_| path == "/ws");
    let watch = page.map(|page| Watch::new(number, page));
    if let Some(watch) = &watch {
        watch.put(b'I', &[request.as_bytes()]);
        let _ = incoming.transport().watch.set(watch.clone());
    }
    if let Err(response) = server.origins.check(&request) {
        return incoming.respond(response).await.map(drop);
    }
    let known = ["inspect", "echo", "count", "room"];
    let subprotocol = request.subprotocols().find(|name| known.contains(name));
    let mut config = server.config.clone();
    if value("deflate") != "0" {
        config = config.deflate(Deflate::default());
    }
    if let Ok(size @ 1..) = value("fragment").parse() {
        config = config.max_outgoing_frame_bytes(size);
    }
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
    // These settings depend on the request: the response is written here, and the connection begins behind it.
    let config = Shared::new(config.build().expect("allowed settings"));
    let accept = subprotocol.map_or_else(Accept::new, |name| Accept::new().subprotocol(name));
    let accepted = request.accept(&accept, &config)?;
    let (mut wire, read) = incoming.into_parts();
    let rest = &read[request.as_bytes().len()..];
    let mut head = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
    for header in accepted.headers.headers() {
        head.extend([header.name.as_bytes(), b": ", header.value, b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    if let (Some(watch), true) = (&watch, !value("attack").is_empty()) {
        let key = request.header("Sec-WebSocket-Key").unwrap_or_default();
        head = attacks::with_accept(&watch.page.attack.take(), key);
    }
    wire.write_all(&head).await?;
    watch.iter().for_each(|watch| watch.put(b'I', &[rest]));
    let ws = WebSocket::from_upgrade(wire, accepted.upgrade, rest, config)?;
    match job {
        Some(job) => Talk::new(number, job, watch).run(ws, server).await,
        None => Page::open(server, value("tab")).run(ws, server).await,
    }
}
