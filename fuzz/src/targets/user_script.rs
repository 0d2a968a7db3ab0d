//! The public `testing::Script`, as users fuzz with it: the promises that it checks hold on any configuration, and what comes of
//! a script does not depend on how its frames are cut.

use arbitrary::{Arbitrary, Unstructured};
use websocket_proto::testing::{Run, Script, Step};
use websocket_proto::{Config, Delivery};

/// The configuration, then the script.
pub fn user_script(data: &[u8]) {
    let mut source = Unstructured::new(data);
    let (Ok(config), Ok(mut script)) =
        (Config::arbitrary(&mut source), Script::arbitrary(&mut source))
    else {
        return;
    };
    let cut = run(&script, &config);
    for step in &mut script.steps {
        if let Step::Frame(_, most) = step {
            *most = usize::MAX;
        }
    }
    let whole = run(&script, &config);
    assert_eq!(cut.results, whole.results);
    assert!(cut.output == whole.output, "the output depends on the cut");
    if config.delivery == Delivery::Messages {
        assert_eq!(format!("{:?}", cut.events), format!("{:?}", whole.events));
    }
}

fn run(script: &Script, config: &Config) -> Run {
    script.run(config.clone()).unwrap_or_else(|broken| panic!("{broken}"))
}
