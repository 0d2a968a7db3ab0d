//! Limits of compressed messages at their borders: the length of a compressed frame, and the number of final blocks.
//! `deflate_memory` tests that memory stays within the limits while a message inflates.
#![cfg(feature = "deflate")]

mod util;

use util::*;
use websocket_proto::{
    Config, Connection, Deflate, DeflateParams, Delivery, MessageKind, ProtocolError, Role, State,
    Upgrade,
};

const PLAIN: DeflateParams = DeflateParams {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
};

const DELIVERIES: [Delivery; 2] = [Delivery::Messages, Delivery::Chunks];

fn config_of(delivery: Delivery) -> Config {
    builder().delivery(delivery).deflate(Deflate::default()).build().unwrap()
}

fn open_deflate(role: Role, config: Config) -> Connection {
    Connection::from_upgrade(Upgrade::new(role).deflate(PLAIN), config).expect("a seed cannot fail")
}

fn binary(delivery: Delivery, bytes: &[u8]) -> Seen {
    match delivery {
        Delivery::Chunks => Seen::Chunked(MessageKind::Binary, bytes.to_vec()),
        _ => Seen::Binary(bytes.to_vec()),
    }
}

/// RFC 7692 7.2.3.3: `payload` in stored blocks of `size` bytes, then the byte 00 that ends a message.
fn stored(payload: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for block in payload.chunks(size) {
        let len = block.len() as u16;
        out.push(0x00);
        out.extend(len.to_le_bytes());
        out.extend((!len).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.push(0x00);
    out
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[test]
fn compressed_frame_may_have_an_eighth_and_1_kib_more_than_its_limit() {
    // rfc6455-10.4-02, rfc7692-8-02: the header alone decides
    let header = |role: Role, first: u8, len: u64| {
        let mask = if role == Role::Server { 0x80 } else { 0 };
        let mut bytes = to(role, first, &[]);
        match len {
            0..=125 => bytes[1] = mask | len as u8,
            126..=0xffff => {
                bytes[1] = mask | 126;
                bytes.splice(2..2, (len as u16).to_be_bytes());
            }
            _ => {
                bytes[1] = mask | 127;
                bytes.splice(2..2, len.to_be_bytes());
            }
        }
        bytes
    };
    for role in ROLES {
        for delivery in DELIVERIES {
            for (max, limit) in [
                (1, 1025),
                (7, 1031),
                (8, 1033),
                (125, 1164),
                (1000, 2149),
                (57_344, 65_536),
                (65_535, 74_750),
                (16 << 20, (18 << 20) + 1024),
                ((1 << 62) - 1, (1 << 62) + (1 << 59) + 1022),
                (u64::MAX, u64::MAX >> 1),
            ] {
                let is_stored = delivery == Delivery::Messages;
                let config = config_of(delivery)
                    .to_builder()
                    .max_frame_bytes(max)
                    .max_message_bytes(if is_stored { in_one_buffer(u64::MAX) } else { u64::MAX })
                    .build()
                    .unwrap();
                // A whole message; a first frame; a continuation of a compressed message, and of an uncompressed one.
                let before = [
                    (0xc2, None, true),
                    (0x42, None, true),
                    (0x80, Some(0x42), true),
                    (0x00, Some(0x42), true),
                    (0x82, None, false),
                    (0x80, Some(0x02), false),
                ];
                for (first, begun, compressed) in before {
                    let limit = if compressed { limit } else { max.min(u64::MAX >> 1) };
                    for (len, fits) in [(limit, true), (limit + 1, false)] {
                        // On 32 bits an assembled message has at most 1 GiB.
                        let is_clamped = cfg!(target_pointer_width = "32")
                            && delivery == Delivery::Messages
                            && !compressed
                            && len > 1 << 30;
                        if len > u64::MAX >> 1 || is_clamped {
                            continue;
                        }
                        let mut bytes = begun.map_or(vec![], |first| to(role, first, &[]));
                        bytes.extend(header(role, first, len));
                        for pieces in cuts(&bytes) {
                            let mut conn = open_deflate(role, config.clone());
                            let outcome = run(&mut conn, &pieces);
                            if fits {
                                assert_eq!(outcome.state, State::Open, "{max}, {first:02x}, {len}");
                            } else {
                                match &outcome.seen[..] {
                                    [Seen::Closed { cause, .. }] => match cause {
                                        websocket_proto::CloseCause::Protocol(
                                            ProtocolError::FrameTooBig { len: seen, limit: found },
                                        ) => assert!(
                                            *found == limit && *seen > limit && *seen <= len
                                        ),
                                        cause => panic!("{max}, {first:02x}, {len}: {cause:?}"),
                                    },
                                    seen => panic!("{max}, {first:02x}, {len}: {seen:?}"),
                                }
                                let frames = plain_frames(&outcome.output);
                                assert_eq!(frames, [(0x88, vec![0x03, 0xf1])], "1009");
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn message_that_fits_uncompressed_fits_compressed() {
    // rfc6455-10.4-02: noise as long as the message limit, in stored blocks that make it a hundredth longer
    let payload = noise(16 << 20);
    for (len, fits) in [((16 << 20) - 40_000, true), (16 << 20, true), ((16 << 20) + 1, false)] {
        let payload = match fits {
            true => payload[..len].to_vec(),
            false => [&payload[..], &[0]].concat(),
        };
        let compressed = stored(&payload, 512);
        assert!(compressed.len() > 16 << 20);
        for role in ROLES {
            let wire = to(role, 0xc2, &compressed);
            for delivery in DELIVERIES {
                let mut conn = open_deflate(role, config_of(delivery));
                let pieces: Vec<&[u8]> = wire.chunks(64 * 1024).collect();
                let outcome = run(&mut conn, &pieces);
                if fits {
                    assert!(outcome.seen == [binary(delivery, &payload)], "{role:?}, {len}");
                } else {
                    let limit = 16 << 20;
                    let error = ProtocolError::MessageTooBig { len: limit + 1, limit };
                    assert!(outcome.seen.last() == Some(&Seen::failed(error)), "{role:?}, {len}");
                }
            }
        }
    }
}

/// The model of the limit. A message is given by the compressed sizes of its final blocks; one byte follows the last.
struct FinalBlocks {
    max: u64,
    taken: u64,
    counted: u64,
    window_is_empty: bool,
}

impl FinalBlocks {
    /// Counts one message. Returns the limit if the message exceeds it.
    fn message(&mut self, sizes: &[usize]) -> Option<u64> {
        let mut is_first = true;
        for size in sizes {
            self.taken += *size as u64;
            self.window_is_empty &= *size <= 5;
            if self.window_is_empty {
                continue;
            }
            self.counted += u64::from(!is_first);
            is_first = false;
            let limit = self.max + self.taken / 256;
            if self.counted > limit {
                return Some(limit);
            }
        }
        self.taken += 1;
        None
    }
}

/// A message of final blocks with these compressed sizes, and what it inflates to.
fn final_blocks(sizes: &[usize]) -> (Vec<u8>, Vec<u8>) {
    let (mut bytes, mut payload) = (Vec::new(), Vec::new());
    for &size in sizes {
        match size {
            2 => bytes.extend([0x03, 0x00]),
            _ => {
                let len = (size - 5) as u16;
                bytes.push(0x01);
                bytes.extend(len.to_le_bytes());
                bytes.extend((!len).to_le_bytes());
                bytes.resize(bytes.len() + usize::from(len), b'x');
                payload.resize(payload.len() + usize::from(len), b'x');
            }
        }
    }
    bytes.push(0x00);
    (bytes, payload)
}

#[test]
fn final_blocks_over_their_limit_fail_with_1008() {
    // rfc7692-7.2.1-05, rfc7692-7.2.3.4-01, rfc6455-10.4-02: up to the limit, final blocks keep the window
    let rows: Vec<(u32, Vec<Vec<usize>>)> = vec![
        (64, vec![vec![7], vec![2; 65]]),
        (64, vec![vec![7], vec![2; 66]]),
        (64, vec![vec![3000], vec![2; 300]]),
        (0, vec![vec![7], vec![2; 1]]),
        (0, vec![vec![7], vec![2; 2]]),
        (1, vec![vec![7], vec![2; 2]]),
        (1, vec![vec![7], vec![2; 3]]),
        (5, vec![vec![6], vec![5; 7]]),
        (u32::MAX, vec![vec![7], vec![2; 300]]),
        // Every 256 received bytes allow one more final block.
        (0, vec![vec![256; 10]]),
        (0, vec![vec![254, 2]]),
        (0, vec![vec![253, 2]]),
        // Both counts, of bytes and of final blocks, continue over all messages.
        (0, vec![vec![1000], vec![2; 4], vec![2; 2]]),
        (0, vec![vec![1000], vec![2; 5], vec![2; 2]]),
        (64, vec![vec![30], vec![2; 33], vec![2; 33], vec![2; 33]]),
        (3, vec![vec![2; 2], vec![6, 2], vec![2; 2], vec![2; 2], vec![2; 2], vec![2; 2]]),
        // While the window is empty, final blocks are not counted: there is no window to keep.
        (0, vec![vec![2; 300], vec![6, 2]]),
        // The first final block of a message is not counted, so messages as in RFC 7692 7.2.3.4 have no limit.
        (0, vec![vec![7]; 100]),
    ];
    for (max, messages) in rows {
        for role in ROLES {
            for delivery in DELIVERIES {
                for fragment in [usize::MAX, 1, 100] {
                    let mut options = Deflate::default();
                    options.max_final_blocks = max;
                    let config = builder().delivery(delivery).deflate(options).build().unwrap();
                    let mut model = FinalBlocks {
                        max: max.into(),
                        taken: 0,
                        counted: 0,
                        window_is_empty: true,
                    };
                    let (mut wire, mut seen, mut failed) = (Vec::new(), Vec::new(), None);
                    for sizes in &messages {
                        let (bytes, payload) = final_blocks(sizes);
                        let pieces = bytes.chunks(fragment.min(bytes.len()));
                        let count = pieces.len();
                        for (n, piece) in pieces.enumerate() {
                            let first = if n == 0 { 0x42 } else { 0x00 };
                            let fin = if n + 1 == count { 0x80 } else { 0 };
                            wire.extend(to(role, first | fin, piece));
                        }
                        if failed.is_some() {
                            continue;
                        }
                        failed = model.message(sizes);
                        match failed {
                            None => seen.push(binary(delivery, &payload)),
                            Some(limit) => {
                                seen.push(Seen::failed(ProtocolError::TooManyFinalBlocks {
                                    limit,
                                }));
                            }
                        }
                    }
                    for size in [1, 7, wire.len()] {
                        let mut conn = open_deflate(role, config.clone());
                        let pieces: Vec<&[u8]> = wire.chunks(size).collect();
                        let mut outcome = run(&mut conn, &pieces);
                        outcome.seen.retain(|seen| !matches!(seen, Seen::Unfinished(..)));
                        assert!(
                            outcome.seen == seen,
                            "{role:?}, {delivery:?}, {max}, {messages:?} in {fragment} by {size}: {:?} for {:?}",
                            outcome.seen.last(),
                            seen.last()
                        );
                        let closed = plain_frames(&outcome.output);
                        match failed {
                            None => assert_eq!(closed, []),
                            Some(_) => assert_eq!(closed, [(0x88, vec![0x03, 0xf0])], "1008"),
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn what_does_not_compress_is_refused_before_it_exceeds_the_queue() {
    // rfc6455-10.4-01: there must be room for the most that compressing can make of a message, here some bytes more for each
    // 16 KiB of noise.
    for (len, step) in [(1000, 3), (300_000, 7)] {
        let payload = noise(len);
        for more in (0..130).step_by(step).chain([len / 8 + 100]) {
            let config = builder()
                .max_outgoing_bytes((len + more) as u64)
                .deflate(Deflate::default())
                .build()
                .unwrap();
            let mut conn = open_deflate(Role::Server, config);
            let sent = conn.send(&payload[..]);
            assert!(conn.outgoing_len() <= (len + more) as u64, "{len} + {more}: {sent:?}");
            assert_eq!(sent.is_ok(), conn.outgoing_len() > 0);
        }
    }
}

#[test]
fn what_does_not_compress_grows_by_at_most_an_eighth_and_64_bytes() {
    // rfc6455-10.4-01: at each level of memory. Bytes from 144 on have nine bits in a fixed Huffman code. With few
    // symbols in a block, a code of its own saves less than it takes.
    let all_nine_bits: Vec<u8> = noise(30_000).iter().map(|byte| 144 + byte % 112).collect();
    let few_nine_bits: Vec<u8> = noise(30_000)
        .iter()
        .map(|byte| if byte % 16 == 0 { *byte } else { 144 + byte % 112 })
        .collect();
    let all_bytes = noise(30_000);
    for payload in [&all_nine_bits, &few_nine_bits, &all_bytes] {
        for level in [0, 1, 2, 4, 6, 9] {
            for memory_level in 1..=9 {
                for bits in [9, 12, 15] {
                    let mut options = Deflate::default();
                    (options.level, options.memory_level) = (level, memory_level);
                    (options.server_max_window_bits, options.min_bytes) = (bits, 0);
                    let config = builder().deflate(options).build().unwrap();
                    for len in [0, 1, 300, 1000, 30_000] {
                        let mut conn = open_deflate(Role::Server, config.clone());
                        conn.send(&payload[..len]).unwrap();
                        let sent = plain_frames(&drain(&mut conn)).remove(0).1.len();
                        assert!(
                            sent <= len + len / 8 + 64,
                            "{level}, {memory_level}, {bits}: {sent} of {len}"
                        );
                    }
                }
            }
        }
    }
}
