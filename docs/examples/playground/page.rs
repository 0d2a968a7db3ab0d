//! The second WebSocket of a page: what the server tells about the page's connections, and what the page orders. A
//! record is a kind, the number of the connection, the time in µs, the size of its body, and the body. If the page does
//! not read, records are lost, and the connections do not wait.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::spawn_local;
use tokio::time::interval;
use websocket_proto::drive::{Error, tokio::WebSocket};
use websocket_proto::{CloseCode, Message, Role};

use crate::server::Server;
use crate::wire::Wire;
use crate::{attacks, room};

/// The bytes of records that wait for one page: less than a connection may queue.
const WAITING_BYTES: usize = 48 << 20;

pub(crate) struct Page {
    begin: Instant,
    records: RefCell<Vec<u8>>,
    has_news: Notify,
    /// Where the orders for each connection go.
    pub(crate) orders: RefCell<HashMap<u32, mpsc::UnboundedSender<String>>>,
    /// The bytes of the latest attack. The server sends them on the next connection that asks for an attack.
    pub(crate) attack: RefCell<Vec<u8>>,
}

impl Page {
    pub(crate) fn put(&self, kind: u8, number: u32, body: &[u8]) {
        if self.records.borrow().len() + body.len() > WAITING_BYTES {
            self.records.borrow_mut().clear();
            self.put(b'L', 0, b"");
        }
        let mut records = self.records.borrow_mut();
        records.push(kind);
        records.extend(number.to_be_bytes());
        records.extend((self.begin.elapsed().as_micros() as u64).to_be_bytes());
        records.extend((body.len() as u32).to_be_bytes());
        records.extend(body);
        self.has_news.notify_one();
    }

    /// A text is the number of a connection and an order for it. Bytes are an attack, behind the attacked role's
    /// initial.
    fn obey(&self, message: &Message<'_>, server: &Rc<Server>) {
        if let (None, [first, script @ ..]) = (message.as_text(), message.as_bytes()) {
            let role = if *first == b'c' { Role::Client } else { Role::Server };
            self.attack.replace(script.to_vec());
            return self.put(b'V', 0, attacks::verdict(role, script).as_bytes());
        }
        let text = message.as_text().unwrap_or_default();
        let (number, order) = text.split_once(' ').unwrap_or_default();
        if let Some(how) = order.strip_prefix("bot ") {
            spawn_local(room::misbehave(server.clone(), how.to_owned()));
        } else if let Some(orders) = self.orders.borrow().get(&number.parse().unwrap_or(0)) {
            let _ = orders.send(order.to_owned()); // fails if the connection has just ended
        }
    }
}

/// Serves the second WebSocket of the page with this name.
pub(crate) async fn serve(
    mut ws: WebSocket<Wire>,
    name: &str,
    server: &Rc<Server>,
    mut closes: watch::Receiver<bool>,
) -> Result<(), Error> {
    let (records, has_news, orders, attack) = Default::default();
    let page = Rc::new(Page { begin: Instant::now(), records, has_news, orders, attack });
    server.pages.borrow_mut().retain(|_, page| page.strong_count() > 0);
    server.pages.borrow_mut().insert(name.to_owned(), Rc::downgrade(&page));
    let mut second = interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            message = ws.recv() => match message? {
                Some(message) => page.obey(&message, server),
                None => return Ok(()),
            },
            _ = page.has_news.notified() => ws.feed(page.records.take()).await?,
            _ = second.tick() => page.put(b'N', 0, server.news().as_bytes()),
            _ = closes.changed() => return ws.close(CloseCode::GOING_AWAY, "").await.map(drop),
        }
    }
}
