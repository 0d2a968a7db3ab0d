//! A stream of HTTP/2 as a transport for the driver.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One stream of a connection, in both directions.
///
/// The windows of HTTP/2 bound what is stored on both sides. A write takes what the peer's window has room for, so the
/// water marks see a peer that does not read. A byte is given back to the peer's window when the driver has read it, so a
/// peer whose messages are not taken stops.
///
/// The end of a direction is END_STREAM. If the stream is dropped before both have ended, it is reset: the driver drops the
/// transport of a connection that was given up (RFC 8441 5).
pub struct Stream {
    send: SendStream<Bytes>,
    receive: RecvStream,
    /// What has arrived and was not read.
    arrived: Bytes,
    has_read_end: bool,
    has_write_end: bool,
}

impl Stream {
    pub fn new(send: SendStream<Bytes>, receive: RecvStream) -> Stream {
        let arrived = Bytes::new();
        Stream { send, receive, arrived, has_read_end: false, has_write_end: false }
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
                None => {
                    self.has_read_end = true;
                    return Poll::Ready(Ok(()));
                }
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
        self.has_write_end = true;
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(reset))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A reset would overtake an END_STREAM that is not written yet.
        if !(self.has_read_end && self.has_write_end) {
            self.send.send_reset(Reason::CANCEL);
        }
    }
}

fn reset(error: h2::Error) -> Error {
    Error::new(ErrorKind::ConnectionReset, error)
}
