//! Choices from fuzz input: a reader that never fails, and ways to cut bytes.

use websocket_proto::{Config, ConfigBuilder, Entropy};

/// Reads choices from the front of the input. After its end it reads zeros.
pub struct ByteSource<'a>(&'a [u8]);

impl<'a> ByteSource<'a> {
    pub fn new(data: &'a [u8]) -> ByteSource<'a> {
        ByteSource(data)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// Reads one of `choices`.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// Reads `n` bytes, or fewer at the end.
    pub fn take(&mut self, n: usize) -> &'a [u8] {
        let (front, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        front
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// The bits of a byte as flags, the lowest first.
pub struct Flags(u8);

impl Flags {
    pub fn new(byte: u8) -> Flags {
        Flags(byte)
    }

    pub fn next(&mut self) -> bool {
        let flag = self.0 & 1 != 0;
        self.0 >>= 1;
        flag
    }
}

/// A configuration with reproducible keys, to be changed.
pub fn config() -> ConfigBuilder {
    Config::builder().entropy(Entropy::Seed(1))
}

/// Ways to cut `bytes`: into pieces of the sizes in `pattern`, repeated, with empty pieces too; and byte by byte if
/// they are not too many.
pub fn cuts(bytes: &[u8], pattern: [u8; 3]) -> Vec<Vec<&[u8]>> {
    const SINGLY: usize = 1024;
    let mut cuts = Vec::new();
    if bytes.len() <= SINGLY {
        cuts.push(bytes.chunks(1).collect());
    }
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        for size in pattern.into_iter().chain([1]) {
            let (piece, behind) = rest.split_at(rest.len().min(usize::from(size)));
            pieces.push(piece);
            rest = behind;
        }
    }
    cuts.push(pieces);
    cuts
}
