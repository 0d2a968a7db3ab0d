//! The fuzz targets: functions of bytes that panic if an invariant does not hold. The targets in `targets` need only
//! websocket-proto, and its tests run them too. `differential` and `differential_request` have another library as their
//! oracle.

mod differential;
mod differential_request;
mod targets;

pub use differential::differential;
pub use differential_request::differential_request;
#[cfg(feature = "deflate")]
pub use targets::deflate::deflate;
pub use targets::frame_header::frame_header;
pub use targets::handshake_request::handshake_request;
pub use targets::handshake_response::handshake_response;
pub use targets::parsed_head::parsed_head;
pub use targets::queue::queue;
pub use targets::receive::receive;
pub use targets::reframe::reframe;
pub use targets::script::script;
pub use targets::user_script::user_script;

#[cfg(not(feature = "deflate"))]
compile_error!("the targets want permessage-deflate; only the replay is built without it");
