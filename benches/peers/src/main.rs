//! Compares WebSocket crates, in memory. The README explains the method and the figures.

mod adapters;
mod alloc;
mod masks;
mod measure;
mod peer;
mod sections;
mod transport;
mod workloads;

use std::process::ExitCode;

use measure::Report;
use sections::Settings;

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

const USAGE: &str = "usage: peers [SECTION]... [--rounds N] [--mb N] [--only NAME,...] [--work NAME,...] [--json FILE]

sections: verify, R (receive), S (send), H (handshakes), D (deflate), C (curves), MEM (memory), M (masking), all (the default)";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool, String> {
    let mut settings = Settings { rounds: 11, mb: 16, only: Vec::new(), work: Vec::new() };
    let mut chosen = Vec::new();
    let mut json = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        let list = |value: String| value.split(',').map(str::to_owned).collect();
        match argument.as_str() {
            "--rounds" => settings.rounds = number(&value()?)?,
            "--mb" => settings.mb = number(&value()?)?,
            "--only" => settings.only = list(value()?),
            "--work" => settings.work = list(value()?),
            "--json" => json = Some(value()?),
            "verify" | "R" | "S" | "H" | "D" | "C" | "MEM" | "M" | "all" => chosen.push(argument),
            other => return Err(format!("what is {other}?")),
        }
    }
    let has = |name: &str| chosen.is_empty() || chosen.iter().any(|c| c == name || c == "all");
    if std::env::var_os("PANICS").is_none() {
        // A crate that lacks something panics. The tables show that.
        std::panic::set_hook(Box::new(|_| {}));
    }
    let mut report = Report::default();
    let wide = cfg!(target_feature = "avx2");
    println!("{} rounds, {} MiB each, compiled with AVX2: {wide}", settings.rounds, settings.mb);
    for peer in settings.peers() {
        println!("  {:<26} {}", peer.name(), peer.note());
        report.line(&format!(
            "\"section\":\"peer\",\"peer\":\"{}\",\"bound\":{},\"about\":\"{}\"",
            peer.name(),
            peer.is_bound(),
            peer.note()
        ));
    }
    report.line(&format!(
        "\"section\":\"run\",\"rounds\":{},\"mb\":{},\"compiled_with_avx2\":{wide}",
        settings.rounds, settings.mb
    ));
    let mut good = true;
    if has("verify") {
        good = sections::verify(&settings, &mut report);
    }
    if has("R") {
        sections::receive(&settings, &mut report);
    }
    if has("S") {
        sections::send(&settings, &mut report);
    }
    if has("H") {
        sections::handshakes(&settings, &mut report);
    }
    if has("D") {
        sections::deflate(&settings, &mut report);
    }
    if has("C") {
        sections::curves(&settings, &mut report);
    }
    if has("MEM") {
        sections::memory(&settings, &mut report);
    }
    if has("M") {
        masks::run(settings.rounds, &mut report);
    }
    if let Some(path) = json {
        std::fs::write(&path, &report.json).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(good)
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}
