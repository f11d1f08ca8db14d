//! Integers as people read them.

use jiff::tz::TimeZone;
use taxiway_model::time::{ForPeople, Timestamp};

// As on pages.
pub(super) use taxiway_report::figures::ratio;
pub use taxiway_report::figures::thousands;

/// Parts per million as a percentage with three figures that count: `4.98%`, `0.012%`, `0%`.
pub fn rate(ppm: u64) -> String {
    let places = match ppm {
        0 | 1_000_000.. => 0,
        100_000.. => 1,
        1_000.. => 2,
        _ => 3,
    };
    decimal(ppm, 10_000, places) + "%"
}

/// A latency in microseconds: `850us`, `12.3ms`, `480ms`, `2.35s`.
pub fn latency(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}us"),
        1_000..9_995 => decimal(us, 1_000, 2) + "ms",
        9_995..99_950 => decimal(us, 1_000, 1) + "ms",
        99_950..999_500 => decimal(us, 1_000, 0) + "ms",
        _ => decimal(us, 1_000_000, 2) + "s",
    }
}

/// `n / unit` rounded half up to `places` (at most 3) decimal places.
fn decimal(n: u64, unit: u64, places: u32) -> String {
    let scale = 10_u64.pow(places);
    let rounded = (u128::from(n) * u128::from(scale) + u128::from(unit) / 2) / u128::from(unit);
    let (whole, part) = (rounded / u128::from(scale), rounded % u128::from(scale));
    if places == 0 { whole.to_string() } else { format!("{whole}.{part:0width$}", width = places as usize) }
}

/// A span in milliseconds: `850ms`, `3.2s`, `12s`, `4m10s`.
pub fn span(ms: u64) -> String {
    match ms {
        1_000..10_000 => decimal(ms, 1_000, 1) + "s",
        _ => ForPeople(ms).to_string(),
    }
}

/// The same in whole seconds, for what goes on: `0s`, `3s`, `4m10s`; below a second only what never gets there.
pub(super) fn running(ms: u64, of_ms: u64) -> String {
    if of_ms < 1_000 {
        span(ms)
    } else if ms < 1_000 {
        "0s".to_owned()
    } else {
        ForPeople(ms).to_string()
    }
}

/// A time of day.
pub(super) fn clock(at: Timestamp, zone: &TimeZone) -> String {
    shown(at, zone, "%H:%M:%S")
}

/// A date with the time of day.
pub(super) fn date(at: Timestamp, zone: &TimeZone) -> String {
    shown(at, zone, "%Y-%m-%d %H:%M")
}

fn shown(at: Timestamp, zone: &TimeZone, format: &str) -> String {
    match jiff::Timestamp::from_microsecond(at.0) {
        Ok(time) => time.to_zoned(zone.clone()).strftime(format).to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// `one` or `many` by the number, with the number.
pub(super) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(n), if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_what_counts() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0, 120, 1_000, 49_800, 123_456, 1_000_000].map(rate),
            ["0%", "0.012%", "0.10%", "4.98%", "12.3%", "100%"]
        );
        assert_eq!(
            [850, 1_234, 12_345, 99_990, 480_400, 2_345_000].map(latency),
            ["850us", "1.23ms", "12.3ms", "100ms", "480ms", "2.35s"]
        );
        assert_eq!([10_200, 124_000, 4_120_000, 40_000_000].map(ratio), ["1.02x", "12.4x", "412x", "4,000x"]);
        assert_eq!([40, 3_240, 12_000, 250_000].map(span), ["40ms", "3.2s", "12s", "4m10s"]);
        assert_eq!(date(Timestamp(1_795_200_000_000_000), &TimeZone::UTC), "2026-11-20 18:40");
        assert_eq!(clock(Timestamp(i64::MAX), &TimeZone::UTC), "?");
    }
}
