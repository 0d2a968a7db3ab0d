//! The settings: their defaults are those of the page docs/settings.md, setters and getters agree, and `build` refuses
//! each value that is not allowed, and no other one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use websocket_proto::ConfigError::{self, *};
use websocket_proto::{Config, ConfigBuilder, Delivery, Entropy};

const HOUR: Duration = Duration::from_secs(3600);
const MS: Duration = Duration::from_millis(1);
const NS: Duration = Duration::from_nanos(1);

/// The fields of a configuration as `Debug` shows them.
fn fields(config: &Config) -> BTreeMap<String, String> {
    let text = format!("{config:#?}");
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("    ")) {
        match line.split_once(": ") {
            Some((name, value)) if !name.starts_with(' ') => {
                last = name.to_owned();
                fields.insert(last.clone(), value.trim_end_matches(',').to_owned());
            }
            _ => *fields.get_mut(&last).expect("a field comes first") += line.trim(),
        }
    }
    fields
}

/// A setting, changed from its default: its name, what its setter makes, and what its getter returns as `Debug` shows
/// it.
type Changed = (&'static str, ConfigBuilder, fn(&Config) -> String, String);

macro_rules! changed {
    ($($name:ident: $value:expr => $got:expr;)*) => {
        vec![$((
            stringify!($name),
            needed(stringify!($name)).$name($value),
            (|config| format!("{:?}", config.$name())) as fn(&Config) -> String,
            format!("{:?}", $got),
        )),*]
    };
}

/// A builder with what this setting needs.
fn needed(name: &str) -> ConfigBuilder {
    match name {
        "pong_timeout" | "measure_round_trip" => Config::builder().keepalive_interval(MS),
        _ => Config::builder(),
    }
}

/// Each setting with another value than its default.
fn changed() -> Vec<Changed> {
    #[allow(unused_mut, reason = "without the feature `deflate` nothing is added")]
    let mut changed = changed! {
        delivery: Delivery::Chunks => Delivery::Chunks;
        max_head_bytes: 1 => 1;
        max_headers: 2 => 2;
        max_early_bytes: 3 => 3;
        max_refusal_body_bytes: 4 => 4;
        max_frame_bytes: 5 => 5;
        max_message_bytes: 6 => 6;
        max_fragments: 7 => 7;
        max_outgoing_bytes: 80_000 => 80_000;
        max_outgoing_frame_bytes: 8 => 8;
        high_water_bytes: 90_000 => 90_000;
        low_water_bytes: 10 => 10;
        max_queued_pongs: 11 => 11;
        handshake_timeout: Duration::from_secs(12) => Some(Duration::from_secs(12));
        handshake_timeout: None => None::<Duration>;
        close_timeout: Duration::from_secs(13) => Some(Duration::from_secs(13));
        close_timeout: None => None::<Duration>;
        idle_timeout: Duration::from_secs(14) => Some(Duration::from_secs(14));
        keepalive_interval: Duration::from_secs(15) => Some(Duration::from_secs(15));
        keepalive_interval: Some(Duration::from_secs(15)) => Some(Duration::from_secs(15));
        pong_timeout: Duration::from_secs(18) => Some(Duration::from_secs(18));
        measure_round_trip: true => true;
        count_traffic: true => true;
        release_after: Duration::from_secs(16) => Duration::from_secs(16);
        stream_refusal_body: true => true;
        require_subprotocol: true => true;
        accept_unmasked_frames: true => true;
        answer_pings: false => false;
        answer_close: false => false;
        entropy: Entropy::Seed(17) => Entropy::Seed(17);
    };
    #[cfg(feature = "deflate")]
    changed.extend(changed! {
        deflate: websocket_proto::Deflate::default() => Some(websocket_proto::Deflate::default());
    });
    changed
}

#[test]
fn each_getter_returns_what_its_setter_got_and_no_other_setting_changes() {
    let defaults = fields(&Config::default());
    let mut names = BTreeSet::new();
    for (name, builder, get, value) in changed() {
        let config = builder.build().expect(name);
        assert_eq!(get(&config), value, "{name}");
        assert_ne!(get(&Config::default()), value, "{name}: the row must change the default");
        let config_fields = fields(&config);
        let base = fields(&needed(name).build().expect(name));
        let differing: Vec<_> =
            base.keys().filter(|name| config_fields[*name] != base[*name]).collect();
        assert_eq!(differing, [name]);
        // The values stay through `to_builder`.
        let again = config.to_builder().build().expect(name);
        assert_eq!(format!("{again:?}"), format!("{config:?}"));
        names.insert(name.to_owned());
    }
    assert_eq!(names, defaults.into_keys().collect(), "each setting has a row");
}

#[test]
fn the_page_of_settings_has_the_default_of_each_setting() {
    let kib = |bytes: u64| match bytes {
        bytes if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        bytes => format!("{} KiB", bytes as f64 / 1024.0),
    };
    let time = |time: Option<Duration>| match time {
        Some(time) => format!("{} s", time.as_secs_f64()),
        None => "`None`".to_owned(),
    };
    let config = Config::default();
    #[allow(unused_mut, reason = "without the feature `deflate` nothing is added")]
    let mut defaults = vec![
        ("delivery", format!("`{:?}`", config.delivery())),
        ("max_head_bytes", kib(config.max_head_bytes() as u64)),
        ("max_headers", config.max_headers().to_string()),
        ("max_early_bytes", kib(config.max_early_bytes() as u64)),
        ("max_refusal_body_bytes", kib(config.max_refusal_body_bytes() as u64)),
        ("stream_refusal_body", format!("`{}`", config.stream_refusal_body())),
        ("max_frame_bytes", kib(config.max_frame_bytes())),
        ("max_message_bytes", kib(config.max_message_bytes())),
        ("max_fragments", config.max_fragments().to_string()),
        ("max_outgoing_bytes", kib(config.max_outgoing_bytes())),
        (
            "max_outgoing_frame_bytes",
            match config.max_outgoing_frame_bytes() {
                usize::MAX => "no limit".to_owned(),
                bytes => kib(bytes as u64),
            },
        ),
        (
            "high_water_bytes",
            kib(config.high_water_bytes()) + ", or `max_outgoing_bytes` if that is less",
        ),
        (
            "low_water_bytes",
            kib(config.low_water_bytes()) + ", or `high_water_bytes` if that is less",
        ),
        ("max_queued_pongs", config.max_queued_pongs().to_string()),
        ("handshake_timeout", time(config.handshake_timeout())),
        ("close_timeout", time(config.close_timeout())),
        ("idle_timeout", time(config.idle_timeout())),
        ("keepalive_interval", time(config.keepalive_interval())),
        ("pong_timeout", time(config.pong_timeout())),
        ("measure_round_trip", format!("`{}`", config.measure_round_trip())),
        ("count_traffic", format!("`{}`", config.count_traffic())),
        ("release_after", time(Some(config.release_after()))),
        ("require_subprotocol", format!("`{}`", config.require_subprotocol())),
        ("accept_unmasked_frames", format!("`{}`", config.accept_unmasked_frames())),
        ("answer_pings", format!("`{}`", config.answer_pings())),
        ("answer_close", format!("`{}`", config.answer_close())),
        #[cfg(feature = "deflate")]
        ("deflate", format!("`{:?}`", config.deflate())),
        #[cfg(feature = "os-entropy")]
        ("entropy", format!("`{:?}`", config.entropy())),
    ];
    // The page is that of all features.
    #[cfg(not(feature = "deflate"))]
    defaults.push(("deflate", "`None`".to_owned()));
    #[cfg(not(feature = "os-entropy"))]
    defaults.push(("entropy", "`Os`".to_owned()));
    let rows: BTreeMap<&str, &str> = include_str!("../docs/settings.md")
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            Some((cells.next()?.strip_suffix('`')?, cells.next()?))
        })
        .collect();
    for (name, default) in &defaults {
        assert_eq!(rows.get(name), Some(&&default[..]), "docs/settings.md, {name}");
    }
    let names: BTreeSet<_> = defaults.iter().map(|(name, _)| *name).collect();
    assert_eq!(rows.into_keys().collect::<BTreeSet<_>>(), names, "rows of docs/settings.md");
}

/// The largest limit for the bytes of a buffer.
#[cfg(target_pointer_width = "32")]
const MOST: u32 = i32::MAX as u32 / 2;

#[test]
fn water_marks_that_are_not_set_follow_the_settings_above_them() {
    let new = Config::builder;
    let marks = |builder: ConfigBuilder| {
        let config = builder.build().expect("the marks follow");
        [config.low_water_bytes(), config.high_water_bytes()]
    };
    let all = 64 * 1024 * 1024;
    for (builder, expected) in [
        (new(), [16 * 1024, 64 * 1024]),
        (new().max_outgoing_bytes(64 * 1024 - 1), [16 * 1024, 64 * 1024 - 1]),
        (new().max_outgoing_bytes(1), [1, 1]),
        (new().high_water_bytes(1000), [1000, 1000]),
        (new().high_water_bytes(all), [16 * 1024, all]),
        (new().low_water_bytes(7), [7, 64 * 1024]),
        (new().high_water_bytes(9).low_water_bytes(0).max_outgoing_bytes(9), [0, 9]),
    ] {
        assert_eq!(marks(builder.clone()), expected);
        // A configuration that was built keeps its marks, and marks that were not set follow its changes.
        let config = builder.build().unwrap();
        assert_eq!(marks(config.to_builder()), expected);
        let raised = marks(config.to_builder().max_outgoing_bytes(all));
        let is_set = |mark: u64| [1000, all, 7, 9, 0].contains(&mark);
        if !expected.into_iter().any(is_set) {
            assert_eq!(raised, [16 * 1024, 64 * 1024]);
        }
    }
}

/// Wrong values with their errors, each with the nearest values that are allowed.
fn wrong() -> Vec<(ConfigBuilder, ConfigError, Vec<ConfigBuilder>)> {
    let new = Config::builder;
    let small = |setting, least| TooSmall { setting, value: 0, least };
    let short = |setting, value| TooShort { setting, value, least: MS };
    let marks = |low, high, most| {
        new().low_water_bytes(low).high_water_bytes(high).max_outgoing_bytes(most)
    };
    let late = |keepalive_interval, idle_timeout| KeepaliveNotBelowIdle {
        keepalive_interval,
        idle_timeout,
    };
    let pings =
        |every: Duration, idle: Duration| new().keepalive_interval(every).idle_timeout(idle);
    #[allow(unused_mut, reason = "only some features and targets add rows")]
    let mut rows = vec![
        (new().max_head_bytes(0), small("max_head_bytes", 1), vec![new().max_head_bytes(1)]),
        (
            new().max_headers(0),
            small("max_headers", 1),
            vec![new().max_headers(1), new().max_headers(usize::MAX)],
        ),
        (
            new().max_frame_bytes(0),
            small("max_frame_bytes", 1),
            vec![new().max_frame_bytes(1), new().max_frame_bytes(u64::MAX)],
        ),
        (
            new().max_message_bytes(0),
            small("max_message_bytes", 1),
            vec![new().max_message_bytes(1)],
        ),
        (
            new().max_fragments(0),
            small("max_fragments", 1),
            vec![new().max_fragments(1), new().max_fragments(u32::MAX)],
        ),
        (
            marks(0, 0, 0),
            small("max_outgoing_bytes", 1),
            vec![marks(0, 0, 1), marks(0, 1, 1), marks(1, 1, 1)],
        ),
        (
            new().max_outgoing_frame_bytes(0),
            small("max_outgoing_frame_bytes", 1),
            vec![new().max_outgoing_frame_bytes(1), new().max_outgoing_frame_bytes(usize::MAX)],
        ),
        (
            new().max_queued_pongs(0),
            small("max_queued_pongs", 1),
            vec![new().max_queued_pongs(1), new().max_queued_pongs(255)],
        ),
        (
            new().handshake_timeout(Duration::ZERO),
            short("handshake_timeout", Duration::ZERO),
            vec![new().handshake_timeout(MS), new().handshake_timeout(None)],
        ),
        (
            new().handshake_timeout(MS - NS),
            short("handshake_timeout", MS - NS),
            vec![new().handshake_timeout(Duration::MAX)],
        ),
        (
            new().close_timeout(Duration::ZERO),
            short("close_timeout", Duration::ZERO),
            vec![new().close_timeout(MS), new().close_timeout(None)],
        ),
        (
            new().close_timeout(MS - NS),
            short("close_timeout", MS - NS),
            vec![new().close_timeout(Duration::MAX)],
        ),
        (
            new().idle_timeout(Duration::ZERO),
            short("idle_timeout", Duration::ZERO),
            vec![new().idle_timeout(MS), new().idle_timeout(None)],
        ),
        (
            new().idle_timeout(MS - NS),
            short("idle_timeout", MS - NS),
            vec![new().idle_timeout(Duration::MAX)],
        ),
        (
            new().keepalive_interval(Duration::ZERO),
            short("keepalive_interval", Duration::ZERO),
            vec![new().keepalive_interval(MS), new().keepalive_interval(None)],
        ),
        (
            new().keepalive_interval(MS - NS),
            short("keepalive_interval", MS - NS),
            vec![new().keepalive_interval(Duration::MAX)],
        ),
        (
            new().keepalive_interval(MS).pong_timeout(MS - NS),
            short("pong_timeout", MS - NS),
            vec![
                new().keepalive_interval(MS).pong_timeout(MS),
                new().keepalive_interval(HOUR).idle_timeout(HOUR + MS).pong_timeout(Duration::MAX),
            ],
        ),
        (
            new().idle_timeout(HOUR).pong_timeout(HOUR),
            NeedsKeepalive { setting: "pong_timeout" },
            vec![new().keepalive_interval(MS).idle_timeout(HOUR).pong_timeout(HOUR)],
        ),
        (
            new().measure_round_trip(true),
            NeedsKeepalive { setting: "measure_round_trip" },
            vec![new().keepalive_interval(MS).measure_round_trip(true)],
        ),
        (
            new().release_after(HOUR + NS),
            TooLong { setting: "release_after", value: HOUR + NS, most: HOUR },
            vec![new().release_after(HOUR), new().release_after(Duration::ZERO)],
        ),
        (
            marks(101, 100, 1000),
            LowAboveHighWater { low_water_bytes: 101, high_water_bytes: 100 },
            vec![marks(100, 100, 1000), marks(0, 100, 1000)],
        ),
        (
            new().low_water_bytes(1001).max_outgoing_bytes(1000),
            LowAboveHighWater { low_water_bytes: 1001, high_water_bytes: 1000 },
            vec![new().low_water_bytes(1000).max_outgoing_bytes(1000)],
        ),
        (
            marks(100, 1001, 1000),
            HighWaterAboveMax { high_water_bytes: 1001, max_outgoing_bytes: 1000 },
            vec![marks(100, 1000, 1000), marks(1000, 1000, 1000)],
        ),
        (
            new().high_water_bytes(1001).max_outgoing_bytes(1000),
            HighWaterAboveMax { high_water_bytes: 1001, max_outgoing_bytes: 1000 },
            vec![new().max_outgoing_bytes(1000)],
        ),
        (pings(HOUR, HOUR), late(HOUR, HOUR), vec![pings(HOUR - MS, HOUR)]),
        // The timers count whole milliseconds: the ping would be due at the same one as the end.
        (pings(HOUR - MS + NS, HOUR), late(HOUR - MS + NS, HOUR), vec![pings(HOUR - MS, HOUR)]),
        (pings(HOUR + NS, HOUR), late(HOUR + NS, HOUR), vec![pings(MS, MS + MS)]),
    ];
    #[cfg(feature = "deflate")]
    {
        use websocket_proto::{Deflate, DeflateParams};
        let deflate = |change: fn(&mut Deflate, u8), value| {
            let mut options = Deflate::default();
            change(&mut options, value);
            new().deflate(options)
        };
        type Row = (&'static str, fn(&mut Deflate, u8), u8, u8);
        let options: [Row; 6] = [
            ("Deflate::level", |options, value| options.level = value, 0, 9),
            ("Deflate::memory_level", |options, value| options.memory_level = value, 1, 9),
            (
                "Deflate::server_max_window_bits",
                |options, bits| options.server_max_window_bits = bits,
                9,
                15,
            ),
            (
                "Deflate::client_max_window_bits",
                |options, bits| options.client_max_window_bits = bits,
                9,
                15,
            ),
            (
                "Deflate::fallbacks",
                |options, bits| {
                    let offer =
                        DeflateParams { server_max_window_bits: bits, ..DeflateParams::default() };
                    options.fallbacks = vec![DeflateParams::default(), offer];
                },
                9,
                15,
            ),
            (
                "Deflate::fallbacks",
                |options, bits| {
                    let offer =
                        DeflateParams { client_max_window_bits: bits, ..DeflateParams::default() };
                    options.fallbacks = vec![offer, DeflateParams::default()];
                },
                9,
                15,
            ),
        ];
        for (setting, change, least, most) in options {
            let all = (least..=most).map(|value| deflate(change, value)).collect();
            for value in 0..least {
                let error = TooSmall { setting, value: value.into(), least: least.into() };
                rows.push((deflate(change, value), error, vec![]));
            }
            for value in most + 1..=255 {
                let error = TooLarge { setting, value: value.into(), most: most.into() };
                rows.push((deflate(change, value), error, vec![]));
            }
            let error = TooLarge { setting, value: 255, most: most.into() };
            rows.push((deflate(change, 255), error, all));
        }
        let offer = |change: fn(&mut DeflateParams)| {
            let mut offer = DeflateParams::default();
            change(&mut offer);
            vec![DeflateParams::default(), offer]
        };
        let anew = offer(|offer| offer.server_no_context_takeover = true);
        let hinted = offer(|offer| offer.client_max_window_bits = 14);
        let mut keeps = Deflate::default();
        keeps.refuse_server_no_context_takeover = true;
        keeps.client_no_context_takeover = true;
        let mut silent = Deflate::default();
        silent.offer_client_max_window_bits = false;
        silent.client_max_window_bits = 10;
        let (mut anew_at_once, mut keeps_but, mut silent_but) =
            (keeps.clone(), keeps.clone(), silent.clone());
        anew_at_once.server_no_context_takeover = true;
        keeps_but.fallbacks = anew.clone();
        silent_but.fallbacks = hinted.clone();
        let refuse = "Deflate::refuse_server_no_context_takeover";
        for (wrong, setting, other) in [
            (anew_at_once, refuse, "Deflate::server_no_context_takeover"),
            (keeps_but, refuse, "Deflate::fallbacks"),
            (silent_but, "Deflate::offer_client_max_window_bits", "Deflate::fallbacks"),
        ] {
            let mut near = [keeps.clone(), silent.clone(), Deflate::default()];
            near[0].fallbacks = hinted.clone();
            near[1].fallbacks = anew.clone();
            near[2].fallbacks = [&anew[..], &hinted[..]].concat();
            let near = near.map(|options| new().deflate(options)).to_vec();
            rows.push((new().deflate(wrong), Contradiction { setting, other }, near));
        }
    }
    #[cfg(target_pointer_width = "32")]
    {
        type Row = (&'static str, fn(ConfigBuilder, u32) -> ConfigBuilder);
        let buffers: [Row; 5] = [
            ("max_head_bytes", |new, bytes| new.max_head_bytes(bytes as usize)),
            ("max_early_bytes", |new, bytes| new.max_early_bytes(bytes as usize)),
            ("max_refusal_body_bytes", |new, bytes| new.max_refusal_body_bytes(bytes as usize)),
            ("max_message_bytes", |new, bytes| new.max_message_bytes(bytes.into())),
            ("max_outgoing_bytes", |new, bytes| new.max_outgoing_bytes(bytes.into())),
        ];
        for (setting, set) in buffers {
            for value in [MOST + 1, u32::MAX] {
                let error = TooLarge { setting, value: value.into(), most: MOST.into() };
                rows.push((set(new(), value), error, vec![set(new(), MOST)]));
            }
        }
    }
    rows
}

#[test]
fn a_value_that_is_not_allowed_is_named_and_the_nearest_others_are_allowed() {
    for (wrong, error, allowed) in wrong() {
        assert_eq!(wrong.clone().build().err(), Some(error), "{wrong:?}");
        for allowed in allowed {
            assert_eq!(allowed.clone().build().err(), None, "{allowed:?}, near {error:?}");
        }
    }
}

#[test]
fn useful_zeros_and_loose_limits_are_allowed() {
    let new = Config::builder;
    for allowed in [
        new(),
        new().max_early_bytes(0),
        new().max_refusal_body_bytes(0),
        new().low_water_bytes(0),
        new().low_water_bytes(0).high_water_bytes(0),
        new().release_after(Duration::ZERO),
        // A frame limit above the message limit is only loose, and so is a message limit above the queue's.
        new().max_frame_bytes(1 << 40).max_message_bytes(1),
        new().max_message_bytes(1 << 29).max_outgoing_bytes(1 << 20),
        // What is not stored has no largest size.
        new().delivery(Delivery::Chunks).max_message_bytes(u64::MAX),
        new()
            .handshake_timeout(None)
            .close_timeout(None)
            .idle_timeout(None)
            .keepalive_interval(None),
        new().entropy(Entropy::None),
    ] {
        assert_eq!(allowed.clone().build().err(), None, "{allowed:?}");
    }
}

#[cfg(target_pointer_width = "64")]
#[test]
fn on_64_bits_no_byte_limit_is_too_large() {
    let config = Config::builder()
        .max_head_bytes(usize::MAX)
        .max_early_bytes(usize::MAX)
        .max_refusal_body_bytes(usize::MAX)
        .max_message_bytes(u64::MAX)
        .max_outgoing_bytes(u64::MAX)
        .high_water_bytes(u64::MAX)
        .low_water_bytes(u64::MAX);
    assert_eq!(config.build().err(), None);
}

#[test]
fn an_error_says_what_was_seen_and_what_is_allowed() {
    let ms = Duration::from_millis;
    for (error, text) in [
        (
            TooSmall { setting: "max_headers", value: 0, least: 1 },
            "max_headers is 0, the least is 1",
        ),
        (
            TooLarge { setting: "Deflate::level", value: 10, most: 9 },
            "Deflate::level is 10, the most is 9",
        ),
        (
            TooShort { setting: "idle_timeout", value: Duration::ZERO, least: MS },
            "idle_timeout is 0ns, the least is 1ms",
        ),
        (
            TooLong { setting: "release_after", value: HOUR + HOUR, most: HOUR },
            "release_after is 7200s, the most is 3600s",
        ),
        (
            LowAboveHighWater { low_water_bytes: 2, high_water_bytes: 1 },
            "low_water_bytes is 2, it must be at most high_water_bytes, which is 1",
        ),
        (
            HighWaterAboveMax { high_water_bytes: 2, max_outgoing_bytes: 1 },
            "high_water_bytes is 2, it must be at most max_outgoing_bytes, which is 1",
        ),
        (
            Contradiction { setting: "Deflate::a", other: "Deflate::b" },
            "Deflate::a contradicts Deflate::b",
        ),
        (
            KeepaliveNotBelowIdle { keepalive_interval: ms(20), idle_timeout: ms(10) },
            "keepalive_interval is 20ms, it must be at least 1 ms below idle_timeout, which is 10ms",
        ),
        (
            NeedsKeepalive { setting: "pong_timeout" },
            "pong_timeout needs keepalive_interval, which is None",
        ),
    ] {
        assert_eq!(error.to_string(), text);
        #[cfg(feature = "std")]
        {
            let converted = std::io::Error::from(error);
            assert_eq!(converted.kind(), std::io::ErrorKind::InvalidInput);
            let inner = converted.get_ref().and_then(|inner| inner.downcast_ref::<ConfigError>());
            assert_eq!(inner, Some(&error));
        }
    }
    fn is_small<T: Copy + Send + Sync + std::error::Error + 'static>() -> usize {
        size_of::<T>()
    }
    assert!(is_small::<ConfigError>() <= 56);
}
