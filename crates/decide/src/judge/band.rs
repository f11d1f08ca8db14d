//! Whether a rate is beyond an absolute hold band, and not by chance.

use taxiway_stats::{Arm, interval};

/// Fewer bad requests than this are never above a band.
const BAD_MIN: u64 = 5;

/// How sure the near end of a rate must be beyond the band. The time just past is looked at anew
/// every second: at 0.999 a service whose rate is the band's was held in 8 to 40 % of its healthy
/// releases (`judgebench standard`).
const CONFIDENCE: f64 = 0.999_99;

/// Standard errors of the cheap interval that most looks end with: 99.9 %.
const ERRORS_FIRST: f64 = 3.290_526_731_491_925;

/// Whether the rate is above so many parts per million.
pub(super) fn is_above(seen: Arm, ppm: u64) -> bool {
    let beyond = |low: f64| low * 1e6 > ppm as f64;
    seen.bad >= BAD_MIN
        && beyond(interval::wilson_at(seen, ERRORS_FIRST)[0])
        && beyond(interval::clopper_pearson(seen, CONFIDENCE)[0])
}

/// Whether it is below so many parts per million.
pub(super) fn is_below(seen: Arm, ppm: u64) -> bool {
    let beyond = |high: f64| high * 1e6 < ppm as f64;
    seen.total > 0
        && beyond(interval::wilson_at(seen, ERRORS_FIRST)[1])
        && beyond(interval::clopper_pearson(seen, CONFIDENCE)[1])
}

#[cfg(test)]
mod tests {
    use super::{is_above, is_below};
    use taxiway_stats::Arm;

    #[test]
    fn a_rate_is_beyond_a_band_only_when_chance_does_not_explain_it() {
        let seen = |total, bad| Arm { total, bad };
        assert!(is_above(seen(1_000, 40), 10_000));
        assert!(!is_above(seen(1_000, 20), 10_000), "one look in a thousand sees this at exactly 1 %");
        assert!(!is_above(seen(10, 4), 10_000), "four are too few whatever their share");
        assert!(is_below(seen(1_000, 900), 950_000));
        assert!(!is_below(seen(1_000, 928), 950_000) && !is_below(seen(0, 0), 950_000));
    }
}
