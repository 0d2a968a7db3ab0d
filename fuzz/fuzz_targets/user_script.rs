//! Runs `src/targets/user_script.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| websocket_proto_fuzz::user_script(data));
