//! As its example `echo-server`: `forward` writes when no further message is ready.

use futures_util::{StreamExt, TryStreamExt, future};
use tokio::net::TcpStream;

use crate::Served;

pub async fn echo(stream: TcpStream) -> Served {
    let ws = tokio_tungstenite::accept_async(stream).await?;
    let (write, read) = ws.split();
    let messages =
        read.try_filter(|message| future::ready(message.is_text() || message.is_binary()));
    messages.forward(write).await?;
    Ok(())
}
