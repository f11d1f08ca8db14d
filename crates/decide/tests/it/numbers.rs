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
        let outlook = Outlook { shares: Some([weight; 2]), compared_ms: 600_000, canary_instances: 1 };
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
