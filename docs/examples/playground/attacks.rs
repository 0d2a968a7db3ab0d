//! What this crate says to violations of the protocol. The page has the list of them, as bytes.

use websocket_proto::handshake::accept_key;
use websocket_proto::testing::ScriptedPeer;
use websocket_proto::{ClientRequest, CloseCause, Config, Connection, Deflate, Event, Role};

/// The bytes with the accept value that belongs to the key, where they ask for it.
pub(crate) fn with_accept(script: &[u8], key: &[u8]) -> Vec<u8> {
    const PLACE: &[u8] = b"{accept}";
    match script.windows(PLACE.len()).position(|window| window == PLACE) {
        Some(at) => [&script[..at], &accept_key(key), &script[at + PLACE.len()..]].concat(),
        None => script.to_vec(),
    }
}

/// What this crate says in this role to a peer that sends these bytes: the opening handshake, and frames.
pub(crate) fn verdict(role: Role, script: &[u8]) -> String {
    let config = Config::builder().deflate(Deflate::default()).build().expect("allowed settings");
    let (mut conn, mut peer) = match role {
        Role::Server => (Connection::server(config), ScriptedPeer::new(Role::Client)),
        Role::Client => {
            let request = ClientRequest::new("ws://localhost/ws").expect("a valid URI");
            let conn = Connection::client(&request, config).expect("the system has entropy");
            (conn, ScriptedPeer::new(Role::Server))
        }
    };
    peer.exchange(&mut conn);
    let key =
        peer.head().and_then(|head| head.split("Sec-WebSocket-Key: ").nth(1)?.split('\r').next());
    let script = with_accept(script, key.unwrap_or_default().as_bytes());
    let events = peer.send_bytes(&script).exchange(&mut conn);
    let closed = match events.last() {
        Some(Event::Closed(closed)) => closed,
        Some(Event::Open(_) | Event::UpgradeRequest(_)) => return "waits for the rest".into(),
        _ => return format!("accepts it: {events:?}"),
    };
    let status = closed.response().map(|response| response.status().to_string());
    let answer = status.or(closed.sent_code().map(|code| code.to_string()));
    let answer = format!("answers with {}", answer.unwrap_or("nothing".into()));
    match closed.cause() {
        CloseCause::Protocol(error) => format!("{error} ({}); {answer}", error.rfc_section()),
        _ => format!("closes with {}; {answer}", closed.code()),
    }
}
