//! Confidence sequences of a ratio of the canary to the baseline, to be shown beside the estimate: one of each side, each
//! with half of the chance to be wrong. They hold at every look, for requests that are alike over time, and decide nothing;
//! what decides is in the tests.

use taxiway_stats::Arm;
use taxiway_stats::histogram::{Bucket, SCALE};
use taxiway_stats::sequence;

/// The chance that one side's ever misses its truth: half of 5 %.
const ALPHA: f64 = 0.025;

/// Requests at which a side's is tightest: what a small canary has after minutes, and what a baseline has then.
const CANARY_REQUESTS: f64 = 1_000.0;
const BASELINE_REQUESTS: f64 = 10_000.0;

/// Of two rates that rest on as many independent requests as `phi` leaves of them. An end that nothing is known of is not
/// finite.
pub(super) fn of_rates(canary: Arm, baseline: Arm, phi: f64) -> Option<[f64; 2]> {
    let fewer = |n: u64| libm::round(n as f64 / phi.max(1.0)) as u64;
    let known = |arm: Arm, n_opt| {
        let arm = Arm { total: fewer(arm.total), bad: fewer(arm.bad) };
        (arm.total > 0).then(|| sequence::rate(arm, ALPHA, n_opt))
    };
    let [low, high] = known(canary, CANARY_REQUESTS)?;
    let [least, most] = known(baseline, BASELINE_REQUESTS)?;
    Some([low / most, high / least])
}

/// Of a share of all requests to the share that was to be.
pub(super) fn of_share(part: Arm, expected: f64) -> [f64; 2] {
    sequence::rate(part, 2.0 * ALPHA, BASELINE_REQUESTS).map(|end| end / expected)
}

/// Of quantile `q` of two distributions, as [`of_rates`].
pub(super) fn of_quantiles(canary: &[Bucket], baseline: &[Bucket], q: f64, phi: f64) -> Option<[f64; 2]> {
    let known = |side: &[Bucket], n_opt| sequence::quantile_dispersed(side, q, ALPHA, n_opt, SCALE, phi);
    let [low, high] = known(canary, CANARY_REQUESTS);
    let [least, most] = known(baseline, BASELINE_REQUESTS);
    let low = low.zip(most).map(|(canary, baseline)| canary / baseline);
    let high = high.zip(least).map(|(canary, baseline)| canary / baseline);
    (low.is_some() || high.is_some()).then(|| [low.unwrap_or(f64::NAN), high.unwrap_or(f64::INFINITY)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_lies_between_its_ends_and_more_requests_bring_them_closer() {
        let rates = |n: u64| {
            let arm = |total, bad| Arm { total, bad };
            of_rates(arm(n, n / 50), arm(10 * n, n / 10), 1.0).expect("both sides have requests")
        };
        let [low, high] = rates(1_000);
        assert!(low < 2.0 && 2.0 < high && low > 0.5 && high < 6.0, "{low} {high}");
        let [lower, higher] = rates(100_000);
        assert!(low < lower && higher < high, "{lower} {higher}");
    }

    #[test]
    fn what_is_not_known_has_no_end() {
        let none = Arm { total: 100, bad: 0 };
        let [low, high] = of_rates(Arm { total: 100, bad: 2 }, none, 1.0).expect("both sides have requests");
        assert!(low >= 0.0 && !high.is_finite());
        assert_eq!(of_rates(Arm::default(), none, 1.0), None);
        assert_eq!(of_quantiles(&[(3, 5)], &[(3, 5)], 0.95, 1.0), None);
        let many: Vec<Bucket> = (0..200).map(|index| (index, 50)).collect();
        let [low, high] = of_quantiles(&many, &many, 0.95, 1.0).expect("ten thousand values");
        assert!(low < 1.0 && 1.0 < high && high < 1.3, "{low} {high}");
        let [wider, wide] = of_quantiles(&many, &many, 0.95, 4.0).expect("they say what 2,500 would");
        assert!(wider < low && high < wide);
    }
}
