//! A connection that echoes, counts, or is a member of the room, and does what its page orders.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::interval;
use websocket_proto::drive::{Error, tokio::WebSocket};
use websocket_proto::{CloseCode, Connection, Event, Message, PreparedMessage, State, UsageError};

use crate::room::Member;
use crate::server::Server;
use crate::wire::{Watch, Wire};

/// Asks a value, and makes a line of each question and its answer: the name of the method, a tab, and what it returns.
macro_rules! answers {
    ($of:ident: $($method:ident)*) => {
        format!(concat!($(stringify!($method), "\t{}\n"),*), $($of.$method()),*)
    };
}

pub(crate) enum Job {
    /// Sends each message back.
    Echo,
    /// Answers each message with its size.
    Count,
    Room(Member),
}

struct Talk {
    job: Job,
    watch: Rc<Watch>,
    server: Rc<Server>,
    /// The number of messages to send as fast as the connection takes them, and their size; 0 for short texts.
    to_produce: u32,
    produced_bytes: usize,
}

/// The result of a call to the connection. The page shows an error.
type Done = Result<(), UsageError>;

/// Runs the connection to its end, which is near when `closes` changes.
pub(crate) async fn run(
    ws: WebSocket<Wire>,
    job: Job,
    watch: Rc<Watch>,
    server: Rc<Server>,
    mut closes: watch::Receiver<bool>,
) -> Result<(), Error> {
    let mut talk = Talk { job, watch, server, to_produce: 0, produced_bytes: 0 };
    let number = talk.watch.number;
    let (mut sends, mut receives) = ws.split();
    let (orders, mut ordered) = mpsc::unbounded_channel();
    let mut said = talk.server.said.subscribe();
    let mut beat = interval(Duration::from_millis(100));
    if let Some(page) = &talk.watch.page {
        page.orders.borrow_mut().insert(number, orders);
    }
    talk.watch.put(b'O', sends.with(|conn| format!("{:?}", conn.config())));
    let ended = loop {
        let (is_full, is_open) =
            sends.with(|conn| (conn.is_congested(), conn.state() == State::Open));
        // Backpressure: who does not read the answers is not read. Nor is who says too much in the room.
        let is_member = matches!(talk.job, Job::Room(_));
        let is_quiet = matches!(&talk.job, Job::Room(member) if member.allowance == 0);
        let result = tokio::select! {
            event = receives.recv_event(), if !is_full && !is_quiet => match event {
                Ok(Some(Event::Message(message))) => sends.with(|conn| talk.answer(message, conn)),
                Ok(Some(_)) => Ok(()),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            },
            // If this fails, `receives` tells how the connection has ended.
            Ok(()) = sends.flush(), if is_full || (is_open && talk.to_produce > 0) => {
                sends.with(|conn| talk.produce(conn))
            }
            Some(order) = ordered.recv() => sends.with(|conn| talk.obey(&order, conn)),
            Ok(message) = said.recv(), if is_member => sends.with(|conn| talk.hear(&message, conn)),
            _ = closes.changed() => sends.with(|conn| conn.close(CloseCode::GOING_AWAY, "")),
            _ = beat.tick() => sends.with(|conn| talk.tell(conn)),
        };
        if let Err(error) = result {
            talk.watch.put(b'E', error.to_string());
        }
    };
    let _ = sends.with(|conn| talk.tell(conn));
    talk.server.members.borrow_mut().remove(&number);
    if let (Some(page), Some(closed)) = (&talk.watch.page, receives.closed()) {
        page.orders.borrow_mut().remove(&number);
        let sent = closed.sent_code().map_or(String::new(), |code| code.to_string());
        let text = answers!(closed: is_clean code cause);
        let reason = closed.reason().replace('\n', " ");
        talk.watch.put(b'C', format!("{text}sent_code\t{sent}\nreason\t{reason}"));
    }
    ended
}

impl Talk {
    fn answer(&mut self, message: Message<'_>, conn: &mut Connection) -> Done {
        self.tell_content(b'M', &message, conn);
        match &mut self.job {
            _ if conn.state() != State::Open => Ok(()), // messages still arrive after our Close
            Job::Echo => self.send(message, conn),
            Job::Count => self.send(format!("{} bytes", message.len()).into(), conn),
            Job::Room(member) => {
                let said = message.as_text().map(|text| self.server.said.send(member.say(text)));
                drop(said); // it has at least this receiver
                Ok(())
            }
        }
    }

    fn send(&self, message: Message<'_>, conn: &mut Connection) -> Done {
        self.tell_content(b'W', &message, conn);
        conn.send(message)
    }

    /// Sends what was ordered until the queue is above the high water mark.
    fn produce(&mut self, conn: &mut Connection) -> Done {
        while self.to_produce > 0 && conn.is_writable() {
            let message = match self.produced_bytes {
                0 => format!("message, {} to go", self.to_produce).into(),
                size => vec![self.to_produce as u8; size].into(),
            };
            self.to_produce -= 1;
            self.send(message, conn)?;
        }
        Ok(())
    }

    fn obey(&mut self, order: &str, conn: &mut Connection) -> Done {
        let (verb, argument) = order.split_once(' ').unwrap_or((order, ""));
        let (first, second) = argument.split_once(' ').unwrap_or((argument, ""));
        let number: u32 = first.parse().unwrap_or(0);
        match verb {
            "ping" => return conn.ping(argument.as_bytes()),
            "close" => return conn.close(number as u16, second),
            "pause" => self.watch.is_paused.set(number == 1),
            "cut" => self.watch.cuts_reads.set(number == 1),
            "produce" => {
                self.to_produce = number;
                self.produced_bytes = second.parse().map_or(0, |n: usize| n.min(1 << 20));
            }
            _ => {}
        }
        Ok(())
    }

    /// Sends a message of the room, unless too much waits to be sent.
    fn hear(&mut self, message: &PreparedMessage, conn: &mut Connection) -> Done {
        let Job::Room(member) = &mut self.job else { return Ok(()) };
        if !conn.is_writable() {
            member.missed += 1;
            return Ok(());
        }
        self.tell_content(b'W', &message.payload().into(), conn);
        conn.send_prepared(message)
    }

    /// Tells the size of a message that is compressed on the wire, and its first 4096 bytes: frames do not show them.
    fn tell_content(&self, kind: u8, message: &Message<'_>, conn: &Connection) {
        if self.watch.page.is_some() && conn.deflate_params().is_some() {
            let front = &message.as_bytes()[..message.len().min(4096)];
            self.watch.put(kind, [&(message.len() as u32).to_be_bytes(), front].concat());
        }
    }

    /// Tells what the machine says of itself.
    fn tell(&mut self, conn: &Connection) -> Done {
        if let Job::Room(member) = &mut self.job {
            self.server.members.borrow_mut().insert(self.watch.number, member.beat(conn));
        }
        let text =
            answers!(conn: state buffered_amount outgoing_len is_writable is_congested wants_read);
        let (is_paused, to_produce) = (self.watch.is_paused.get(), self.to_produce);
        self.watch.put(b'S', format!("{text}is_paused\t{is_paused}\nto_produce\t{to_produce}"));
        Ok(())
    }
}
