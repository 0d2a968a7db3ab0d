//! Lets browsers speak MQTT with a broker that listens on TCP, such as Mosquitto: it passes the bytes of each WebSocket
//! on, in both directions. It obeys section 6 of MQTT 3.1.1 and of MQTT 5: the subprotocol is `mqtt`, messages are
//! binary, and packets may begin and end anywhere in them. So it needs no memory for a packet, however long it is.
//!
//! `cargo run --release --bin mqtt_bridge [ADDR [BROKER]]`; the defaults are 127.0.0.1:9001 and 127.0.0.1:1883.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::time::{sleep, timeout};
use websocket_proto::drive::tokio::{Incoming, RecvHalf, SendHalf};
use websocket_proto::drive::{Error, Request};
use websocket_proto::{Accept, CloseCode, Config, Delivery, Event, MessageKind, Shared};

/// The time that the broker has to accept a connection, and to end it after the client has ended its own.
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:9001".to_owned());
    let broker: &str = arguments.next().unwrap_or("127.0.0.1:1883".to_owned()).leak();
    // The sizes are the broker's to limit. MQTT has its own pings and timeouts; those here find a client that has
    // vanished before it has sent one.
    let config = Config::builder()
        .delivery(Delivery::Chunks)
        .max_frame_bytes(u64::MAX)
        .max_message_bytes(u64::MAX)
        .keepalive_interval(Duration::from_secs(20))
        .idle_timeout(Duration::from_secs(60));
    let config = Shared::new(config.build()?);
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        // The client has gone, or no descriptor is free.
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let config = config.clone();
        tokio::spawn(async move {
            if let Err(error) = serve(stream, config, broker).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn serve(stream: TcpStream, config: Shared<Config>, broker: &str) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let incoming = Incoming::receive(stream, config).await?;
    // The client is answered when the broker has accepted, so that it sees the difference.
    let (status, broker) = match incoming.request() {
        Request::Plain(_) => (426, None),
        // MQTT-6.0.0-3: the client must offer `mqtt`.
        Request::Upgrade(request) if !request.subprotocols().any(|name| name == "mqtt") => {
            (400, None)
        }
        Request::Upgrade(_) => match timeout(PATIENCE, TcpStream::connect(broker)).await {
            Ok(Ok(broker)) => (101, Some(broker)),
            Ok(Err(_)) => (502, None),
            Err(_) => (504, None),
        },
    };
    let Some(mut broker) = broker else {
        incoming.respond(status).await?;
        return Ok(());
    };
    broker.set_nodelay(true)?;
    // MQTT-6.0.0-4: the server must choose `mqtt`.
    let ws = incoming.accept(&Accept::new().subprotocol("mqtt")).await?;
    let (mut sends, mut receives) = ws.split();
    let (from_broker, to_broker) = broker.split();
    let ended = tokio::select! {
        ended = pass_up(&mut receives, to_broker) => ended,
        ended = pass_down(from_broker, &mut sends) => ended,
    };
    if let Err(Error::Io(error)) = &ended {
        let (code, reason) = match error.kind() {
            io::ErrorKind::InvalidData => (CloseCode::UNSUPPORTED_DATA, "MQTT is binary"),
            _ => (CloseCode::BAD_GATEWAY, "the broker's connection has failed"),
        };
        // It does nothing if the client's connection has failed.
        sends.with(|conn| conn.fail(code, reason))?;
        while receives.recv_event().await?.is_some() {}
    }
    ended
}

/// Passes on what the client sends, until it closes. While the broker does not read, the client is not read either.
async fn pass_up(
    receives: &mut RecvHalf<TcpStream>,
    mut broker: tcp::WriteHalf<'_>,
) -> Result<(), Error> {
    while let Some(event) = receives.recv_event().await? {
        match event {
            Event::Chunk(chunk) if chunk.kind() == MessageKind::Binary => {
                broker.write_all(chunk.as_bytes()).await?;
            }
            // MQTT-6.0.0-1: any other type of message ends the connection.
            Event::Chunk(_) => return Err(io::Error::from(io::ErrorKind::InvalidData).into()),
            _ => {}
        }
    }
    // The broker ends its side when it has read all. `pass_down` waits for that.
    broker.shutdown().await?;
    sleep(PATIENCE).await;
    Ok(())
}

/// Passes on what the broker sends, until it ends. While an open client does not read, the broker is not read either.
async fn pass_down(
    mut broker: tcp::ReadHalf<'_>,
    sends: &mut SendHalf<TcpStream>,
) -> Result<(), Error> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        // As many packets as have come, and a part of one.
        let count = broker.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        // It fails if the client has closed. The rest is read nevertheless: a TCP socket that is closed with unread
        // bytes sends a reset, and the broker would lose the client's last packets.
        let _ = sends.send(&buffer[..count]).await;
    }
    sends.close(CloseCode::NORMAL, "").await?;
    Ok(())
}
