//! The output of the example `decode` for captured bytes. The captures are `NAME.client.hex` and `NAME.server.hex` in
//! `tests/decode`, the expected output is `NAME.txt`. `UPDATE_DECODE=1 cargo test --test decode` rewrites the latter.

#![cfg(feature = "deflate")]

#[path = "../docs/examples/decode.rs"]
mod decode;

use std::path::PathBuf;
use std::{env, fs};

use decode::{Options, from_hex};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/decode").join(name)
}

/// The captured bytes of one direction, if the file exists.
fn capture(name: &str, sender: &str) -> Option<Vec<u8>> {
    let dump = fs::read_to_string(path(&format!("{name}.{sender}.hex"))).ok()?;
    Some(from_hex(&dump).expect("the file is a hex dump"))
}

fn check(name: &str, options: &Options, captures: &str, violations: usize) {
    let [client, server] = ["client", "server"].map(|sender| capture(captures, sender));
    assert!(client.is_some() || server.is_some(), "{captures} has no capture");
    let report = decode::decode(client.as_deref(), server.as_deref(), options);
    let expected = path(&format!("{name}.txt"));
    if env::var_os("UPDATE_DECODE").is_some() {
        fs::write(&expected, &report.text).expect("tests/decode can be written");
    }
    let expected = fs::read_to_string(expected).expect("UPDATE_DECODE=1 has written the file");
    assert_eq!(report.text, expected, "{name}");
    assert_eq!(report.violations, violations, "{name}");
}

#[test]
fn each_capture_has_its_expected_output() {
    for (name, violations) in [
        ("hello", 0),
        ("deflate", 1),
        ("violations", 9),
        ("text", 1),
        ("refused", 1),
        ("accept", 1),
        ("cut", 0),
        ("offered", 1),
        ("plain", 0),
    ] {
        check(name, &Options::default(), name, violations);
    }
}

#[test]
fn compression_can_be_assumed() {
    check("assumed", &Options { deflate: true, width: 3 }, "offered", 0);
}

#[test]
fn a_dump_of_any_common_form_is_read() {
    let bytes = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58 # |:\x00\x01".as_slice();
    for dump in [
        "8185 37fa213d 7f9f4d5158 2023207c3a0001",
        "81 85 37 fa 21 3d\n7f 9f 4d 51 58\n\n20 23 20 7c 3A 00 01 # a comment",
        // xxd
        "00000000: 8185 37fa 213d 7f9f 4d51 5820 2320 7c3a  ..7.!=..MQX # |:\n00000010: 0001                                     ..\n",
        // hexdump -C
        "00000000  81 85 37 fa 21 3d 7f 9f  4d 51 58 20 23 20 7c 3a  |..7.!=..MQX # |:|\n00000010  00 01                                             |..|\n00000012\n",
    ] {
        assert_eq!(from_hex(dump).as_deref(), Ok(bytes), "{dump}");
    }
    for wrong in ["8", "81 8", "8x", "81 é"] {
        assert_eq!(from_hex(wrong), Err(wrong.to_string()));
    }
}
