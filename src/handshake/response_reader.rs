//! Reads the final response to a client's request. It skips interim responses, has the caller judge the requested one,
//! and makes a refusal of any other.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

use super::error::HandshakeError;
use super::fields::Fields;
use super::head_buffer::HeadRules;
use super::head_reader::{HeadKind, HeadReader};
use super::read_lines::read_status_line;
use super::refusal::Refusal;
use super::refusal_body::RefusalReader;
use super::whole_head;
use crate::config::Config;

/// The most interim responses (1xx) that are skipped before the final one.
const MAX_INTERIM_RESPONSES: u8 = 16;

/// The caller's judgement of a response; `None` if it has another status than the requested one.
type Verdict = Option<Result<(), HandshakeError>>;

/// Reads one response.
#[derive(Debug, Default)]
pub(super) struct ResponseReader {
    reader: HeadReader,
    /// The number of interim responses that were skipped.
    interim: u8,
    /// The refusal whose body is being read.
    refusal: Option<Box<RefusalReader>>,
}

impl ResponseReader {
    /// Takes a response off the front of `input`. Returns its head if `judge` accepts it; any other response is read
    /// with its body and returned as an error. Returns `None` if all of `input` was used and more is needed. Bytes
    /// behind an accepted head stay in `input`, unchanged.
    pub(super) fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        config: &Config,
        judge: impl Fn(u16, &Fields<'_>, &[u8]) -> Verdict,
    ) -> Option<Result<Cow<'a, [u8]>, HandshakeError>> {
        loop {
            if let Some(refusal) = &mut self.refusal {
                if !refusal.receive(input, config.max_refusal_body_bytes) {
                    return None;
                }
                return self.take_refusal(false).map(Err);
            }
            let read = |status, fields: &Fields<'_>, head: &[u8]| {
                Ok((status, judge(status, fields, head)))
            };
            let result = self.reader.receive::<ResponseHead, _>(input, config, read)?;
            let (head, (status, verdict)) = match result {
                Ok(read) => read,
                Err(error) => return Some(Err(error)),
            };
            match verdict {
                Some(Ok(())) => return Some(Ok(head)),
                Some(Err(error)) => {
                    self.reader.store_failed(head);
                    return Some(Err(error));
                }
                None => {}
            }
            match status {
                // RFC 9110 15.2: a client skips interim responses that it did not expect.
                100 | 102..=199 if self.interim == MAX_INTERIM_RESPONSES => {
                    self.reader.store_failed(head);
                    return Some(Err(HandshakeError::TooManyInterimResponses {
                        limit: MAX_INTERIM_RESPONSES,
                    }));
                }
                100 | 102..=199 => self.interim += 1,
                _ => {
                    let refusal = Refusal::new(status, head.into_owned());
                    self.refusal = Some(Box::new(RefusalReader::new(refusal)));
                }
            }
        }
    }

    /// Takes the bytes of a head that is incomplete, or that has failed, up to the byte that decided it.
    pub(super) fn take_head(&mut self) -> Vec<u8> {
        self.reader.take_head()
    }

    /// The refusal whose body is being read, with what has arrived of it.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref().map(|reader| reader.refusal())
    }

    /// Stops reading. Returns the refusal if its body was being read. `at_eof` tells that the transport ended, which
    /// completes a body without a length.
    pub(super) fn take_refusal(&mut self, at_eof: bool) -> Option<HandshakeError> {
        let reader = self.refusal.take()?;
        Some(HandshakeError::Refused(reader.finish(at_eof)))
    }
}

/// Judges the head of a final response that another HTTP stack has read. That stack reads the body, so a refusal has
/// none.
pub(super) fn judge_whole(
    mut head: &mut [u8],
    config: &Config,
    judge: impl Fn(u16, &Fields<'_>, &[u8]) -> Verdict,
) -> Result<(), HandshakeError> {
    let read = |status, fields: &Fields<'_>, head: &[u8]| Ok((status, judge(status, fields, head)));
    let result = HeadReader::default().receive::<ResponseHead, _>(&mut head, config, read);
    let result =
        result.expect("a head that ends in a blank line, or is over the limit, is decided");
    let (head, (status, verdict)) = result?;
    if let Some(verdict) = verdict {
        return verdict;
    }
    let mut refusal = RefusalReader::new(Refusal::new(status, head.into_owned()));
    // A body of no bytes is complete.
    let _ = refusal.receive(&mut &mut [][..], config.max_refusal_body_bytes);
    Err(HandshakeError::Refused(refusal.finish(false)))
}

/// How the head of a response is read.
struct ResponseHead;

impl HeadKind for ResponseHead {
    /// The status.
    type FirstLine<'h> = u16;

    fn rules(limit: usize) -> HeadRules {
        HeadRules {
            limit,
            is_first_byte: |byte| byte == b'H',
            judge_line: |line| read_status_line(line).map(drop),
            skips_empty_line: false,
            // RFC 9112 5.2: a client replaces each fold by spaces.
            unfolds: true,
        }
    }

    fn read_first_line(line: &[u8]) -> Result<u16, HandshakeError> {
        read_status_line(line)
    }

    #[inline]
    fn read_whole<'h>(
        input: &'h [u8],
        config: &Config,
        fields: &mut Fields<'h>,
    ) -> Option<(u16, usize)> {
        whole_head::read_response(input, config, fields)
    }
}
