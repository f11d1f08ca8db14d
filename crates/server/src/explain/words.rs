//! Figures of the judge in words a person gets.

use taxiway_model::counts::thousands;
use taxiway_model::policy::{Direction, Lasting, Measure, MetricPolicy};

/// A value or band of a metric in its unit.
pub(super) fn value(measure: Measure, value: u64) -> String {
    let decimal = |unit: f64, places: usize| trimmed(&format!("{:.places$}", value as f64 / unit));
    match measure {
        Measure::ErrorRate | Measure::QueryCounts | Measure::QueryTypes | Measure::Restarts => {
            decimal(1e4, 3) + "%"
        }
        Measure::Latency { .. } | Measure::QueryBuckets { .. } if value >= 1_000_000 => decimal(1e6, 2) + "s",
        Measure::Latency { .. } | Measure::QueryBuckets { .. } => decimal(1e3, 1) + "ms",
        Measure::QueryValues { .. } | Measure::QueryMoments | Measure::Cost => decimal(1e6, 4),
        Measure::Burn { .. } => decimal(1e3, 2) + "x",
        Measure::Memory => decimal(1_048_576.0, 0) + " MiB",
        Measure::Cpu => decimal(1e3, 2) + " cores",
        Measure::Throughput => value.to_string(),
    }
}

fn trimmed(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

/// A multiple in basis points.
pub(super) fn times(bp: u32) -> String {
    trimmed(&format!("{:.2}", f64::from(bp) / 1e4)) + "x"
}

/// What a metric tolerates and what not.
pub(super) fn bands(metric: &MetricPolicy) -> String {
    let mut words = Vec::new();
    if metric.is_compared() {
        words.push(tolerated(metric));
        if metric.critical {
            words.push("goes back whenever a regression is shown".to_owned());
        } else {
            words.push(format!("red beyond {}", times(metric.red_bp)));
        }
    }
    let bands = [
        ("holds above", metric.hold_above),
        ("goes back above", metric.rollback_above),
        ("holds below", metric.hold_below),
        ("goes back below", metric.rollback_below),
    ];
    for (word, band) in bands {
        if let Some(band) = band {
            words.push(format!("{word} {}", value(metric.measure, band)));
        }
    }
    words.extend(metric.lasting.into_iter().flat_map(Lasting::words));
    words.join(", ")
}

fn tolerated(metric: &MetricPolicy) -> String {
    let percent = |bp: u32| trimmed(&format!("{:.1}", f64::from(bp) / 1e2)) + "%";
    let mut words = match metric.direction {
        Direction::LowerIsWorse => {
            format!(
                "tolerates {} below the baseline",
                percent(10_000_u32.saturating_sub(metric.tolerance_bp))
            )
        }
        Direction::Either => {
            format!("tolerates {} either way", percent(metric.tolerance_bp.abs_diff(10_000)))
        }
        Direction::HigherIsWorse => {
            format!("tolerates {} over the baseline", percent(metric.tolerance_bp.saturating_sub(10_000)))
        }
    };
    if metric.slack_ppm > 0 {
        let slack = trimmed(&format!("{:.3}", f64::from(metric.slack_ppm) / 1e4));
        words = format!("{words} and {slack}% of requests");
    }
    words
}

/// One in how many: the greatest chance that a healthy version ever gathers this much evidence
/// against it (Ville's inequality: the inverse of the e-value). Logarithms in thousandths.
pub(super) fn one_in(milli: i64) -> String {
    let odds = (milli.max(0) as f64 / 1e3).exp();
    if odds >= 1e9 {
        return "less than 1 in a billion".to_owned();
    }
    // Two figures: more would claim to be known.
    let unit = 10_f64.powf(odds.log10().floor() - 1.0).max(1.0);
    format!("1 in {}", thousands(((odds / unit).floor() * unit) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use taxiway_model::policy::{AnalysisPolicy, Profile};

    #[test]
    fn odds_are_what_the_e_value_says_and_no_more() {
        // ln 40,000 = 10.5966.
        assert_eq!(one_in(10_597), "1 in 40,000");
        assert_eq!(one_in(0), "1 in 1");
        assert_eq!(one_in(-5_000), "1 in 1");
        assert_eq!(one_in(2_996), "1 in 20");
        assert_eq!(one_in(30_000), "less than 1 in a billion");
        assert_eq!(one_in(i64::MAX), "less than 1 in a billion");
    }

    #[test]
    fn bands_are_said_in_the_unit_of_the_metric() {
        let policy = AnalysisPolicy::of(Profile::Standard);
        let words: Vec<String> = policy.metrics.iter().map(bands).collect();
        assert_eq!(
            words,
            [
                "tolerates 10% over the baseline and 0.1% of requests, red beyond 2x, holds above 1%",
                "tolerates 20% over the baseline, red beyond 1.5x, holds above 2s"
            ]
        );
        assert_eq!(value(Measure::Memory, 512 << 20), "512 MiB");
        assert_eq!(value(Measure::Latency { quantile_bp: 9_500 }, 480_400), "480.4ms");
    }
}
