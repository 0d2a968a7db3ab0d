//! A connection that echoes, counts, or is a member of the room, and does what its page orders.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use futures_sink::Sink as _;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::interval;
use websocket_proto::drive::Error;
use websocket_proto::drive::tokio::{SendHalf, WebSocket};
use websocket_proto::{CloseCode, Connection, Event, Message, PreparedMessage, State, UsageError};

use crate::page::Order;
use crate::room::Member;
use crate::server::Server;
use crate::wire::{Watch, Wire};

/// The bytes of a decompressed message that the page gets.
const CONTENT_BYTES: usize = 4096;

pub(crate) enum Job {
    /// Sends each message back.
    Echo,
    /// Answers each message with its size.
    Count,
    Room(Member),
}

pub(crate) struct Talk {
    number: u32,
    job: Job,
    watch: Option<Rc<Watch>>,
    /// The number of messages to send as fast as the connection takes them, and their size; 0 for short texts.
    to_produce: u64,
    produced_bytes: usize,
}

impl Talk {
    pub(crate) fn new(number: u32, job: Job, watch: Option<Rc<Watch>>) -> Talk {
        Talk { number, job, watch, to_produce: 0, produced_bytes: 0 }
    }

    pub(crate) async fn run(mut self, ws: WebSocket<Wire>, server: &Server) -> Result<(), Error> {
        let (mut sends, mut receives) = ws.split();
        let (orders, mut ordered) = mpsc::unbounded_channel();
        let (mut said, mut closes) = (server.said.subscribe(), server.closes.subscribe());
        let mut beat = interval(Duration::from_millis(100));
        if let Some(watch) = &self.watch {
            watch.page.orders.borrow_mut().insert(self.number, orders);
            let (config, deflate) =
                sends.with(|conn| (conn.config().clone(), conn.deflate_params()));
            watch.put(b'O', &[format!("deflate\t{deflate:?}\nconfig\t{config:?}").as_bytes()]);
        }
        let ended = loop {
            let (is_open, is_full) =
                sends.with(|conn| (conn.state() == State::Open, conn.is_congested()));
            // Backpressure: who does not read the answers is not read. Nor is who says too much in the room.
            let reads = !(is_open && is_full) && self.member().is_none_or(Member::may_speak);
            let writes = is_open && (is_full || self.to_produce > 0);
            let result = tokio::select! {
                event = receives.recv_event(), if reads => match event {
                    Ok(Some(Event::Message(message))) => {
                        sends.with(|conn| self.answer(message, conn, server))
                    }
                    Ok(Some(_)) => Ok(()),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                },
                room = has_room(&mut sends), if writes => match room {
                    Ok(()) => sends.with(|conn| self.produce(conn)),
                    Err(error) => break Err(error),
                },
                Some(order) = ordered.recv() => sends.with(|conn| self.obey(order, conn)),
                message = said.recv(), if self.member().is_some() => {
                    sends.with(|conn| self.hear(message, conn))
                }
                _ = closes.changed() => sends.with(|conn| conn.close(CloseCode::GOING_AWAY, "")),
                _ = beat.tick() => {
                    sends.with(|conn| self.tell(conn, server));
                    Ok(())
                }
            };
            if let (Err(error), Some(watch)) = (result, &self.watch) {
                watch.put(b'E', &[error.to_string().as_bytes()]);
            }
        };
        sends.with(|conn| self.tell(conn, server));
        server.members.borrow_mut().remove(&self.number);
        if let (Some(watch), Some(closed)) = (&self.watch, receives.closed()) {
            watch.page.orders.borrow_mut().remove(&self.number);
            let sent = closed.sent_code().map_or(String::new(), |code| code.to_string());
            let (clean, code, cause) = (closed.is_clean(), closed.code(), closed.cause());
            let reason = closed.reason().escape_debug();
            let text = format!(
                "clean\t{clean}\ncode\t{code}\nreason\t{reason}\ncause\t{cause}\nsent\t{sent}"
            );
            watch.put(b'C', &[text.as_bytes()]);
        }
        ended
    }

    fn member(&mut self) -> Option<&mut Member> {
        match &mut self.job {
            Job::Room(member) => Some(member),
            Job::Echo | Job::Count => None,
        }
    }

    fn answer(
        &mut self,
        message: Message<'_>,
        conn: &mut Connection,
        server: &Server,
    ) -> Result<(), UsageError> {
        self.tell_content(b'M', &message, conn);
        match &mut self.job {
            _ if conn.state() != State::Open => Ok(()), // messages still arrive after our Close
            Job::Echo => self.send(message, conn),
            Job::Count => self.send(format!("{} bytes", message.len()).into(), conn),
            Job::Room(member) => {
                let said = message.as_text().map(|text| server.said.send(member.say(text)));
                drop(said); // it has at least this receiver
                Ok(())
            }
        }
    }

    fn send(&self, message: Message<'_>, conn: &mut Connection) -> Result<(), UsageError> {
        self.tell_content(b'W', &message, conn);
        conn.send(message)
    }

    /// Sends what was ordered until the queue is above the high water mark.
    fn produce(&mut self, conn: &mut Connection) -> Result<(), UsageError> {
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

    fn obey(&mut self, order: Order, conn: &mut Connection) -> Result<(), UsageError> {
        let (verb, argument) = order;
        let (first, second) = argument.split_once(' ').unwrap_or((&argument, ""));
        let number: u32 = first.parse().unwrap_or(0);
        let Some(watch) = &self.watch else { return Ok(()) };
        match &verb[..] {
            "ping" => return conn.ping(argument.as_bytes()),
            "close" => return conn.close(number as u16, second),
            "pause" => watch.pause(number == 1),
            "cut" => watch.cuts_reads.set(number == 1),
            "produce" => {
                self.to_produce = number.into();
                self.produced_bytes = second.parse().map_or(0, |n: usize| n.min(1 << 20));
            }
            _ => {}
        }
        Ok(())
    }

    /// Sends a message of the room.
    fn hear(
        &mut self,
        message: Result<PreparedMessage, RecvError>,
        conn: &mut Connection,
    ) -> Result<(), UsageError> {
        let Some(member) = self.member() else { return Ok(()) };
        match message {
            Ok(message) if conn.is_writable() => {
                self.tell_content(b'W', &message.payload().into(), conn);
                return conn.send_prepared(&message);
            }
            Ok(_) => member.missed += 1,
            Err(RecvError::Lagged(n)) => member.missed += n,
            Err(RecvError::Closed) => {}
        }
        Ok(())
    }

    /// Tells the content of a compressed message: frames do not show it.
    fn tell_content(&self, kind: u8, message: &Message<'_>, conn: &Connection) {
        if let (Some(watch), Some(_)) = (&self.watch, conn.deflate_params()) {
            let front = &message.as_bytes()[..message.len().min(CONTENT_BYTES)];
            watch.put(kind, &[&(message.len() as u32).to_be_bytes(), front]);
        }
    }

    /// Tells what the machine says of itself.
    fn tell(&mut self, conn: &Connection, server: &Server) {
        let number = self.number;
        if let Some(member) = self.member() {
            server.members.borrow_mut().insert(number, member.beat(number, conn));
        }
        let Some(watch) = &self.watch else { return };
        let (state, buffered, outgoing) =
            (conn.state(), conn.buffered_amount(), conn.outgoing_len());
        let (writable, congested, reads) =
            (conn.is_writable(), conn.is_congested(), conn.wants_read());
        let (paused, left) = (watch.is_paused.get(), self.to_produce);
        let text = format!(
            "state\t{state}\nbuffered\t{buffered}\noutgoing\t{outgoing}\nwritable\t{writable}\n\
            congested\t{congested}\nreads\t{reads}\npaused\t{paused}\nleft\t{left}"
        );
        watch.put(b'S', &[text.as_bytes()]);
    }
}

/// Waits until the queue has fallen to the low water mark.
async fn has_room(sends: &mut SendHalf<Wire>) -> Result<(), Error> {
    poll_fn(|cx| Pin::new(&mut *sends).poll_ready(cx)).await
}
