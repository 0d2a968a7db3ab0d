//! Each implementation behind the interface of [`crate::peer`].

mod bounds;
mod fastwebsockets;
mod hyper_glue;
mod ours;
mod sockudo_ws;
mod soketto;
mod tokio_websockets;
mod tungstenite;
mod web_socket;
mod websocket_sans_io;
mod wtx;
mod yawc;

pub use bounds::Framer;

use crate::peer::Peer;

pub fn all() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(bounds::Bytes),
        Box::new(bounds::Framer),
        Box::new(ours::Own),
        Box::new(ours::Recycling),
        Box::new(ours::Pooled),
        Box::new(ours::Prepared),
        Box::new(ours::Through),
        Box::new(tungstenite::Tungstenite),
        Box::new(fastwebsockets::Fastwebsockets),
        Box::new(tokio_websockets::TokioWebsockets),
        Box::new(soketto::Soketto),
        Box::new(yawc::Yawc),
        Box::new(web_socket::WebSocket),
        Box::new(websocket_sans_io::WebsocketSansIo),
        Box::new(sockudo_ws::Protocol),
        Box::new(sockudo_ws::Stream),
        Box::new(wtx::Wtx),
    ]
}
