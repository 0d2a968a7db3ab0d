//! An extractor for axum that takes requests for WebSocket, and hands the connection to the driver for tokio.

mod extractor;

pub use extractor::{WebSocket, WebSocketUpgrade};
