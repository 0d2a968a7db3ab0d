//! A chat room on tokio: each message is sent to all clients. It shows the loop inside `select!`, a message that is
//! encoded once for all connections, a check of the Origin, and how to disconnect a client that is too slow. SIGINT or
//! SIGTERM closes all connections with 1001; the program then ends with status 0.
//!
//! `cargo run --release --example chat_tokio [ADDR]`; the default is 127.0.0.1:9001.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use websocket_proto::{
    Accept, Clock, CloseCause, CloseCode, Config, Connection, Event, OriginPolicy, PreparedMessage,
    Shared, UsageError,
};

/// The time that the connections have to close after a signal.
const FAREWELL: Duration = Duration::from_secs(10);

struct Room {
    said: broadcast::Sender<PreparedMessage>,
    /// Whether the room closes. Each connection holds a receiver, so that `run` can wait for the last one.
    closes: watch::Sender<bool>,
    config: Shared<Config>,
    origins: OriginPolicy,
    clock: Clock,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let address = match &arguments[..] {
        [] => "127.0.0.1:9001",
        [address] if !address.starts_with('-') => address,
        _ => {
            eprintln!("usage: chat_tokio [ADDR]");
            return ExitCode::from(2);
        }
    };
    match run(address).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal arrives and the connections are closed.
async fn run(address: &str) -> Result<()> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })?;
    let address = listener.local_addr()?;
    println!("listening on ws://{address}");
    let config = Config::builder()
        .max_message_bytes(64 * 1024)
        .keepalive_interval(Duration::from_secs(20))
        .idle_timeout(Duration::from_secs(60));
    let room = Arc::new(Room {
        said: broadcast::Sender::new(64),
        closes: watch::Sender::new(false),
        config: Shared::new(config.build()?),
        origins: OriginPolicy::new(origins(&address)).map_err(Error::other)?.allow_missing(true),
        clock: Clock::new(),
    });
    let mut signal = pin!(signal());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            result = &mut signal => break result?,
        };
        // The client has gone, or no descriptor is free. Continue to serve the other clients.
        let Ok((stream, _)) = accepted else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (room, closes) = (room.clone(), room.closes.subscribe());
        tokio::spawn(async move {
            if let Err(error) = serve(stream, &room, closes).await {
                eprintln!("connection dropped: {error}");
            }
        });
    }
    drop(listener);
    room.closes.send_replace(true);
    // Connections that are still open after this time are dropped.
    let _ = timeout(FAREWELL, room.closes.closed()).await;
    Ok(())
}

/// Waits for SIGINT or SIGTERM.
async fn signal() -> Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// The origins of pages from this address. A server with a host name would list that name.
fn origins(address: &SocketAddr) -> [String; 2] {
    [address.to_string(), format!("localhost:{}", address.port())]
        .map(|host| format!("http://{host}"))
}

async fn serve(
    mut stream: TcpStream,
    room: &Room,
    mut closes: watch::Receiver<bool>,
) -> Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.split();
    let mut conn = Connection::server(room.config.clone());
    let mut said = room.said.subscribe();
    let mut buf = vec![0; 4096];
    let mut filled = 0;
    loop {
        let mut input = &mut buf[..std::mem::take(&mut filled)];
        while let Some(event) = conn.receive(&mut input) {
            if let Event::UpgradeRequest(_) = event {
                said = said.resubscribe(); // skips the messages from before this client joined
            }
            react(&mut conn, event, room)?;
        }
        if conn.wants_shutdown() {
            let _ = writer.shutdown().await; // fails if the peer has gone
            conn.write_closed();
        }
        if conn.is_finished() {
            return Ok(());
        }
        let wake = conn.tick(room.clock.now());
        if conn.is_finished() {
            continue;
        }
        let wake = wake.map(|wake| room.clock.instant(wake).into());
        let mut slices = [IoSlice::new(&[]); 16];
        let count = conn.outgoing_slices(&mut slices);
        tokio::select! {
            written = writer.write_vectored(&slices[..count]), if count > 0 => match written {
                Ok(n @ 1..) => conn.advance(n),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => conn.write_closed(),
            },
            read = reader.read(&mut buf), if conn.wants_read() => match read {
                Ok(0) => conn.receive_eof(),
                Ok(n) => filled = n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => conn.abort(),
            },
            // A client that does not read gets no more messages for now; the channel drops the oldest ones.
            message = said.recv(), if conn.is_writable() => match message {
                Ok(message) => conn.send_prepared(&message)?,
                Err(RecvError::Lagged(_)) => conn.close(CloseCode::POLICY_VIOLATION, "too slow for this room")?,
                Err(RecvError::Closed) => conn.close(CloseCode::GOING_AWAY, "")?,
            },
            _ = closes.changed() => conn.close(CloseCode::GOING_AWAY, "")?,
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
        }
    }
}

fn react(
    conn: &mut Connection,
    event: Event<'_>,
    room: &Room,
) -> std::result::Result<(), UsageError> {
    match event {
        // A real server could look up a cookie in another task and decide later: the connection waits.
        Event::UpgradeRequest(request) => match room.origins.check(&request) {
            Ok(()) => conn.accept(&Accept::default()),
            Err(refusal) => conn.respond(refusal),
        },
        Event::PlainRequest(_) => conn.respond(404),
        Event::Message(message) => {
            // It fails if the room has no connections, which is no error here.
            let _ = room.said.send(PreparedMessage::new(&message));
            Ok(())
        }
        Event::Closed(closed) => {
            let is_ours = matches!(closed.cause(), CloseCause::Rejected | CloseCause::Answered);
            if !closed.is_clean() && !is_ours {
                eprintln!("not closed cleanly: {}", closed.cause());
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
