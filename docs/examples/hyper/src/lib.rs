//! The loop of both programs, from the moment at which hyper hands over the transport.

use std::io::{Error, ErrorKind, IoSlice, Result};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use websocket_proto::{Clock, Closed, Connection, Event, ReadBuffer, UsageError};

/// Drives a connection to its end, and returns how it ended. `react` gets each event.
pub async fn drive(
    upgraded: Upgraded,
    mut conn: Connection,
    mut react: impl FnMut(&mut Connection, Event<'_>) -> std::result::Result<(), UsageError>,
) -> Result<Option<Closed>> {
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .map_err(|_| Error::other("the transport is not a TcpStream"))?;
    let mut stream = parts.io.into_inner();
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.split();
    // The bytes that hyper has read behind the head. They are frames, and go first.
    let mut read_too_far = &parts.read_buf[..];
    let mut buffer = ReadBuffer::with_capacity(16 * 1024);
    let clock = Clock::new();
    let mut end = None;
    loop {
        let n = buffer.fill_from(read_too_far);
        read_too_far = &read_too_far[n..];
        while let Some(event) = conn.receive_from(&mut buffer) {
            if let Event::Closed(closed) = &event {
                end = Some(closed.clone());
            }
            react(&mut conn, event)?;
        }
        if !read_too_far.is_empty() {
            continue;
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
