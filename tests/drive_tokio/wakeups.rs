//! Which task is woken when: each that has something to do, once, and no other.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Duration, advance};
use websocket_proto::{Message, Role};

use super::util::{ROLES, builder, config};
use super::{open, open_with};

/// A task that is polled by hand, and counts how often it was woken.
#[derive(Debug, Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Task>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Task {
    fn new() -> (Arc<Task>, Waker) {
        let task = Arc::new(Task::default());
        (task.clone(), Waker::from(task))
    }

    /// How often it was woken since the last call.
    fn woken(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

#[tokio::test]
async fn a_receiver_that_writes_does_not_steal_the_senders_wakeup() {
    for role in ROLES {
        for sender_first in [false, true] {
            let (ws, mut peer) = open_with(role, 100, config());
            let (mut sends, mut receives) = ws.split();
            let (sender, sender_waker) = Task::new();
            let (receiver, receiver_waker) = Task::new();
            let mut send = Box::pin(sends.send(vec![7; 150]));
            let mut receive = Box::pin(receives.recv());
            if sender_first {
                assert!(poll(&mut send, &sender_waker).is_pending());
            }
            // The pong cannot be written: the transport is full.
            peer.send(0x89, b"ping").await;
            assert!(poll(&mut receive, &receiver_waker).is_pending());
            if !sender_first {
                assert!(poll(&mut send, &sender_waker).is_pending());
            }
            assert_eq!((sender.woken(), receiver.woken()), (0, 0));
            // There is room for all. Either task can write it, and both are told.
            let mut bytes = [0; 100];
            peer.stream.read_exact(&mut bytes).await.unwrap();
            assert_eq!((sender.woken(), receiver.woken()), (1, 1));
            assert!(poll(&mut receive, &receiver_waker).is_pending());
            assert_eq!(sender.woken(), 1, "what it waits for is done");
            assert!(poll(&mut send, &sender_waker).is_ready());
            assert_eq!(receiver.woken(), 0);
            let mut rest = [0; 100];
            assert!(peer.stream.read(&mut rest).await.unwrap() > 50);
            peer.send(0x81, b"x").await;
            assert_eq!((sender.woken(), receiver.woken()), (0, 1));
            assert!(poll(&mut receive, &receiver_waker).is_ready());
        }
    }
}

#[tokio::test]
async fn a_sender_goes_on_although_the_receiver_has_gone_and_the_other_way_round() {
    for role in ROLES {
        let (ws, mut peer) = open_with(role, 100, config());
        let (mut sends, mut receives) = ws.split();
        let (sender, sender_waker) = Task::new();
        let (receiver, receiver_waker) = Task::new();
        {
            let mut send = Box::pin(sends.send(vec![7; 150]));
            assert!(poll(&mut send, &sender_waker).is_pending());
            let mut receive = Box::pin(receives.recv());
            assert!(poll(&mut receive, &receiver_waker).is_pending());
            // The sender's future is dropped. The receiver writes the rest of its message.
            drop(send);
            peer.stream.read_exact(&mut [0; 100]).await.unwrap();
            assert_eq!(receiver.woken(), 1);
            assert!(poll(&mut receive, &receiver_waker).is_pending());
            assert!(peer.stream.read(&mut [0; 100]).await.unwrap() > 50);
        }
        sender.woken();
        let mut send = Box::pin(sends.send(vec![7; 150]));
        assert!(poll(&mut send, &sender_waker).is_pending());
        drop(receives);
        sender.woken();
        peer.stream.read_exact(&mut [0; 100]).await.unwrap();
        assert_eq!(sender.woken(), 1);
        assert!(poll(&mut send, &sender_waker).is_ready());
    }
}

#[tokio::test]
async fn a_close_by_the_connection_itself_wakes_the_receiver_which_writes_it() {
    for role in ROLES {
        let (ws, mut peer) = open(role);
        let (mut sends, mut receives) = ws.split();
        let (receiver, waker) = Task::new();
        let mut receive = Box::pin(receives.recv());
        assert!(poll(&mut receive, &waker).is_pending());
        assert!(sends.with(|conn| conn.is_writable()));
        assert_eq!(receiver.woken(), 0, "nothing has changed");
        sends.with(|conn| conn.close(1000, "")).unwrap();
        assert_eq!(receiver.woken(), 1);
        assert!(poll(&mut receive, &waker).is_pending());
        assert_eq!(peer.next().await, (0x88, b"\x03\xe8".to_vec()));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_woken_without_a_reason() {
    for role in ROLES {
        let (mut ws, mut peer) = open(role);
        let (task, waker) = Task::new();
        {
            let mut receive = Box::pin(ws.recv());
            assert!(poll(&mut receive, &waker).is_pending());
            advance(Duration::from_secs(3600)).await;
            assert_eq!(task.woken(), 0, "no timeout is set");
            peer.send(0x81, b"x").await;
            assert_eq!(task.woken(), 1);
            assert!(poll(&mut receive, &waker).is_ready());
        }
        ws.send("x").await.unwrap();
        let mut receive = Box::pin(ws.recv());
        assert!(poll(&mut receive, &waker).is_pending());
        // Once to free the memory of the queue.
        let mut wakes = 0;
        for _ in 0..100 {
            advance(Duration::from_millis(100)).await;
            match task.woken() {
                0 => {}
                n => {
                    wakes += n;
                    assert!(poll(&mut receive, &waker).is_pending());
                }
            }
        }
        assert!(wakes <= 2, "{wakes}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_timer_is_set_once_for_many_messages() {
    let config = builder().idle_timeout(Duration::from_secs(60)).build().unwrap();
    let (mut ws, mut peer) = open_with(Role::Server, 1000, config);
    let (task, waker) = Task::new();
    let mut wakes = 0;
    for _ in 0..600 {
        let mut receive = Box::pin(ws.recv());
        assert!(poll(&mut receive, &waker).is_pending());
        advance(Duration::from_millis(100)).await;
        wakes += task.woken();
        peer.send(0x81, b"x").await;
        assert_eq!(task.woken(), 1);
        let Poll::Ready(Ok(message)) = poll(&mut receive, &waker) else { panic!() };
        assert_eq!(message, Some(Message::from("x")));
    }
    assert!(wakes <= 2, "{wakes} in a minute");
}

#[tokio::test]
async fn the_end_wakes_both_halves() {
    for role in ROLES {
        let (ws, mut peer) = open(role);
        let (mut sends, mut receives) = ws.split();
        let (sender, sender_waker) = Task::new();
        let (receiver, receiver_waker) = Task::new();
        let mut receive = Box::pin(receives.recv());
        assert!(poll(&mut receive, &receiver_waker).is_pending());
        let mut close = Box::pin(sends.close(1000, ""));
        assert!(poll(&mut close, &sender_waker).is_pending());
        receiver.woken();
        peer.send(0x88, b"\x03\xe8").await;
        peer.stream.shutdown().await.unwrap();
        assert!(receiver.woken() > 0);
        assert!(poll(&mut receive, &receiver_waker).is_ready());
        assert_eq!(sender.woken(), 1);
        assert!(poll(&mut close, &sender_waker).is_ready());
    }
}
