//! The loop, from the moment at which hyper hands over the transport.

use std::io::{ErrorKind, IoSlice, Result};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::time::{Instant, sleep_until};
use websocket_proto::{Clock, Closed, Connection, Event, ReadBuffer, UsageError};

/// Drives a connection to its end, and returns how it ended. `react` gets each event.
pub async fn drive(
    transport: Upgraded,
    mut conn: Connection,
    mut react: impl FnMut(&mut Connection, Event<'_>) -> std::result::Result<(), UsageError>,
) -> Result<Option<Closed>> {
    // `Upgraded` returns the bytes that hyper has read behind the head first.
    let (mut reader, mut writer) = split(TokioIo::new(transport));
    let mut buffer = ReadBuffer::with_capacity(16 * 1024);
    let clock = Clock::new();
    let mut end = None;
    loop {
        while let Some(event) = conn.receive_from(&mut buffer) {
            if let Event::Closed(closed) = &event {
                end = Some(closed.clone());
            }
            react(&mut conn, event)?;
        }
        if conn.wants_shutdown() {
            let _ = writer.shutdown().await; // fails if the peer has gone
            conn.write_closed();
        }
        if conn.is_finished() {
            return Ok(end);
        }
        let wake = conn.tick(clock.now());
        if conn.is_finished() {
            continue;
        }
        let wake = wake.map(|wake| clock.instant(wake).into());
        let mut slices = [IoSlice::new(&[]); 16];
        let count = conn.outgoing_slices(&mut slices);
        tokio::select! {
            written = writer.write_vectored(&slices[..count]), if count > 0 => match written {
                Ok(n @ 1..) => conn.advance(n),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => conn.write_closed(),
            },
            // While the peer does not read the answers, it is not read either.
            read = reader.read(buffer.spare()), if conn.wants_read() && !conn.is_congested() => match read {
                Ok(0) => conn.receive_eof(),
                Ok(n) => buffer.filled(n),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => conn.abort(),
            },
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
        }
    }
}
