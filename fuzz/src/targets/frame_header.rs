//! The codec of frame headers against a reference that decides for each prefix whether it can become a header.

use super::source::ByteSource;
use websocket_proto::{FrameHeader, MAX_HEADER_BYTES, Opcode, ProtocolError};

/// Decodes the input as a header, and encodes a header whose fields the input selects.
pub fn frame_header(data: &[u8]) {
    decodes_like_the_reference(data);
    round_trips(&mut ByteSource::new(data));
}

fn decodes_like_the_reference(data: &[u8]) {
    let mut failed: Option<ProtocolError> = None;
    let mut decoded = None;
    for end in 0..=data.len().min(MAX_HEADER_BYTES + 2) {
        let prefix = &data[..end];
        let verdict = FrameHeader::decode(prefix);
        if let Some(error) = &failed {
            assert_eq!(verdict.as_ref(), Err(error), "more bytes change the error");
            continue;
        }
        if decoded.is_some() {
            assert_eq!(verdict, Ok(decoded), "bytes after a header change the result");
            continue;
        }
        match (verdict, reference(prefix)) {
            (Err(error), Reference::Impossible) => failed = Some(error),
            (Ok(None), Reference::Unfinished) => {}
            (Ok(Some((header, size))), Reference::Whole { len, size: wanted }) => {
                assert_eq!((header.payload_len, size), (len, wanted));
                assert_eq!(size, end, "the header is not decoded at its last byte");
                let first = u8::from(header.fin) << 7 | header.rsv << 4 | header.opcode as u8;
                assert_eq!(first, prefix[0]);
                let key = (prefix[1] & 0x80 != 0).then(|| prefix[size - 4..].to_vec());
                assert_eq!(header.mask.map(|key| key.to_vec()), key);
                let mut out = [0; MAX_HEADER_BYTES];
                assert_eq!(header.encode(&mut out), size);
                assert_eq!(&out[..size], prefix, "encoding gives other bytes");
                decoded = Some((header, size));
            }
            (verdict, reference) => panic!("{prefix:02x?}: {verdict:?}, but {reference:?}"),
        }
    }
}

#[derive(Debug)]
enum Reference {
    Impossible,
    Unfinished,
    Whole { len: u64, size: usize },
}

/// RFC 6455 5.2, 5.5: whether the range of lengths that `prefix` can still declare contains a valid one.
fn reference(prefix: &[u8]) -> Reference {
    let Some(&first) = prefix.first() else { return Reference::Unfinished };
    let control = match first & 0x0f {
        0..=2 => false,
        8..=10 => true,
        _ => return Reference::Impossible,
    };
    if control && first & 0x80 == 0 {
        return Reference::Impossible;
    }
    let Some(&second) = prefix.get(1) else { return Reference::Unfinished };
    let short = u64::from(second & 0x7f);
    if control && (short > 125 || (first & 0x0f == 8 && short == 1)) {
        return Reference::Impossible;
    }
    let (width, allowed) = match short {
        126 => (2, 126..=0xffff),
        127 => (8, 0x1_0000..=(1 << 63) - 1),
        _ => (0, short..=short),
    };
    let mut known = prefix[2..].iter().take(width);
    let (mut low, mut high) = (0u64, 0u64);
    for _ in 0..width {
        let byte = known.next();
        low = low * 256 + byte.map_or(0, |byte| u64::from(*byte));
        high = high.wrapping_mul(256) + byte.map_or(255, |byte| u64::from(*byte));
    }
    if width == 0 {
        (low, high) = (short, short);
    }
    if high < *allowed.start() || low > *allowed.end() {
        return Reference::Impossible;
    }
    let size = 2 + width + usize::from(second >> 7) * 4;
    match prefix.len() < size {
        true => Reference::Unfinished,
        false => Reference::Whole { len: low, size },
    }
}

fn round_trips(source: &mut ByteSource<'_>) {
    let opcode = source.pick(&[
        Opcode::Continuation,
        Opcode::Text,
        Opcode::Binary,
        Opcode::Close,
        Opcode::Ping,
        Opcode::Pong,
    ]);
    let flags = source.byte();
    let bits = u32::from(source.byte() % 64);
    let len = source.take(8).iter().fold(0u64, |len, byte| len << 8 | u64::from(*byte));
    let header = FrameHeader {
        fin: flags & 1 != 0 || opcode.is_control(),
        rsv: flags >> 1 & 7,
        opcode,
        mask: (flags & 16 != 0).then(|| [source.byte(), source.byte(), source.byte(), 7]),
        payload_len: len >> bits & u64::MAX >> 1,
    };
    let mut out = [0; MAX_HEADER_BYTES];
    let size = header.encode(&mut out);
    let len = header.payload_len;
    let wrong = opcode.is_control() && (len > 125 || (opcode == Opcode::Close && len == 1));
    match FrameHeader::decode(&out[..size]) {
        Ok(decoded) => assert!(decoded == Some((header, size)) && !wrong),
        Err(error) => assert!(wrong, "{header:?}: {error}"),
    }
}
