//! The tasks that wait for a connection. The transport keeps one waker for each direction, but two tasks may wait for
//! the same direction: one sends, and one receives and must write a pong. So the transport gets a waker that wakes
//! both.

use std::sync::Arc;
use std::task::{Wake, Waker};

/// What a task does with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Receives,
    Sends,
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::Receives => Side::Sends,
            Side::Sends => Side::Receives,
        }
    }
}

/// The tasks that wait: at most one that receives, and one that sends.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    /// Indexed by [`Side`]. A task is here from a poll that returned `Pending` until it is woken or polls again.
    waiting: [Option<Waker>; 2],
    /// The last waker of two tasks, to be used again for the same two.
    both: Option<Arc<Both>>,
}

#[derive(Debug)]
struct Both([Waker; 2]);

impl Wake for Both {
    fn wake(self: Arc<Both>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Both>) {
        self.0.iter().for_each(Waker::wake_by_ref);
    }
}

impl Tasks {
    /// A waker for this task, and for the task on the other side if it waits; `None` if `own` is enough.
    pub(super) fn join(&mut self, side: Side, own: &Waker) -> Option<Waker> {
        let other = self.waiting[side.other() as usize].as_ref()?;
        if other.will_wake(own) {
            return None;
        }
        let same = |both: &&Arc<Both>| both.0[0].will_wake(own) && both.0[1].will_wake(other);
        let both = match self.both.as_ref().filter(same) {
            Some(both) => both.clone(),
            None => Arc::new(Both([own.clone(), other.clone()])),
        };
        self.both = Some(both.clone());
        Some(Waker::from(both))
    }

    /// A waker for the tasks that wait now.
    pub(super) fn waker(&mut self) -> Waker {
        match self.waiting[Side::Receives as usize].clone() {
            Some(receives) => self.join(Side::Receives, &receives).unwrap_or(receives),
            None => match &self.waiting[Side::Sends as usize] {
                Some(sends) => sends.clone(),
                None => Waker::noop().clone(),
            },
        }
    }

    /// Notes that this task waits.
    pub(super) fn wait(&mut self, side: Side, own: &Waker) {
        match &mut self.waiting[side as usize] {
            Some(waker) => waker.clone_from(own),
            none => *none = Some(own.clone()),
        }
    }

    /// Notes that the task on this side does not wait.
    pub(super) fn clear(&mut self, side: Side) {
        self.waiting[side as usize] = None;
    }

    /// Wakes the task on this side, if it waits.
    pub(super) fn wake(&mut self, side: Side) {
        if let Some(waker) = self.waiting[side as usize].take() {
            waker.wake();
        }
    }

    pub(super) fn is_waiting(&self, side: Side) -> bool {
        self.waiting[side as usize].is_some()
    }
}
