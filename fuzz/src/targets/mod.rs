//! The targets that need only the library (and an inflater for permessage-deflate): a file for each, and shared
//! helpers.

#[cfg(feature = "deflate")]
pub mod deflate;
pub mod frame_header;
pub mod handshake_request;
pub mod handshake_response;
pub mod http;
pub mod observer;
pub mod parsed_head;
pub mod queue;
pub mod receive;
pub mod reframe;
pub mod script;
pub mod source;
pub mod user_script;
