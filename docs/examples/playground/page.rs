//! The second WebSocket of a page: what the server tells about the page's connections, and what the page orders. A record
//! is a kind, the number of the connection, the time in µs, the size of its body, and the body. If the page does not
//! read, records are lost, and the connections do not wait.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_local;
use tokio::time::interval;
use websocket_proto::drive::{Error, tokio::WebSocket};
use websocket_proto::{CloseCode, Message, Role};

use crate::server::Server;
use crate::wire::Wire;
use crate::{attacks, room};

/// The bytes of records that wait for one page.
const WAITING_BYTES: usize = 64 << 20;

/// A verb, and an argument.
pub(crate) type Order = (String, String);

pub(crate) struct Page {
    begin: Instant,
    records: RefCell<Vec<u8>>,
    has_news: Notify,
    /// Where the orders for each connection go.
    pub(crate) orders: RefCell<HashMap<u32, mpsc::UnboundedSender<Order>>>,
    /// What the server sends on the next connection with an attack.
    pub(crate) attack: RefCell<Vec<u8>>,
}

impl Page {
    pub(crate) fn open(server: &Server, name: &str) -> Rc<Page> {
        let (records, has_news, orders, attack) = Default::default();
        let page = Rc::new(Page { begin: Instant::now(), records, has_news, orders, attack });
        let mut pages = server.pages.borrow_mut();
        pages.retain(|_, page| page.strong_count() > 0);
        pages.insert(name.to_owned(), Rc::downgrade(&page));
        page
    }

    pub(crate) fn put(&self, kind: u8, number: u32, body: &[&[u8]]) {
        let size: usize = body.iter().map(|part| part.len()).sum();
        if self.records.borrow().len() + size > WAITING_BYTES {
            self.records.borrow_mut().clear();
            self.put(b'L', 0, &[]);
        }
        let records = &mut *self.records.borrow_mut();
        records.push(kind);
        records.extend(number.to_be_bytes());
        records.extend((self.begin.elapsed().as_micros() as u64).to_be_bytes());
        records.extend((size as u32).to_be_bytes());
        body.iter().for_each(|part| records.extend_from_slice(part));
        self.has_news.notify_one();
    }

    /// A text is an order: `VERB NUMBER ARGUMENT`. Bytes are an attack, behind the initial of the attacked role.
    fn obey(&self, message: &Message<'_>, server: &Rc<Server>) {
        if let (None, [first, script @ ..]) = (message.as_text(), message.as_bytes()) {
            let role = if *first == b'c' { Role::Client } else { Role::Server };
            if role == Role::Client {
                self.attack.replace(script.to_vec());
            }
            return self.put(b'V', 0, &[attacks::verdict(role, script).as_bytes()]);
        }
        let mut words = message.as_text().unwrap_or_default().splitn(3, ' ').map(str::to_owned);
        let [verb, number, argument] = std::array::from_fn(|_| words.next().unwrap_or_default());
        if verb == "bot" {
            spawn_local(room::misbehave(server.clone(), argument));
        } else if let Some(orders) = self.orders.borrow().get(&number.parse().unwrap_or(0)) {
            let _ = orders.send((verb, argument)); // fails if the connection has just ended
        }
    }

    /// Serves the page's second WebSocket.
    pub(crate) async fn run(&self, ws: WebSocket<Wire>, server: &Rc<Server>) -> Result<(), Error> {
        let (mut sends, mut receives) = ws.split();
        let receive = async {
            while let Some(message) = receives.recv().await? {
                self.obey(&message, server);
            }
            Ok(())
        };
        let tell = async {
            let mut second = interval(Duration::from_secs(1));
            let mut closes = server.closes.subscribe();
            loop {
                tokio::select! {
                    _ = self.has_news.notified() => {}
                    _ = second.tick() => self.put(b'N', 0, &[server.news().as_bytes()]),
                    _ = closes.changed() => return sends.close(CloseCode::GOING_AWAY, "").await,
                }
                sends.feed(self.records.take()).await?;
            }
        };
        tokio::select! {
            ended = receive => ended,
            ended = tell => ended.map(drop),
        }
    }
}
