use taxiway_stats::histogram::{self, Bucket, Ranked};
use taxiway_stats::latency;

/// A second of `count` requests, evenly spread over `buckets` buckets from `first` on.
fn second(first: i32, buckets: i32, count: u64) -> Vec<Bucket> {
    (first..first + buckets).map(|index| (index, count)).collect()
}

fn run(canary_shift: i32, seconds: u32) -> (f64, Vec<f64>) {
    let test =
        latency::Test::new(0.2, 3_600.0).and_then(|test| test.excluding(2.0)).expect("fixed parameters");
    let mut state = test.start();
    for _ in 0..seconds {
        test.fold(&mut state, &second(100 + canary_shift, 100, 1), &second(100, 100, 19), 1.0);
    }
    (test.ln_evidence(&state), test.ln_not_bad(&state))
}

#[test]
fn twenty_percent_is_seventeen_buckets() {
    assert_eq!(histogram::buckets_up(0.2, 6), 17);
    assert_eq!(histogram::buckets_up(0.0, 6), 0);
    assert_eq!(histogram::buckets_up(1.0, 6), 64);
}

#[test]
fn indices_and_edges_agree() {
    for index in [-700, -64, -1, 0, 1, 17, 640, 2_000] {
        assert_eq!(histogram::index_of(histogram::upper_edge(index, 6), 6), index);
        assert_eq!(histogram::index_of(histogram::upper_edge(index, 6) * 1.000_1, 6), index + 1);
    }
}

#[test]
fn a_shift_within_tolerance_never_gathers_evidence() {
    for shift in [-30, 0, 10, 17] {
        let (ln_evidence, _) = run(shift, 600);
        assert!(ln_evidence < 0.1, "shift {shift}: {ln_evidence}");
    }
}

#[test]
fn a_shift_beyond_tolerance_is_shown_soon() {
    // 60 buckets are 1.92x.
    let (ln_evidence, _) = run(60, 20);
    assert!(ln_evidence > 100f64.ln(), "{ln_evidence}");
}

#[test]
fn a_healthy_canary_excludes_twice_the_slow_requests() {
    let (_, not_bad) = run(0, 600);
    assert!(not_bad[0] > 20f64.ln(), "{not_bad:?}");
}

#[test]
fn thresholds_follow_the_quantile() {
    let past = Ranked::new(&second(100, 100, 10));
    assert_eq!(latency::threshold(&past, 0.5), Some(149));
    assert_eq!(latency::threshold(&past, 0.99), Some(198));
    assert_eq!(latency::threshold(&Ranked::new(&[]), 0.5), None);
}

#[test]
fn quantiles_are_interpolated() {
    let one_octave = second(0, 64, 1);
    let median = histogram::quantile(&one_octave, 0.5, 6).unwrap();
    assert!((median - 2f64.sqrt()).abs() < 1e-12, "{median}");
    assert_eq!(histogram::quantile(&[], 0.5, 6), None);
}

#[test]
fn the_first_window_only_sets_the_threshold() {
    let test = latency::Test::new(0.2, 3_600.0).unwrap();
    let mut state = test.start();
    let counted = test.fold(&mut state, &second(500, 10, 10), &second(100, 10, 10), 1.0);
    assert!(counted.iter().all(Option::is_none));
    assert!(test.ln_evidence(&state).abs() < 1e-12);
}

#[test]
fn histograms_merge_in_order() {
    let (left, right) = (vec![(1, 5), (4, 1), (9, 2)], vec![(0, 1), (4, u64::MAX), (10, 7)]);
    let sum = vec![(0, 1), (1, 5), (4, u64::MAX), (9, 2), (10, 7)];
    assert_eq!(histogram::merged(&left, &right), sum);
    let mut into = left;
    histogram::merge(&mut into, &right);
    assert_eq!(into, sum);
    assert_eq!(histogram::merged(&[], &sum), sum);
    assert_eq!(histogram::merged(&sum, &[]), sum);
}
