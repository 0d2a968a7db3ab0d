//! Measures rounds, evaluates their times, and writes the report.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::alloc;
use crate::peer::Peer;
use crate::transport::STATS;

/// Measures the CPU time of this thread, which excludes other programs. On systems other than Linux it measures
/// wall-clock time.
pub struct Stopwatch(u64);

impl Stopwatch {
    pub fn start() -> Stopwatch {
        Stopwatch(now())
    }

    /// Nanoseconds since the start.
    pub fn stop(self) -> f64 {
        (now() - self.0) as f64
    }
}

#[cfg(target_os = "linux")]
fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(not(target_os = "linux"))]
fn now() -> u64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed().as_nanos() as u64
}

/// The results of one implementation at one workload.
#[derive(Default, Clone)]
pub struct Row {
    pub name: String,
    pub is_bound: bool,
    /// Nanoseconds per message, round by round.
    pub ns: Vec<f64>,
    /// This and the next three are per message.
    pub allocations: f64,
    pub allocated_bytes: f64,
    pub reads: f64,
    pub writes: f64,
    /// Bytes before compression divided by bytes after it, if anything was compressed.
    pub compression: Option<f64>,
}

impl Row {
    pub fn of(peer: &dyn Peer) -> Row {
        Row { name: peer.name().into(), is_bound: peer.is_bound(), ..Row::default() }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut ns = self.ns.clone();
        ns.sort_by(f64::total_cmp);
        ns
    }

    /// The figure to compare: a quarter of the rounds were faster. A low quantile, because a disturbance only makes a
    /// round slower.
    pub fn quartile(&self) -> f64 {
        self.sorted().get(self.ns.len() / 4).copied().unwrap_or(f64::NAN)
    }

    /// Runs `run`, which handles `messages`, and records its allocations and its use of the transport.
    pub fn count(&mut self, messages: usize, run: impl FnOnce()) {
        STATS.reset();
        alloc::count(true);
        let before = alloc::counts();
        run();
        let after = alloc::counts();
        alloc::count(false);
        let per_message = |n: u64| n as f64 / messages as f64;
        self.allocations = per_message(after.allocations - before.allocations);
        self.allocated_bytes = per_message(after.bytes - before.bytes);
        self.reads = per_message(STATS.reads.get());
        self.writes = per_message(STATS.writes.get());
    }
}

/// Measures all peers in turn in each round. Each round begins with another peer. A first round is not counted. A peer
/// that fails in a round is left out of the later ones.
pub fn measure(
    peers: &[Box<dyn Peer>],
    rounds: usize,
    mut run: impl FnMut(&dyn Peer) -> Option<f64>,
) -> Vec<Row> {
    let mut rows: Vec<Row> = peers.iter().map(|peer| Row::of(&**peer)).collect();
    let mut runs = vec![true; peers.len()];
    for round in 0..=rounds {
        for i in 0..peers.len() {
            let i = (i + round) % peers.len();
            if !runs[i] {
                continue;
            }
            match quiet(|| run(&*peers[i])).flatten() {
                Some(ns) if round > 0 => rows[i].ns.push(ns),
                Some(_) => {}
                None => runs[i] = false,
            }
        }
    }
    rows
}

/// Returns `None` if `run` panics: a crate that lacks something is left out.
pub fn quiet<T>(run: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(run)).ok();
    alloc::count(false);
    result
}

/// The results as tables, and as a line of JSON for each row.
#[derive(Default)]
pub struct Report {
    pub json: String,
}

impl Report {
    pub fn table(&mut self, section: &str, work: &str, about: &str, bytes: f64, rows: &[Row]) {
        let best = rows.iter().filter(|row| !row.is_bound).map(Row::quartile);
        let best = best.fold(f64::INFINITY, f64::min);
        println!("\n## {section} {work}: {about}");
        println!(
            "{:<26} {:>11} {:>7} {:>7} {:>9} {:>8} {:>10} {:>8} {:>8}",
            "", "ns/message", "x best", "spread", "MB/s", "allocs", "bytes", "reads", "writes"
        );
        for row in rows {
            if row.ns.is_empty() {
                println!("{:<26} {:>11}", row.name, "-");
                continue;
            }
            let (ns, sorted) = (row.quartile(), row.sorted());
            let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
            let median = sorted[sorted.len() / 2];
            let ratio = row.compression.map(|x| format!("  x{x:.2} smaller")).unwrap_or_default();
            println!(
                "{:<26} {:>11.1} {:>7.2} {:>6.0}% {:>9.0} {:>8.2} {:>10.0} {:>8.2} {:>8.2}{ratio}",
                row.name,
                ns,
                ns / best,
                100.0 * (median - min) / ns,
                bytes / ns * 1e3,
                row.allocations,
                row.allocated_bytes,
                row.reads,
                row.writes,
            );
            let _ = writeln!(
                self.json,
                "{{\"section\":\"{section}\",\"work\":\"{work}\",\"about\":\"{about}\",\"peer\":\"{}\",\"bound\":{},\
                \"bytes\":{bytes:.1},\"ns\":{ns:.3},\"min\":{min:.3},\"median\":{median:.3},\"max\":{max:.3},\
                \"allocations\":{:.3},\"allocated_bytes\":{:.1},\"reads\":{:.3},\"writes\":{:.3},\"compression\":{:.3}}}",
                row.name,
                row.is_bound,
                row.allocations,
                row.allocated_bytes,
                row.reads,
                row.writes,
                row.compression.unwrap_or(0.0),
            );
        }
    }

    /// Adds a row of JSON with these fields.
    pub fn line(&mut self, fields: &str) {
        let _ = writeln!(self.json, "{{{fields}}}");
    }
}
