//! A chat room on tokio: what one says is sent to all. It shows the loop inside `select!`, a message that is encoded
//! once for every connection, an Origin check that is decided later, and a peer too slow for the room being let go.
//!
//! `cargo run --release --example chat_tokio [ADDR]`, by default 127.0.0.1:9001.

use std::io::{ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{Sender, channel, error::RecvError};
use tokio::time::{Instant, sleep_until};
use websocket_proto::{
    Accept, CloseCode, Config, Connection, Event, OriginPolicy, PreparedMessage, Shared, Timestamp,
};

struct Room {
    said: Sender<PreparedMessage>,
    config: Shared<Config>,
    origins: OriginPolicy,
    epoch: Instant,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_string());
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    let mut config = Config::default();
    config.max_message_bytes = 64 * 1024;
    config.keepalive_interval = Some(Duration::from_secs(20));
    config.idle_timeout = Some(Duration::from_secs(60));
    let room = Arc::new(Room {
        said: channel(64).0,
        config: Shared::new(config),
        origins: OriginPolicy::new(["http://127.0.0.1:9001", "http://localhost:9001"])
            .map_err(std::io::Error::other)?
            .allow_missing(true),
        epoch: Instant::now(),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        let room = room.clone();
        tokio::spawn(async move {
            if let Err(error) = serve(stream, &room).await {
                eprintln!("connection given up: {error}");
            }
        });
    }
}

async fn serve(mut stream: TcpStream, room: &Room) -> Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.split();
    let mut conn = Connection::server(room.config.clone());
    let mut said = room.said.subscribe();
    let mut buf = vec![0; 4096];
    loop {
        let deadline = conn.tick(Timestamp::new(room.epoch.elapsed()));
        let wake = deadline.map(|at| room.epoch + at.since_epoch());
        while let Some(event) = conn.poll_event() {
            handle(&mut conn, event, room)?;
        }
        if conn.wants_shutdown() {
            // The peer may be gone already.
            let _ = writer.shutdown().await;
        }
        if conn.is_finished() {
            return Ok(());
        }
        tokio::select! {
            written = writer.write(conn.outgoing()), if conn.wants_write() => match written {
                Ok(n @ 1..) => conn.advance(n),
                Ok(0) | Err(_) => conn.abort(),
            },
            read = reader.read(&mut buf), if conn.wants_read() => match read {
                Ok(0) => conn.receive_eof(),
                Ok(n) => {
                    let mut input = &mut buf[..n];
                    while let Some(event) = conn.receive(&mut input) {
                        handle(&mut conn, event, room)?;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => conn.abort(),
            },
            // A peer that does not take what was said is not given more; the channel drops what is too old.
            message = said.recv(), if conn.is_writable() => match message {
                Ok(message) => conn.send_prepared(&message)?,
                Err(RecvError::Lagged(_)) => conn.close(CloseCode::POLICY_VIOLATION, "too slow for this room")?,
                Err(RecvError::Closed) => conn.close(CloseCode::GOING_AWAY, "")?,
            },
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
        }
    }
}

fn handle(conn: &mut Connection, event: Event<'_>, room: &Room) -> Result<()> {
    match event {
        // A real room would look the cookie up here, in a task of its own: the connection waits.
        Event::UpgradeRequest(request) => match room.origins.check(&request) {
            Ok(()) => conn.accept(&Accept::default())?,
            Err(refusal) => conn.reject(refusal)?,
        },
        Event::PlainRequest(_) => conn.respond(404)?,
        Event::Message(message) => {
            // Nobody listening is no error.
            let _ = room.said.send(PreparedMessage::new(&message));
        }
        _ => {}
    }
    Ok(())
}
