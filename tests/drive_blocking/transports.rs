//! The driver over each transport that the library knows: sockets of both families, and pointers to transports.

use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::drive::Error;
use websocket_proto::drive::blocking::{Transport, WebSocket};
use websocket_proto::{ClientRequest, CloseCause, Config, Message, Role, Timeout};

use super::sockets;
use super::util::{ROLES, builder, config};

const SHORT: Duration = Duration::from_millis(100);
/// Less than the close timeout of 5 s, and more than anything else takes.
const BEFORE_TIMEOUT: Duration = Duration::from_secs(4);

/// What a program wants of every transport.
fn check<T: Transport + Send + 'static>(name: &str, pair: impl Fn() -> (T, T)) {
    talks_and_closes(name, pair());
    for role in ROLES {
        is_given_up_if_silent(name, role, pair());
        receives_while_the_peer_does_not_read(name, role, pair());
    }
}

/// Both handshakes, messages, and an end for which nobody waits: each side learns that the other one was shut down.
fn talks_and_closes<T: Transport + Send + 'static>(name: &str, (client, server): (T, T)) {
    let began = Instant::now();
    let echo = thread::spawn(move || {
        let mut ws = WebSocket::accept(server, config()).unwrap();
        while let Some(message) = ws.recv().unwrap() {
            ws.feed(message).unwrap();
        }
        ws // the transport is not dropped yet
    });
    let request = ClientRequest::new("ws://a.test/").unwrap();
    let (mut ws, _) = WebSocket::connect(client, &request, config()).unwrap();
    for len in [0, 1, 16_384, 100_000, 1 << 20] {
        ws.send(vec![7; len]).unwrap();
        assert!(ws.recv().unwrap() == Some(Message::from(vec![7; len])), "{name}, {len}");
    }
    assert!(ws.close(1000, "").unwrap().is_clean(), "{name}");
    drop(echo.join().unwrap());
    assert!(began.elapsed() < BEFORE_TIMEOUT, "{name}: {:?}", began.elapsed());
}

fn open<T: Transport>(transport: T, role: Role, config: Config) -> WebSocket<T> {
    WebSocket::from_upgrade(transport, role, b"", config).expect("a seed cannot fail")
}

/// A read returns when the connection needs the time.
fn is_given_up_if_silent<T: Transport>(name: &str, role: Role, (ours, _theirs): (T, T)) {
    let config = builder().idle_timeout(SHORT).close_timeout(SHORT).build().unwrap();
    let result = open(ours, role, config).recv();
    let Err(Error::Closed(closed)) = result else { panic!("{name}: {result:?}") };
    assert_eq!(*closed.cause(), CloseCause::TimedOut(Timeout::Idle), "{name}");
}

/// A write returns when the peer does not read, so that its messages arrive.
fn receives_while_the_peer_does_not_read<T: Transport>(
    name: &str,
    role: Role,
    (ours, theirs): (T, T),
) {
    let (mut ws, mut peer) =
        (open(ours, role, config()), open(theirs, super::other(role), config()));
    ws.with(|conn| conn.send(vec![7; 16 << 20])).unwrap();
    peer.send("x").unwrap();
    assert_eq!(ws.recv().unwrap(), Some(Message::from("x")), "{name}");
    assert!(ws.with(|conn| conn.outgoing_len()) > 0, "{name}");
}

type Boxed = Box<dyn Transport + Send>;

fn boxed<T: Transport + Send + 'static>((ours, theirs): (T, T)) -> (Boxed, Boxed) {
    (Box::new(ours), Box::new(theirs))
}

/// Nobody drops what a reference points to. So the peer learns of an end by the shutdown alone.
fn borrowed<T: Transport>((ours, theirs): (T, T)) -> (&'static mut T, &'static mut T) {
    (Box::leak(Box::new(ours)), Box::leak(Box::new(theirs)))
}

#[test]
fn every_transport_talks_times_out_and_ends() {
    check("TcpStream", sockets);
    check("Box<dyn Transport>", || boxed(sockets()));
    check("&mut TcpStream", || borrowed(sockets()));
}

#[cfg(unix)]
#[test]
fn a_unix_stream_talks_times_out_and_ends() {
    check("UnixStream", || UnixStream::pair().unwrap());
    check("Box<dyn Transport> of a UnixStream", || boxed(UnixStream::pair().unwrap()));
}

#[cfg(unix)]
#[test]
fn both_ends_of_a_unix_stream_send_much_at_once_on_two_threads() {
    let (client, server) = UnixStream::pair().unwrap();
    let threads = [(client, Role::Client), (server, Role::Server)].map(|(stream, role)| {
        let (mut sends, mut receives) =
            open(stream, role, config()).split(UnixStream::try_clone).unwrap();
        let sending = thread::spawn(move || sends.send(vec![7; 8 << 20]).map(|()| sends));
        let receiving = thread::spawn(move || {
            assert!(receives.recv().unwrap() == Some(Message::from(vec![7; 8 << 20])));
            receives
        });
        (sending, receiving)
    });
    // The halves live until both ends have all.
    let ends = threads.map(|(sending, receiving)| (sending.join().unwrap(), receiving.join()));
    assert!(ends.iter().all(|(sends, receives)| sends.is_ok() && receives.is_ok()));
}

/// A transport that gives the timeouts no meaning, as the trait's defaults.
struct WithoutTimeouts(TcpStream);

impl std::io::Read for WithoutTimeouts {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl std::io::Write for WithoutTimeouts {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Transport for WithoutTimeouts {
    fn shutdown_write(&mut self) -> std::io::Result<()> {
        self.0.shutdown_write()
    }
}

#[test]
fn a_transport_without_timeouts_or_vectored_writes_talks_and_ends() {
    let (ours, theirs) = sockets();
    talks_and_closes("the defaults", (WithoutTimeouts(ours), WithoutTimeouts(theirs)));
}
