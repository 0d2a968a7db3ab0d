//! Runs `src/targets/parsed_head.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| websocket_proto_fuzz::parsed_head(data));
