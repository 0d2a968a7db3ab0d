//! Forks of the test process: connections made after the fork draw different keys and nonces in the parent, the child
//! and the grandchild. `entropy.rs` tests keys within one process.

#![cfg(all(unix, feature = "os-entropy"))]
#![allow(unsafe_code, reason = "a process forks by a call of the C library")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;

use websocket_proto::{ClientRequest, Config, Connection, Role};

/// Four bytes of a masking key or a nonce.
type Word = [u8; 4];

/// Writes the outgoing frame, and returns its masking key.
fn sent_key(conn: &mut Connection) -> Word {
    let key = conn.outgoing()[2..6].try_into().expect("a short frame with a key");
    conn.advance(conn.outgoing().len());
    key
}

/// The keys of a connection made by `from_upgrade`. The key of the Close is drawn first.
fn keys_from_upgrade() -> Vec<Word> {
    let mut conn = Connection::from_upgrade(Role::Client, Config::default()).expect("entropy");
    let mut keys: Vec<Word> = (0..8)
        .map(|_| {
            conn.send("x").expect("it is open");
            sent_key(&mut conn)
        })
        .collect();
    conn.close_without_code();
    keys.push(sent_key(&mut conn));
    keys
}

/// The base64 digits of the nonce in a client's request. 4 digits are 3 bytes of the nonce.
fn digits_of_nonce() -> Vec<Word> {
    let request = ClientRequest::new("ws://example.com/").expect("a good URI");
    let conn = Connection::client(&request, Config::default()).expect("entropy");
    let head = std::str::from_utf8(conn.outgoing()).expect("ASCII");
    let key = head.split("Sec-WebSocket-Key: ").nth(1).expect("the request has a key").as_bytes();
    key[..20].chunks(4).map(|digits| digits.try_into().expect("four")).collect()
}

/// Makes connections in this process. Returns the keys that they drew, and the digits of the nonces.
fn draw() -> [Vec<Word>; 2] {
    let mut drawn = [Vec::new(), Vec::new()];
    for _ in 0..8 {
        drawn[0].extend(keys_from_upgrade());
        drawn[1].extend(digits_of_nonce());
    }
    drawn
}

/// Forks, runs `child` in the new process, and returns the bytes that it returns.
fn forked(child: impl FnOnce() -> Vec<u8> + std::panic::UnwindSafe) -> Vec<u8> {
    let mut ends = [0; 2];
    // SAFETY: `pipe` writes two descriptors to `ends`, which has room for them.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0, "pipe() has failed");
    // SAFETY: `pipe` has just opened both descriptors, and nothing else owns them.
    let (mut from, mut to) = unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) };
    // SAFETY: the child process runs only `child`. It allocates, which the C library allows in a forked child. It takes
    // no lock that another thread may hold, and `_exit` ends it before it returns to the test program.
    match unsafe { libc::fork() } {
        -1 => panic!("fork() has failed: {}", std::io::Error::last_os_error()),
        0 => {
            let done =
                std::panic::catch_unwind(child).is_ok_and(|bytes| to.write_all(&bytes).is_ok());
            // SAFETY: `_exit` ends the process.
            unsafe { libc::_exit(i32::from(!done)) }
        }
        pid => {
            drop(to);
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).expect("a pipe can be read");
            let mut status = 0;
            // SAFETY: `waitpid` writes the status to `status`.
            assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
            assert_eq!(status, 0, "the child process has failed");
            bytes
        }
    }
}

#[test]
fn a_connection_made_after_a_fork_draws_nothing_that_the_parent_drew() {
    // rfc6455-5.3-03, rfc6455-5.3-04, rfc6455-4.1-28
    for before in 0..3 {
        // For `before` > 0, connections have already drawn from this thread's batch before the fork.
        (0..before).for_each(|_| drop(draw()));
        let child = forked(|| {
            let child = draw().concat().concat();
            [child, forked(|| draw().concat().concat())].concat()
        });
        let parent = draw().concat().concat();
        assert_eq!(child.len(), 2 * parent.len());
        let words = |bytes: &[u8]| -> BTreeSet<Word> {
            bytes.chunks(4).map(|word| word.try_into().expect("four")).collect()
        };
        let (child, grandchild) = child.split_at(parent.len());
        let processes = [words(&parent), words(child), words(grandchild)];
        for (n, one) in processes.iter().enumerate() {
            for other in &processes[n + 1..] {
                // 112 words of each process. By chance, two nonces share 3 bytes once in 10,000 runs, two keys are
                // equal once in 300,000.
                let common = one.intersection(other).count();
                assert!(
                    common <= 1,
                    "{common} common words; connections were made {before} times before the fork"
                );
            }
        }
    }
}

#[test]
fn a_fork_on_a_thread_that_has_drawn_nothing_is_noticed_too() {
    // rfc6455-5.3-03: a connection made on another thread draws on this thread, which then forks.
    let mut conn = Connection::from_upgrade(Role::Client, Config::default()).expect("entropy");
    let (child, parent) = std::thread::spawn(move || {
        conn.send("x").expect("it is open");
        let child = forked(|| draw()[0].concat());
        (child, draw()[0].concat())
    })
    .join()
    .expect("the thread has not panicked");
    let words = |bytes: &[u8]| bytes.chunks(4).map(<[u8]>::to_vec).collect::<BTreeSet<_>>();
    assert_eq!(words(&child).intersection(&words(&parent)).count(), 0);
}
