//! What a server makes of a request head, against `tungstenite`, which reads heads by `httparse`. Where the two
//! differ, it must be for one of the reasons that are listed here.

use std::io::{self, Read, Write};

use super::targets::http::Head;
use super::targets::source::config;
use tungstenite::HandshakeError as Theirs;
use websocket_proto::{Accept, CloseCause, Connection, Event, HandshakeError, ProtocolError};

/// What we make of a request that tungstenite sees otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allowance {
    /// RFC 9112 2.2, 2.3, 3: bare LF, a second empty line before the request, another first byte. httparse tolerates
    /// some.
    Grammar,
    /// RFC 9112 3.2, RFC 6455 4.2.1: `Host`, the target. tungstenite does not look at them.
    Target,
    /// RFC 9112 6.3: a body would be taken for frames. tungstenite does not look for one.
    Body,
    /// RFC 6455 4.2.2, 9.1: subprotocols and extensions. tungstenite leaves them to its caller.
    Offers,
    /// RFC 6455 11.3.1, 11.3.5: key or version twice. tungstenite takes the first.
    Repeated,
    /// RFC 6455 4.2.1: `Upgrade` and `Connection` are lists, over several lines. tungstenite wants one value in one
    /// line, and of `Connection` looks at the first line.
    List,
    /// RFC 6455 4.1, erratum 3150: the bits that do not count in a key need not be zero. tungstenite wants zero.
    PadBits,
    /// The crate `http` takes fewer targets than RFC 9112 3.2 and RFC 3986 have.
    Uri,
    /// tungstenite has other limits: 124 headers, where we have 64 here.
    Limits,
    /// A fault of a header line is told by us at the head's end, by tungstenite as soon as it is there.
    Later,
    /// A fault is told by us with its first byte, or the request line's end.
    Earlier,
}

/// What came of a head.
#[derive(Debug)]
enum Ours {
    MoreWanted,
    Plain,
    Refused(HandshakeError),
    /// With this head, and this answer.
    Upgrade(Vec<u8>, Vec<u8>),
}

/// Of a request that is accepted: the answer.
#[derive(Debug)]
enum Verdict {
    MoreWanted,
    Refused,
    Accepted(Vec<u8>),
}

/// The bytes are those of the wire.
pub fn differential_request(data: &[u8]) {
    let (ours, used) = we_read(data);
    let theirs = tungstenite_reads(&data[..used]);
    if let Err(None) = compare(&ours, &theirs) {
        panic!("{ours:?}\nbut {theirs:?}");
    }
}

fn we_read(data: &[u8]) -> (Ours, usize) {
    let mut conn = Connection::server(config());
    let mut bytes = data.to_vec();
    let mut input = &mut bytes[..];
    let ours = match conn.receive(&mut input) {
        None => Ours::MoreWanted,
        Some(Event::PlainRequest(_)) => Ours::Plain,
        Some(Event::UpgradeRequest(request)) => Ours::Upgrade(request.as_bytes().to_vec(), vec![]),
        Some(Event::Closed(closed)) => match closed.cause {
            CloseCause::Protocol(ProtocolError::Handshake(error)) => Ours::Refused(error),
            cause => panic!("{cause:?}"),
        },
        Some(other) => panic!("{other:?}"),
    };
    // A head that is taken is all that the other one gets: to it, bytes behind are an error.
    let used = data.len() - input.len();
    match ours {
        Ours::Upgrade(head, _) => {
            conn.accept(&Accept::new()).expect("the request waits");
            (Ours::Upgrade(head, conn.outgoing().to_vec()), used)
        }
        Ours::Plain => (ours, used),
        _ => (ours, data.len()),
    }
}

/// `Err(None)`: they differ, and there is no reason.
fn compare(ours: &Ours, theirs: &Verdict) -> Result<(), Option<Allowance>> {
    use HandshakeError as E;
    match (ours, theirs) {
        (Ours::MoreWanted, Verdict::MoreWanted) => Ok(()),
        (Ours::Plain | Ours::Refused(_), Verdict::Refused) => Ok(()),
        (Ours::Upgrade(_, answer), Verdict::Accepted(other)) => {
            let accept = |answer: &[u8]| Head::read(answer).one("sec-websocket-accept").to_vec();
            if accept(answer) == accept(other) { Ok(()) } else { Err(None) }
        }
        (Ours::MoreWanted, Verdict::Refused) => Err(Some(Allowance::Later)),
        (Ours::Refused(_), Verdict::MoreWanted) => Err(Some(Allowance::Earlier)),
        (Ours::Refused(error), Verdict::Accepted(_)) => Err(match error {
            E::NotHttp { .. } | E::BareLineFeed { .. } => Some(Allowance::Grammar),
            E::InvalidTarget | E::MissingHost | E::DuplicateHost | E::InvalidHost => {
                Some(Allowance::Target)
            }
            E::Body => Some(Allowance::Body),
            E::InvalidSubprotocol | E::DuplicateSubprotocol | E::InvalidExtensions => {
                Some(Allowance::Offers)
            }
            E::DuplicateKey | E::DuplicateVersion => Some(Allowance::Repeated),
            // It also divides the list of Connection at spaces.
            E::ConnectionNotUpgrade => Some(Allowance::List),
            // It has other limits.
            E::TooManyHeaders { .. } | E::HeadTooLong { .. } | E::FirstLineTooLong { .. } => {
                Some(Allowance::Limits)
            }
            _ => None,
        }),
        (Ours::Upgrade(head, _), Verdict::Refused) => Err(why_it_refuses(head)),
        (Ours::Plain, Verdict::MoreWanted | Verdict::Accepted(_))
        | (Ours::MoreWanted, Verdict::Accepted(_))
        | (Ours::Upgrade(..), Verdict::MoreWanted) => Err(None),
    }
}

/// What is in a head that we take, and tungstenite does not.
fn why_it_refuses(head: &[u8]) -> Option<Allowance> {
    let head = Head::read(head);
    let target = head.line.split(' ').nth(1).unwrap_or_default();
    let first = |name| head.all(name).first().map(|value| value.to_vec()).unwrap_or_default();
    let (upgrade, connection, key) =
        (first("upgrade"), first("connection"), first("sec-websocket-key"));
    // The elements as it divides them; what is not visible ASCII is no text to it.
    let is_text = connection.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    let mut elements = connection.split(|byte| matches!(byte, b' ' | b','));
    if !upgrade.eq_ignore_ascii_case(b"websocket")
        || !is_text
        || !elements.any(|element| element.eq_ignore_ascii_case(b"upgrade"))
    {
        Some(Allowance::List)
    } else if !matches!(key[21], b'A' | b'Q' | b'g' | b'w') {
        Some(Allowance::PadBits)
    } else if target.bytes().any(|byte| b"<>`".contains(&byte)) || target.contains("://") {
        Some(Allowance::Uri)
    } else {
        None
    }
}

/// Bytes to be read, and then nothing for now; and what was written.
struct Wire<'a>(&'a [u8], Vec<u8>);

impl Read for Wire<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf) {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            result => result,
        }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.1.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tungstenite_reads(wire: &[u8]) -> Verdict {
    let mut wire = Wire(wire, Vec::new());
    match tungstenite::accept(&mut wire) {
        Ok(_) => {}
        Err(Theirs::Interrupted(_)) => return Verdict::MoreWanted,
        Err(Theirs::Failure(_)) => return Verdict::Refused,
    }
    Verdict::Accepted(wire.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// Each reason to differ has a seed, and no seed differs without.
    #[test]
    fn seeds_show_every_allowance() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/differential_request");
        let mut seen = BTreeSet::new();
        for seed in std::fs::read_dir(seeds).expect("the seeds are there") {
            let path = seed.expect("the directory can be read").path();
            let data = std::fs::read(&path).expect("a file");
            let (ours, used) = we_read(&data);
            let theirs = tungstenite_reads(&data[..used]);
            match compare(&ours, &theirs) {
                Ok(()) => {}
                Err(Some(allowance)) => drop(seen.insert(format!("{allowance:?}"))),
                Err(None) => panic!("{path:?}: {ours:?}, but {theirs:?}"),
            }
        }
        let all = [
            "Body", "Earlier", "Grammar", "Later", "Limits", "List", "Offers", "PadBits",
            "Repeated", "Target", "Uri",
        ];
        assert!(seen.iter().map(String::as_str).eq(all), "{seen:?}");
    }
}
