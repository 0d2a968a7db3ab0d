//! D: permessage-deflate with JSON messages, and DEFLATE alone as a bound.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use miniz_oxide::MZFlush;
use miniz_oxide::deflate::core::CompressorOxide;
use miniz_oxide::inflate::stream::InflateState;

use super::Settings;
use crate::measure::{Report, Row, Stopwatch, quiet};
use crate::peer::{Conn, Expected, Payload, Role, Sink};
use crate::transport::{Transport, captured, clear_captured};
use crate::workloads;

const LEVEL: u8 = 6;

/// The messages that a round compresses and inflates.
struct Work {
    len: usize,
    payloads: Vec<Payload>,
    expected: Vec<Expected>,
}

/// The times per message, and the compressed size of all messages.
struct Round {
    compress: f64,
    inflate: f64,
    compressed: usize,
}

type Run<'a> = Box<dyn Fn(&Work) -> Option<Round> + 'a>;

pub fn deflate(settings: &Settings, report: &mut Report) {
    let peers = settings.peers();
    for (len, count) in [(128, 8192), (1024, 1024), (65_536, 32)] {
        let names = [format!("DC{len}"), format!("DD{len}")];
        if !names.iter().any(|name| settings.wants(name)) {
            continue;
        }
        let messages = workloads::json(count, len);
        let work = Work {
            len,
            payloads: messages
                .iter()
                .map(|m| Payload { bytes: m.clone().into(), text: true })
                .collect(),
            expected: messages.into_iter().map(|m| (true, m)).collect(),
        };
        let bounds = ["(zlib-rs alone)", "(miniz_oxide alone)"];
        let mut runs: Vec<(String, bool, Run<'_>)> = vec![
            (bounds[0].into(), true, Box::new(|work| alone(work, &mut zlib_rs()))),
            (bounds[1].into(), true, Box::new(|work| alone(work, &mut miniz()))),
        ];
        for peer in &peers {
            if !peer.is_bound() {
                let run = move |work: &Work| {
                    let tx = peer.open_deflate(Transport::capture(), Role::Server)?;
                    let rx = |io| peer.open_deflate(io, Role::Client);
                    through(work, tx, rx)
                };
                runs.push((peer.name().into(), false, Box::new(run)));
            }
        }
        table(settings, report, &work, &names, &runs);
    }
}

fn table(
    settings: &Settings,
    report: &mut Report,
    work: &Work,
    names: &[String; 2],
    runs: &[(String, bool, Run<'_>)],
) {
    let plain = work.len * work.payloads.len();
    let empty = |(name, is_bound, _): &(String, bool, Run<'_>)| Row {
        name: name.clone(),
        is_bound: *is_bound,
        ..Row::default()
    };
    let mut compress: Vec<Row> = runs.iter().map(empty).collect();
    let mut inflate = compress.clone();
    for round in 0..=settings.rounds {
        for i in 0..runs.len() {
            let i = (i + round) % runs.len();
            let Some(Some(result)) = quiet(|| runs[i].2(work)) else { continue };
            let compression = Some(plain as f64 / result.compressed as f64);
            (compress[i].compression, inflate[i].compression) = (compression, compression);
            if round > 0 {
                compress[i].ns.push(result.compress);
                inflate[i].ns.push(result.inflate);
            }
        }
    }
    for rows in [&mut compress, &mut inflate] {
        rows.retain(|row| !row.ns.is_empty());
    }
    let about = format!("a server compresses {} B of JSON, level {LEVEL}", work.len);
    report.table("deflate", &names[0], &about, work.len as f64, &compress);
    let about = format!("a client inflates them, {} B each", work.len);
    report.table("deflate", &names[1], &about, work.len as f64, &inflate);
}

/// Sends all messages on one connection, and receives them on another.
fn through(
    work: &Work,
    mut sender: Box<dyn Conn>,
    receiver: impl Fn(Transport) -> Option<Box<dyn Conn>>,
) -> Option<Round> {
    let n = work.payloads.len();
    clear_captured(n * work.len + 65_536);
    let time = Stopwatch::start();
    sender.send_all(&work.payloads);
    let compress = time.stop() / n as f64;
    let wire = captured();
    assert!(wire[0] & 0x40 != 0, "the first message is compressed");
    let mut check = Sink::expecting(work.expected.clone());
    let receive = |sink: &mut Sink| {
        let mut receiver = receiver(Transport::sending(wire, wire.len(), 16 * 1024))?;
        let time = Stopwatch::start();
        receiver.recv(n, sink);
        Some(time.stop() / n as f64)
    };
    receive(&mut check)?;
    assert_eq!(check.messages, n);
    let inflate = receive(&mut Sink::default())?;
    Some(Round { compress, inflate, compressed: wire.len() })
}

/// DEFLATE alone: a flush ends a message, and the window is kept between messages.
trait Codec {
    fn compress(&mut self, message: &[u8], out: &mut Vec<u8>);
    fn inflate(&mut self, message: &[u8], out: &mut Vec<u8>);
}

fn alone(work: &Work, codec: &mut dyn Codec) -> Option<Round> {
    let n = work.payloads.len() as f64;
    let mut compressed: Vec<Vec<u8>> =
        work.payloads.iter().map(|p| Vec::with_capacity(p.bytes.len() + 2048)).collect();
    let time = Stopwatch::start();
    for (payload, out) in work.payloads.iter().zip(&mut compressed) {
        codec.compress(&payload.bytes, out);
    }
    let compress = time.stop() / n;
    let mut out = Vec::with_capacity(work.len + 4096);
    let time = Stopwatch::start();
    for message in &compressed {
        out.clear();
        codec.inflate(message, &mut out);
    }
    let inflate = time.stop() / n;
    assert!(out == work.expected.last()?.1, "what came out is what went in");
    Some(Round { compress, inflate, compressed: compressed.iter().map(Vec::len).sum() })
}

fn zlib_rs() -> (Compress, Decompress) {
    (Compress::new(Compression::new(LEVEL.into()), false), Decompress::new(false))
}

impl Codec for (Compress, Decompress) {
    fn compress(&mut self, message: &[u8], out: &mut Vec<u8>) {
        self.0.compress_vec(message, out, FlushCompress::Sync).expect("it goes on");
        assert!(out.len() < out.capacity());
    }

    fn inflate(&mut self, message: &[u8], out: &mut Vec<u8>) {
        self.1.decompress_vec(message, out, FlushDecompress::Sync).expect("it goes on");
        assert!(out.len() < out.capacity());
    }
}

fn miniz() -> (Box<CompressorOxide>, Box<InflateState>) {
    let mut compressor = Box::new(CompressorOxide::default());
    compressor.set_format_and_level(miniz_oxide::DataFormat::Raw, LEVEL);
    (compressor, InflateState::new_boxed(miniz_oxide::DataFormat::Raw))
}

impl Codec for (Box<CompressorOxide>, Box<InflateState>) {
    fn compress(&mut self, message: &[u8], out: &mut Vec<u8>) {
        out.resize(out.capacity(), 0);
        let result =
            miniz_oxide::deflate::stream::deflate(&mut self.0, message, out, MZFlush::Sync);
        assert_eq!(result.bytes_consumed, message.len());
        out.truncate(result.bytes_written);
    }

    fn inflate(&mut self, mut message: &[u8], out: &mut Vec<u8>) {
        out.resize(out.capacity(), 0);
        let mut written = 0;
        loop {
            let result = miniz_oxide::inflate::stream::inflate(
                &mut self.1,
                message,
                &mut out[written..],
                MZFlush::Sync,
            );
            message = &message[result.bytes_consumed..];
            written += result.bytes_written;
            if message.is_empty() && result.bytes_written == 0 {
                break;
            }
        }
        out.truncate(written);
    }
}
