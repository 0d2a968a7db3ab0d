//! The clock for callers with the standard library: it converts in both directions, and no moment makes it fail.
#![cfg(feature = "std")]

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use websocket_proto::{Clock, Timestamp};

#[test]
fn clock_never_goes_back_and_begins_at_its_epoch() {
    let before = Instant::now();
    let clock = Clock::new();
    let mut last = Timestamp::default();
    for _ in 0..1000 {
        let now = clock.now();
        assert!(last <= now && now.since_epoch() <= before.elapsed());
        last = now;
    }
    // A copy has the same epoch.
    let copy = clock;
    assert_eq!(copy.instant(last), clock.instant(last));
}

#[test]
fn instants_and_timestamps_convert_into_each_other() {
    let clock = Clock::new();
    let epoch = clock.instant(Timestamp::default());
    for wait in [0, 1, 999, 1_000_000_000, 86_400_000_000_000, 25 * 31_536_000_000_000_000] {
        let wait = Duration::from_nanos(wait);
        assert_eq!(clock.timestamp(epoch + wait), Timestamp::new(wait));
        assert_eq!(clock.instant(Timestamp::new(wait)), epoch + wait);
    }
    // An instant before the epoch.
    let old = Instant::now();
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(Clock::new().timestamp(old), Timestamp::default());
}

#[test]
fn no_moment_is_too_far_away() {
    let clock = Clock::default();
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let epoch = clock.instant(Timestamp::default());
    let mut last = epoch;
    for wait in [days(1), days(30 * 365 - 1), days(30 * 365), days(31 * 365), Duration::MAX] {
        let instant = clock.instant(Timestamp::new(wait));
        assert!(instant >= last && instant >= epoch + wait.min(days(29 * 365)));
        last = instant;
        assert!(clock.until(Timestamp::new(wait)) <= wait);
        assert!(clock.until(Timestamp::new(wait)) > wait - days(1));
    }
}

#[test]
fn the_time_until_a_moment_is_one_that_a_socket_takes() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let stream = TcpStream::connect(listener.local_addr().unwrap()).expect("it listens");
    let clock = Clock::new();
    for moment in [Timestamp::default(), clock.now(), clock.now() + Duration::from_nanos(1)] {
        let wait = clock.until(moment);
        assert_eq!(wait, Duration::from_millis(1));
        stream.set_read_timeout(Some(wait)).expect("it is not zero");
    }
    let second = clock.until(clock.now() + Duration::from_secs(1));
    assert!(second > Duration::from_millis(500) && second <= Duration::from_secs(1), "{second:?}");
}

#[test]
fn no_other_file_of_the_library_reads_a_clock() {
    // The drivers are loops, and the loop tells the time. The ends of a link have tokio's clock.
    let is_loop = |path: &&std::path::PathBuf| {
        path.components().any(|part| part.as_os_str() == "drive")
            || path.ends_with("testing/stream.rs")
    };
    fn rust_files(dir: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(dir).expect("it is a directory") {
            let path = entry.expect("it can be read").path();
            match path.is_dir() {
                true => rust_files(&path, found),
                false => found.push(path),
            }
        }
    }
    let mut files = Vec::new();
    rust_files(concat!(env!("CARGO_MANIFEST_DIR"), "/src").as_ref(), &mut files);
    let reads = |path: &&std::path::PathBuf| {
        let text = std::fs::read_to_string(path).expect("it is text");
        let mut code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.any(|line| line.contains("Instant") || line.contains("SystemTime"))
    };
    let readers: Vec<_> = files
        .iter()
        .filter(|path| !is_loop(path))
        .filter(reads)
        .map(|path| path.file_name().unwrap())
        .collect();
    assert_eq!(readers, ["clock.rs"]);
}
