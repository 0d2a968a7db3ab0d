//! What a connection is for: who may open it, with which settings, and what its messages mean.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use websocket_proto::{
    Accept, Clock, Config, Connection, Deflate, Event, Message, OriginPolicy, PreparedMessage,
    Shared, State, Timestamp, UpgradeRequest, UsageError,
};

use crate::orders::Order;
use crate::peer::Peer;
use crate::room::{Bot, Member};
use crate::watch::{Notes, SharedNotes, Watch};
use crate::{attacks, pages};

pub(crate) enum Job {
    /// The request has not arrived, or it is for a page.
    Visitor,
    /// Sends each message back.
    Echo,
    /// Answers each message with its size.
    Count,
    Room(Member),
    /// Tells a page what its connections do, and takes its orders.
    Page(SharedNotes),
    /// A client in this program, until the time.
    Bot(Bot, Timestamp),
}

/// What one connection asks of others.
pub(crate) enum Task {
    Say(PreparedMessage),
    Order(Order),
}

/// What all connections share.
pub(crate) struct Common {
    pub(crate) plain: Shared<Config>,
    deflating: Shared<Config>,
    room: Shared<Config>,
    origins: OriginPolicy,
    clock: Clock,
    /// The pages that watch, by the name that each has chosen for itself.
    pages: HashMap<String, Weak<RefCell<Notes>>>,
    pub(crate) tasks: Vec<Task>,
}

impl Common {
    pub(crate) fn new(address: SocketAddr, clock: Clock) -> Result<Common> {
        let plain = Config::builder()
            .keepalive_interval(Duration::from_secs(20))
            .idle_timeout(Duration::from_secs(60)); // also for a peer that does not read
        let deflating = plain.clone().deflate(Deflate::default());
        let room = deflating.clone().max_message_bytes(16 * 1024);
        let local = ["localhost", "127.0.0.1"].map(|host| format!("{host}:{}", address.port()));
        let own = local.into_iter().chain([address.to_string()]);
        let own = own.map(|host| format!("http://{host}"));
        Ok(Common {
            plain: Shared::new(plain.build()?),
            deflating: Shared::new(deflating.build()?),
            room: Shared::new(room.build()?),
            // Programs send no Origin. Only browsers can be abused by a foreign page, and they send it.
            origins: OriginPolicy::new(own).map_err(Error::other)?.allow_missing(true),
            clock,
            pages: HashMap::new(),
            tasks: Vec::new(),
        })
    }

    fn open_page(&mut self, name: &str) -> SharedNotes {
        let notes = Notes { clock: self.clock, bytes: Vec::new(), lost: 0 };
        let notes = Rc::new(RefCell::new(notes));
        self.pages.retain(|_, notes| notes.strong_count() > 0);
        self.pages.insert(name.to_owned(), Rc::downgrade(&notes));
        notes.borrow_mut().put_text(b'A', 0, &attacks::table());
        notes
    }
}

impl Peer {
    /// Does what the event asks for. `rest` is the input behind the event.
    pub(crate) fn react(
        &mut self,
        event: Event<'_>,
        rest: &[u8],
        common: &mut Common,
    ) -> std::result::Result<(), UsageError> {
        match (event, &mut self.job) {
            (Event::UpgradeRequest(request), _) => return self.admit(request, rest, common),
            (Event::PlainRequest(request), _) => return self.conn.respond(pages::answer(&request)),
            (Event::Message(message), _) => {
                if let Some(watch) = &mut self.watch {
                    watch.note_message(0, message.as_bytes(), &self.conn);
                }
                // Messages can still arrive after our Close.
                if self.conn.state() == State::Open {
                    return self.answer(message, common);
                }
            }
            (Event::Open(_), Job::Bot(bot, _)) => self.knobs = bot.knobs(),
            (Event::Pong(payload), Job::Room(member)) => {
                member.note_pong(&payload, common.clock.now())
            }
            (Event::Closed(closed), _) => {
                self.watch.iter_mut().for_each(|watch| watch.note_closed(&closed));
            }
            _ => {}
        }
        Ok(())
    }

    fn admit(
        &mut self,
        request: UpgradeRequest<'_>,
        rest: &[u8],
        common: &mut Common,
    ) -> std::result::Result<(), UsageError> {
        let resource = request.resource().to_owned();
        let (path, query) = resource.split_once('?').unwrap_or((&resource, ""));
        let value = |name| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(found, _)| *found == name).map_or("", |(_, value)| value)
        };
        if path == "/ws" {
            if let Some(notes) = common.pages.get(value("tab")).and_then(Weak::upgrade) {
                let mut watch = Watch::new(self.number, notes);
                watch.pass_input(request.as_bytes());
                watch.pass_input(rest);
                self.watch = Some(watch);
            }
        }
        if let Err(response) = common.origins.check(&request) {
            return self.conn.respond(response);
        }
        let known = ["inspect", "echo", "count", "room"];
        let subprotocol =
            request.subprotocols().find_map(|name| known.into_iter().find(|known| *known == name));
        let deflate = if value("deflate") == "0" { &common.plain } else { &common.deflating };
        let (job, config) = match (path, subprotocol) {
            ("/inspect", Some("inspect")) => {
                (Job::Page(common.open_page(value("tab"))), &common.plain)
            }
            ("/ws", Some("room")) => (Job::Room(Member::new(value("name"))), &common.room),
            ("/ws", Some("count")) => (Job::Count, deflate),
            ("/ws", Some("echo") | None) => (Job::Echo, deflate),
            _ => return self.conn.respond(404),
        };
        // The settings depend on the request. A connection with these settings receives the request again.
        self.conn = Connection::server(config.clone());
        let mut head = request.into_bytes();
        let again = self.conn.receive(&mut &mut head[..]);
        if !matches!(again, Some(Event::UpgradeRequest(_))) {
            return Ok(()); // these settings refuse it, and the response is queued
        }
        let accept =
            subprotocol.map_or_else(Accept::default, |name| Accept::new().subprotocol(name));
        self.conn.accept(&accept)?;
        self.job = job;
        let attack = value("attack").parse().ok().and_then(attacks::get);
        if let Some(attack) = attack {
            self.raw = [self.conn.outgoing(), &attack.bytes()].concat();
            self.conn.advance(self.conn.outgoing().len());
        }
        if let Some(watch) = &mut self.watch {
            watch.note_open(&self.conn, &attack.map_or("null".into(), |attack| attack.verdicts()));
        }
        Ok(())
    }

    fn answer(
        &mut self,
        message: Message<'_>,
        common: &mut Common,
    ) -> std::result::Result<(), UsageError> {
        match &mut self.job {
            Job::Echo => return self.send(message),
            Job::Count => return self.send(format!("{} bytes", message.len()).into()),
            Job::Room(member) => {
                let said = message.as_text().and_then(|text| member.say(text));
                common.tasks.extend(said.map(Task::Say));
            }
            Job::Page(_) => {
                common.tasks.extend(message.as_text().and_then(Order::parse).map(Task::Order));
            }
            Job::Visitor | Job::Bot(..) => {}
        }
        Ok(())
    }

    /// Sends a message, in fragments if the page has asked for them.
    pub(crate) fn send(&mut self, message: Message<'_>) -> std::result::Result<(), UsageError> {
        if let Some(watch) = &mut self.watch {
            watch.note_message(1, message.as_bytes(), &self.conn);
        }
        let size = self.knobs.fragment_bytes;
        if size == 0 || message.len() <= size || message.len() / size > 10_000 {
            return self.conn.send(message);
        }
        let mut parts = message.as_bytes().chunks(size).peekable();
        while let Some(part) = parts.next() {
            self.conn.send_fragment(message.kind(), part, parts.peek().is_none())?;
        }
        Ok(())
    }
}
