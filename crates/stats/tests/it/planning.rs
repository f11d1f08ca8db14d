use taxiway_stats::bounds::{self, Case};
use taxiway_stats::math::ln_normal_cdf;
use taxiway_stats::preflight::{self, Plan, Step, Traffic};

use crate::{close, within};

fn case(share: f64, base: f64, ratio: f64) -> Case {
    Case { share, base, ratio, tolerated: 1.0 }
}

/// mpmath: the minimum over q by root finding, `ln 100 / (R I)`.
#[test]
fn information_bound_matches_mpmath() {
    close(bounds::information(&case(0.05, 0.01, 2.0)), 0.000_183_257_971_156_060_5);
    close(bounds::seconds(&case(0.05, 0.01, 2.0), 0.01, 100.0), 251.294_399_743_538_4);
    close(bounds::seconds(&case(0.05, 0.05, 5.0), 0.01, 10.0), 44.879_082_823_455_16);
    close(bounds::seconds(&case(0.05, 0.001, 1.25), 0.01, 1_000.0), 3_361.054_270_312_095);
    let tolerant = Case { share: 0.5, base: 0.01, ratio: 2.0, tolerated: 1.25 };
    close(bounds::seconds(&tolerant, 0.01, 100.0), 117.946_907_355_160_7);
}

/// Brief, 5.1: X of `T = X / (R p)` at alpha 1 %, rare events.
#[test]
fn information_bound_matches_the_briefs_table() {
    let table = [
        (0.01, [16_092.0, 4_306.0, 1_208.0, 361.0, 116.0]),
        (0.05, [3_365.0, 903.0, 255.0, 77.0, 25.0]),
        (0.25, [866.0, 236.0, 68.0, 21.0, 7.4]),
        (0.5, [662.0, 183.0, 54.0, 18.0, 6.3]),
    ];
    for (share, row) in table {
        for (ratio, x) in [1.25, 1.5, 2.0, 3.0, 5.0].into_iter().zip(row) {
            let seconds = bounds::seconds(&case(share, 1e-7, ratio), 0.01, 1e7);
            // The table is printed in two digits where it is below 100.
            within(seconds, x, 0.025);
        }
    }
}

#[test]
fn nothing_to_detect_has_no_information() {
    assert!(bounds::seconds(&case(0.05, 0.01, 1.0), 0.01, 100.0).is_infinite());
    assert!(bounds::seconds(&case(0.0, 0.01, 2.0), 0.01, 100.0).is_infinite());
    assert!(bounds::information(&case(0.05, 0.5, 5.0)).is_finite());
}

/// Brief, 6: errors needed at a share of 5 %, by the closed form; first passage needs fewer.
#[test]
fn errors_match_the_brief() {
    let plan = Plan { kappa: 1.0, ..Plan::default() };
    for (ratio, errors) in
        [(1.25, 8_968.0), (1.5, 2_481.0), (2.0, 736.0), (3.0, 240.0), (5.0, 88.0), (10.0, 32.0)]
    {
        let at_end = plan.errors_at_end(0.05, ratio);
        assert!((at_end - errors).abs() <= 0.5, "{ratio}x: {at_end}");
        let needed = plan.errors(0.05, ratio);
        assert!((0.75..0.95).contains(&(needed / at_end)), "{ratio}x: {needed}");
    }
    let rare = Traffic { rps: 1_000.0, base: 0.001 };
    within(plan.seconds(&rare, 0.05, 2.0), plan.errors(0.05, 2.0) / 1.05, 1e-12);
}

/// Information of Bernoulli requests over that of the bad ones alone (brief, 1.5: the Poisson form wastes about the share
/// of requests that is bad).
#[test]
fn where_many_fail_the_good_requests_count_as_well() {
    let plan = Plan::default();
    let needed = |base: f64| plan.seconds(&Traffic { rps: 1.0 / base, base }, 0.05, 2.0);
    let saved = needed(0.05) / needed(0.001);
    assert!((0.90..0.97).contains(&saved), "{saved}");
    let steps = [Step { seconds: needed(0.05), share: 0.05 }];
    within(plan.detectable(&Traffic { rps: 20.0, base: 0.05 }, &steps).unwrap(), 2.0, 1e-6);
}

/// At mean evidence `m = a = 5` the law is `1/2 + e^(50/v) Phi(-10/sqrt v)`. For a share near 0 the gain per request is
/// `p s (r ln r - r + 1)` and the variance `p s r (ln r)^2`.
#[test]
fn first_passage_is_the_inverse_gaussian() {
    let (traffic, share, ratio) = (Traffic { rps: 1e6, base: 1e-6 }, 1e-6, 4.0f64);
    let seconds = 5.0 / (share * (ratio * ratio.ln() - ratio + 1.0));
    let deviation = (seconds * share * ratio).sqrt() * ratio.ln();
    let before = (50.0 / deviation / deviation + ln_normal_cdf(-10.0 / deviation)).exp();
    let plan = Plan { kappa: 5.0 - 100f64.ln(), power: 0.5 + before, ..Plan::default() };
    assert!((0.6..0.7).contains(&plan.power), "{}", plan.power);
    assert!(plan.detects(&traffic, &[Step { seconds: seconds * 1.001, share }], ratio));
    assert!(!plan.detects(&traffic, &[Step { seconds: seconds * 0.999, share }], ratio));
}

#[test]
fn duration_share_and_detectable_ratio_are_inverse() {
    let plan = Plan::default();
    let traffic = Traffic { rps: 100.0, base: 0.01 };
    let seconds = plan.seconds(&traffic, 0.05, 2.0);
    let ratio = plan.detectable(&traffic, &[Step { seconds, share: 0.05 }]).unwrap();
    within(ratio, 2.0, 1e-6);
    within(plan.share(&traffic, seconds, 2.0).unwrap(), 0.05, 1e-6);
    // Two half steps are one step.
    let half = Step { seconds: seconds / 2.0, share: 0.05 };
    within(plan.detectable(&traffic, &[half, half]).unwrap(), 2.0, 1e-6);
    // No share helps within a second.
    assert_eq!(plan.share(&traffic, 0.01, 1.1), None);
    let quiet = Traffic { rps: 1.0, base: 0.001 };
    assert_eq!(plan.detectable(&quiet, &[Step { seconds: 1.0, share: 0.05 }]), None);
}

#[test]
fn excluding_uses_the_same_formula_the_other_way_round() {
    let plan = Plan { alpha: 0.05, tolerated: 2.0, kappa: 1.0, ..Plan::default() };
    // Brief, 1.3: bound 21 s for theta1 = 2 at 1 % and 1000 rps; 90 % of runs take longer than the mean.
    let seconds = plan.seconds(&Traffic { rps: 1_000.0, base: 0.01 }, 0.05, 1.0);
    assert!((21.0..80.0).contains(&seconds), "{seconds}");
    assert!(plan.errors(0.05, 2.0).is_infinite());
}

#[test]
fn harm_floor_and_refusals() {
    close(preflight::harm(&Traffic { rps: 100.0, base: 0.01 }, 0.05, 600.0, 3.0), 60.0);
    close(preflight::quiet_requests(0.05, 0.001), 2_995.732_273_553_991);
    // exp((2.3263 + 1.2816) 0.2 sqrt(1 + 1/4))
    within(Plan::default().instance_floor(0.2, 1, 4), 2.240_4, 1e-3);
    let error = Plan { alpha: f64::NAN, ..Plan::default() }.check().unwrap_err();
    assert_eq!(error.to_string(), "alpha is NaN, but must be between 0 and 1");
}
