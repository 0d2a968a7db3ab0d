//! Measures what one client that stalls and one that floods cost the other clients of a server on the driver for tokio:
//! the times from a message to its echo, of 1,000 clients, with and without these two. The server has one thread; the
//! clients have another one, and the flood has a third.
//!
//! `cargo run --release --example crowd [CLIENTS] [SECONDS]`; the default is 1000 clients, and 5 seconds for each of
//! six measurements. Each client sends 16 bytes about once a second. The last line compares the medians of the 99th
//! percentiles. The exit status is 0 if the two clients at most double it. CLIENTS needs twice as many descriptors.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
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
            let nuisance = is_disturbed.then(|| Nuisance::start(address));
            let mut times = measure(address, clients, Duration::from_secs(seconds));
            times.sort_unstable();
            let at = |permille: usize| times[(times.len() - 1) * permille / 1000];
            let what = match &nuisance {
                Some(nuisance) => format!("with both, {} floods echoed", nuisance.stop()),
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
fn measure(address: SocketAddr, clients: u64, duration: Duration) -> Vec<Duration> {
    runtime().block_on(async {
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
            tokio::spawn(async move {
                // The clients send one after the other, evenly.
                tokio::time::sleep(THINK.mul_f64(number as f64 / clients as f64)).await;
                let mut times = Vec::new();
                while begin.elapsed() < duration {
                    let sent = Instant::now();
                    ws.send(&[7; 16][..]).await.expect("it is open");
                    ws.recv().await.expect("it is open").expect("an echo");
                    times.push(sent.elapsed());
                    tokio::time::sleep(THINK.saturating_sub(sent.elapsed())).await;
                }
                times
            })
        });
        let mut all = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            all.extend(task.await.expect("a client does not panic"));
        }
        all
    })
}

/// A client that sends large messages and never reads, and one that sends small messages as fast as it can.
struct Nuisance {
    stops: Arc<AtomicBool>,
    echoed_bytes: Arc<AtomicU64>,
}

/// A message of 16 bytes, masked with a key of zero; its echo has no key.
const FLOOD: [u8; 22] = [0x82, 0x90, 0, 0, 0, 0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];
const FLOOD_ECHO_BYTES: u64 = 18;

impl Nuisance {
    fn start(address: SocketAddr) -> Nuisance {
        let nuisance = Nuisance { stops: Arc::default(), echoed_bytes: Arc::default() };
        let (stops, mut stalled) = (nuisance.stops.clone(), open(address));
        thread::spawn(move || {
            stalled.set_write_timeout(Some(Duration::from_millis(100))).expect("not zero");
            let mut message = vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xea, 0x60, 0, 0, 0, 0];
            message.resize(14 + 60_000, 7);
            while stalled.write_all(&message).is_ok() {}
            while !stops.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(50));
            }
        });
        let mut reader = open(address);
        let mut writer = reader.try_clone().expect("a descriptor is free");
        let (stops, echoed_bytes) = (nuisance.stops.clone(), nuisance.echoed_bytes.clone());
        thread::spawn(move || {
            let messages = FLOOD.repeat(1000);
            while !stops.load(Ordering::Relaxed) && writer.write_all(&messages).is_ok() {}
            let _ = writer.shutdown(std::net::Shutdown::Both);
        });
        thread::spawn(move || {
            let mut buffer = [0; 64 * 1024];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                echoed_bytes.fetch_add(n as u64, Ordering::Relaxed);
            }
        });
        thread::sleep(Duration::from_millis(300)); // both are at work
        nuisance
    }

    /// Ends both clients. Returns the number of echoes of the flood.
    fn stop(&self) -> u64 {
        self.stops.store(true, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(300));
        self.echoed_bytes.load(Ordering::Relaxed) / FLOOD_ECHO_BYTES
    }
}

/// Opens a WebSocket, and returns its transport.
fn open(address: SocketAddr) -> std::net::TcpStream {
    let mut stream = std::net::TcpStream::connect(address).expect("the server listens");
    stream.write_all(UPGRADE).expect("it is open");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a response");
        head.push(byte[0]);
    }
    stream
}
