//! Runs the fuzz targets on stored inputs: the seeds, which show what a target reaches, and every input that once found
//! a bug. This needs no fuzzer. `tests/fuzz/run` looks for new inputs.

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the targets are a crate of their own for the fuzzer, which uses all of it"
)]
#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Runs `target` on each file of its two directories, and names all that failed at the end.
fn replay(name: &str, target: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut failed = Vec::new();
    let mut seeds = 0;
    for kind in ["corpus", "regressions"] {
        let Ok(files) = fs::read_dir(root.join(kind).join(name)) else {
            assert_eq!(kind, "regressions", "{name} has no seeds");
            continue;
        };
        for file in files {
            let path = file.expect("the directory can be listed").path();
            let input = fs::read(&path).expect("a file");
            seeds += usize::from(kind == "corpus");
            if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
                failed.push(path);
            }
        }
    }
    assert!(seeds > 0, "{name} has no seeds");
    assert!(failed.is_empty(), "{name} fails on {failed:#?}");
}

#[test]
fn frame_header() {
    replay("frame_header", targets::frame_header::frame_header);
}

#[test]
fn receive() {
    replay("receive", targets::receive::receive);
}

#[test]
fn reframe() {
    replay("reframe", targets::reframe::reframe);
}

/// A stream means the same bytes to `receive` and to `reframe`, so the seeds of `receive` go through the proxy too.
#[test]
fn reframe_what_receive_has() {
    replay("receive", targets::reframe::reframe);
}

#[test]
fn handshake_request() {
    replay("handshake_request", targets::handshake_request::handshake_request);
}

#[test]
fn handshake_response() {
    replay("handshake_response", targets::handshake_response::handshake_response);
}

#[test]
fn parsed_head() {
    replay("parsed_head", targets::parsed_head::parsed_head);
}

#[test]
fn script() {
    replay("script", targets::script::script);
}

#[test]
fn user_script() {
    replay("user_script", targets::user_script::user_script);
}

#[test]
fn queue() {
    replay("queue", targets::queue::queue);
}

#[cfg(feature = "deflate")]
#[test]
fn deflate() {
    replay("deflate", targets::deflate::deflate);
}

/// The oracle of `differential_request` is not available here. Its inputs go to `handshake_request`.
#[test]
fn differential_request() {
    replay("differential_request", targets::handshake_request::handshake_request);
}

/// The oracle of `differential` is not available here. Its inputs go to `receive`.
#[test]
fn differential() {
    replay("differential", targets::receive::receive);
}
