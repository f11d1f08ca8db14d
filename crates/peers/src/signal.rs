//! What a metric of a peer means on a recorded release.
//!
//! A recording holds counts, latency histograms and named values, not a time series database, so a query is not run but
//! recognised: a share of failed or of good requests, a quantile of latency, or a metric of the same name.

use taxiway_stats::histogram;

use crate::policy::{Side, Tape, Whose};
use crate::span;

/// What is read from a recording.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// Share of failed requests, times `scale` (100 for percent).
    Errors {
        /// What 1 is written as.
        scale: f64,
    },
    /// Share of requests that did not fail, times `scale`.
    Successes {
        /// What 1 is written as.
        scale: f64,
    },
    /// A quantile of latency.
    Latency {
        /// From 0 to 1.
        quantile: f64,
        /// Microseconds of the metric's unit: 1,000,000 where it is in seconds.
        unit_us: f64,
    },
    /// A metric that the recording has under this name.
    Named(String),
}

/// A signal's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// A source has no series: no request has been recorded so far.
    Empty,
    /// A number; NaN where there was no request in the window (0 divided by 0).
    Value(f64),
}

impl Signal {
    /// The signal that words such as `error_rate`, `success_rate`, `latency_p99_ms` name, or a metric of that name.
    pub fn of_words(words: &str) -> Self {
        let percent = words.ends_with("_percent");
        let scale = if percent { 100.0 } else { 1.0 };
        let words_without_unit = words.trim_end_matches("_percent").trim_end_matches("_ms");
        match words_without_unit {
            "error_rate" => Self::Errors { scale },
            "success_rate" => Self::Successes { scale },
            _ => {
                let unit_us = if words.ends_with("_ms") { 1e3 } else { 1e6 };
                let quantile = words_without_unit.strip_prefix("latency_p").and_then(quantile);
                quantile.map_or_else(
                    || Self::Named(words.to_owned()),
                    |quantile| Self::Latency { quantile, unit_us },
                )
            }
        }
    }

    /// What a PromQL query asks for, recognised by its form; none where it has no form known here.
    pub fn of_query(query: &str) -> Option<Self> {
        let plain: String = query.chars().filter(|c| !c.is_whitespace()).collect();
        if let Some(at) = plain.find("histogram_quantile(") {
            let rest = &plain[at + "histogram_quantile(".len()..];
            let quantile: f64 = rest.split(',').next()?.parse().ok()?;
            let in_millis = plain.contains("millisecond") || plain.contains("_ms_bucket");
            let is_scaled = plain.ends_with("*1000");
            let unit_us = if in_millis || is_scaled { 1e3 } else { 1e6 };
            return (0.0..=1.0).contains(&quantile).then_some(Self::Latency { quantile, unit_us });
        }
        let (numerator, rest) = divided(&plain)?;
        let scale = if rest.ends_with("*100") || plain.starts_with("100*") { 100.0 } else { 1.0 };
        let complement = numerator.trim_start_matches('(').starts_with("1-")
            || numerator.trim_start_matches('(').starts_with("100-");
        let failed =
            ["=~\"5", "=\"5", "=~'5", "=\"error", "=~\"(5", "=\"false\"", "errors_total", "failures_total"];
        let good = [
            "!~\"5",
            "!=\"5",
            "!~'5",
            "!~\"(5",
            "=~\"2",
            "=~\"(2",
            "=\"200",
            "=\"true\"",
            "=\"success",
            "success_total",
        ];
        // `!="5` holds `="5`: what is negated does not choose the failed ones.
        let has = |words: &[&str]| {
            let mut found = words.iter().flat_map(|word| numerator.match_indices(word));
            found.any(|(at, _)| !numerator[..at].ends_with('!'))
        };
        match (has(&failed), has(&good), complement) {
            (true, false, false) | (false, true, true) => Some(Self::Errors { scale }),
            (false, true, false) | (true, false, true) => Some(Self::Successes { scale }),
            _ => None,
        }
    }

    /// The signal's value for a side over the `range_ms` before `at_ms`.
    pub fn read(&self, tape: &Tape, whose: Whose, at_ms: u64, range_ms: u64) -> Reading {
        let side = tape.sum(whose, at_ms.saturating_sub(range_ms), at_ms);
        if let Self::Named(name) = self {
            return side.values.get(name).map_or(Reading::Empty, |value| Reading::Value(*value));
        }
        if !tape.has_begun(whose, at_ms) {
            return Reading::Empty;
        }
        Reading::Value(self.of_side(&side))
    }

    /// The signal's value for a point of a series; NaN where there was no request.
    pub fn point(&self, tape: &Tape, whose: Whose, from_ms: u64, to_ms: u64) -> f64 {
        self.of_side(&tape.point(whose, from_ms, to_ms))
    }

    fn of_side(&self, side: &Side) -> f64 {
        let share = |part: u64| if side.total == 0 { f64::NAN } else { part as f64 / side.total as f64 };
        match self {
            Self::Errors { scale } => share(side.bad.min(side.total)) * scale,
            Self::Successes { scale } => share(side.total - side.bad.min(side.total)) * scale,
            Self::Latency { quantile, unit_us } => {
                let us = histogram::quantile(&side.latency_us, *quantile, histogram::SCALE);
                us.map_or(f64::NAN, |us| us / unit_us)
            }
            Self::Named(name) => side.values.get(name).copied().unwrap_or(f64::NAN),
        }
    }
}

/// A query at its first division; one within quotes, as of a path, is none.
pub(crate) fn divided(query: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, c) in query.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '/' => return Some((&query[..at], &query[at + 1..])),
            _ => {}
        }
    }
    None
}

/// The window of a PromQL query: its first range, `[5m]` or `[5m:30s]`.
pub fn range_ms(query: &str) -> Option<u64> {
    let (_, rest) = query.split_once('[')?;
    let (inside, _) = rest.split_once(']')?;
    span::parse_ms(inside.split(':').next()?.trim())
}

/// `99` is 0.99, `999` is 0.999.
fn quantile(digits: &str) -> Option<f64> {
    let fits = !digits.is_empty() && digits.len() <= 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| format!("0.{digits}").parse().ok()).flatten()
}
