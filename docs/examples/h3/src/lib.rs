//! The loop of both programs, on one stream of HTTP/3.

use std::future::{Future, pending};
use std::pin::pin;

use bytes::{Buf, Bytes};
use h3::error::{Code, StreamError};
use tokio::time::{Instant, sleep_until};
use websocket_proto::{Clock, Closed, Connection, Event, ReadBuffer, UsageError};

/// Drives a connection to its end, and returns how it ended. `react` gets each event.
///
/// QUIC's windows bound what is stored on both sides. Bytes count as outgoing until QUIC has taken them, so the
/// connection's water marks see a peer that does not read. A peer whose messages are not taken is not read.
pub async fn drive(
    mut send: impl SendHalf,
    mut receive: impl ReceiveHalf,
    mut conn: Connection,
    mut react: impl FnMut(&mut Connection, Event<'_>) -> Result<(), UsageError>,
) -> Result<Option<Closed>, UsageError> {
    let mut data = Bytes::new();
    let mut buffer = ReadBuffer::with_capacity(16 * 1024);
    let clock = Clock::new();
    let mut end = None;
    loop {
        // h3 must finish the write of a piece, so it stays the same future until then.
        let piece = conn.take_outgoing().map(Bytes::from_owner);
        let (is_writing, n) = (piece.is_some(), piece.as_ref().map_or(0, Bytes::len));
        {
            let mut write = pin!(async {
                match piece {
                    Some(piece) => send.send(piece).await,
                    None => pending().await,
                }
            });
            loop {
                let filled = buffer.fill_from(&data);
                data.advance(filled);
                while let Some(event) = conn.receive_from(&mut buffer) {
                    if let Event::Closed(closed) = &event {
                        end = Some(closed.clone());
                    }
                    react(&mut conn, event)?;
                }
                if !data.is_empty() {
                    continue;
                }
                let wake = conn.tick(clock.now());
                let can_take = !is_writing && conn.wants_write();
                if can_take || conn.wants_shutdown() || conn.is_finished() {
                    break;
                }
                let wake = wake.map(|wake| clock.instant(wake).into());
                tokio::select! {
                    written = &mut write, if is_writing => {
                        match written {
                            Ok(()) => conn.advance(n),
                            Err(_) => conn.write_closed(),
                        }
                        break;
                    }
                    // While the peer does not read the answers, it is not read either.
                    read = receive.receive(), if conn.wants_read() && !conn.is_congested() => match read {
                        Ok(Some(read)) => data = read,
                        Ok(None) => conn.receive_eof(),
                        Err(_) => conn.abort(),
                    },
                    () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                }
            }
        }
        if conn.wants_reset() {
            send.reset(Code::H3_REQUEST_CANCELLED);
            // To drop the other half sends STOP_SENDING. `stop_sending` of h3-quinn 0.0.10, which would give it the
            // code, panics after a read that was not completed.
        } else if conn.wants_shutdown() {
            let _ = send.finish().await; // fails if the stream has been reset
            conn.write_closed();
        }
        if conn.is_finished() {
            return Ok(end);
        }
    }
}

/// The sending half of a stream, on the server or the client. h3 has a type for each.
pub trait SendHalf {
    fn send(&mut self, data: Bytes) -> impl Future<Output = Result<(), StreamError>> + Send;
    fn finish(&mut self) -> impl Future<Output = Result<(), StreamError>> + Send;
    fn reset(&mut self, code: Code);
}

/// The receiving half of a stream.
pub trait ReceiveHalf {
    fn receive(&mut self) -> impl Future<Output = Result<Option<Bytes>, StreamError>> + Send;
}

macro_rules! halves {
    ($($side:ident)*) => {$(
        impl SendHalf for h3::$side::RequestStream<h3_quinn::SendStream<Bytes>, Bytes> {
            async fn send(&mut self, data: Bytes) -> Result<(), StreamError> {
                self.send_data(data).await
            }

            async fn finish(&mut self) -> Result<(), StreamError> {
                self.finish().await
            }

            fn reset(&mut self, code: Code) {
                self.stop_stream(code);
            }
        }

        impl ReceiveHalf for h3::$side::RequestStream<h3_quinn::RecvStream, Bytes> {
            async fn receive(&mut self) -> Result<Option<Bytes>, StreamError> {
                let data = self.recv_data().await?;
                Ok(data.map(|mut data| data.copy_to_bytes(data.remaining())))
            }
        }
    )*};
}

halves!(server client);
