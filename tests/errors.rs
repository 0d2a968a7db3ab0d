//! What a program makes of an error: its text, and the `std::io::Error` that it becomes behind a `?`.
#![cfg(feature = "std")]

use std::collections::BTreeSet;
use std::io::{Error, ErrorKind};

use websocket_proto::{
    CloseCode, EntropyError, HandshakeError, Message, OriginPolicy, State, Uri, UriError,
    UsageError,
};

/// Each error of a call, and the kind that it becomes.
fn usage_errors() -> Vec<(UsageError, ErrorKind)> {
    vec![
        (UsageError::NotOpen(State::Closing), ErrorKind::NotConnected),
        (UsageError::NoRequestPending, ErrorKind::InvalidInput),
        (UsageError::ControlTooLong { len: 126 }, ErrorKind::InvalidInput),
        (UsageError::CloseReasonTooLong { len: 124 }, ErrorKind::InvalidInput),
        (UsageError::CloseCodeNotSendable(CloseCode::ABNORMAL), ErrorKind::InvalidInput),
        (UsageError::BufferFull { needed: 5, limit: 4 }, ErrorKind::QuotaExceeded),
        (UsageError::MessageUnfinished, ErrorKind::InvalidInput),
        (UsageError::FragmentKindChanged, ErrorKind::InvalidInput),
        (UsageError::FragmentCompressionChanged, ErrorKind::InvalidInput),
        (UsageError::InvalidUtf8, ErrorKind::InvalidInput),
        (UsageError::Uri(UriError::Scheme), ErrorKind::InvalidInput),
        (UsageError::InvalidHeaderName, ErrorKind::InvalidInput),
        (UsageError::InvalidHeaderValue, ErrorKind::InvalidInput),
        (UsageError::ReservedHeader, ErrorKind::InvalidInput),
        (UsageError::InvalidSubprotocol, ErrorKind::InvalidInput),
        (UsageError::DuplicateSubprotocol, ErrorKind::InvalidInput),
        (UsageError::SubprotocolNotOffered, ErrorKind::InvalidInput),
        (UsageError::InvalidStatus(199), ErrorKind::InvalidInput),
        (UsageError::Entropy(EntropyError), ErrorKind::Other),
    ]
}

#[test]
fn usage_error_has_a_text_of_its_own_and_becomes_an_io_error_of_its_kind() {
    let mut texts = BTreeSet::new();
    for (error, kind) in usage_errors() {
        let text = error.to_string();
        assert!(!text.is_empty() && texts.insert(text.clone()), "{error:?}: {text}");
        let io = Error::from(error);
        assert_eq!((io.kind(), io.to_string()), (kind, text), "{error:?}");
    }
}

#[test]
fn other_errors_become_io_errors_with_their_text() {
    let rows = [
        (Error::from(UriError::Scheme), ErrorKind::InvalidInput, UriError::Scheme.to_string()),
        (Error::from(EntropyError), ErrorKind::Other, EntropyError.to_string()),
        (
            Error::from(HandshakeError::MissingHost),
            ErrorKind::InvalidData,
            HandshakeError::MissingHost.to_string(),
        ),
    ];
    for (io, kind, text) in rows {
        assert!(!text.is_empty());
        assert_eq!((io.kind(), io.to_string()), (kind, text));
    }
}

#[test]
fn states_and_errors_of_arguments_have_texts_of_their_own() {
    let states = [State::Connecting, State::Open, State::Closing, State::Closed];
    let mut texts: BTreeSet<String> = states.iter().map(State::to_string).collect();
    let uris = ["", "ws:///", "ws://h:x", "ws://u@h", "ws://h#", "ws://h ", "ws://h/%"];
    texts.extend(uris.map(|uri| Uri::parse(uri).expect_err("it is no URI").to_string()));
    let error = OriginPolicy::new(["https://h", "no origin"]).expect_err("the second is none");
    assert!(error.to_string().contains('1'), "{error}: it is counted from 0");
    texts.insert(error.to_string());
    assert_eq!(texts.len(), states.len() + uris.len() + 1, "{texts:?}");
    assert!(!texts.contains(""));
}

#[test]
fn message_is_empty_if_its_payload_is() {
    for payload in ["", "x", "\0"] {
        for message in [Message::from(payload), Message::from(payload.as_bytes())] {
            assert_eq!(message.is_empty(), payload.is_empty(), "{message:?}");
        }
    }
}
