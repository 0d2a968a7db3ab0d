//! A chat whose rooms span several processes, on one machine or on many, through Redis. The path of the URL is the
//! room. Each text is published to Redis once, and encoded once in each process that has clients in the room.
//!
//! A client never loses its connection because of Redis. While Redis is away, whoever says something is told that it
//! was not sent. SIGINT or SIGTERM closes all connections with 1012, upon which clients connect again, to any process.
//!
//! `cargo run --release [ADDR [REDIS]]`; the defaults are 127.0.0.1:9001 and `redis://127.0.0.1:6379`.

mod broker;

use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use websocket_proto::drive::tokio::{Incoming, RecvHalf, SendHalf};
use websocket_proto::drive::{Error, Request};
use websocket_proto::{Accept, CloseCode, Closed, Config, Message, PreparedMessage, Shared};

use broker::Broker;

/// The time that the connections have to close after a signal.
const FAREWELL: Duration = Duration::from_secs(10);
/// The time in which a client must take what is written to it.
const PATIENCE: Duration = Duration::from_secs(30);

struct Chat {
    broker: Arc<Broker>,
    /// Whether this process ends. Each connection holds a receiver, so that `run` can wait for the last one.
    ends: watch::Sender<bool>,
    config: Shared<Config>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (address, redis) = match &arguments[..] {
        [] => ("127.0.0.1:9001", "redis://127.0.0.1:6379"),
        [address] if !address.starts_with('-') => (&**address, "redis://127.0.0.1:6379"),
        [address, redis] => (&**address, &**redis),
        _ => {
            eprintln!("usage: websocket-proto-redis-chat [ADDR [REDIS]]");
            return ExitCode::from(2);
        }
    };
    match run(address, redis).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal arrives and the connections are closed.
async fn run(address: &str, redis: &str) -> io::Result<()> {
    let broker = Arc::new(Broker::new(redis).map_err(io::Error::other)?);
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    let config = Config::builder()
        .max_message_bytes(16 * 1024)
        .keepalive_interval(Duration::from_secs(20))
        .idle_timeout(Duration::from_secs(60));
    let config = Shared::new(config.build()?);
    let chat = Arc::new(Chat { broker, ends: watch::Sender::new(false), config });
    tokio::spawn(chat.broker.clone().run());
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        // The client has gone, or no descriptor is free. Continue to serve the other clients.
        let Ok((stream, _)) = accepted else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (chat, ends) = (chat.clone(), chat.ends.subscribe());
        tokio::spawn(async move {
            match serve(stream, &chat, ends).await {
                Ok(()) => {}
                Err(Error::Closed(closed)) => eprintln!("not closed cleanly: {}", closed.cause()),
                Err(error) => eprintln!("connection dropped: {error}"),
            }
        });
    }
    drop(listener);
    chat.ends.send_replace(true);
    // Connections that are still open after this time are dropped.
    let _ = timeout(FAREWELL, chat.ends.closed()).await;
    Ok(())
}

/// Serves one connection. It does not check the `Origin`: there are no cookies, so a page gets nothing that a program
/// does not get. The example `chat_tokio` has such a check.
async fn serve(
    stream: TcpStream,
    chat: &Chat,
    mut ends: watch::Receiver<bool>,
) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let incoming = tokio::select! {
        incoming = Incoming::receive(stream, chat.config.clone()) => incoming?,
        _ = ends.changed() => return Ok(()),
    };
    let room = match incoming.request() {
        Request::Upgrade(request) => request.resource().to_owned(),
        Request::Plain(_) => {
            incoming.respond(426).await?;
            return Ok(());
        }
    };
    // Join first: the client may count on every message that is said after the response.
    let messages = chat.broker.join(&room);
    let ended = match incoming.accept(&Accept::new()).await {
        Ok(ws) => {
            let (sends, receives) = ws.split();
            converse(sends, receives, messages, ends, &chat.broker, &room).await
        }
        Err(error) => {
            drop(messages);
            Err(error)
        }
    };
    chat.broker.leave(&room);
    ended
}

/// Runs both directions of a connection until it ends.
async fn converse(
    mut sends: SendHalf<TcpStream>,
    mut receives: RecvHalf<TcpStream>,
    messages: broadcast::Receiver<PreparedMessage>,
    ends: watch::Receiver<bool>,
    broker: &Broker,
    room: &str,
) -> Result<(), Error> {
    let (tells, notices) = mpsc::channel(1);
    let receive = async {
        while let Some(message) = receives.recv().await? {
            let failed = match &message {
                Message::Text(text) => broker.publish(room, text).await.err(),
                Message::Binary(_) => Some("not sent: it is not text"),
            };
            if let Some(notice) = failed {
                // While the client does not read its notices, it is not read either.
                let _ = tells.send(notice).await;
            }
        }
        Ok(())
    };
    let tell = async {
        // If the client cannot be written any more, its Close may still be received.
        let _ = tell(&mut sends, messages, notices, ends).await;
        std::future::pending().await
    };
    let (receive, tell) = (pin!(receive), pin!(tell));
    tokio::select! {
        ended = receive => ended,
        never = tell => never,
    }
}

/// Sends what is said in the room, and closes the connection when the process ends.
async fn tell(
    sends: &mut SendHalf<TcpStream>,
    mut messages: broadcast::Receiver<PreparedMessage>,
    mut notices: mpsc::Receiver<&'static str>,
    mut ends: watch::Receiver<bool>,
) -> Result<Closed, Error> {
    loop {
        let message = tokio::select! {
            message = messages.recv() => message,
            Some(notice) = notices.recv() => Ok(PreparedMessage::new(notice)),
            _ = ends.changed() => return sends.close(CloseCode::SERVICE_RESTART, "").await,
        };
        match message {
            Ok(message) => sends.with(|conn| conn.send_prepared(&message))?,
            // The room has been forgotten, which happens only without clients.
            Err(RecvError::Closed) => return sends.close(CloseCode::INTERNAL_ERROR, "").await,
            Err(RecvError::Lagged(_)) => {
                return sends.close(CloseCode::TRY_AGAIN_LATER, "too slow for this room").await;
            }
        }
        // A client that does not read gets no more messages for now.
        let flushed = tokio::select! {
            flushed = timeout(PATIENCE, sends.flush()) => flushed,
            _ = ends.changed() => return sends.close(CloseCode::SERVICE_RESTART, "").await,
        };
        match flushed {
            Ok(flushed) => flushed?,
            Err(_) => {
                return sends.close(CloseCode::TRY_AGAIN_LATER, "too slow for this room").await;
            }
        }
    }
}
