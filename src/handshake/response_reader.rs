//! Reads the final response to a client's request: skips interim ones, has the one that was asked for judged, hands its
//! head over, and makes a refusal of any other. What a good head must say is left to the caller.

use alloc::borrow::Cow;
use alloc::boxed::Box;

use super::error::HandshakeError;
use super::fields::Fields;
use super::head::{HeadReader, HeadRules};
use super::headers::split_line_inclusive;
use super::read_lines::{read_headers, read_status_line};
use super::refusal_body::RefusalReader;
use super::whole_head;
use crate::config::Config;
use crate::input::take_front;

/// Interim responses (1xx) that are skipped before the final one.
const MAX_INTERIM_RESPONSES: u8 = 16;

/// The head of a response that is well-formed.
struct Reply<'a> {
    status: u16,
    /// What the caller says of it.
    verdict: Verdict,
    head: Cow<'a, [u8]>,
}

/// What a caller says of a status, and of the headers and the head that belong to it; `None`: it is for another
/// status.
type Verdict = Option<Result<(), HandshakeError>>;

/// Reads one response.
#[derive(Debug, Default)]
pub(super) struct ResponseReader {
    reader: HeadReader,
    /// How many interim responses there were.
    interim: u8,
    /// The refusal whose body is being read.
    refusal: Option<Box<RefusalReader>>,
}

impl ResponseReader {
    /// Takes a response off the front of `input`: the head alone if `judge` finds it good, else all of it, as an error.
    /// `None`: all of `input` was used. What lies behind a good head is untouched.
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
            let Reply { status, verdict, head } = match self.receive_head(input, config, &judge)? {
                Ok(reply) => reply,
                Err(error) => return Some(Err(error)),
            };
            if let Some(verdict) = verdict {
                return Some(verdict.map(|()| head));
            }
            match status {
                // RFC 9110 15.2: a client skips interim responses that it did not expect.
                100 | 102..=199 if self.interim == MAX_INTERIM_RESPONSES => {
                    return Some(Err(HandshakeError::TooManyInterimResponses {
                        limit: MAX_INTERIM_RESPONSES,
                    }));
                }
                100 | 102..=199 => self.interim += 1,
                _ => self.refusal = Some(Box::new(RefusalReader::new(status, head.into_owned()))),
            }
        }
    }

    /// The refusal whose body is being read, as far as it is here; one without a length is complete `at_eof`.
    pub(super) fn take_refusal(&mut self, at_eof: bool) -> Option<HandshakeError> {
        let reader = self.refusal.take()?;
        Some(HandshakeError::Refused(reader.finish(at_eof)))
    }

    /// Takes one head off the front of `input`, and has it judged.
    #[inline]
    fn receive_head<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        config: &Config,
        judge: impl Fn(u16, &Fields<'_>, &[u8]) -> Verdict,
    ) -> Option<Result<Reply<'a>, HandshakeError>> {
        if self.reader.is_empty() {
            let mut fields = Fields::default();
            if let Some((status, len)) = whole_head::read_response(input, config, &mut fields) {
                let verdict = judge(status, &fields, &input[..len]);
                let head = Cow::Borrowed(take_front(input, len));
                return Some(Ok(Reply { status, verdict, head }));
            }
        }
        let rules = HeadRules {
            limit: config.max_head_bytes,
            is_first_byte: |byte| byte == b'H',
            judge_line: |line| read_status_line(line).map(drop),
            skips_empty_line: false,
            // RFC 9112 5.2: a client replaces each fold by spaces.
            unfolds: true,
        };
        let head = match self.reader.receive(input, &rules)? {
            Ok(head) => head,
            Err(error) => return Some(Err(error)),
        };
        Some(read_reply(&head, config, judge).map(|(status, verdict)| Reply {
            status,
            verdict,
            head,
        }))
    }
}

/// Reads a whole head, of which the reader has judged the status line and the line ends, and has it judged.
#[cold]
fn read_reply(
    head: &[u8],
    config: &Config,
    judge: impl Fn(u16, &Fields<'_>, &[u8]) -> Verdict,
) -> Result<(u16, Verdict), HandshakeError> {
    let (line, headers) = split_line_inclusive(head);
    let status = read_status_line(line)?;
    let fields = read_headers(headers, config.max_headers)?;
    Ok((status, judge(status, &fields, head)))
}
