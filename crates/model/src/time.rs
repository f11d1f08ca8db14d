//! Points in time and spans, as integers: what is decided must not depend on rounding.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Microseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This time and `span_ms` milliseconds.
    #[must_use]
    pub fn plus_ms(self, span_ms: u64) -> Self {
        Self(self.0.saturating_add(i64::try_from(span_ms.saturating_mul(1_000)).unwrap_or(i64::MAX)))
    }

    /// Whole milliseconds from `earlier` to this time; zero when `earlier` is later.
    pub fn since_ms(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0) / 1_000
    }
}

/// A span in milliseconds for people: `850ms`, `12s`, `4m10s`, `3h05m`, `2d04h`.
pub struct ForPeople(pub u64);

impl fmt::Display for ForPeople {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000;
        match seconds {
            0 => write!(f, "{}ms", self.0),
            1..60 => write!(f, "{seconds}s"),
            60..3_600 if seconds.is_multiple_of(60) => write!(f, "{}m", seconds / 60),
            60..3_600 => write!(f, "{}m{:02}s", seconds / 60, seconds % 60),
            3_600..86_400 if seconds % 3_600 < 60 => write!(f, "{}h", seconds / 3_600),
            3_600..86_400 => write!(f, "{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
            _ if seconds % 86_400 < 3_600 => write!(f, "{}d", seconds / 86_400),
            _ => write!(f, "{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
        }
    }
}
