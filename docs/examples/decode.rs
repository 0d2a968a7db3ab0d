//! Takes captured bytes of a connection apart: the opening handshake, each frame, the messages, and what breaks the
//! rules.
//!
//! `cargo run --example decode -- [--client FILE] [--server FILE] [--hex] [--deflate] [--width N]`
//!
//! `--client` has what the client sent, `--server` what the server sent, `-` is standard input. `--hex`: the files are
//! hex dumps, as `xxd` and `hexdump -C` write them, or bare digits. `--deflate`: permessage-deflate is in use although
//! the handshake is not there to say so. `--width`: how many bytes of a payload are shown, by default 64. The exit
//! status is 1 if a rule was broken, and 2 if there was nothing to read.

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

/// Prints what is in the captures that the arguments name, and returns how many times a rule was broken.
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
                .map_err(|line| Error::new(ErrorKind::InvalidData, format!("no hex: {line}")))?;
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

/// The bytes of a hex dump, or the line that is none. What is behind `#` or `|`, behind two spaces after `xxd`'s
/// digits, and an offset in front are no bytes.
pub(crate) fn from_hex(dump: &str) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    // `hexdump -C` has its text between bars, and an offset without a colon.
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

/// How a capture is read and shown.
pub(crate) struct Options {
    /// permessage-deflate is in use, where no handshake says whether it is.
    pub(crate) deflate: bool,
    /// Bytes of a payload that are shown.
    pub(crate) width: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { deflate: false, width: 64 }
    }
}

/// What was found.
pub(crate) struct Report {
    pub(crate) text: String,
    /// How many times a rule was broken.
    pub(crate) violations: usize,
}

/// Takes apart what the client and what the server sent, as far as there is a capture of it.
pub(crate) fn decode(client: Option<&[u8]>, server: Option<&[u8]>, options: &Options) -> Report {
    let mut report = Report { text: String::new(), violations: 0 };
    let agreed = server.and_then(handshake::agreed);
    let assumed = options.deflate.then_some(DeflateParams {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    });
    // What the handshake says comes before what the caller assumes.
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

    /// A line that belongs to the one above.
    fn note(&mut self, text: std::fmt::Arguments<'_>) {
        self.line(format_args!("          {text}"));
    }

    /// `answered`: the Close frame that the error asks for would be sent.
    fn violation(&mut self, error: &ProtocolError, answered: bool) {
        self.violations += 1;
        let answer = match error.close_code() {
            Some(code) if answered => format!("; answered by close code {}", named(code)),
            _ => String::new(),
        };
        self.note(format_args!("!! {error} ({}){answer}", error.rfc_section()));
    }
}

/// A number of things.
fn count(n: u64, name: &str) -> String {
    format!("{n} {name}{}", if n == 1 { "" } else { "s" })
}

/// A close code with the name that RFC 6455 7.4.1, or the registry since, has for it.
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

/// Text in which nothing is hidden: control characters and what is no UTF-8 are escaped.
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
