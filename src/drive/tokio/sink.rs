//! `Stream` and `Sink` of owned messages, for the WebSocket and its halves.

use core::pin::Pin;
use core::task::{Context, Poll};

use ::tokio::io::{AsyncRead, AsyncWrite};
use futures_core::Stream;
use futures_sink::Sink;

use super::halves::{RecvHalf, SendHalf};
use super::machine::{Awaited, Machine};
use super::socket::WebSocket;
use crate::drive::Error;
use crate::{CloseCode, Message, State};

/// The messages, until the end of the connection. An end without a complete closing handshake is the last item.
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<T> {
    type Item = Result<Message<'static>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(cx).map(Result::transpose)
    }
}

/// The messages, until the end of the connection. An end without a complete closing handshake is the last item.
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for RecvHalf<T> {
    type Item = Result<Message<'static>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(cx).map(Result::transpose)
    }
}

/// It is ready below [`high_water_bytes`](crate::ConfigBuilder::high_water_bytes). To close it sends a Close with code
/// 1000, and does not wait for the peer's: go on with the `Stream` for that.
impl<'m, T: AsyncRead + AsyncWrite + Unpin> Sink<Message<'m>> for WebSocket<T> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        poll_ready(&mut self.get_mut().machine, cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message<'m>) -> Result<(), Error> {
        self.get_mut().machine.queue(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().machine.poll_sent(cx, Awaited::Flush)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        poll_close(&mut self.get_mut().machine, cx)
    }
}

/// It is ready below [`high_water_bytes`](crate::ConfigBuilder::high_water_bytes). To close it sends a Close with code
/// 1000, and does not wait for the peer's: go on with the [`RecvHalf`] for that.
impl<'m, T: AsyncRead + AsyncWrite + Unpin> Sink<Message<'m>> for SendHalf<T> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().machine(|machine| poll_ready(machine, cx))
    }

    fn start_send(self: Pin<&mut Self>, message: Message<'m>) -> Result<(), Error> {
        self.get_mut().machine(|machine| machine.queue(message))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().poll_sent(cx, Awaited::Flush)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().machine(|machine| poll_close(machine, cx))
    }
}

fn poll_ready<T: AsyncRead + AsyncWrite + Unpin>(
    machine: &mut Machine<T>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    machine.check_open()?;
    machine.poll_sent(cx, Awaited::Room)
}

fn poll_close<T: AsyncRead + AsyncWrite + Unpin>(
    machine: &mut Machine<T>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    if machine.conn.state() == State::Open {
        machine.with(|conn| conn.close(CloseCode::NORMAL, ""))?;
    }
    machine.poll_sent(cx, Awaited::Flush)
}
