//! What the driver needs of a transport besides reading and writing: the end of its write side, and limits to the time
//! that a call waits.

use core::time::Duration;
use std::boxed::Box;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;

/// A transport whose reads and writes block: a socket, a TLS stream, a pair of pipes. It is implemented for
/// [`TcpStream`], for `UnixStream`, and for pointers to transports.
///
/// The driver sets the transport's timeouts itself, so a program sets none. When one has passed, the transport returns
/// an error of the kind `WouldBlock` or `TimedOut`; the driver then tells the connection the time, and goes on. A write
/// that has written something must not return an error.
///
/// For other types, implement it on a type of your own. This one is a TLS stream on a socket, as `StreamOwned` of the
/// crate rustls is. One thread drives it: TLS has no second handle. A `read` of `StreamOwned` waits for the whole TLS
/// handshake, however slowly its bytes arrive. `docs/examples/wss` in the repository has a transport on rustls that
/// does not.
///
/// ```
/// # struct TlsStream { sock: TcpStream }
/// # impl Read for TlsStream { fn read(&mut self, b: &mut [u8]) -> io::Result<usize> { self.sock.read(b) } }
/// # impl Write for TlsStream {
/// #     fn write(&mut self, b: &[u8]) -> io::Result<usize> { self.sock.write(b) }
/// #     fn flush(&mut self) -> io::Result<()> { Ok(()) }
/// # }
/// # impl TlsStream { fn send_close_notify(&mut self) {} }
/// use std::io::{self, IoSlice, Read, Write};
/// use std::net::TcpStream;
/// use std::time::Duration;
/// use websocket_proto::drive::blocking::Transport;
///
/// struct Tls(TlsStream);
///
/// impl Transport for Tls {
///     fn shutdown_write(&mut self) -> io::Result<()> {
///         self.0.send_close_notify(); // of rustls: `self.0.conn.send_close_notify()`
///         self.0.flush()
///     }
///     fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
///         self.0.sock.set_read_timeout(timeout)
///     }
///     fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
///         self.0.sock.set_write_timeout(timeout)
///     }
/// }
///
/// impl Read for Tls {
///     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
///         self.0.read(buffer)
///     }
/// }
///
/// impl Write for Tls {
///     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
///         self.0.write(bytes)
///     }
///     fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
///         self.0.write_vectored(slices)
///     }
///     fn flush(&mut self) -> io::Result<()> {
///         self.0.flush()
///     }
/// }
/// ```
pub trait Transport: Read + Write {
    /// Shuts the write side down, so that the peer reads the end, and its own bytes can still be read. TLS sends a
    /// close_notify. A transport that has no such end does nothing; then some peers wait for
    /// [`Config::close_timeout`](crate::Config::close_timeout).
    ///
    /// # Errors
    ///
    /// The driver ignores them: the shutdown fails if the peer has gone.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Limits the time that each read waits from now on; `None` is no limit. It is at least one millisecond. If this
    /// does nothing, as the default, a timeout of the connection passes unnoticed until bytes arrive.
    ///
    /// # Errors
    ///
    /// The driver ignores them, and the timeout stays what it was.
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let _ = timeout;
        Ok(())
    }

    /// Limits the time that each write waits from now on; `None` is no limit. If this does nothing, as the default,
    /// a write to a peer that does not read waits without an end, and nothing is read meanwhile.
    ///
    /// # Errors
    ///
    /// The driver ignores them, and the timeout stays what it was.
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let _ = timeout;
        Ok(())
    }
}

/// On Windows a write that has timed out may have written something, so the driver sets no timeout for writes there.
impl Transport for TcpStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        TcpStream::set_read_timeout(self, timeout)
    }

    #[cfg(not(windows))]
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        TcpStream::set_write_timeout(self, timeout)
    }
}

#[cfg(unix)]
impl Transport for UnixStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        UnixStream::set_read_timeout(self, timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        UnixStream::set_write_timeout(self, timeout)
    }
}

macro_rules! forward {
    ($pointer:ty) => {
        impl<T: Transport + ?Sized> Transport for $pointer {
            fn shutdown_write(&mut self) -> io::Result<()> {
                (**self).shutdown_write()
            }

            fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
                (**self).set_read_timeout(timeout)
            }

            fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
                (**self).set_write_timeout(timeout)
            }
        }
    };
}

forward!(&mut T);
forward!(Box<T>);
