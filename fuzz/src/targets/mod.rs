//! The targets that need nothing but the library (and, with permessage-deflate, an inflater): one file for each, and
//! what they share.

#[cfg(feature = "deflate")]
pub mod deflate;
pub mod frame_header;
pub mod handshake_request;
pub mod handshake_response;
pub mod http;
pub mod observer;
pub mod queue;
pub mod receive;
pub mod script;
pub mod source;
pub mod user_script;
