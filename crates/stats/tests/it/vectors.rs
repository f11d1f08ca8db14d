use crate::close;
use taxiway_stats::increment::bernoulli;
use taxiway_stats::{Arm, Boundary, Window, burn, dispersion, exclude, profile, reject, softrank, split};

/// Windows (n_c, n_b, x_c, x_b) of the brief's reference vector; the fourth has no canary, the fifth no errors.
const WINDOWS: [Window; 6] = [
    Window::new(50, 950, 1, 9),
    Window::new(48, 960, 2, 8),
    Window::new(55, 940, 3, 11),
    Window::new(0, 900, 0, 7),
    Window::new(51, 951, 0, 0),
    Window::new(60, 930, 4, 10),
];

/// The brief's plain process.
fn plain(theta: f64, delta: f64) -> reject::Test {
    reject::Test::new(theta, delta, 3600.0)
        .and_then(|test| test.weighted(reject::MINIMAX))
        .and_then(|test| test.first(1.0))
        .expect("fixed parameters")
        .rare()
}

fn reject_evidence(test: &reject::Test) -> f64 {
    let mut state = test.start();
    for window in &WINDOWS {
        test.fold(&mut state, window, 1.0);
    }
    test.ln_evidence(&state)
}

#[test]
fn reject_matches_the_reference_vector() {
    let expected = [
        (1.0, 0.0, 4.906_373_499_479),
        (1.25, 0.0, 3.497_980_436_798),
        (1.0, 0.001, 4.240_932_144_378),
        (1.25, 0.001, 3.056_092_063_537),
    ];
    for (theta, delta, ln_evidence) in expected {
        let test = plain(theta, delta);
        close(reject_evidence(&test), ln_evidence);
    }
}

#[test]
fn start_time_mixture_matches_the_reference_vector() {
    let test = reject::Test::new(1.0, 0.0, 3600.0).unwrap().weighted(reject::MINIMAX).unwrap();
    let test = test.first(0.5).unwrap().rare();
    close(reject_evidence(&test), 4.221_501_833_117);
}

#[test]
fn exclude_matches_the_reference_vector() {
    for (delta, ln_evidence) in [(0.001, -3.337_614_652_458), (0.0, -3.422_829_136_152)] {
        let test = exclude::Test::new(1.5, delta).unwrap().rare();
        let mut state = test.start();
        for window in &WINDOWS {
            test.fold(&mut state, window, 1.0);
        }
        close(test.ln_evidence(&state), ln_evidence);
    }
}

/// By hand: 500 requests without a failure against 1 %, of weight 0.25: `0.25 (0.6 ((1 - 0.0002) / 0.99)^500 + 0.4 ((1 -
/// 0.003) / 0.99)^500)`, and 0.75 times what the four ratios have without a failure, where only the slack of 0.1 % counts.
#[test]
fn a_service_that_never_fails_is_excluded_by_its_own_rate() {
    let slack = exclude::Test::new(10.0, 0.001).unwrap();
    let test = slack.or_below(0.01, 0.25).unwrap();
    let window = Window::new(500, 49_500, 0, 0);
    let fold = |test: &exclude::Test| {
        let mut state = test.start();
        test.fold(&mut state, &window, 1.0);
        test.ln_evidence(&state)
    };
    let own = 0.6 * (0.9998_f64 / 0.99).powi(500) + 0.4 * (0.997_f64 / 0.99).powi(500);
    close(fold(&test), (0.75 * fold(&slack).exp() + 0.25 * own).ln());
    assert!(fold(&test) > 20_f64.ln() && fold(&slack) < 1.0, "{} and {}", fold(&test), fold(&slack));
}

/// mpmath, 50 digits: q by root finding on the stationarity condition, then the formula of `increment`'s page.
#[test]
fn bernoulli_form_matches_mpmath() {
    let cases = [
        (Window::new(50, 950, 4, 9), 1.0, 0.0, 2.0, 0.02, 2.140_606_001_592_581_8),
        (Window::new(50, 950, 4, 9), 1.25, 0.001, 2.5, 0.02, 1.952_965_167_123_022_6),
        (Window::new(500, 500, 260, 240), 1.0, 0.0, 1.5, 0.5, -1.125_679_622_231_418),
        (Window::new(10, 990, 3, 100), 2.0, 0.01, 0.5, 0.1, -2.395_276_509_303_022),
    ];
    for (window, theta, delta, ratio, base_rate, ln_e) in cases {
        close(bernoulli(&window, Boundary { theta, delta }, ratio, base_rate), ln_e);
    }
}

/// The product over three windows of the soft rank, averaged over the steepnesses (mpmath).
#[test]
fn soft_rank_matches_mpmath() {
    let mut state = softrank::State::default();
    for (canary, groups) in [(3, [1, 0, 2, 1]), (0, [0, 0, 1, 0]), (5, [1, 2, 1, 0])] {
        state.fold(canary, &groups);
    }
    close(state.ln_evidence(), 1.755_726_575_213_853);
}

/// `mean_f f^30 / (1 + (f-1) 0.05)^1000` and `mean_g g^40 e^(-1000 0.0144 (g-1))` (mpmath).
#[test]
fn split_and_burn_match_mpmath() {
    let mut state = split::State::default();
    state.fold(10, 400, 0.05, 1.0);
    state.fold(20, 570, 0.05, 1.0);
    close(state.ln_evidence(), 2.785_453_405_256_577);
    let test = burn::Test::new(0.0144).unwrap();
    let mut state = test.start();
    test.fold(&mut state, Arm { total: 1000, bad: 40 });
    close(test.ln_evidence(&state), 12.243_446_562_386_71);
}

/// Roots of `l(theta) = ln mean_k e^l(theta_k) - ln 20` by Brent's method on the exact profile. The grid's interval may be
/// wider by part of a step (12 %), never narrower.
#[test]
fn profile_interval_encloses_the_exact_one() {
    let mut profile = profile::Profile::default();
    for window in &WINDOWS {
        profile.fold(window);
    }
    let interval = profile.interval(0.05);
    let exact = [1.264_628_983_414_197_3, 12.986_978_119_990_507];
    assert!(interval.low <= exact[0] && interval.low > exact[0] * 0.99, "{interval:?}");
    assert!(interval.high >= exact[1] && interval.high < exact[1] * 1.01, "{interval:?}");
    assert!((interval.estimate / 4.604_637_9 - 1.0).abs() < 0.005, "{interval:?}");
}

/// Three errors in the canary and none in a large baseline: nothing bounds the ratio from above.
#[test]
fn profile_without_baseline_errors_is_open_above() {
    let mut profile = profile::Profile::default();
    profile.fold(&Window::new(1_000, 19_000, 5, 0));
    let interval = profile.interval(0.05);
    assert!(interval.high.is_infinite() && interval.low > 1.0, "{interval:?}");
}

/// Excluding by the profile never claims more than the same likelihood at a harder ratio.
#[test]
fn profile_excludes_tenfold_before_twofold() {
    let mut profile = profile::Profile::default();
    for _ in 0..50 {
        profile.fold(&Window::new(50, 950, 1, 19));
    }
    let against = |theta| profile.ln_evidence_against(theta, true);
    assert!(against(10.0) > against(5.0) && against(5.0) > against(2.0));
    assert!(against(5.0) > 20f64.ln() && against(1.0) < 0.0);
    assert!(profile.ln_evidence_against(0.25, false) > 20f64.ln());
    close(against(1e9), 0.0);
}

/// Brief, 1.5: canary errors needed against no baseline errors to reach E = 100, and two Kayenta issues.
#[test]
fn few_errors_against_none() {
    let needed = |share: f64| {
        let test = plain(1.0, 0.0);
        let total = 1_000_000u64;
        let canary = (share * total as f64) as u64;
        (1..20)
            .find(|bad| {
                let mut state = test.start();
                test.fold(&mut state, &Window::new(canary, total - canary, *bad, 0), 1.0);
                test.ln_evidence(&state) >= 100f64.ln()
            })
            .unwrap()
    };
    assert_eq!([0.05, 0.1, 0.2, 0.5].map(needed), [3, 4, 5, 9]);
    let evidence = |bad: u64| {
        let test = plain(1.0, 0.0);
        let mut state = test.start();
        test.fold(&mut state, &Window::new(10_000, 10_000, bad, 0), 1.0);
        test.ln_evidence(&state).exp()
    };
    assert!((evidence(4) - 6.5).abs() < 0.05, "issue 426: {}", evidence(4));
    assert!((evidence(11) - 326.0).abs() < 0.5, "issue 799: {}", evidence(11));
}

#[test]
fn dispersion_is_one_for_even_counts_and_grows_with_clusters() {
    let arm = |bad| Arm { total: 1_000, bad };
    let even = vec![vec![arm(3), arm(5), arm(4), arm(4)]; 30];
    close(dispersion::pearson(&even), 1.0);
    // Clusters of ten, on one instance at a time: X^2 = 30 on 3 degrees of freedom.
    let burst: Vec<Vec<Arm>> = (0..32)
        .map(|window| (0..4).map(|pod| arm(if pod == window % 4 { 10 } else { 0 })).collect())
        .collect();
    close(dispersion::pearson(&burst), 10.0);
    // Over four windows they even out, so the largest of the sizes is the short one.
    close(dispersion::dispersion(&burst, &[1, 4]), 10.0);
    close(dispersion::dispersion(&burst, &[4]), 1.0);
    assert!((dispersion::spread(&[arm(80), arm(120), arm(100), arm(100)]) - 0.0) < 0.2);
    // Brief, 1.6c: one canary instance, tau 20 %, many baseline instances: 1.59; against four 1.68.
    within_percent(dispersion::attributable(1.0, 0.2, 1, 19, 0.01), 1.61);
}

#[track_caller]
fn within_percent(ours: f64, theirs: f64) {
    assert!((ours / theirs - 1.0).abs() < 0.01, "{ours} is not about {theirs}");
}

/// Clusters show alike in windows of any length, noise between instances in proportion to the length.
#[test]
fn learning_tells_clusters_from_noise() {
    let windows = |draw: &dyn Fn(u64, u64) -> u64| -> Vec<Vec<Arm>> {
        (0..360)
            .map(|window| (0..10).map(|pod| Arm { total: 10_000, bad: draw(window, pod) }).collect())
            .collect()
    };
    // A fixed scatter with variance near the mean of 100 in any window length: nothing to learn.
    let scatter =
        |window: u64, pod: u64| (window * 7_919 + pod * 104_729).wrapping_mul(2_654_435_761) >> 7 & 31;
    let independent = dispersion::learn(&windows(&|window, pod| 84 + scatter(window, pod)), &[1, 6, 30]);
    assert_eq!((independent.phi, independent.tau), (1.0, 0.0));
    // Every tenth pod-window has a cluster of 100 more.
    let cluster = |window: u64, pod: u64| if (window * 3 + pod * 7).is_multiple_of(10) { 100 } else { 0 };
    let clusters =
        dispersion::learn(&windows(&|window, pod| 84 + scatter(window, pod) + cluster(window, pod)), &[1]);
    assert!(clusters.phi > 5.0 && clusters.tau == 0.0, "{clusters:?}");
    // Half of the pods fail 20 % more, half 20 % less, all the time.
    let lasting =
        |window: u64, pod: u64| 64 + scatter(window, pod) + if pod.is_multiple_of(2) { 40 } else { 0 };
    let noise = dispersion::learn(&windows(&lasting), &[1, 6, 30]);
    assert!((noise.tau - 0.2).abs() < 0.02, "{noise:?}");
    let empty = dispersion::learn(&[], &[1, 6, 30]);
    assert_eq!((empty.phi, empty.tau), (1.0, 0.0));
}
