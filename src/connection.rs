//! The connection owns a receiver, a sender and a [`Life`]: its phase, the ended directions of the transport, and its
//! timer. It decides what they do. This file has the type, and the methods that report its state.
//! The files in `connection/` have the other methods, grouped by purpose.

mod life;
mod liveness;
mod phase;

// The documentation lists the methods of `Connection` in the order of these modules: the order in which a program
// calls them.
mod opening;
mod receive;
mod send;
mod write;

mod time;

mod end;

mod counting;

use core::fmt;

use crate::Shared;
use crate::config::Config;
#[cfg(feature = "deflate")]
use crate::deflate::DeflateParams;
use crate::deflate::{Compressor, MaybeCodec};
#[cfg(doc)]
use crate::event::Event;
use crate::receive::{Receiver, Terms};
use crate::send::Sender;
use crate::state::{Role, State};
use life::Life;
use phase::Phase;

/// One end of a WebSocket connection, as a value. [`receive`](Connection::receive) turns bytes from the peer into
/// events. [`send`](Connection::send) turns messages into bytes for the peer, which [`outgoing`](Connection::outgoing)
/// returns.
///
/// Every loop has the same steps: take events, write the outgoing bytes, shut down the transport's write side if
/// [`wants_shutdown`](Connection::wants_shutdown), stop if [`is_finished`](Connection::is_finished), tell the time
/// ([`tick`](Connection::tick)), wait, read. The [crate's page](crate) explains each step.
///
/// A connection is 192 bytes on 64-bit targets. An idle open connection owns no heap memory after
/// [`tick`](Connection::tick) has found it unused for [`Config::release_after`], or after
/// [`release_memory`](Connection::release_memory). If permessage-deflate was negotiated, its windows stay, and
/// up to 512 bytes. The counters of [`Config::count_traffic`] stay too.
#[doc(alias("WebSocket", "WSConnection"))]
pub struct Connection {
    /// Turns bytes from the peer into messages and control frames.
    recv: Receiver,
    /// Turns messages into bytes for the peer.
    send: Sender,
    /// The phase, the ended directions, the timer.
    life: Life,
    config: Shared<Config>,
    /// permessage-deflate, if it was negotiated.
    codec: MaybeCodec,
}

const _: () = assert!(size_of::<Connection>() <= 192 || size_of::<usize>() != 8);

/// # Ask about the connection
impl Connection {
    fn new(role: Role, phase: Phase, config: Shared<Config>) -> Connection {
        Connection {
            recv: Receiver::default(),
            send: Sender::new(role, &config),
            life: Life::new(phase),
            config,
            codec: None,
        }
    }

    /// Returns whether this is the client or the server.
    #[must_use]
    pub fn role(&self) -> Role {
        self.send.role()
    }

    /// Returns the state: connecting, open, closing or closed.
    #[must_use]
    #[doc(alias("readyState"))]
    pub fn state(&self) -> State {
        self.life.phase().state()
    }

    /// Returns the configuration that the connection was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the parameters of permessage-deflate, if it was negotiated.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate_params(&self) -> Option<DeflateParams> {
        self.codec.as_ref().map(|codec| codec.params)
    }

    /// Starts the receiver if frames are received in this phase. While an event or early bytes are buffered, the quick
    /// way stays closed: they must be delivered before new input.
    fn start_receiver(&mut self) {
        if self.life.phase().receives_frames() {
            let terms = Terms { role: self.send.role(), config: &self.config };
            self.recv.start(terms);
            if self.life.has_waiting() {
                self.recv.close_quick_way();
            }
        }
    }

    /// Enters a phase. If the connection is open then, the receiver starts. It stops with the peer's Close and with the
    /// end. If the connection is closed then, a message that is sent in fragments stays incomplete. The phase changes
    /// nowhere else.
    fn enter_phase(&mut self, to: Phase) {
        self.life.enter(to);
        self.start_receiver();
        if to == Phase::Answering {
            self.recv.stop();
        }
        if to == Phase::WriteClosed {
            // Nothing more is sent, so nothing continues the message.
            self.send.cut_fragment(compressor(&mut self.codec));
        }
        if to.state() == State::Closed {
            self.recv.stop();
            // After the peer's Close, our Close may still wait for the end of a frame.
            let has_peers_close = matches!(to, Phase::Flushing | Phase::AwaitingEnd);
            if !has_peers_close || !self.send.has_waiting_close() {
                self.send.cut_fragment(compressor(&mut self.codec));
            }
            self.codec = None;
        }
    }
}

/// The codec's half for sending.
#[inline]
fn compressor(codec: &mut MaybeCodec) -> Option<&mut Compressor> {
    codec.as_mut().map(|codec| codec.compressor_mut())
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role())
            .field("phase", &self.life.phase())
            .field("outgoing_len", &self.outgoing_len())
            .field("buffered_amount", &self.buffered_amount())
            .finish_non_exhaustive()
    }
}
