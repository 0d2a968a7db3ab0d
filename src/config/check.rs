//! Which values of a configuration are allowed, and the error that names a wrong one. The rest of the library relies on
//! these rules and checks nothing again.

use core::fmt;
use core::time::Duration;

use super::{Config, Delivery};
#[cfg(feature = "deflate")]
use crate::deflate::{Deflate, DeflateParams};
use crate::last_use;

/// The least time of timeouts and of the keepalive interval: the timers count milliseconds.
const LEAST_TIME: Duration = Duration::from_millis(1);

/// The most bytes of one buffer. On 32-bit targets it is 1 GiB less 1 byte: a buffer doubles when it grows, and a `Vec`
/// has at most `isize::MAX` bytes. On 64-bit targets memory ends long before.
const MOST_BUFFER_BYTES: u64 = match usize::BITS {
    64.. => u64::MAX,
    _ => isize::MAX as u64 / 2,
};

/// A setting of a [`Config`] whose value is not allowed, or two settings that contradict each other.
///
/// It is small, `Copy` and `'static`. With the feature `std` it converts into [`std::io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number is too small. Zero does not mean "no limit".
    TooSmall {
        /// The setting's name, such as `max_head_bytes` or `Deflate::level`.
        setting: &'static str,
        /// Its value.
        value: u64,
        /// The least value that is allowed.
        least: u64,
    },
    /// A number is too large.
    TooLarge {
        /// The setting's name, such as `max_outgoing_bytes` or `Deflate::level`.
        setting: &'static str,
        /// Its value.
        value: u64,
        /// The largest value that is allowed. For bytes of a buffer it depends on the target.
        most: u64,
    },
    /// A time is too short. `None` turns a timeout off.
    TooShort {
        /// The setting's name, such as `idle_timeout`.
        setting: &'static str,
        /// Its value.
        value: Duration,
        /// The shortest time that is allowed.
        least: Duration,
    },
    /// A time is too long.
    TooLong {
        /// The setting's name: `release_after`.
        setting: &'static str,
        /// Its value.
        value: Duration,
        /// The longest time that is allowed.
        most: Duration,
    },
    /// [`Config::low_water_bytes`] is above [`Config::high_water_bytes`]: congestion would end as it begins.
    LowAboveHighWater {
        /// [`Config::low_water_bytes`].
        low_water_bytes: u64,
        /// [`Config::high_water_bytes`].
        high_water_bytes: u64,
    },
    /// [`Config::high_water_bytes`] is above [`Config::max_outgoing_bytes`]: the connection would never be congested.
    HighWaterAboveMax {
        /// [`Config::high_water_bytes`].
        high_water_bytes: u64,
        /// [`Config::max_outgoing_bytes`].
        max_outgoing_bytes: u64,
    },
    /// Two options of [`Config::deflate`](crate::Config) contradict each other.
    Contradiction {
        /// The option's name, such as `Deflate::offer_client_max_window_bits`.
        setting: &'static str,
        /// The name of the other option, such as `Deflate::fallbacks`.
        other: &'static str,
    },
    /// [`Config::keepalive_interval`] is not below [`Config::idle_timeout`]: the ping would come too late.
    KeepaliveNotBelowIdle {
        /// [`Config::keepalive_interval`].
        keepalive_interval: Duration,
        /// [`Config::idle_timeout`].
        idle_timeout: Duration,
    },
    /// A setting about the answers to keepalive pings is set, but [`Config::keepalive_interval`] is not.
    NeedsKeepalive {
        /// The setting's name: `pong_timeout` or `measure_round_trip`.
        setting: &'static str,
    },
}

impl Config {
    /// Checks the values of all settings, in the order of their definition. What concerns two of them comes last.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let whole_messages = match self.delivery {
            Delivery::Messages => MOST_BUFFER_BYTES,
            Delivery::Chunks | Delivery::Frames => u64::MAX,
        };
        for (setting, value, least, most) in [
            ("max_head_bytes", self.max_head_bytes as u64, 1, MOST_BUFFER_BYTES),
            ("max_headers", self.max_headers as u64, 1, u64::MAX),
            ("max_early_bytes", self.max_early_bytes as u64, 0, MOST_BUFFER_BYTES),
            ("max_refusal_body_bytes", self.max_refusal_body_bytes as u64, 0, MOST_BUFFER_BYTES),
            ("max_frame_bytes", self.max_frame_bytes, 1, u64::MAX),
            ("max_message_bytes", self.max_message_bytes, 1, whole_messages),
            ("max_fragments", self.max_fragments.into(), 1, u64::MAX),
            ("max_outgoing_bytes", self.max_outgoing_bytes, 1, MOST_BUFFER_BYTES),
            ("max_outgoing_frame_bytes", self.max_outgoing_frame_bytes as u64, 1, u64::MAX),
            ("max_queued_pongs", self.max_queued_pongs.into(), 1, u64::MAX),
        ] {
            check_number(setting, value, least, most)?;
        }
        for (setting, time) in [
            ("handshake_timeout", self.handshake_timeout),
            ("close_timeout", self.close_timeout),
            ("idle_timeout", self.idle_timeout),
            ("keepalive_interval", self.keepalive_interval),
            ("pong_timeout", self.pong_timeout),
        ] {
            if let Some(value) = time.filter(|&time| time < LEAST_TIME) {
                return Err(ConfigError::TooShort { setting, value, least: LEAST_TIME });
            }
        }
        if self.release_after > last_use::MOST_AFTER {
            return Err(ConfigError::TooLong {
                setting: "release_after",
                value: self.release_after,
                most: last_use::MOST_AFTER,
            });
        }
        #[cfg(feature = "deflate")]
        if let Some(deflate) = &self.deflate {
            check_deflate(deflate)?;
        }
        let (low_water_bytes, high_water_bytes) = (self.low_water_bytes, self.high_water_bytes);
        if low_water_bytes > high_water_bytes {
            return Err(ConfigError::LowAboveHighWater { low_water_bytes, high_water_bytes });
        }
        let max_outgoing_bytes = self.max_outgoing_bytes;
        if high_water_bytes > max_outgoing_bytes {
            return Err(ConfigError::HighWaterAboveMax { high_water_bytes, max_outgoing_bytes });
        }
        match (self.keepalive_interval, self.idle_timeout) {
            (None, _) if self.pong_timeout.is_some() => {
                Err(ConfigError::NeedsKeepalive { setting: "pong_timeout" })
            }
            (None, _) if self.measure_round_trip => {
                Err(ConfigError::NeedsKeepalive { setting: "measure_round_trip" })
            }
            (Some(keepalive_interval), Some(idle_timeout))
                if idle_timeout.saturating_sub(keepalive_interval) < LEAST_TIME =>
            {
                Err(ConfigError::KeepaliveNotBelowIdle { keepalive_interval, idle_timeout })
            }
            _ => Ok(()),
        }
    }
}

fn check_number(
    setting: &'static str,
    value: u64,
    least: u64,
    most: u64,
) -> Result<(), ConfigError> {
    match value {
        value if value < least => Err(ConfigError::TooSmall { setting, value, least }),
        value if value > most => Err(ConfigError::TooLarge { setting, value, most }),
        _ => Ok(()),
    }
}

/// Checks the ranges, and then whether a client's offers have what its other options refuse. zlib has no raw DEFLATE
/// with a window of 8 bits.
#[cfg(feature = "deflate")]
fn check_deflate(deflate: &Deflate) -> Result<(), ConfigError> {
    check_number("Deflate::level", deflate.level.into(), 0, 9)?;
    check_number("Deflate::memory_level", deflate.memory_level.into(), 1, 9)?;
    let windows = [
        ("Deflate::server_max_window_bits", deflate.server_max_window_bits),
        ("Deflate::client_max_window_bits", deflate.client_max_window_bits),
    ];
    let fallbacks = deflate.fallbacks.iter().flat_map(|offer| {
        [offer.server_max_window_bits, offer.client_max_window_bits]
            .map(|bits| ("Deflate::fallbacks", bits))
    });
    windows
        .into_iter()
        .chain(fallbacks)
        .try_for_each(|(setting, bits)| check_number(setting, bits.into(), 9, 15))?;
    let has_fallback = |with: fn(&DeflateParams) -> bool| deflate.fallbacks.iter().any(with);
    for (is_set, setting, is_contradicted, other) in [
        (
            deflate.refuse_server_no_context_takeover,
            "Deflate::refuse_server_no_context_takeover",
            deflate.server_no_context_takeover,
            "Deflate::server_no_context_takeover",
        ),
        (
            deflate.refuse_server_no_context_takeover,
            "Deflate::refuse_server_no_context_takeover",
            has_fallback(|offer| offer.server_no_context_takeover),
            "Deflate::fallbacks",
        ),
        (
            !deflate.offer_client_max_window_bits,
            "Deflate::offer_client_max_window_bits",
            has_fallback(|offer| offer.client_max_window_bits < 15),
            "Deflate::fallbacks",
        ),
    ] {
        if is_set && is_contradicted {
            return Err(ConfigError::Contradiction { setting, other });
        }
    }
    Ok(())
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::TooSmall { setting, value, least } => {
                write!(f, "{setting} is {value}, the least is {least}")
            }
            ConfigError::TooLarge { setting, value, most } => {
                write!(f, "{setting} is {value}, the most is {most}")
            }
            ConfigError::TooShort { setting, value, least } => {
                write!(f, "{setting} is {value:?}, the least is {least:?}")
            }
            ConfigError::TooLong { setting, value, most } => {
                write!(f, "{setting} is {value:?}, the most is {most:?}")
            }
            ConfigError::LowAboveHighWater { low_water_bytes, high_water_bytes } => write!(
                f,
                "low_water_bytes is {low_water_bytes}, it must be at most high_water_bytes, which \
                 is {high_water_bytes}"
            ),
            ConfigError::HighWaterAboveMax { high_water_bytes, max_outgoing_bytes } => write!(
                f,
                "high_water_bytes is {high_water_bytes}, it must be at most max_outgoing_bytes, \
                 which is {max_outgoing_bytes}"
            ),
            ConfigError::Contradiction { setting, other } => {
                write!(f, "{setting} contradicts {other}")
            }
            ConfigError::KeepaliveNotBelowIdle { keepalive_interval, idle_timeout } => write!(
                f,
                "keepalive_interval is {keepalive_interval:?}, it must be at least 1 ms below \
                 idle_timeout, which is {idle_timeout:?}"
            ),
            ConfigError::NeedsKeepalive { setting } => {
                write!(f, "{setting} needs keepalive_interval, which is None")
            }
        }
    }
}

impl core::error::Error for ConfigError {}

#[cfg(feature = "std")]
impl From<ConfigError> for std::io::Error {
    fn from(error: ConfigError) -> Self {
        std::io::Error::new(std::io::ErrorKind::InvalidInput, error)
    }
}
