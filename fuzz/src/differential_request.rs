//! Compares what a server does with a request head with `tungstenite`, which parses heads with `httparse`. A difference
//! must have one of the reasons that are listed here.

use std::io::{self, Read, Write};

use super::targets::http::Head;
use super::targets::source::config;
use tungstenite::HandshakeError as Theirs;
use websocket_proto::{Accept, CloseCause, Connection, Event, HandshakeError, ProtocolError};

/// Why the two may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allowance {
    /// RFC 9112 2.2, 2.3, 3: bare LF, a second empty line before the request, a wrong first byte. httparse accepts some
    /// of them.
    Grammar,
    /// RFC 9112 3.2, RFC 6455 4.2.1: `Host` and the target. tungstenite does not check them.
    Target,
    /// RFC 9112 6.3: a body would be parsed as frames. tungstenite does not check for a body.
    Body,
    /// RFC 6455 4.2.2, 9.1: subprotocols and extensions. tungstenite leaves them to its caller.
    Offers,
    /// RFC 6455 11.3.1, 11.3.5: key or version twice. tungstenite uses the first.
    Repeated,
    /// RFC 6455 4.2.1: `Upgrade` and `Connection` are lists, which may have several lines. tungstenite requires that
    /// the first `Upgrade` line has one value, and reads only the first `Connection` line.
    List,
    /// RFC 6455 4.1, erratum 3150: the unused bits of a key need not be zero. tungstenite requires zero.
    PadBits,
    /// The crate `http` accepts fewer targets than RFC 9112 3.2 and RFC 3986 allow.
    Uri,
    /// tungstenite has other limits: 124 headers, and we have 64 here.
    Limits,
    /// We report an invalid header line at the end of the head, tungstenite as soon as it has arrived.
    Later,
    /// We report the error at its first byte or at the end of the request line, tungstenite later.
    Earlier,
}

/// Our result for a head.
#[derive(Debug)]
enum Ours {
    MoreWanted,
    Plain,
    Refused(HandshakeError),
    /// An accepted request: the head and our response.
    Upgrade(Vec<u8>, Vec<u8>),
}

/// tungstenite's result for a head; `Accepted` has its response.
#[derive(Debug)]
enum Verdict {
    MoreWanted,
    Refused,
    Accepted(Vec<u8>),
}

/// The input is the bytes on the wire.
pub fn differential_request(data: &[u8]) {
    let (ours, used) = we_read(data);
    let theirs = tungstenite_reads(&data[..used]);
    if let Err(None) = compare(&ours, &theirs) {
        panic!("{ours:?}\nbut {theirs:?}");
    }
}

fn we_read(data: &[u8]) -> (Ours, usize) {
    let mut conn = Connection::server(config().build().expect("the defaults are allowed"));
    let mut bytes = data.to_vec();
    let mut input = &mut bytes[..];
    let ours = match conn.receive(&mut input) {
        None => Ours::MoreWanted,
        Some(Event::PlainRequest(_)) => Ours::Plain,
        Some(Event::UpgradeRequest(request)) => Ours::Upgrade(request.as_bytes().to_vec(), vec![]),
        Some(Event::Closed(closed)) => match closed.into_cause() {
            CloseCause::Protocol(ProtocolError::Handshake(error)) => Ours::Refused(error),
            cause => panic!("{cause:?}"),
        },
        Some(other) => panic!("{other:?}"),
    };
    // tungstenite gets only the head of a request that we accept, because bytes after a head are an error to it.
    let used = data.len() - input.len();
    match ours {
        Ours::Upgrade(head, _) => {
            conn.accept(&Accept::new()).expect("the request is pending");
            (Ours::Upgrade(head, conn.outgoing().to_vec()), used)
        }
        Ours::Plain => (ours, used),
        _ => (ours, data.len()),
    }
}

/// Compares the two results. The error is the reason for a difference, or `None` if there is no reason.
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
            E::InvalidSubprotocol | E::DuplicateSubprotocol { .. } | E::InvalidExtensions => {
                Some(Allowance::Offers)
            }
            E::DuplicateKey | E::DuplicateVersion => Some(Allowance::Repeated),
            // tungstenite also splits the list of `Connection` at spaces.
            E::ConnectionNotUpgrade => Some(Allowance::List),
            // tungstenite has other limits.
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

/// Why tungstenite refuses a head that we accept.
fn why_it_refuses(head: &[u8]) -> Option<Allowance> {
    let head = Head::read(head);
    let target = head.line.split(' ').nth(1).unwrap_or_default();
    let first = |name| head.all(name).first().map(|value| value.to_vec()).unwrap_or_default();
    let (upgrade, connection, key) =
        (first("upgrade"), first("connection"), first("sec-websocket-key"));
    // tungstenite splits elements at spaces and commas, and accepts only visible ASCII, spaces and tabs.
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

/// A stream that returns the first bytes and then `WouldBlock`. It stores what is written in the second.
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

    /// Each reason has a seed, and no seed differs without a reason.
    #[test]
    fn seeds_show_every_allowance() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/differential_request");
        let mut seen = BTreeSet::new();
        for seed in std::fs::read_dir(seeds).expect("the seeds exist") {
            let path = seed.expect("the directory can be listed").path();
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
