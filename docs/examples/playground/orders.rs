//! What a page can ask of the server's end of its connections: words on the page's second WebSocket.

use websocket_proto::{CloseCode, State, UsageError};

use crate::peer::Peer;
use crate::room::Bot;
use crate::visit::Job;
use crate::watch::quoted;

pub(crate) enum Order {
    Bot(Bot),
    /// `argument` is for the verb, about the connection with this number.
    Knob {
        number: usize,
        verb: String,
        argument: String,
    },
}

impl Order {
    /// Parses `VERB NUMBER ARGUMENT`.
    pub(crate) fn parse(text: &str) -> Option<Order> {
        let mut words = text.splitn(3, ' ');
        let (verb, number) = (words.next()?, words.next()?.parse().ok()?);
        let argument = words.next().unwrap_or("");
        match verb {
            "bot" => Bot::named(argument).map(Order::Bot),
            _ => Some(Order::Knob { number, verb: verb.into(), argument: argument.into() }),
        }
    }
}

/// How the server treats a connection.
#[derive(Default)]
pub(crate) struct Knobs {
    /// Does not read.
    pub(crate) is_paused: bool,
    /// Gives each read to the machine byte by byte.
    pub(crate) cuts_reads: bool,
    /// The size of the fragments in which messages are sent; 0 for whole messages.
    pub(crate) fragment_bytes: usize,
    /// The number of messages to send as fast as the connection takes them, and their size; 0 for short texts.
    pub(crate) to_produce: u64,
    pub(crate) produced_bytes: usize,
}

impl Peer {
    /// Does what the page has ordered, or tells it why not.
    pub(crate) fn obey(&mut self, verb: &str, argument: &str) {
        let (first, second) = argument.split_once(' ').unwrap_or((argument, ""));
        let number = first.parse().unwrap_or(0);
        let result = match verb {
            "ping" => self.conn.ping(argument.as_bytes()),
            "close" => self.conn.close(CloseCode::new(number as u16), second),
            _ => {
                match verb {
                    "pause" => self.knobs.is_paused = number == 1,
                    "cut" => self.knobs.cuts_reads = number == 1,
                    "fragment" => self.knobs.fragment_bytes = number,
                    "produce" => {
                        self.knobs.to_produce = number as u64;
                        self.knobs.produced_bytes =
                            second.parse().map_or(0, |n: usize| n.min(1 << 20));
                    }
                    _ => {}
                }
                Ok(())
            }
        };
        if let (Err(error), Some(watch)) = (result, &self.watch) {
            let text = quoted(&error.to_string());
            watch.notes.borrow_mut().put_text(b'E', self.number as u32, &text);
        }
    }

    /// Sends what was ordered, and what waits for a page, until the queue is above the high water mark.
    pub(crate) fn produce(&mut self) -> Result<(), UsageError> {
        while self.knobs.to_produce > 0
            && self.conn.is_writable()
            && self.conn.state() == State::Open
        {
            let left = self.knobs.to_produce;
            self.knobs.to_produce -= 1;
            match self.knobs.produced_bytes {
                0 => self.send(format!("message, {left} to go").into())?,
                size => self.send(noise(left, size).into())?,
            }
        }
        match &self.job {
            Job::Page(notes) if self.has_notes() => {
                let notes = std::mem::take(&mut notes.borrow_mut().bytes);
                self.conn.send(notes)
            }
            _ => Ok(()),
        }
    }

    /// Whether records wait for this page, and can be sent.
    pub(crate) fn has_notes(&self) -> bool {
        let is_ready = self.conn.is_writable() && self.conn.state() == State::Open;
        is_ready && self.notes().is_some_and(|notes| !notes.borrow().bytes.is_empty())
    }
}

/// Bytes that no compression makes shorter.
fn noise(mut seed: u64, size: usize) -> Vec<u8> {
    let next = || {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (seed >> 56) as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}
