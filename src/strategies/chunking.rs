//! Ways to cut any bytes into pieces, as a transport does.

use alloc::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

/// A way to cut bytes into pieces. A piece may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chunking {
    /// The sizes of the first pieces, in bytes.
    sizes: Vec<usize>,
    /// Whether the sizes are repeated; otherwise the rest is one piece.
    repeat: bool,
}

impl Chunking {
    /// One piece.
    pub const WHOLE: Chunking = Chunking { sizes: Vec::new(), repeat: false };

    /// Pieces of `size` bytes each; one piece if it is 0.
    pub fn every(size: usize) -> Chunking {
        Chunking { sizes: alloc::vec![size], repeat: true }
    }

    /// The pieces, whose concatenation is `bytes`. There is at least one.
    pub fn cut<'b>(&self, bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        loop {
            for &size in &self.sizes {
                if rest.is_empty() {
                    break;
                }
                let (piece, behind) = rest.split_at(size.min(rest.len()));
                pieces.push(piece);
                rest = behind;
            }
            // Sizes of 0 only would never end.
            if rest.is_empty() || !self.repeat || self.sizes.iter().all(|&size| size == 0) {
                break;
            }
        }
        if !rest.is_empty() || pieces.is_empty() {
            pieces.push(rest);
        }
        pieces
    }
}

/// Any [`Chunking`]: one piece, byte by byte, a few cuts, or an irregular pattern; some pieces are empty. It shrinks to
/// fewer cuts, and then to one piece.
pub fn chunking() -> BoxedStrategy<Chunking> {
    let size = prop_oneof![4 => 1..=16usize, 2 => 0..=200usize, 1 => 0..=70_000usize, 1 => Just(0)];
    prop_oneof![
        6 => (vec(size, 0..=8), any::<bool>())
            .prop_map(|(sizes, repeat)| Chunking { sizes, repeat }),
        1 => (1..=8usize).prop_map(Chunking::every),
    ]
    .boxed()
}
