//! As its example `echo_server`: it has no call that queues a frame, so each is written at once.

use fastwebsockets::upgrade::{self, UpgradeFut};
use fastwebsockets::{FragmentCollector, OpCode, WebSocketError};
use tokio::net::TcpStream;

use super::http;
use crate::Served;

pub async fn echo(stream: TcpStream) -> Served {
    http::serve(stream, |mut request| {
        let (response, future) = upgrade::upgrade(&mut request)?;
        tokio::spawn(tokio::task::unconstrained(echo_frames(future)));
        Ok::<_, WebSocketError>(response)
    })
    .await
}

async fn echo_frames(future: UpgradeFut) -> Result<(), WebSocketError> {
    let mut ws = FragmentCollector::new(future.await?);
    loop {
        let frame = ws.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => ws.write_frame(frame).await?,
            _ => {}
        }
    }
}
