//! Runs `src/targets/handshake_request.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| websocket_proto_fuzz::handshake_request(data));
