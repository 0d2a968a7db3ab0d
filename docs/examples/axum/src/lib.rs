//! An extractor for axum that takes requests for WebSocket, and the loop that drives the connection.

mod drive;
mod extractor;

pub use drive::drive;
pub use extractor::WebSocketUpgrade;
