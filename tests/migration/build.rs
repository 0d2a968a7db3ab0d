//! Makes a copy of the page in which no code is ignored.

use std::path::Path;
use std::{env, fs};

fn main() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/migration.md");
    println!("cargo::rerun-if-changed={}", page.display());
    let text = fs::read_to_string(&page).expect("the page can be read");
    let fence = "```rust,ignore\n";
    assert_eq!(text.matches(fence).count(), 3, "tungstenite, tokio-tungstenite and fastwebsockets");
    let copy = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join("migration.md");
    fs::write(copy, text.replace(fence, "```rust,no_run\n")).expect("the copy can be written");
}
