//! The room: what one member says is encoded once and sent to all. Nobody can harm the others: who says too much is not
//! read, who does not read misses messages, who vanishes is gone.

use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use websocket_proto::drive::{Error, tokio::WebSocket};
use websocket_proto::{ClientRequest, Config, Connection, PreparedMessage};

use crate::server::Server;

/// The messages that a member may send in a tenth of a second.
const ALLOWANCE: u32 = 5;

pub(crate) struct Member {
    name: String,
    /// At 0, nothing more is read until it is renewed.
    pub(crate) allowance: u32,
    /// Messages that were not sent to this member, because it does not read.
    pub(crate) missed: u64,
}

impl Member {
    pub(crate) fn new(name: &str) -> Member {
        let name = if name.is_empty() { "someone" } else { name }.chars().take(20).collect();
        Member { name, allowance: ALLOWANCE, missed: 0 }
    }

    /// What all members shall hear.
    pub(crate) fn say(&mut self, text: &str) -> PreparedMessage {
        self.allowance = self.allowance.saturating_sub(1);
        PreparedMessage::new(format!("{}: {text}", self.name))
    }

    /// Renews the allowance, and returns what the pages are told about this member.
    pub(crate) fn beat(&mut self, conn: &Connection) -> String {
        self.allowance = ALLOWANCE;
        let micros = conn.round_trip_time().map_or(0, |time| time.as_micros());
        format!("{}\t{micros}\t{}\t{}", self.name, conn.buffered_amount(), self.missed)
    }
}

/// A client that behaves badly, in this program, for 20 seconds at most. It ends without a Close. Who can open the page
/// can order any number.
pub(crate) async fn misbehave(server: Rc<Server>, how: String) -> Result<(), Error> {
    let (address, mut closes) = (server.address, server.closes.subscribe());
    drop(server); // only the connections of clients count
    let stay = async {
        let request = ClientRequest::new(&format!("ws://{address}/ws?name={how}"));
        let request = request.expect("a valid URI").subprotocol("room");
        let stream = TcpStream::connect(address).await?;
        let (mut ws, _) = WebSocket::connect(stream, &request, Config::default()).await?;
        match &how[..] {
            "floods" => loop {
                ws.send("more").await?;
            },
            "stalls" => sleep(Duration::MAX).await,
            _ => sleep(Duration::from_secs(2)).await, // and vanishes
        }
        Ok(())
    };
    tokio::select! {
        result = timeout(Duration::from_secs(20), stay) => result.unwrap_or(Ok(())),
        _ = closes.changed() => Ok(()),
    }
}
