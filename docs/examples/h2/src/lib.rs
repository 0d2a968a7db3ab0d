//! A stream of HTTP/2 as a transport for the driver.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use websocket_proto::drive::tokio::WebSocket;

/// One stream of a connection, in both directions.
///
/// The windows of HTTP/2 bound what is stored on both sides. A write takes what the peer's window has room for, so the
/// water marks see a peer that does not read. A byte is given back to the peer's window when the driver has read it, so
/// a peer whose messages are not taken stops.
///
/// The end of a direction is END_STREAM. If the stream is dropped before its own END_STREAM, h2 resets it with CANCEL.
pub struct Stream {
    send: SendStream<Bytes>,
    receive: RecvStream,
    /// What has arrived and was not read.
    arrived: Bytes,
}

impl Stream {
    pub fn new(send: SendStream<Bytes>, receive: RecvStream) -> Stream {
        Stream { send, receive, arrived: Bytes::new() }
    }

    /// Ends the stream of a connection that has ended: with RST_STREAM if it was given up (RFC 8441 5).
    pub fn end(mut ws: WebSocket<Stream>) {
        if ws.with(|conn| conn.wants_reset()) {
            ws.into_transport().send.send_reset(Reason::CANCEL);
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        // A DATA frame may be empty, which is not the end.
        while self.arrived.is_empty() {
            match ready!(self.receive.poll_data(cx)) {
                Some(Ok(data)) => self.arrived = data,
                Some(Err(error)) => return Poll::Ready(Err(reset(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let n = self.arrived.len().min(buf.remaining());
        buf.put_slice(&self.arrived.split_to(n));
        // Fails if the stream has been reset; the next read tells.
        let _ = self.receive.flow_control().release_capacity(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        self.send.reserve_capacity(bytes.len());
        // `poll_capacity` reports only growth.
        while self.send.capacity() == 0 {
            match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(reset(error))),
                None => return Poll::Ready(Err(ErrorKind::BrokenPipe.into())),
            }
        }
        let n = self.send.capacity().min(bytes.len());
        let data = Bytes::copy_from_slice(&bytes[..n]);
        Poll::Ready(self.send.send_data(data, false).map(|()| n).map_err(reset))
    }

    /// The task of the connection writes what it was given.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Sends an empty DATA frame with END_STREAM.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(reset))
    }
}

fn reset(error: h2::Error) -> Error {
    Error::new(ErrorKind::ConnectionReset, error)
}
