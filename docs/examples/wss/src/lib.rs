//! TLS as a transport for the blocking driver. rustls is a machine without I/O, so its four directions are four plain
//! calls.

use std::io::{BufReader, Error, ErrorKind, IoSlice, Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use websocket_proto::drive::blocking::Transport;

/// A TLS connection on a socket.
///
/// Each direction ends twice: with a close_notify, and with the end of the TCP stream behind it (RFC 8446 6.1). A peer
/// that leaves out the close_notify could be an attacker who cuts the stream. The driver need not know: before the
/// peer's Close every end is `CloseCause::TransportEnded`, and behind a Close there is nothing to cut off.
pub struct Tls {
    tls: rustls::Connection,
    /// rustls reads 4 KiB at a time.
    stream: BufReader<TcpStream>,
    /// Whether the TLS handshake is done, and its last bytes are written.
    is_open: bool,
    /// What has failed behind bytes that are decrypted. They are read first.
    failed: Option<Error>,
}

impl Tls {
    /// # Errors
    ///
    /// That of the socket.
    pub fn new(tls: impl Into<rustls::Connection>, stream: TcpStream) -> Result<Tls> {
        stream.set_nodelay(true)?;
        let stream = BufReader::with_capacity(64 * 1024, stream);
        let mut tls = Tls { tls: tls.into(), stream, is_open: false, failed: None };
        // The driver limits the time of its own writes. Before them, a server's reads write the handshake.
        tls.set_write_timeout(Some(Duration::from_millis(50)))?;
        Ok(tls)
    }
}

impl Read for Tls {
    /// Reads all that one read of the socket has brought, as far as there is room.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let (mut n, mut has_read) = (0, false);
        loop {
            match self.tls.reader().read(&mut buffer[n..]) {
                Ok(0) => return Ok(n), // a close_notify, or no room
                Ok(more) => n += more,
                // The end of TCP without a close_notify.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(n),
                // `reader` is empty, as `read_tls` requires.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let is_all = self.stream.buffer().is_empty() || self.failed.is_some();
                    if is_all && n > 0 {
                        return Ok(n);
                    }
                    if let Some(error) = self.failed.take() {
                        return Err(error);
                    }
                    if is_all && has_read {
                        // The driver looks at the time, and reads again. So a peer whose records arrive byte by byte
                        // gets no extra time.
                        return Err(ErrorKind::Interrupted.into());
                    }
                    self.failed = self.decrypt().err();
                    has_read = true;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Tls {
    /// From the socket to rustls.
    fn decrypt(&mut self) -> Result<()> {
        if !self.is_open {
            // The driver knows nothing of these bytes, so they are written here. The peer waits for them: nothing is
            // read before they are written. After the handshake, all that rustls holds came from `write_vectored`, and
            // the driver calls `flush`.
            self.flush()?;
            self.is_open = !self.tls.is_handshaking();
        }
        self.tls.read_tls(&mut self.stream)?;
        if let Err(error) = self.tls.process_new_packets() {
            let _ = self.tls.write_tls(self.stream.get_mut()); // the alert
            return Err(Error::new(ErrorKind::InvalidData, error));
        }
        Ok(())
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    /// rustls takes up to 64 KiB. If an error is returned, it has taken nothing.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Result<usize> {
        self.flush()?;
        if self.tls.is_handshaking() {
            // rustls would hold the bytes until the handshake is done, and `flush` could not tell. There is nothing to
            // read, so this is `WouldBlock`: the driver reads, and tries again. After the end of TCP it is an error.
            return self.tls.reader().into_first_chunk().map(<[u8]>::len);
        }
        self.tls.writer().write_vectored(slices)
    }

    fn flush(&mut self) -> Result<()> {
        while self.tls.wants_write() {
            if self.tls.write_tls(self.stream.get_mut())? == 0 {
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
        self.stream.get_ref().shutdown(Shutdown::Write)
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.stream.get_ref().set_read_timeout(timeout)
    }

    /// Not on Windows, where a write that has timed out may have written something.
    #[cfg(not(windows))]
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.stream.get_ref().set_write_timeout(timeout)
    }
}
