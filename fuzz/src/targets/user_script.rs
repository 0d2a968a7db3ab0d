//! The public `testing::Script`, as users fuzz with it. Its promises hold for any configuration. The outcome of a
//! script depends neither on the cut of its frames, nor on a read buffer, nor on recycling, nor on `is_event_ready`.

use arbitrary::{Arbitrary, Unstructured};
use websocket_proto::testing::{Run, Script, Step};
use websocket_proto::{Config, Delivery, Event};

/// The input is the configuration, then the script.
pub fn user_script(data: &[u8]) {
    let mut source = Unstructured::new(data);
    let (Ok(config), Ok(mut script)) =
        (Config::arbitrary(&mut source), Script::arbitrary(&mut source))
    else {
        return;
    };
    // A step without effect, in whose place others come.
    script.steps.insert(0, Step::Receive(Vec::new()));
    let run = run(&script, &config);
    let mut whole = script.clone();
    for step in &mut whole.steps {
        if let Step::Frame(_, most) = step {
            *most = usize::MAX;
        }
    }
    same(&run, &whole, &config);
    for capacity in [13, 16 * 1024] {
        let mut asking = script.clone();
        asking.read_buffer = Some(capacity);
        asking.steps[0] = Step::AskFirst;
        same(&run, &asking, &config);
    }
    let mut other = script;
    other.read_buffer = match other.read_buffer {
        Some(_) => None,
        None => Some(16 * 1024),
    };
    other.recycle = !other.recycle;
    same(&run, &other, &config);
}

fn run(script: &Script, config: &Config) -> Run {
    script.run(config.clone()).unwrap_or_else(|broken| panic!("{broken}"))
}

/// Checks that another script has the same outcome.
fn same(expected: &Run, script: &Script, config: &Config) {
    let run = run(script, config);
    assert_eq!(expected.results, run.results);
    assert!(expected.output == run.output, "the output differs");
    // The cut decides which bytes a chunk has.
    if config.delivery() == Delivery::Messages {
        let [expected, run] = [expected, &run].map(|run| run.events.iter().map(told));
        assert!(expected.clone().eq(run.clone()), "{:?}", expected.zip(run).find(|(a, b)| a != b));
    }
}

/// The step, the event, and the payload, which `Debug` does not show.
fn told<'a>((index, event): &'a (usize, Event<'static>)) -> (usize, String, &'a [u8]) {
    let payload = match event {
        Event::Message(message) => message.as_bytes(),
        Event::Ping(payload) | Event::Pong(payload) => payload,
        _ => &[],
    };
    (*index, format!("{event:?}"), payload)
}
