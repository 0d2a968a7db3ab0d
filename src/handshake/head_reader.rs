//! Reads one head, a request's or a response's, and has it judged: in one pass if it lies whole in the input, else
//! piece by piece. What differs between the two is in [`HeadKind`]; what a head must say is left to the server and the
//! client.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::error::HandshakeError;
use super::fields::Fields;
use super::head_buffer::{HeadBuffer, HeadRules};
use super::headers::split_line_inclusive;
use super::read_lines::read_headers;
use crate::config::Config;
use crate::input::take_front;

/// What differs between the head of a request and the head of a response.
pub(super) trait HeadKind {
    /// The parts of the first line.
    type FirstLine<'h>: Copy;

    /// How the end of the head is found, for a head of at most `limit` bytes.
    fn rules(limit: usize) -> HeadRules;

    /// Reads a first line, CR LF included.
    fn read_first_line(line: &[u8]) -> Result<Self::FirstLine<'_>, HandshakeError>;

    /// Reads a head that lies whole at the front of `input`, and returns its first line and its length. Returns `None`
    /// if the head must take the general path.
    fn read_whole<'h>(
        input: &'h [u8],
        config: &Config,
        fields: &mut Fields<'h>,
    ) -> Option<(Self::FirstLine<'h>, usize)>;
}

/// Reads heads of one kind.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    buffer: HeadBuffer,
}

/// A valid head, and the result of its judgement.
pub(super) type Judged<'a, V> = (Cow<'a, [u8]>, V);

impl HeadReader {
    /// Whether nothing of a head has arrived yet.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Takes a head off the front of `input`, and has it judged. Returns the head and the verdict, or `None` if all of
    /// `input` was used and more is needed. Bytes behind a good head stay in `input`, unchanged; after an error the
    /// content of `input` is unspecified, and [`take_head`](HeadReader::take_head) returns the head that failed.
    #[inline]
    pub(super) fn receive<'a, K: HeadKind, V>(
        &mut self,
        input: &mut &'a mut [u8],
        config: &Config,
        judge: impl Fn(K::FirstLine<'_>, &Fields<'_>, &[u8]) -> Result<V, HandshakeError>,
    ) -> Option<Result<Judged<'a, V>, HandshakeError>> {
        if self.buffer.is_empty() {
            let mut fields = Fields::default();
            if let Some((line, len)) = K::read_whole(input, config, &mut fields) {
                return Some(match judge(line, &fields, &input[..len]) {
                    Ok(verdict) => Ok((Cow::Borrowed(&*take_front(input, len)), verdict)),
                    Err(error) => {
                        self.buffer.store_failed(Cow::Borrowed(&input[..len]));
                        Err(error)
                    }
                });
            }
        }
        let head = match self.buffer.receive(input, &K::rules(config.max_head_bytes))? {
            Ok(head) => head,
            Err(error) => return Some(Err(error)),
        };
        Some(match judge_lines::<K, V>(&head, config, judge) {
            Ok(verdict) => Ok((head, verdict)),
            Err(error) => {
                self.buffer.store_failed(head);
                Err(error)
            }
        })
    }

    /// Stores a head that the caller has found bad after it was read.
    pub(super) fn store_failed(&mut self, head: Cow<'_, [u8]>) {
        self.buffer.store_failed(head);
    }

    /// The bytes of a head that is incomplete or has failed.
    pub(super) fn head(&self) -> &[u8] {
        self.buffer.stored()
    }

    /// Takes the bytes of a head that is incomplete, or that has failed: up to the byte that decided it, at most
    /// [`Config::max_head_bytes`]. They are empty if nothing has arrived.
    pub(super) fn take_head(&mut self) -> Vec<u8> {
        self.buffer.take_stored()
    }
}

/// Reads the lines of a whole head, and has it judged. The buffer has checked the first line and the ends of all lines.
#[cold]
fn judge_lines<K: HeadKind, V>(
    head: &[u8],
    config: &Config,
    judge: impl Fn(K::FirstLine<'_>, &Fields<'_>, &[u8]) -> Result<V, HandshakeError>,
) -> Result<V, HandshakeError> {
    let (line, headers) = split_line_inclusive(head);
    let line = K::read_first_line(line)?;
    judge(line, &read_headers(headers, config.max_headers)?, head)
}
