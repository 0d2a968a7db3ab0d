//! What the server and the client have in common: the loop of the README with rustls between the connection and the socket.
//! TLS is a second machine without I/O, so its four directions are four plain calls. One thread serves one connection.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use websocket_proto::{Clock, Connection, Event, UsageError};

/// Drives a connection to its end. `on_event` gets each event, and may send.
///
/// Each direction ends twice: with a close_notify, and with the end of the TCP stream behind it (RFC 8446 6.1). A peer that
/// leaves out the close_notify could be an attacker who cuts the stream. The connection needs no other call for it: before
/// the peer's Close every end is `CloseCause::TransportEnded`, and behind a Close there is nothing to cut off.
///
/// # Errors
///
/// A failed TLS handshake, or a TLS record that is not valid. The peer has got an alert.
pub fn drive(
    conn: &mut Connection,
    tls: &mut rustls::Connection,
    stream: &mut TcpStream,
    mut on_event: impl FnMut(&mut Connection, Event<'_>) -> std::result::Result<(), UsageError>,
) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(Duration::from_secs(30)))?; // if the peer stops reading
    // The plaintext of one record has at most 16 KiB (RFC 8446 5.1).
    let mut buf = vec![0; 16 * 1024];
    let (mut filled, mut can_write, clock) = (0, true, Clock::new());
    loop {
        let mut input = &mut buf[..std::mem::take(&mut filled)];
        while let Some(event) = conn.receive(&mut input) {
            on_event(conn, event)?;
        }
        // From the connection to rustls, which takes up to 64 KiB until they are written.
        while conn.wants_write() {
            match tls.writer().write(conn.outgoing())? {
                0 => break,
                n => conn.advance(n),
            }
        }
        // All messages are before the close_notify. It also says that an end without a closing handshake is meant.
        if conn.wants_shutdown() || conn.is_finished() {
            tls.send_close_notify();
        }
        // From rustls to the socket.
        while can_write && tls.wants_write() {
            match tls.write_tls(stream) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => {
                    can_write = false;
                    conn.write_closed(); // the peer's Close can still arrive
                }
            }
        }
        if conn.wants_write() {
            continue;
        }
        if conn.wants_shutdown() {
            let _ = stream.shutdown(Shutdown::Write); // fails if the peer has gone
            can_write = false;
            conn.write_closed();
        }
        if conn.is_finished() {
            return Ok(());
        }
        let wake = conn.tick(clock.now());
        if conn.wants_write() || conn.is_finished() {
            continue;
        }
        // From rustls to the connection.
        match tls.reader().read(&mut buf) {
            Ok(0) => conn.receive_eof(), // a close_notify
            Ok(n) => filled = n,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => conn.receive_eof(),
            // From the socket to rustls. `reader` is empty, as `read_tls` requires.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                stream.set_read_timeout(wake.map(|wake| clock.until(wake)))?;
                match tls.read_tls(stream) {
                    Ok(_) => decrypt(tls, stream)?,
                    Err(error) => match error.kind() {
                        ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                        _ => conn.abort(),
                    },
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn decrypt(tls: &mut rustls::Connection, stream: &mut TcpStream) -> Result<()> {
    match tls.process_new_packets() {
        Ok(_) => Ok(()),
        Err(error) => {
            let _ = tls.write_tls(stream); // the alert
            Err(Error::new(ErrorKind::InvalidData, error))
        }
    }
}
