//! The socket of a connection, as its page wants it: it tells the page all bytes, it pauses, or it cuts each read into
//! single bytes.

use std::cell::{Cell, OnceCell};
use std::io::Result;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::page::Page;

/// What is between a connection and its page.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) number: u32,
    /// `None` if nobody watches.
    pub(crate) page: Option<Rc<Page>>,
    pub(crate) is_paused: Cell<bool>,
    pub(crate) cuts_reads: Cell<bool>,
}

impl Watch {
    /// Tells the page a record about this connection.
    pub(crate) fn put(&self, kind: u8, body: impl AsRef<[u8]>) {
        self.page.iter().for_each(|page| page.put(kind, self.number, body.as_ref()));
    }
}

pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    /// Set when the request has told which page watches.
    pub(crate) watch: OnceCell<Rc<Watch>>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let watch = self.watch.get().cloned().unwrap_or_default();
        if watch.is_paused.get() {
            return Poll::Pending; // the order that ends the pause wakes the task
        }
        let size = if watch.cuts_reads.get() { 1 } else { buf.remaining() };
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(size));
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        let n = part.filled().len();
        watch.put(b'I', part.filled());
        buf.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let n = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.watch.get().inspect(|watch| watch.put(b'U', &bytes[..n]));
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
