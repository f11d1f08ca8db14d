use taxiway_stats::histogram::{self, Bucket, Ranked};
use taxiway_stats::latency::{self, Past};

/// A second of `count` requests, evenly spread over `buckets` buckets from `first` on.
fn second(first: i32, buckets: i32, count: u64) -> Vec<Bucket> {
    (first..first + buckets).map(|index| (index, count)).collect()
}

/// The test and its evidence, with the baseline's past.
struct Run {
    test: latency::Test,
    state: latency::State,
    past: Past,
}

impl Run {
    fn new() -> Self {
        let test = latency::Test::new(0.2, 3_600.0).expect("fixed parameters");
        Self { test, state: test.start(), past: Past::default() }
    }

    fn second(&mut self, canary: &[Bucket], baseline: &[Bucket]) {
        match self.past.expected() {
            Some(expected) => {
                let counted = self.test.count(&expected, &Ranked::new(canary), &Ranked::new(baseline));
                self.test.fold(&mut self.state, &expected, &counted, 1.0, 1.0);
            }
            None => self.test.wait(&mut self.state, 1.0),
        }
        self.past.remember(baseline, 1.0);
    }

    fn ln_evidence(&self) -> f64 {
        self.test.ln_evidence(&self.state)
    }
}

fn run(canary_shift: i32, seconds: u32) -> f64 {
    let mut run = Run::new();
    for _ in 0..seconds {
        run.second(&second(100 + canary_shift, 100, 1), &second(100, 100, 19));
    }
    run.ln_evidence()
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
        let ln_evidence = run(shift, 600);
        assert!(ln_evidence < 0.1, "shift {shift}: {ln_evidence}");
    }
}

#[test]
fn a_shift_beyond_tolerance_is_shown_soon() {
    // 60 buckets are 1.92x.
    let ln_evidence = run(60, 20);
    assert!(ln_evidence > 100f64.ln(), "{ln_evidence}");
}

/// Only the slowest hundredth is slower: of a hundred buckets the last one's requests lie two octaves up.
#[test]
fn a_slow_tail_is_shown() {
    let mut run = Run::new();
    for _ in 0..60 {
        let mut canary = second(100, 98, 1);
        canary.push((330, 2));
        run.second(&canary, &second(100, 100, 19));
    }
    assert!(run.ln_evidence() > 100f64.ln(), "{}", run.ln_evidence());
}

#[test]
fn thresholds_follow_the_quantile() {
    let expected = Past::of(&second(100, 100, 10)).expected().unwrap();
    assert_eq!(expected.map(|one| one.threshold), [149, 194, 198]);
    let shares = expected.map(|one| one.share);
    assert!(shares.iter().zip([0.5, 0.05, 0.01]).all(|(share, wanted)| (share - wanted).abs() < 1e-12));
    assert_eq!(Past::default().expected(), None);
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
    let mut run = Run::new();
    run.second(&second(500, 10, 10), &second(100, 10, 10));
    assert!(run.ln_evidence().abs() < 1e-12);
    run.second(&second(500, 10, 10), &second(100, 10, 10));
    assert!(run.ln_evidence() > 10.0);
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
