//! As its benchmarks are described: a read buffer of 128 KiB for each connection, and batches of up to 32 messages that
//! are ready. UTF-8 checks are turned on; they are off by default.

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use yawc::frame::OpCode;
use yawc::{HttpStream, Options, UpgradeFut, WebSocket, WebSocketError};

use super::http;
use crate::{MAX_MESSAGE_BYTES, Served};

/// The most messages that are written at once.
const BATCH: usize = 32;

pub async fn echo(stream: TcpStream) -> Served {
    let options = Options::default()
        .with_limits(MAX_MESSAGE_BYTES, 2 * MAX_MESSAGE_BYTES)
        .with_read_buffer_capacity(128 * 1024)
        .with_backpressure_boundary(64 * 1024)
        .with_utf8();
    http::serve(stream, move |request| {
        let (response, future) =
            WebSocket::<HttpStream>::upgrade_with_options(request, options.clone())?;
        tokio::spawn(tokio::task::unconstrained(echo_messages(future)));
        Ok::<_, WebSocketError>(response)
    })
    .await
}

async fn echo_messages(future: UpgradeFut) -> Result<(), WebSocketError> {
    let mut ws = future.await?;
    while let Some(frame) = ws.next().await {
        let mut frame = Some(frame);
        for _ in 0..BATCH {
            let Some(next) = frame else { break };
            match next.opcode() {
                OpCode::Close => return Ok(()),
                OpCode::Text | OpCode::Binary => ws.feed(next).await?,
                _ => {}
            }
            frame = ws.next().now_or_never().flatten();
        }
        ws.flush().await?;
    }
    Ok(())
}
