//! Measures what one client that stalls and one that floods cost the other clients of a server on the driver for tokio:
//! the times from a message to its echo, of 1,000 clients, with and without these two. The server has one thread, and
//! all clients have another one: each needs a processor, or the times are those of the operating system's scheduler.
//!
//! `cargo run --release --example crowd [CLIENTS] [SECONDS]`; the default is 1000 clients, and 5 seconds for each of
//! six measurements. Each client sends 16 bytes about once a second. The last line compares the medians of the 99th
//! percentiles. The exit status is 0 if the two clients at most double it. CLIENTS needs twice as many descriptors.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::{sleep, timeout};
use websocket_proto::drive::{Error, tokio::WebSocket};
use websocket_proto::{ClientRequest, Config, Shared};

/// The time between two messages of a client.
const THINK: Duration = Duration::from_secs(1);
/// How often each of the two states is measured.
const MEASUREMENTS: usize = 3;
const UPGRADE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

fn main() -> ExitCode {
    let numbers: Option<Vec<u64>> = std::env::args().skip(1).map(|a| a.parse().ok()).collect();
    let (clients, seconds) = match numbers.as_deref() {
        Some([]) => (1000, 5),
        Some(&[clients]) => (clients, 5),
        Some(&[clients, seconds]) => (clients, seconds),
        _ => {
            eprintln!("usage: crowd [CLIENTS] [SECONDS]");
            return ExitCode::from(2);
        }
    };
    let address = serve();
    let mut percentiles = [Vec::new(), Vec::new()];
    for _ in 0..MEASUREMENTS {
        for is_disturbed in [false, true] {
            let measured = async {
                let flooded = match is_disturbed {
                    true => Some(disturb(address).await.expect("the server answers")),
                    false => None,
                };
                let times = measure(address, clients, Duration::from_secs(seconds)).await;
                (times, flooded)
            };
            let (mut times, flooded) = runtime().block_on(LocalSet::new().run_until(measured));
            times.sort_unstable();
            let at = |permille: usize| times[(times.len() - 1) * permille / 1000];
            let what = match flooded {
                Some(bytes) => {
                    format!("with both, {} messages of the flood", bytes.get() / FLOOD_ECHO_BYTES)
                }
                None => "without".to_owned(),
            };
            println!(
                "{what}: {} echoes, p50 {:?}, p99 {:?}, longest {:?}",
                times.len(),
                at(500),
                at(990),
                at(1000)
            );
            percentiles[usize::from(is_disturbed)].push(at(990));
        }
    }
    let [without, with] = percentiles.map(|mut of| {
        of.sort_unstable();
        of[MEASUREMENTS / 2]
    });
    let ratio = with.as_secs_f64() / without.as_secs_f64();
    println!("p99 {without:?} without, {with:?} with both: {ratio:.2} times as long");
    if ratio <= 2.0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Starts the echo server in a thread, as docs/examples/echo_tokio.rs has it.
fn serve() -> SocketAddr {
    let runtime = runtime();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("it can listen");
    let address = listener.local_addr().expect("it listens");
    thread::spawn(move || {
        runtime.block_on(async {
            let config = Shared::new(Config::default());
            loop {
                let (stream, _) = listener.accept().await.expect("a descriptor is free");
                tokio::spawn(echo(stream, config.clone()));
            }
        })
    });
    address
}

async fn echo(stream: TcpStream, config: Shared<Config>) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut ws = WebSocket::accept(stream, config).await?;
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}

/// Returns the time of each echo.
async fn measure(address: SocketAddr, clients: u64, duration: Duration) -> Vec<Duration> {
    let mut open = Vec::new();
    for _ in 0..clients {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("it is open");
        let request = ClientRequest::new(&format!("ws://{address}/")).expect("a valid URL");
        let config = Config::default();
        open.push(WebSocket::connect(stream, &request, config).await.expect("it accepts").0);
    }
    let begin = Instant::now();
    let tasks = open.into_iter().zip(0..clients).map(|(mut ws, number)| {
        spawn_local(async move {
            // The clients send one after the other, evenly.
            sleep(THINK.mul_f64(number as f64 / clients as f64)).await;
            let mut times = Vec::new();
            while begin.elapsed() < duration {
                let sent = Instant::now();
                ws.send(&[7; 16][..]).await.expect("it is open");
                ws.recv().await.expect("it is open").expect("an echo");
                times.push(sent.elapsed());
                sleep(THINK.saturating_sub(sent.elapsed())).await;
            }
            times
        })
    });
    let mut all = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await.expect("a client does not panic"));
    }
    all
}

/// A message of 16 bytes, masked with a key of zero; its echo has no key.
const FLOOD: [u8; 22] = [0x82, 0x90, 0, 0, 0, 0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];
const FLOOD_ECHO_BYTES: u64 = 18;

/// Starts a client that sends large messages and never reads, and one that sends small messages as fast as it can. They
/// end with the runtime. Returns the number of bytes that the second one has read.
async fn disturb(address: SocketAddr) -> io::Result<Rc<Cell<u64>>> {
    let mut stalled = open(address).await?;
    let mut message = vec![0x82, 0xfe, 0xea, 0x60, 0, 0, 0, 0];
    message.resize(8 + 60_000, 7);
    // Until the server reads no more.
    while let Ok(written) = timeout(Duration::from_millis(100), stalled.write_all(&message)).await {
        written?;
    }
    spawn_local(async move {
        sleep(Duration::MAX).await;
        drop(stalled);
    });
    let (reader, writer) = open(address).await?.into_split();
    let echoed = Rc::new(Cell::new(0));
    spawn_local(flood(writer));
    spawn_local(count(reader, echoed.clone()));
    Ok(echoed)
}

/// Lets the other clients run after each write: what is measured is the server.
async fn flood(mut writer: OwnedWriteHalf) -> io::Result<()> {
    let messages = FLOOD.repeat(1000);
    loop {
        writer.write_all(&messages).await?;
        yield_now().await;
    }
}

async fn count(mut reader: OwnedReadHalf, bytes: Rc<Cell<u64>>) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut buffer).await? {
            0 => return Ok(()),
            n => bytes.set(bytes.get() + n as u64),
        }
        yield_now().await;
    }
}

/// Opens a WebSocket, and returns its transport.
async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(UPGRADE).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(stream)
}
