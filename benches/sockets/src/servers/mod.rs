//! One file for each crate.

pub mod fastwebsockets;
pub mod ours;
pub mod sockudo_ws;
pub mod tokio_tungstenite;
pub mod tokio_websockets;
pub mod yawc;

mod http;
