//! Runs `src/targets/frame_header.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| websocket_proto_fuzz::frame_header(data));
