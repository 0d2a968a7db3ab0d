//! Echo servers on tokio: `server NAME ADDRESS`. Each is written as the crate's documentation says for speed; README.md
//! has the rules. All of them run on one thread, without compression and with TCP_NODELAY.

mod servers;

use std::process::ExitCode;

use tokio::net::{TcpListener, TcpStream};

use servers::{fastwebsockets, ours, sockudo_ws, tokio_tungstenite, tokio_websockets, yawc};

/// The result of serving one connection. A client that goes away without a Close is not of interest.
type Served = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// The limit for messages, if a crate's default is lower.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, address] = &arguments[..] else {
        eprintln!("usage: server NAME ADDRESS");
        return ExitCode::from(2);
    };
    let result = match name.as_str() {
        "websocket-proto" => {
            let config = ours::config();
            serve(address, move |stream| ours::echo(stream, config.clone()))
        }
        "fastwebsockets" => serve(address, fastwebsockets::echo),
        "sockudo-ws" => serve(address, sockudo_ws::echo),
        "tokio-tungstenite" => serve(address, tokio_tungstenite::echo),
        "tokio-websockets" => serve(address, tokio_websockets::echo),
        "yawc" => serve(address, yawc::echo),
        _ => {
            eprintln!("there is no server {name}");
            return ExitCode::from(2);
        }
    };
    let Err(error) = result;
    eprintln!("{error}");
    ExitCode::FAILURE
}

/// Accepts connections, and serves each in a task.
fn serve<F: Future<Output = Served> + Send + 'static>(
    address: &str,
    echo: impl Fn(TcpStream) -> F,
) -> std::io::Result<std::convert::Infallible> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // As the examples of fastwebsockets and tokio-websockets do: no task is interrupted by tokio's budget.
            tokio::spawn(tokio::task::unconstrained(echo(stream)));
        }
    })
}
