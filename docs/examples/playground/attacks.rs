//! The classic violations of the protocol: the frames that a browser receives, and the verdict of this crate's machine
//! on the same frames, in the browser's place and in the server's.

use websocket_proto::testing::{Length, Mask, RawFrame, ScriptedPeer};
use websocket_proto::{
    CloseCause, Config, Connection, Deflate, DeflateParams, Event, Role, Upgrade,
};

use crate::watch::quoted;

/// A name, the rule that it breaks, and the frames if this role sends them.
pub(crate) struct Attack(&'static str, &'static str, fn(Role) -> Vec<RawFrame>);

#[rustfmt::skip]
const ATTACKS: &[Attack] = &[
    Attack("Text that is not UTF-8", "RFC 6455 8.1", |_| vec![RawFrame::new(1, *b"caf\xe9")]),
    Attack("UTF-8 that breaks at a fragment's border", "RFC 6455 8.1", |_| vec![
        RawFrame::new(1, *b"\xe2\x82").unfinished(), RawFrame::continuation("(")]),
    Attack("Wrong masking", "RFC 6455 5.1", |sender| vec![RawFrame::text("mask").mask(match sender {
        Role::Server => Mask::Key([1, 2, 3, 4]),
        Role::Client => Mask::Unmasked,
    })]),
    Attack("A ping of 126 bytes", "RFC 6455 5.5", |_| vec![RawFrame::ping([b'p'; 126])]),
    Attack("A ping in fragments", "RFC 6455 5.5", |_| vec![RawFrame::ping("p").unfinished(), RawFrame::continuation("q")]),
    Attack("A reserved bit", "RFC 6455 5.2", |_| vec![RawFrame::text("RSV2").rsv(2)]),
    Attack("A compressed ping", "RFC 7692 6.1", |_| vec![RawFrame::ping("RSV1").rsv(4)]),
    Attack("A reserved opcode for data", "RFC 6455 5.2", |_| vec![RawFrame::new(3, "3")]),
    Attack("A reserved opcode for control", "RFC 6455 5.2", |_| vec![RawFrame::new(11, "11")]),
    Attack("A continuation of nothing", "RFC 6455 5.4", |_| vec![RawFrame::continuation("of nothing")]),
    Attack("A message within a message", "RFC 6455 5.4", |_| vec![RawFrame::text("one").unfinished(), RawFrame::text("two")]),
    Attack("Close with code 1005", "RFC 6455 7.4.1", |_| vec![RawFrame::close(1005, "")]),
    Attack("Close with code 999", "RFC 6455 7.4", |_| vec![RawFrame::close(999, "")]),
    Attack("Close with half a code", "RFC 6455 5.5.1", |_| vec![RawFrame::new(8, [3])]),
    Attack("A close reason that is not UTF-8", "RFC 6455 5.5.1", |_| vec![RawFrame::new(8, *b"\x03\xe8\xff")]),
    Attack("Text after Close", "RFC 6455 5.5.1", |_| vec![RawFrame::close(1000, "last words"), RawFrame::text("more")]),
    Attack("A length of 5 in 16 bits", "RFC 6455 5.2", |_| vec![RawFrame::text("Hello").length(Length::SixteenBit)]),
    Attack("A length of 5 in 64 bits", "RFC 6455 5.2", |_| vec![RawFrame::text("Hello").length(Length::SixtyFourBit)]),
    Attack("A length of 2^63", "RFC 6455 5.2", |_| vec![RawFrame::binary("").length(Length::Claimed(1 << 63))]),
    Attack("A promise of 4 EiB", "RFC 6455 10.4", |_| vec![RawFrame::binary("").length(Length::Claimed(1 << 62))]),
    Attack("Broken DEFLATE", "RFC 7692 7.2.2", |_| vec![RawFrame::new(1, [0xff; 8]).rsv(4)]),
    Attack("A bomb: 16 KiB that inflate to 17 MiB", "RFC 6455 10.4", |_| vec![bomb()]),
];

pub(crate) fn get(number: usize) -> Option<&'static Attack> {
    ATTACKS.get(number)
}

/// Name and rule of each attack.
pub(crate) fn table() -> String {
    let row = |Attack(name, rule, _): &Attack| format!("[{},{}]", quoted(name), quoted(rule));
    format!("[{}]", ATTACKS.iter().map(row).collect::<Vec<_>>().join(","))
}

impl Attack {
    /// The bytes that the server sends.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        (self.2)(Role::Server).iter().flat_map(|frame| frame.encode(Role::Server)).collect()
    }

    /// What this crate says as a client to these frames, and as a server to the same ones.
    pub(crate) fn verdicts(&self) -> String {
        let [client, server] =
            [(Role::Client, Role::Server), (Role::Server, Role::Client)].map(|(role, sender)| {
                quoted(&verdict(role, ScriptedPeer::open(sender), &(self.2)(sender)))
            });
        format!(r#"{{"client":{client},"server":{server}}}"#)
    }
}

fn verdict(role: Role, mut peer: ScriptedPeer, frames: &[RawFrame]) -> String {
    let mut conn = deflating(role);
    for frame in frames {
        peer.send(frame);
    }
    let events = peer.exchange(&mut conn);
    let Some(Event::Closed(closed)) = events.last() else {
        return match events.is_empty() {
            true => "waits for the rest".into(),
            false => format!("accepts it: {events:?}"),
        };
    };
    let code = closed.sent_code().map_or("nothing".into(), |code| code.to_string());
    match closed.cause() {
        CloseCause::Protocol(error) => {
            format!("{error} ({}); answers with {code}", error.rfc_section())
        }
        _ => format!("closes with {}; answers with {code}", closed.code()),
    }
}

fn deflating(role: Role) -> Connection {
    let config = Config::builder().deflate(Deflate::default()).max_outgoing_bytes(32 << 20);
    let upgrade = Upgrade::new(role).deflate(DeflateParams::default());
    Connection::from_upgrade(upgrade, config.build().expect("these settings are allowed"))
        .expect("the operating system has entropy")
}

/// A small frame with a message that is larger than the limit.
fn bomb() -> RawFrame {
    let mut conn = deflating(Role::Server);
    conn.send(vec![0; 17 << 20]).expect("17 MiB are below the limit of the queue");
    let bytes: Vec<u8> = conn.outgoing_chunks().flatten().copied().collect();
    RawFrame::decode(&bytes).expect("the frame is whole").0.mask(Mask::ByRole)
}
