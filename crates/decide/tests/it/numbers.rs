//! Whatever counts come, the judge answers, in numbers, and its quick look says what its judgement says.

use proptest::prelude::*;
use taxiway_decide::judge::{self, Outlook, Question, State};
use taxiway_model::counts::{Counts, Histogram};
use taxiway_model::evidence::{Classes, Window};
use taxiway_model::normal::Normal;
use taxiway_model::policy::{AnalysisPolicy, Profile};
use taxiway_model::weight::WeightBp;

/// Nothing, one, a few, many, and more than any service answers.
fn count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), 2..50_u64, 50..100_000_u64, 1_000_000_000..=1_000_000_000_000_u64]
}

fn counts() -> impl Strategy<Value = Counts> {
    let failing = prop_oneof![Just(0.0), Just(1.0), 0.0..0.01, 0.0..1.0];
    (count(), failing, proptest::collection::vec((-2_000..2_600_i16, count()), 0..6)).prop_map(
        |(requests, failing, buckets)| {
            let bad = (requests as f64 * failing) as u64;
            Counts {
                requests,
                status: [0, requests - bad, 0, 0, bad],
                latency: Histogram { buckets: buckets.into_iter().filter(|(_, count)| *count > 0).collect() },
                ..Counts::default()
            }
        },
    )
}

fn classes() -> impl Strategy<Value = Classes> {
    proptest::collection::btree_map(
        prop_oneof![Just("api".to_owned()), Just("other".to_owned())],
        counts(),
        0..3,
    )
}

fn normal() -> impl Strategy<Value = Option<Normal>> {
    let milli = || proptest::option::of(prop_oneof![Just(1_000_u64), Just(0), 0..50_000_u64, Just(u64::MAX)]);
    let some = (count(), classes(), milli(), milli(), milli(), 0..30_u32).prop_map(
        |(span_ms, classes, error, slow, noise, instances)| Normal {
            span_ms,
            classes,
            error_dispersion_milli: error,
            slow_dispersion_milli: slow,
            instances,
            instance_noise_milli: noise,
        },
    );
    proptest::option::of(some)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_counts_give_a_judgement_in_numbers(
        windows in proptest::collection::vec((classes(), classes(), 0..20_000_u64), 1..12),
        normal in normal(),
        strict in any::<bool>(),
        share in prop_oneof![Just(1_u16), Just(9_999), 1..9_999_u16],
        compared in any::<bool>(),
    ) {
        let policy = AnalysisPolicy::of(if strict { Profile::Strict } else { Profile::Standard });
        let weight = WeightBp::new(share).unwrap();
        let outlook = Outlook { shares: Some([weight; 2]), compared_ms: 600_000, canary_instances: 1, ..Outlook::default() };
        let mut state = State::expecting(&policy, normal.as_ref(), &outlook);
        let exclude_bp = policy.exclusion_at(weight).filter(|_| compared);
        let question = Question { step: 0, exclude_bp };
        for (place, (canary, baseline, span_ms)) in windows.into_iter().enumerate() {
            let window = Window {
                number: place as u32 + 1,
                span_ms,
                canary,
                baseline,
                ..Window::default()
            };
            state.fold(&policy, &window, weight);
            let judgement = judge::judge(&policy, &state, question);
            prop_assert_eq!(judge::look(&policy, &state, question), judgement.verdict);
            prop_assert!(judge::says_the_same(&policy, &state, question, &judgement));
            for finding in &judgement.findings {
                // What is not a number becomes 0 when it is rounded, and infinity a bound.
                prop_assert!(finding.against_needed_milli > 0, "{:?}", finding);
                prop_assert!(finding.against_milli.abs() <= 1_000_000_000_000_000, "{:?}", finding);
                prop_assert!(!finding.sentence.contains("NaN") && !finding.sentence.contains("inf"), "{}", finding.sentence);
                let ordered = finding.ratio_from_bp.zip(finding.ratio_to_bp).is_none_or(|(low, high)| low <= high);
                prop_assert!(ordered, "{:?}", finding);
            }
            let again = judge::judge(&policy, &state, question);
            prop_assert_eq!(again, judgement);
        }
    }
}

/// What one look says of 60 windows of 1,000 requests, 5 % of them the canary's.
fn said(normal: &Normal, canary_bad: u64) -> taxiway_model::verdict::MetricFinding {
    let policy = AnalysisPolicy::of(Profile::Strict);
    let weight = WeightBp::new(500).unwrap();
    let outlook = Outlook {
        shares: Some([weight; 2]),
        compared_ms: 600_000,
        canary_instances: 1,
        ..Outlook::default()
    };
    let mut state = State::expecting(&policy, Some(normal), &outlook);
    for number in 1..=60 {
        let window = Window {
            number,
            span_ms: 1_000,
            canary: side(50, if number % 4 == 0 { canary_bad } else { 0 }),
            baseline: side(950, if number % 2 == 0 { 3 } else { 2 }),
            ..Window::default()
        };
        state.fold(&policy, &window, weight);
    }
    let question = Question { step: 0, exclude_bp: policy.exclusion_at(weight) };
    judge::judge(&policy, &state, question).findings.remove(0)
}

fn side(requests: u64, bad: u64) -> Classes {
    let counts = Counts { requests, status: [0, requests - bad, 0, 0, bad], ..Counts::default() };
    Classes::from([("api".to_owned(), counts)])
}

fn profile(dispersion_milli: Option<u64>, noise_milli: u64) -> Normal {
    Normal {
        span_ms: 600_000,
        classes: side(600_000, 1_600),
        error_dispersion_milli: dispersion_milli,
        slow_dispersion_milli: None,
        instances: 19,
        instance_noise_milli: Some(noise_milli),
    }
}

/// R4.2: the profile decides how much evidence is enough, and what cannot be known is said.
#[test]
fn the_normal_profile_decides_what_can_be_told() {
    let independent = said(&profile(Some(1_000), 0), 1);
    let unknown = said(&profile(None, 0), 1);
    let clustered = said(&profile(Some(5_000), 0), 1);
    let noisy = said(&profile(Some(1_000), 200), 1);
    // Half of 1 %: Ville's threshold is ln 200.
    assert_eq!(unknown.against_needed_milli, 5_298);
    assert!(independent.against_needed_milli < 5_298, "{independent:?}");
    assert_eq!((clustered.against_needed_milli, noisy.against_needed_milli), (5_298, 5_298));
    assert!(clustered.against_milli < independent.against_milli, "{clustered:?}");
    assert!(noisy.against_milli < independent.against_milli, "{noisy:?}");
    let sentence = &noisy.sentence;
    assert!(
        sentence.contains("one canary instance beside noisy instances: less than 1.7")
            && sentence.ends_with("x cannot be attributed"),
        "{sentence}"
    );
    assert!(!independent.sentence.contains("attributed"), "{}", independent.sentence);
}

/// Strict tolerates nothing: half as much again is shown where 0.1 % of slack would hide it.
#[test]
fn strict_has_no_slack_and_still_excludes_of_a_service_that_never_fails() {
    let metric = &AnalysisPolicy::of(Profile::Strict).metrics[0];
    assert_eq!((metric.slack_ppm, judge::exclusion_slack_ppm(metric)), (0, 1_000));
}

/// The 95th percentiles are alike, and a sentence that named them alone would contradict itself.
#[test]
fn a_slow_end_is_named_by_its_own_quantile() {
    let policy = AnalysisPolicy::of(Profile::Standard);
    let weight = WeightBp::new(1_000).unwrap();
    let latency = |slow: i16| {
        let buckets = [(848, 50), (864, 46), (slow, 4)].map(|(bucket, part)| (bucket, part * 10));
        Counts {
            requests: 1_000,
            status: [0, 1_000, 0, 0, 0],
            latency: Histogram { buckets: buckets.into_iter().collect() },
            ..Counts::default()
        }
    };
    let mut state = State::new(&policy, None);
    for number in 1..=60 {
        let side = |counts: Counts| Classes::from([("other".to_owned(), counts)]);
        let window = Window {
            number,
            span_ms: 1_000,
            canary: side(latency(1_100)),
            baseline: side(latency(900)),
            ..Window::default()
        };
        state.fold(&policy, &window, weight);
    }
    let question = Question { step: 0, exclude_bp: None };
    let judgement = judge::judge(&policy, &state, question);
    let finding = judgement.findings.iter().find(|finding| finding.metric.as_str() == "latency_p95").unwrap();
    insta::assert_snapshot!(finding.sentence, @"shown to be slower, beyond 1.5x: p99 canary 150 ms against baseline 17 ms, p95 canary 11 ms against baseline 11 ms");
}
