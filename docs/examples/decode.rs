//! Prints the captured bytes of a connection: the opening handshake, each frame, the messages, and each violation of
//! the protocol.
//!
//! `cargo run --example decode -- [--client FILE] [--server FILE] [--hex] [--deflate] [--width N]`
//!
//! - `--client`, `--server`: the bytes that the client or the server sent. `-` is standard input.
//! - `--hex`: the files are hex dumps, as `xxd` and `hexdump -C` write them, or only hex digits.
//! - `--deflate`: permessage-deflate is in use, for captures without a response.
//! - `--width`: the number of bytes of a payload to print; the default is 64.
//!
//! The exit status is 1 if a rule was broken, and 2 if the arguments are wrong or a file cannot be read.

use std::fmt::Write as _;
use std::io::{Error, ErrorKind, Read, Result};
use std::process::ExitCode;

use websocket_proto::{CloseCode, DeflateParams, ProtocolError, Role};

use frames::Frames;

#[path = "decode/frames.rs"]
mod frames;
#[path = "decode/handshake.rs"]
mod handshake;

#[allow(dead_code, reason = "a test has this file as a module")]
fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Decodes and prints the captures named by the arguments. Returns the number of violations.
#[allow(dead_code, reason = "a test has this file as a module")]
fn run() -> Result<usize> {
    let mut words = std::env::args().skip(1);
    let (mut client, mut server, mut hex) = (None, None, false);
    let mut options = Options::default();
    let usage = || {
        let text = "usage: decode [--client FILE] [--server FILE] [--hex] [--deflate] [--width N]";
        Error::new(ErrorKind::InvalidInput, text)
    };
    while let Some(word) = words.next() {
        match &word[..] {
            "--client" => client = Some(read(&words.next().ok_or_else(usage)?)?),
            "--server" => server = Some(read(&words.next().ok_or_else(usage)?)?),
            "--hex" => hex = true,
            "--deflate" => options.deflate = true,
            "--width" => {
                let width = words.next().and_then(|n| n.parse().ok());
                options.width = width.ok_or_else(usage)?;
            }
            _ => return Err(usage()),
        }
    }
    if client.is_none() && server.is_none() {
        return Err(usage());
    }
    if hex {
        for file in [&mut client, &mut server].into_iter().flatten() {
            *file = from_hex(&String::from_utf8_lossy(file))
                .map_err(|line| Error::new(ErrorKind::InvalidData, format!("not hex: {line}")))?;
        }
    }
    let report = decode(client.as_deref(), server.as_deref(), &options);
    print!("{}", report.text);
    Ok(report.violations)
}

#[allow(dead_code, reason = "a test has this file as a module")]
fn read(path: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match path {
        "-" => std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes),
        path => std::fs::read(path)
            .map_err(|error| Error::new(error.kind(), format!("cannot read {path}: {error}"))),
    }
}

/// Returns the bytes of a hex dump, or the first line that is not hex. It ignores offsets, comments behind `#`, and the
/// text column of a dump: behind `|`, or behind two spaces in a line of `xxd`.
pub(crate) fn from_hex(dump: &str) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    // `hexdump -C` writes an offset without a colon, and the text between bars.
    let has_bars = dump.lines().any(|line| line.ends_with('|'));
    for line in dump.lines() {
        let code = line.split('#').next().unwrap_or("");
        let digits = match code.split_once(':') {
            Some((_, behind)) => behind.trim_start().split("  ").next().unwrap_or(""),
            None if has_bars => {
                let before = code.split('|').next().unwrap_or("").trim_start();
                before.split_once(' ').map_or("", |(_, behind)| behind)
            }
            None => code,
        };
        let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        for pair in digits.chunks(2) {
            let byte = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2);
            let byte = byte.and_then(|pair| u8::from_str_radix(pair, 16).ok());
            bytes.push(byte.ok_or_else(|| line.to_string())?);
        }
    }
    Ok(bytes)
}

/// How to decode and print a capture.
pub(crate) struct Options {
    /// permessage-deflate is in use. Only for captures without a response.
    pub(crate) deflate: bool,
    /// The number of bytes of a payload to print.
    pub(crate) width: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { deflate: false, width: 64 }
    }
}

/// The decoded capture.
pub(crate) struct Report {
    pub(crate) text: String,
    /// The number of violations.
    pub(crate) violations: usize,
}

/// Decodes the bytes that the client and the server sent. Either may be missing.
pub(crate) fn decode(client: Option<&[u8]>, server: Option<&[u8]>, options: &Options) -> Report {
    let mut report = Report { text: String::new(), violations: 0 };
    let agreed = server.and_then(handshake::agreed);
    let assumed = options.deflate.then_some(DeflateParams {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    });
    // The handshake takes precedence over the option.
    let deflate = agreed.unwrap_or(assumed);
    for (sender, bytes) in [(Role::Client, client), (Role::Server, server)] {
        let Some(bytes) = bytes else { continue };
        let title = match sender {
            Role::Client => "client to server",
            Role::Server => "server to client",
        };
        report.line(format_args!("== {title}, {} bytes ==", bytes.len()));
        let start = match (sender, bytes.first().is_some_and(u8::is_ascii_uppercase)) {
            (_, false) => Some(0),
            (Role::Client, true) => report.request(bytes, server.is_none()),
            (Role::Server, true) => report.response(bytes, client),
        };
        if let Some(start) = start {
            let frames = Frames::new(sender, deflate, options.width);
            frames.decode(bytes, start, &mut report);
        }
    }
    report
}

impl Report {
    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{text}").expect("a String takes all");
    }

    /// Adds an indented line, about the line above.
    fn note(&mut self, text: std::fmt::Arguments<'_>) {
        self.line(format_args!("          {text}"));
    }

    /// Adds a violation. `answered`: the receiver would send the Close frame of this error.
    fn violation(&mut self, error: &ProtocolError, answered: bool) {
        self.violations += 1;
        let answer = match error.close_code() {
            Some(code) if answered => format!("; answered by close code {}", named(code)),
            _ => String::new(),
        };
        self.note(format_args!("!! {error} ({}){answer}", error.rfc_section()));
    }
}

/// A number with a noun: "1 frame", "2 frames".
fn count(n: u64, name: &str) -> String {
    format!("{n} {name}{}", if n == 1 { "" } else { "s" })
}

/// A close code with its name from RFC 6455 7.4.1 or the IANA registry.
fn named(code: CloseCode) -> String {
    let name = match code {
        CloseCode::NORMAL => "normal closure",
        CloseCode::GOING_AWAY => "going away",
        CloseCode::PROTOCOL_ERROR => "protocol error",
        CloseCode::UNSUPPORTED_DATA => "unsupported data",
        CloseCode::NO_STATUS => "no status",
        CloseCode::ABNORMAL => "abnormal closure",
        CloseCode::INVALID_PAYLOAD => "invalid payload",
        CloseCode::POLICY_VIOLATION => "policy violation",
        CloseCode::TOO_BIG => "message too big",
        CloseCode::EXTENSION_REQUIRED => "extension required",
        CloseCode::INTERNAL_ERROR => "internal error",
        CloseCode::SERVICE_RESTART => "service restart",
        CloseCode::TRY_AGAIN_LATER => "try again later",
        CloseCode::BAD_GATEWAY => "bad gateway",
        CloseCode::TLS_HANDSHAKE => "TLS handshake",
        code => match code.get() {
            3000..=3999 => "registered",
            4000..=4999 => "private use",
            _ => "unassigned",
        },
    };
    format!("{code} ({name})")
}

/// Text with control characters and invalid UTF-8 escaped.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\'' => text.push('\''),
                character => text.extend(character.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("a String takes all");
        }
    }
    text
}
