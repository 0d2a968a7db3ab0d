//! TLS as a transport for the blocking driver. rustls is a machine without I/O, so its four directions are four plain calls.

use std::io::{Error, ErrorKind, IoSlice, Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use websocket_proto::drive::blocking::Transport;

/// A TLS connection on a socket.
///
/// Each direction ends twice: with a close_notify, and with the end of the TCP stream behind it (RFC 8446 6.1). A peer that
/// leaves out the close_notify could be an attacker who cuts the stream. The driver needs not know: before the peer's Close
/// every end is `CloseCause::TransportEnded`, and behind a Close there is nothing to cut off.
pub struct Tls {
    tls: rustls::Connection,
    stream: TcpStream,
}

impl Tls {
    /// # Errors
    ///
    /// That of the socket.
    pub fn new(tls: impl Into<rustls::Connection>, stream: TcpStream) -> Result<Tls> {
        stream.set_nodelay(true)?;
        Ok(Tls { tls: tls.into(), stream })
    }
}

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self.tls.reader().read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // The end of TCP without a close_notify.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
            read => return read,
        }
        // Records of the handshake. If this fails, the next write tells.
        let _ = self.flush();
        // `reader` is empty, as `read_tls` requires.
        self.tls.read_tls(&mut self.stream)?;
        if let Err(error) = self.tls.process_new_packets() {
            let _ = self.tls.write_tls(&mut self.stream); // the alert
            return Err(Error::new(ErrorKind::InvalidData, error));
        }
        // The driver looks at the time, and reads again. So a peer whose handshake arrives byte by byte gets no extra time.
        Err(ErrorKind::Interrupted.into())
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    /// rustls takes up to 64 KiB. If an error is returned, it has taken nothing.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Result<usize> {
        self.flush()?;
        self.tls.writer().write_vectored(slices)
    }

    fn flush(&mut self) -> Result<()> {
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut self.stream)? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

impl Transport for Tls {
    fn shutdown_write(&mut self) -> Result<()> {
        self.tls.send_close_notify();
        self.flush()?;
        self.stream.shutdown(Shutdown::Write)
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.stream.set_write_timeout(timeout)
    }
}
