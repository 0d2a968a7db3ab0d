//! Which public type has which trait. A type that loses one breaks its users, so each type and each trait is a row or a
//! word here, and the compiler checks it.

use std::error::Error;
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::panic::{RefUnwindSafe, UnwindSafe};

use tokio::net::TcpStream;
use websocket_proto::drive::Request;
#[cfg(feature = "std")]
use websocket_proto::drive::blocking;
use websocket_proto::drive::tokio::{Incoming, RecvHalf, SendHalf, WebSocket};
use websocket_proto::handshake::{
    Accepted, Agreed, ClientUpgrade, ExtendedConnect, Extension, ExtensionParam, ExtensionValue,
    Header, HeaderList, HeaderValue, Headers, HttpVersion, ParsedRequest, ProxyRequest,
    ProxyTunnel, RequestError,
};
use websocket_proto::{
    Accept, Chunk, ClientRequest, CloseCause, CloseCode, Closed, Config, ConfigBuilder,
    ConfigError, Connection, Counters, Cut, Delivery, Entropy, EntropyError, Event, FrameHeader,
    FramePayload, HandshakeError, Message, MessageKind, Opcode, OriginError, OriginPolicy,
    OutgoingChunks, PlainRequest, PreparedMessage, ProtocolError, RawHeader, ReadBuffer, Refusal,
    Response, Role, Segment, State, Timeout, Timestamp, Traffic, Upgrade, UpgradeRequest,
    UpgradeResponse, Uri, UriError, UsageError,
};
#[cfg(feature = "deflate")]
use websocket_proto::{Deflate, DeflateParams};

/// What each public type has: a value can go to another thread, stand in a pinned future, and be printed.
trait Everything: Send + Sync + Unpin + Debug {}
impl<T: Send + Sync + Unpin + Debug> Everything for T {}

/// What a value has that is only data: it can be copied, compared, used as a key, and kept after a panic.
trait Value: Everything + Clone + Eq + Hash + UnwindSafe + RefUnwindSafe {}
impl<T: Everything + Clone + Eq + Hash + UnwindSafe + RefUnwindSafe> Value for T {}

/// An error that `?` can box, also to another thread.
trait BoxableError: Value + Error + Display + 'static {}
impl<T: Value + Error + Display + 'static> BoxableError for T {}

/// Fails to compile if a type does not have the traits.
macro_rules! have {
    ($($types:ty),* $(,)?: $($traits:tt)*) => {
        const _: () = {
            const fn check<T: $($traits)*>() {}
            $(check::<$types>();)*
        };
    };
}

// What the caller makes and owns. A codec of zlib is not unwind safe.
have!(
    Connection, Config, Entropy, ReadBuffer, ProxyTunnel, PreparedMessage, Segment
    : Everything + 'static
);
have!(OutgoingChunks<'static>, Headers<'static>: Everything + Clone + UnwindSafe + RefUnwindSafe);
have!(ConfigBuilder: Everything + 'static);
have!(Config, ConfigBuilder, Entropy, PreparedMessage, Segment: Clone);
have!(
    Config, Entropy, ReadBuffer, ProxyTunnel, PreparedMessage, Segment
    : UnwindSafe + RefUnwindSafe
);

// What is received.
have!(Event<'static>, Message<'static>, Chunk<'static>, FramePayload<'static>, Closed: Value);
have!(UpgradeRequest<'static>, PlainRequest<'static>, UpgradeResponse<'static>, Refusal: Value);
have!(ParsedRequest: Value);

// The drivers. An error of the transport can be neither compared nor cloned.
have!(Request: Value);
have!(websocket_proto::drive::Error: Everything + Error + Display + 'static);
have!(
    WebSocket<TcpStream>, Incoming<TcpStream>, SendHalf<TcpStream>, RecvHalf<TcpStream>
    : Everything + 'static
);
#[cfg(feature = "std")]
have!(
    blocking::WebSocket<std::net::TcpStream>, blocking::Incoming<std::net::TcpStream>,
    blocking::SendHalf<std::net::TcpStream>, blocking::RecvHalf<std::net::TcpStream>
    : Everything + 'static
);
have!(websocket_proto::testing::LinkStream: Everything + 'static);

/// The futures can go to another thread if the transport can.
fn futures_are_send(
    ws: &mut WebSocket<TcpStream>,
    stream: TcpStream,
    request: &websocket_proto::ClientRequest,
) {
    fn check(_: impl Send) {}
    check(ws.recv());
    check(ws.recv_event());
    check(ws.send("x"));
    check(ws.feed("x"));
    check(ws.flush());
    check(ws.close(1000, ""));
    check(async {
        WebSocket::connect(stream, request, Config::default()).await?;
        Ok::<_, websocket_proto::drive::Error>(())
    });
}

fn handshakes_are_send(stream: TcpStream, incoming: Incoming<TcpStream>, accept: &Accept<'_>) {
    fn check(_: impl Send) {}
    check(WebSocket::accept(stream, Config::default()));
    check(incoming.accept(accept));
}

fn halves_are_send(sends: &mut SendHalf<TcpStream>, receives: &mut RecvHalf<TcpStream>) {
    fn check(_: impl Send) {}
    check(receives.recv());
    check(receives.recv_event());
    check(sends.send("x"));
    check(sends.feed("x"));
    check(sends.flush());
    check(sends.close(1000, ""));
}

#[test]
fn futures_of_the_driver_are_send() {
    // That these functions compile is the test.
    let _ = (futures_are_send as fn(_, _, _), handshakes_are_send as fn(_, _, _));
    let _ = halves_are_send as fn(_, _);
}

// Errors, and what can be shown as one.
have!(UsageError, ProtocolError, HandshakeError, ConfigError: BoxableError);
have!(UriError, OriginError, EntropyError: BoxableError);
have!(Closed, CloseCause, Timeout: BoxableError);
have!(UsageError, ConfigError, UriError, OriginError, EntropyError, Timeout: Copy);

// Small values.
have!(
    Role, State, MessageKind, Cut, Opcode, CloseCode, FrameHeader, RawHeader, Timestamp, HttpVersion
    : Value + Copy
);
have!(State, CloseCode, Timestamp, HttpVersion: Ord);
have!(State, CloseCode, HttpVersion, Uri: Display);
have!(Header<'static>: Value + Copy);
have!(Extension<'static>, ExtensionParam<'static>, ExtensionValue<'static>: Value + Copy);
have!(ExtensionValue<'static>: Display);
have!(HeaderList<'static>, HeaderValue<'static>: Value);
have!(Upgrade: Value + Copy);
have!(Counters, Traffic: Value + Copy + Default);
have!(Uri: Value);
#[cfg(feature = "std")]
have!(websocket_proto::Clock: Value + Copy);
have!(Agreed<'static>: Value + Copy);
have!(Delivery: Everything + Copy + Eq);
#[cfg(feature = "deflate")]
have!(DeflateParams: Value + Copy);
#[cfg(feature = "deflate")]
have!(Deflate: Value);

// What is made to be sent in an opening handshake.
have!(
    ClientRequest, Accept<'static>, Response, OriginPolicy, ProxyRequest, Accepted
    , ClientUpgrade, ExtendedConnect<'static>, RequestError: Value
);

// For tests.
#[cfg(feature = "testing")]
mod testing {
    use super::*;
    use websocket_proto::testing::{
        Arrival, Broken, ChunkSize, Endpoint, Length, Link, LinkEnd, Mask, Pair, RawFrame,
        RequestFlaw, ResponseFlaw, Run, Script, ScriptedPeer, Step, Wire, WriteFailed,
    };

    // They hold a closure of the test, which may share values with the test.
    have!(Endpoint, Pair: Unpin + Debug + 'static);
    have!(Link, LinkEnd<'static>, Run, Script, ScriptedPeer, Step, Wire: Everything + 'static);
    have!(Arrival, ChunkSize, Length, Mask, RawFrame: Everything + Clone + 'static);
    have!(RequestFlaw, ResponseFlaw: Everything + Clone + Eq + 'static);
    have!(Broken, WriteFailed: Everything + Error + 'static);
}
#[cfg(feature = "proptest")]
mod strategies {
    use super::*;
    use websocket_proto::strategies::{
        BadRequest, BadResponse, BadStream, Chunking, GoodRequest, GoodResponse, Payload,
        RequestFault, RequestVerdict, ResponseFault, Seen, Stream, Streams, Violation,
    };

    have!(
        BadRequest, BadResponse, BadStream, Chunking, GoodRequest, GoodResponse: Everything + Clone
    );
    have!(Payload, Seen: Everything + Clone + Eq);
    have!(
        RequestFault, RequestVerdict, ResponseFault, Stream, Streams, Violation: Everything + Clone
    );
}

/// The types that the library makes public in this file.
fn exported(file: &str) -> Vec<String> {
    let path = format!("{}/src/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the file is there");
    let is_type =
        |name: &&str| name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase);
    text.split("\npub use ")
        .skip(1)
        .filter_map(|rest| rest.split(';').next())
        .filter(|list| !list.starts_with("alloc::"))
        .flat_map(|list| list.split(|c: char| !c.is_alphanumeric() && c != '_').filter(is_type))
        .map(String::from)
        .collect()
}

#[test]
fn each_public_type_has_a_row() {
    let rows = include_str!("auto_traits.rs").split("have!(").skip(1);
    let rows: Vec<&str> = rows.filter_map(|row| row.split(": ").next()).collect();
    let rows = rows.join(" ");
    let words: Vec<&str> = rows.split(|c: char| !c.is_alphanumeric()).collect();
    let files = ["lib.rs", "handshake/mod.rs", "deflate.rs", "testing/mod.rs", "strategies/mod.rs"];
    for file in files {
        let names = exported(file);
        assert!(names.len() > 1, "{file}: {names:?}");
        for name in names {
            assert!(words.contains(&&name[..]), "{file}: {name} has no row");
        }
    }
}
