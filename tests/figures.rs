//! The figures of the guide. Those of the phases and events are drawn from what connections do: the public interface is
//! explored, and each arrow between two phases that was seen is in the figure.
//!
//! `UPDATE_FIGURES=1 cargo test --test figures` draws them anew.

#[path = "figures/draw.rs"]
mod draw;
#[path = "figures/explore.rs"]
mod explore;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fs};

use draw::Drawing;
use explore::{QUESTIONS, ROWS, Seen, explore};
use websocket_proto::{Role, State};

const STATES: [State; 4] = [State::Connecting, State::Open, State::Closing, State::Closed];

#[test]
fn the_figures_show_what_the_code_does() {
    let (server, client) = (explore(Role::Server), explore(Role::Client));
    let figures = [
        ("data-flow.svg", data_flow()),
        ("phases-server.svg", phases(Role::Server, &server)),
        ("phases-client.svg", phases(Role::Client, &client)),
        ("events.svg", events(&server, &client)),
    ];
    let mut stale = Vec::new();
    for (name, figure) in figures {
        let path = root().join("docs/figures").join(name);
        if env::var_os("UPDATE_FIGURES").is_some() {
            fs::write(&path, figure).expect("the figure can be written");
        } else if fs::read_to_string(&path).ok().as_deref() != Some(&figure) {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "run this test with UPDATE_FIGURES=1: out of date are {stale:?}");
}

#[test]
fn each_phase_and_each_event_of_the_sources_is_explored() {
    let seen = [explore(Role::Server), explore(Role::Client)];
    let phases: BTreeSet<&String> = seen.iter().flat_map(|seen| seen.phases.keys()).collect();
    assert_eq!(phases, all_phases().iter().collect());
    let events = seen.iter().flat_map(|seen| &seen.events).map(|(name, _)| name);
    assert_eq!(events.collect::<BTreeSet<_>>(), all_events().iter().collect());
}

#[test]
fn each_call_of_the_data_flow_is_public() {
    let interface = read("tests/public_api/interface.txt");
    for name in FLOW.iter().flat_map(|(_, calls)| calls.split(", ")) {
        let (name, _) = name.split_once('(').expect("a call");
        let is_function =
            ["(", "<"].iter().any(|end| interface.contains(&format!("::{name}{end}")));
        assert!(is_function, "no public function is called {name}");
    }
}

/// The names of the variants of an enum, in the order of the sources.
fn variants(file: &str, start: &str) -> Vec<String> {
    let text = read(file);
    let (_, rest) = text.split_once(start).expect("the enum is in this file");
    let (body, _) = rest.split_once("\n}").expect("the enum ends");
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    let lines = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    lines.filter_map(|line| Some(line.split(['(', ',', ' ']).next()?.to_owned())).collect()
}

fn all_phases() -> Vec<String> {
    variants("src/connection/phase.rs", "pub(super) enum Phase {")
}

fn all_events() -> Vec<String> {
    variants("src/event.rs", "pub enum Event<'a> {")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The calls of the figure of the data flow: where they stand, and the call.
const FLOW: [(Place, &str); 12] = [
    (Place::In, "receive(&mut input)"),
    (Place::In, "receive_from(&mut buffer)"),
    (Place::Program, "accept(), respond()"),
    (Place::Program, "send(message)"),
    (Place::Program, "ping(), close(), fail()"),
    (Place::Out, "outgoing_slices()"),
    (Place::Out, "take_outgoing()"),
    (Place::Out, "advance(n)"),
    (Place::Time, "tick(now)"),
    (Place::End, "receive_eof(), abort()"),
    (Place::End, "wants_shutdown()"),
    (Place::End, "write_closed()"),
];

#[derive(Clone, Copy, PartialEq)]
enum Place {
    In,
    Program,
    Out,
    Time,
    End,
}

/// What goes into a connection and what comes out.
fn data_flow() -> String {
    let mut svg = Drawing::new(
        920,
        432,
        "Bytes from the transport go into receive, and events come out for the program. Messages of the program go into \
         send, and outgoing bytes come out for the transport. The clock goes into tick, and the time of the next call \
         comes out.",
    );
    let calls = |svg: &mut Drawing, place, (x, y): (u32, u32)| {
        for (row, (_, call)) in FLOW.iter().filter(|(at, _)| *at == place).enumerate() {
            svg.text("code", "middle", (x, y + 18 * row as u32), call);
        }
    };
    svg.rect("box", (20, 40), (120, 290));
    svg.text("head", "middle", (80, 160), "transport");
    svg.text("soft", "middle", (80, 184), "TCP, TLS, a");
    svg.text("soft", "middle", (80, 202), "stream of HTTP/2");
    svg.rect("band1", (350, 40), (230, 290));
    svg.text("head", "middle", (465, 66), "Connection");
    svg.text("soft", "middle", (465, 114), "receiver: bytes to events");
    svg.text("soft", "middle", (465, 178), "phase, limits, timers,");
    svg.text("soft", "middle", (465, 196), "pongs, the answer to Close");
    svg.text("soft", "middle", (465, 264), "queue: messages to bytes");
    svg.rect("box", (780, 40), (120, 290));
    svg.text("head", "middle", (840, 184), "your program");
    // Into the connection.
    calls(&mut svg, Place::In, (245, 82));
    svg.arrow(&[(140, 110), (350, 110)]);
    svg.text("soft", "middle", (245, 130), "bytes that you have read");
    svg.text("soft", "middle", (680, 100), "Option<Event>");
    svg.arrow(&[(580, 110), (780, 110)]);
    svg.text("soft", "middle", (680, 130), "borrows from the bytes read");
    // Out of the connection.
    calls(&mut svg, Place::Program, (680, 214));
    svg.arrow(&[(780, 260), (580, 260)]);
    svg.text("soft", "middle", (680, 280), "messages and decisions");
    calls(&mut svg, Place::Out, (245, 214));
    svg.arrow(&[(350, 260), (140, 260)]);
    svg.text("soft", "middle", (245, 280), "bytes that you write");
    // The ends of the transport.
    calls(&mut svg, Place::End, (222, 352));
    svg.arrow(&[(80, 330), (80, 400), (365, 400), (365, 330)]);
    // Time.
    svg.rect("box", (410, 385), (110, 34));
    svg.text("head", "middle", (465, 407), "your clock");
    svg.arrow(&[(445, 385), (445, 330)]);
    svg.arrow(&[(485, 330), (485, 385)]);
    calls(&mut svg, Place::Time, (405, 362));
    svg.text("soft", "start", (495, 362), "when to call it again");
    svg.finish()
}

/// The phases as columns, and what leads from one to another as rows.
fn phases(role: Role, seen: &Seen) -> String {
    let all = all_phases();
    let columns: Vec<&str> =
        all.iter().map(String::as_str).filter(|name| seen.phases.contains_key(*name)).collect();
    let (left, width, top, step) = (300, 104, 64, 26);
    let x = |name: &str| {
        let column = columns.iter().position(|seen| *seen == name).expect("a phase of this role");
        left + width * column as u32 + width / 2
    };
    // The lines of a row: the target, and the sources.
    let mut rows: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for (text, ..) in ROWS {
        let mut targets: BTreeMap<u32, (&str, Vec<&str>)> = BTreeMap::new();
        for (from, to, row) in &seen.arrows {
            if *row == text {
                targets.entry(x(to)).or_insert((to, Vec::new())).1.push(from);
            }
        }
        rows.extend(targets.into_values().map(|(to, from)| (text, to, from)));
    }
    let lanes = top + 44 + step * rows.len() as u32;
    let height = lanes + 24 + 22 * QUESTIONS.len() as u32 + 34;
    let total = left + width * columns.len() as u32 + 16;
    let title =
        format!("The phases of a {role:?}'s connection, and what leads from one to another");
    let mut svg = Drawing::new(total, height, &title.to_lowercase());
    // The state of each phase.
    for (number, state) in STATES.iter().enumerate() {
        let of_state: Vec<u32> = columns
            .iter()
            .filter(|name| seen.phases[**name].0 == *state)
            .map(|name| x(name))
            .collect();
        let (first, last) = (of_state[0], of_state[of_state.len() - 1]);
        svg.rect(
            &format!("band{number}"),
            (first - width / 2 + 2, 12),
            (last - first + width - 4, height - 24),
        );
        svg.text("head", "middle", ((first + last) / 2, 32), &format!("{state:?}"));
    }
    for name in &columns {
        svg.text("code", "middle", (x(name), top - 8), name);
        svg.line((x(name), top), (x(name), lanes));
    }
    let mut last = "";
    for (number, (text, to, from)) in rows.iter().enumerate() {
        let y = top + 30 + step * number as u32;
        if *text != last {
            svg.text("", "end", (left - 12, y + 4), text);
            last = text;
        }
        let to = x(to);
        for from in from.iter().map(|name| x(name)) {
            let reach = if from < to { to - 2 } else { to + 2 };
            svg.arrow(&[(from, y), (reach, y)]);
            svg.dot((from, y));
        }
    }
    for (number, question) in QUESTIONS.iter().enumerate() {
        let y = lanes + 24 + 22 * number as u32;
        svg.text("code", "end", (left - 12, y + 4), &format!("{question}()"));
        for name in &columns {
            let answers = seen.phases[*name].1[number];
            let text = match (answers.yes, answers.no) {
                (true, true) => "depends",
                (true, false) => "yes",
                _ => "no",
            };
            svg.text("soft", "middle", (x(name), y + 4), text);
        }
    }
    svg.finish()
}

/// Which events a connection returns, by role and state.
fn events(server: &Seen, client: &Seen) -> String {
    let order = all_events();
    let (left, width, step, top) = (170, 92, 28, 84);
    let height = top + step * order.len() as u32 + 46;
    let total = left + width * 6 + 40;
    let mut svg =
        Drawing::new(total, height, "the events of each role, and the states in which they come");
    let states = &STATES[..3];
    for (half, (role, seen)) in [("server", server), ("client", client)].into_iter().enumerate() {
        let start = left + half as u32 * (width * 3 + 16);
        svg.text("head", "middle", (start + width * 3 / 2, 30), role);
        for (number, state) in states.iter().enumerate() {
            let x = start + width * number as u32;
            svg.rect(&format!("band{number}"), (x + 2, 40), (width - 4, height - 76));
            svg.text("", "middle", (x + width / 2, 60), &format!("{state:?}"));
            for (row, name) in order.iter().enumerate() {
                let at = (x + width / 2, top + step * row as u32);
                if seen.events.contains(&(name.clone(), *state)) {
                    svg.dot(at);
                }
            }
        }
        // `Closed` can also be taken when the state is closed already.
        let late: Vec<&str> = seen
            .events
            .iter()
            .filter(|(_, state)| *state == State::Closed)
            .map(|(name, _)| &**name)
            .collect();
        assert_eq!(late, ["Closed"], "in the closed state comes the last event alone");
    }
    for (row, name) in order.iter().enumerate() {
        svg.text("code", "start", (16, top + 4 + step * row as u32), &format!("Event::{name}"));
    }
    svg.text(
        "soft",
        "start",
        (16, height - 12),
        "The state is that before the event was taken. Closed is also the only event in the closed state.",
    );
    svg.finish()
}
