//! A chat room on tokio by the driver `drive::tokio`: each message is sent to all clients. It shows the two halves of a
//! WebSocket, a message that is encoded once for all connections, a check of the Origin, and how to disconnect a client
//! that is too slow. SIGINT or SIGTERM closes all connections with 1001; the program then ends with status 0.
//!
//! `cargo run --release --example chat_tokio [ADDR]`; the default is 127.0.0.1:9001.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use websocket_proto::drive::tokio::{Incoming, SendHalf};
use websocket_proto::drive::{Error, Request};
use websocket_proto::{
    Accept, CloseCode, Closed, Config, OriginPolicy, PreparedMessage, Response, Shared,
};

/// The messages that may wait for the slowest client: 16 MiB at most. A client that is further behind is disconnected.
const MAX_LAG: usize = 256;
/// The time in which a client must take what is written to it.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time that the connections have to close after a signal.
const FAREWELL: Duration = Duration::from_secs(10);

struct Room {
    said: broadcast::Sender<PreparedMessage>,
    /// Whether the room closes. Each connection holds a receiver, so that `run` can wait for the last one.
    closes: watch::Sender<bool>,
    config: Shared<Config>,
    origins: OriginPolicy,
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
async fn run(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })?;
    let address = listener.local_addr()?;
    println!("listening on ws://{address}");
    let config = Config::builder()
        .max_message_bytes(64 * 1024)
        .keepalive_interval(Duration::from_secs(20))
        .idle_timeout(Duration::from_secs(60));
    let room = Arc::new(Room {
        said: broadcast::Sender::new(MAX_LAG),
        closes: watch::Sender::new(false),
        config: Shared::new(config.build()?),
        origins: OriginPolicy::new(origins(&address))
            .map_err(io::Error::other)?
            .allow_missing(true),
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
            match serve(stream, &room, closes).await {
                Ok(()) => {}
                Err(Error::Closed(closed)) => eprintln!("not closed cleanly: {}", closed.cause()),
                Err(error) => eprintln!("connection dropped: {error}"),
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
async fn signal() -> io::Result<()> {
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
    stream: TcpStream,
    room: &Room,
    mut closes: watch::Receiver<bool>,
) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let incoming = tokio::select! {
        incoming = Incoming::receive(stream, room.config.clone()) => incoming?,
        _ = closes.changed() => return Ok(()),
    };
    // A real server could look up a cookie now, and decide later.
    let refusal = match incoming.request() {
        Request::Upgrade(request) => room.origins.check(request).err(),
        Request::Plain(_) => Some(Response::from(404)),
    };
    if let Some(refusal) = refusal {
        incoming.respond(refusal).await?;
        return Ok(());
    }
    let said = room.said.subscribe();
    let (sends, mut receives) = incoming.accept(&Accept::new()).await?.split();
    let receive = async {
        while let Some(message) = receives.recv().await? {
            // It fails if the room has no connections, which is no error here.
            let _ = room.said.send(PreparedMessage::new(&message));
            // The others get it before this client says more: the driver goes on with all that it has read.
            yield_now().await;
        }
        Ok(())
    };
    let tell = async {
        // If the client cannot be written any more, its Close may still be received.
        let _ = tell(sends, said, closes).await;
        std::future::pending().await
    };
    tokio::select! {
        ended = receive => ended,
        never = tell => never,
    }
}

/// Sends what is said, and closes the connection when the room closes.
async fn tell(
    mut sends: SendHalf<TcpStream>,
    mut said: broadcast::Receiver<PreparedMessage>,
    mut closes: watch::Receiver<bool>,
) -> Result<Closed, Error> {
    loop {
        let message = tokio::select! {
            message = said.recv() => message,
            _ = closes.changed() => Err(RecvError::Closed),
        };
        match message {
            Ok(message) => sends.with(|conn| conn.send_prepared(&message))?,
            Err(RecvError::Closed) => return sends.close(CloseCode::GOING_AWAY, "").await,
            Err(RecvError::Lagged(_)) => {
                return sends.close(CloseCode::POLICY_VIOLATION, "too slow for this room").await;
            }
        }
        // A client that does not read gets no more messages for now.
        let flushed = tokio::select! {
            flushed = timeout(PATIENCE, sends.flush()) => flushed,
            _ = closes.changed() => return sends.close(CloseCode::GOING_AWAY, "").await,
        };
        match flushed {
            Ok(flushed) => flushed?,
            Err(_) => {
                return sends.close(CloseCode::POLICY_VIOLATION, "too slow for this room").await;
            }
        }
    }
}
