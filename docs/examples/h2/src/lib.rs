//! The loop of both programs, on one stream of HTTP/2.

use std::future::poll_fn;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use tokio::time::{Instant, sleep_until};
use websocket_proto::{Clock, Closed, Connection, Event, ReadBuffer, UsageError};

/// Drives a connection to its end, and returns how it ended. `react` gets each event.
///
/// The windows of HTTP/2 bound what is stored on both sides. Bytes leave the connection only when the peer's window has
/// room for them, so its water marks see a peer that does not read. A byte is given back to the peer's window when the
/// connection has received it, so a peer whose messages are not taken stops.
pub async fn drive(
    mut send: SendStream<Bytes>,
    mut receive: RecvStream,
    mut conn: Connection,
    mut react: impl FnMut(&mut Connection, Event<'_>) -> Result<(), UsageError>,
) -> Result<Option<Closed>, UsageError> {
    // What was read and is not received, and what was taken and is not sent.
    let (mut data, mut piece) = (Bytes::new(), Bytes::new());
    let mut buffer = ReadBuffer::with_capacity(16 * 1024);
    let clock = Clock::new();
    let mut end = None;
    loop {
        let n = buffer.fill_from(&data);
        let _ = data.split_to(n);
        while let Some(event) = conn.receive_from(&mut buffer) {
            if let Event::Closed(closed) = &event {
                end = Some(closed.clone());
            }
            react(&mut conn, event)?;
        }
        // Fails if the stream has been reset; the next read tells.
        let _ = receive.flow_control().release_capacity(n);
        if !data.is_empty() {
            continue;
        }
        if conn.wants_reset() {
            send.send_reset(Reason::CANCEL);
        } else if conn.wants_shutdown() {
            // An empty DATA frame with END_STREAM. Fails if the stream has been reset.
            let _ = send.send_data(Bytes::new(), true);
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
        if piece.is_empty() {
            piece = conn.take_outgoing().map_or(Bytes::new(), Bytes::from_owner);
        }
        tokio::select! {
            room = wait_for_room(&mut send, piece.len()), if !piece.is_empty() => {
                let part = piece.split_to(room);
                let n = part.len();
                match room > 0 && send.send_data(part, false).is_ok() {
                    true => conn.advance(n),
                    false => {
                        piece = Bytes::new();
                        conn.write_closed();
                    }
                }
            }
            // While the peer does not read the answers, it is not read either.
            read = receive.data(), if conn.wants_read() && !conn.is_congested() => match read {
                Some(Ok(read)) => data = read,
                Some(Err(_)) => conn.abort(),
                None => conn.receive_eof(),
            },
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
        }
    }
}

/// Waits until the peer's window has room. Returns how many of the `wanted` bytes it takes; 0 if the stream has ended.
async fn wait_for_room(send: &mut SendStream<Bytes>, wanted: usize) -> usize {
    send.reserve_capacity(wanted);
    // `poll_capacity` reports only growth.
    while send.capacity() == 0 {
        let Some(Ok(_)) = poll_fn(|cx| send.poll_capacity(cx)).await else { return 0 };
    }
    send.capacity().min(wanted)
}
