//! The life of a connection: its phase, the ended directions of its transport, its timer, and the state that an idle
//! open connection does not need.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::liveness::Liveness;
use super::opening::Opening;
use super::phase::Phase;
use crate::close_code::CloseCode;
use crate::event::{Closed, Event, SentClose};
use crate::state::State;
use crate::timer::Timer;

/// The life of a connection.
pub(super) struct Life {
    phase: Phase,
    ended: Ended,
    /// The running timeout, and the signs of life.
    pub(super) timer: Timer,
    extra: Option<Box<Extra>>,
}

const _: () = assert!(size_of::<Life>() <= 24 || size_of::<usize>() != 8);

/// The directions of the transport that have ended, according to the caller. A connection whose transport was given up
/// is finished and reads nothing more, so its read side does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    None,
    Read,
    GivenUp,
    Write,
    Both,
    GivenUpAfterWrite,
}

/// State that an idle open connection does not need.
#[derive(Default)]
struct Extra {
    /// The opening handshake, until it is over, or until a response of the server's own that ends it is written.
    opening: Opening,
    /// Bytes that arrived behind the request while the caller decided; `..early_start` was received.
    early: Vec<u8>,
    early_start: usize,
    /// An event that `is_event_ready` received before the caller asked for it.
    ready: Option<Box<Event<'static>>>,
    /// Our Close, while the peer's is expected.
    sent: Option<SentClose>,
    /// The end that the peer's Close causes, while the caller has not answered it.
    unanswered: Option<Closed>,
    /// The last event, if a call that returns no event has caused it.
    closed: Option<Closed>,
    /// The keepalive pings, from the first one on, if their pongs are waited for or measured.
    liveness: Option<Box<Liveness>>,
}

/// [`Config::pong_timeout`](crate::Config::pong_timeout) names this number.
const _: () = assert!(size_of::<Extra>() + size_of::<Liveness>() <= 256 || size_of::<usize>() != 8);

impl Extra {
    /// Whether something comes before the input.
    #[cold]
    fn comes_first(&self) -> bool {
        !matches!(self.opening, Opening::Done) || !self.early.is_empty() || self.has_event()
    }

    fn has_event(&self) -> bool {
        self.ready.is_some() || self.closed.is_some()
    }

    fn is_unused(&self) -> bool {
        !self.comes_first()
            && self.sent.is_none()
            && self.unanswered.is_none()
            && self.liveness.is_none()
    }
}

impl Life {
    pub(super) fn new(phase: Phase) -> Life {
        Life { phase, ended: Ended::None, timer: Timer::new(), extra: None }
    }

    #[inline]
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Enters a phase. [`Connection::enter_phase`](super::Connection::enter_phase) alone calls this.
    pub(super) fn enter(&mut self, to: Phase) {
        self.phase = to;
        let Some(extra) = &mut self.extra else { return };
        match to.state() {
            State::Connecting => {}
            State::Open | State::Closing => extra.opening = Opening::Done,
            State::Closed => {
                extra.opening = Opening::Done;
                extra.early = Vec::new();
            }
        }
        self.free_unused_extra();
    }

    // The directions of the transport.

    /// Whether the peer has ended its direction.
    #[inline]
    pub(super) fn has_read_end(&self) -> bool {
        matches!(self.ended, Ended::Read | Ended::Both)
    }

    /// Whether our direction has ended.
    #[inline]
    pub(super) fn has_write_end(&self) -> bool {
        matches!(self.ended, Ended::Write | Ended::Both | Ended::GivenUpAfterWrite)
    }

    pub(super) fn end_read(&mut self) {
        self.ended = match self.ended {
            Ended::None | Ended::Read => Ended::Read,
            Ended::Write | Ended::Both => Ended::Both,
            Ended::GivenUp | Ended::GivenUpAfterWrite => self.ended,
        };
    }

    pub(super) fn end_write(&mut self) {
        self.ended = match self.ended {
            Ended::None | Ended::Write => Ended::Write,
            Ended::Read | Ended::Both => Ended::Both,
            Ended::GivenUp | Ended::GivenUpAfterWrite => Ended::GivenUpAfterWrite,
        };
    }

    /// Whether the caller or a timeout has given the transport up.
    pub(super) fn is_given_up(&self) -> bool {
        matches!(self.ended, Ended::GivenUp | Ended::GivenUpAfterWrite)
    }

    /// The connection has finished at once, although the transport has not ended. Call it last: the end of a refusal's
    /// body depends on whether the read side has ended.
    pub(super) fn give_up(&mut self) {
        self.ended = match self.ended {
            Ended::None | Ended::Read | Ended::GivenUp => Ended::GivenUp,
            Ended::Write | Ended::Both | Ended::GivenUpAfterWrite => Ended::GivenUpAfterWrite,
        };
    }

    // The opening handshake.

    /// The state of the opening handshake. `None` if no byte of a request has arrived, or if the handshake is over.
    pub(super) fn opening(&self) -> Option<&Opening> {
        self.extra.as_ref().map(|extra| &extra.opening)
    }

    pub(super) fn opening_mut(&mut self) -> Option<&mut Opening> {
        self.extra.as_mut().map(|extra| &mut extra.opening)
    }

    #[inline]
    pub(super) fn set_opening(&mut self, opening: Opening) {
        match &mut self.extra {
            Some(extra) => extra.opening = opening,
            None => self.extra = Some(Box::new(Extra { opening, ..Extra::default() })),
        }
    }

    // Bytes and events that come before the input.

    /// Whether something waits that comes before the input: an event, early bytes, the opening handshake.
    #[inline]
    pub(super) fn has_waiting(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.comes_first())
    }

    pub(super) fn has_early_bytes(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| !extra.early.is_empty())
    }

    /// Buffers bytes that arrive behind the request. Returns `false` if they would be more than `limit`.
    pub(super) fn buffer_early_bytes(&mut self, bytes: &[u8], limit: usize) -> bool {
        let extra = self.extra.get_or_insert_default();
        let fits = bytes.len() <= limit - extra.early.len();
        if fits {
            extra.early.extend_from_slice(bytes);
        }
        fits
    }

    /// Takes the early bytes, and how many of them were received; `None` if there are no early bytes.
    pub(super) fn take_early_bytes(&mut self) -> Option<(Vec<u8>, usize)> {
        let extra = self.extra.as_mut().filter(|extra| !extra.early.is_empty())?;
        let early = (core::mem::take(&mut extra.early), core::mem::take(&mut extra.early_start));
        self.free_unused_extra();
        Some(early)
    }

    /// Puts early bytes back. The first `start` of them were received.
    pub(super) fn put_early_bytes_back(&mut self, bytes: Vec<u8>, start: usize) {
        let extra = self.extra.get_or_insert_default();
        extra.early = bytes;
        extra.early_start = start;
    }

    /// Whether an event is buffered.
    pub(super) fn has_event(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.has_event())
    }

    /// Buffers an event that `is_event_ready` received before the caller asked for it.
    pub(super) fn set_ready(&mut self, event: Event<'static>) {
        self.extra.get_or_insert_default().ready = Some(Box::new(event));
    }

    /// Buffers the last event.
    pub(super) fn set_closed(&mut self, closed: Closed) {
        self.extra.get_or_insert_default().closed = Some(closed);
    }

    /// The last event, if it waits to be taken.
    pub(super) fn waiting_closed(&self) -> Option<&Closed> {
        self.extra.as_ref()?.closed.as_ref()
    }

    /// Stores our Close until the end is reported.
    pub(super) fn set_sent(&mut self, sent: SentClose) {
        self.extra.get_or_insert_default().sent = Some(sent);
    }

    /// Takes our Close that was sent before the end.
    pub(super) fn take_sent(&mut self) -> Option<SentClose> {
        let sent = self.extra.as_mut()?.sent.take();
        self.free_unused_extra();
        sent
    }

    /// Stores the end that the peer's Close causes, until the caller has answered it.
    pub(super) fn set_unanswered(&mut self, closed: Closed) {
        self.extra.get_or_insert_default().unanswered = Some(closed);
    }

    /// Takes the end that the peer's Close causes.
    pub(super) fn take_unanswered(&mut self) -> Option<Closed> {
        self.extra.as_mut()?.unanswered.take()
    }

    /// The code of the peer's Close, while the caller has not answered it.
    pub(super) fn unanswered_code(&self) -> Option<CloseCode> {
        self.extra.as_ref()?.unanswered.as_ref().map(Closed::code)
    }

    /// The keepalive pings; `None` before the first one, and if no pong is waited for or measured.
    pub(super) fn liveness(&self) -> Option<&Liveness> {
        self.extra.as_ref()?.liveness.as_deref()
    }

    #[inline]
    pub(super) fn liveness_mut(&mut self) -> Option<&mut Liveness> {
        self.extra.as_mut()?.liveness.as_deref_mut()
    }

    /// The keepalive pings, which are stored from now on.
    pub(super) fn begin_liveness(&mut self) -> &mut Liveness {
        self.extra.get_or_insert_default().liveness.get_or_insert_default()
    }

    /// Takes the buffered event.
    pub(super) fn take_event(&mut self) -> Option<Event<'static>> {
        let extra = self.extra.as_mut()?;
        let event = match extra.ready.take() {
            Some(event) => Some(*event),
            None => extra.closed.take().map(Event::Closed),
        };
        if event.is_some() {
            self.free_unused_extra();
        }
        event
    }

    fn free_unused_extra(&mut self) {
        if self.extra.as_ref().is_some_and(|extra| extra.is_unused()) {
            self.extra = None;
        }
    }
}
