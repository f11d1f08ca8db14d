//! Means of a source and new types of errors, judged from windows of evidence.

use std::collections::BTreeMap;

use taxiway_decide::judge::{Question, State, judge};
use taxiway_model::evidence::Window;
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Moments, Sample, Types};
use taxiway_model::policy::{AnalysisPolicy, Direction, Measure, MetricPolicy, Profile};
use taxiway_model::verdict::{MetricFinding, Verdict};
use taxiway_model::weight::WeightBp;

fn metric(measure: Measure) -> MetricPolicy {
    MetricPolicy::plain(MetricName::new("m").unwrap(), measure)
}

fn revenue() -> MetricPolicy {
    let direction = Direction::LowerIsWorse;
    MetricPolicy { direction, tolerance_bp: 10_000, red_bp: 9_500, ..metric(Measure::QueryMoments) }
}

fn client_errors() -> MetricPolicy {
    MetricPolicy { hold_above: Some(0), rollback_above: Some(1_000), ..metric(Measure::QueryTypes) }
}

fn of(sample: Sample) -> Window {
    Window { metrics: BTreeMap::from([(MetricName::new("m").unwrap(), sample)]), ..Window::default() }
}

fn found(metric: &MetricPolicy, windows: impl IntoIterator<Item = Window>) -> MetricFinding {
    let policy = AnalysisPolicy { metrics: vec![metric.clone()], ..AnalysisPolicy::of(Profile::Standard) };
    let mut state = State::new(&policy, None);
    for (number, window) in (1..).zip(windows) {
        state.fold(&policy, &Window { number, span_ms: 1_000, ..window }, WeightBp::percent(10));
    }
    let judgement = judge(&policy, &state, Question { step: 0, exclude_bp: Some(20_000) });
    let [finding] = judgement.findings.try_into().expect("there is one metric");
    finding
}

/// So many values, half of them 40 % below their mean and half above.
fn values(count: u64, mean: f64, squares: bool) -> Moments {
    let all = count as f64;
    Moments::of(count, all * mean, squares.then_some(all * mean * mean * 1.16)).unwrap()
}

fn window(canary: f64, baseline: f64, squares: bool) -> Window {
    of(Sample::Moments { canary: values(60, canary, squares), baseline: values(540, baseline, squares) })
}

#[test]
fn a_lower_mean_holds_or_goes_back_and_a_higher_one_does_neither() {
    let run = |canary: f64, squares: bool, seconds: usize| {
        found(
            &revenue(),
            (0..seconds).map(|i| {
                // Without squares how much it varies shows from one window to the next.
                let noise = 1.0 + 0.02 * ((i * 7 % 5) as f64 - 2.0);
                window(canary * noise, 50.0 * (1.0 + 0.005 * ((i * 3 % 5) as f64 - 2.0)), squares)
            }),
        )
    };
    for squares in [true, false] {
        let little = run(48.5, squares, 900);
        assert_eq!(little.verdict, Verdict::Hold, "3 % lower: {}", little.sentence);
        let much = run(40.0, squares, 200);
        assert_eq!(much.verdict, Verdict::Rollback, "20 % lower: {}", much.sentence);
        assert!(much.sentence.contains("lower") && much.sentence.contains("canary 4"), "{}", much.sentence);
        assert_eq!(much.sentence.contains("without squares"), !squares, "{}", much.sentence);
        let more = run(60.0, squares, 200);
        assert_eq!(more.verdict, Verdict::Proceed, "{}", more.sentence);
        let same = run(50.0, squares, 900);
        assert_eq!((same.verdict, same.shown), (Verdict::Proceed, false), "{}", same.sentence);
        let (low, high) = (same.ratio_from_bp.unwrap(), same.ratio_to_bp.unwrap());
        assert!(low < 10_000 && high > 10_000 && low > 9_500, "{low} {high}");
    }
    let few = found(&revenue(), [window(50.0, 50.0, true)]);
    assert_eq!(few.verdict, Verdict::InsufficientData, "{}", few.sentence);
}

#[test]
fn a_drop_is_excluded_when_that_is_asked_and_not_before() {
    let asked = MetricPolicy { exclude_bp: Some(9_500), ..revenue() };
    let run = |seconds: usize| found(&asked, vec![window(50.0, 50.0, true); seconds]);
    let early = run(10);
    assert_eq!(early.verdict, Verdict::InsufficientData, "{}", early.sentence);
    assert!(early.sentence.contains("a mean 5% lower is not excluded yet"), "{}", early.sentence);
    assert!(early.wait_ms.is_none_or(|ms| ms > 0));
    let late = run(600);
    assert_eq!(late.verdict, Verdict::Proceed, "{}", late.sentence);
    assert!(late.sentence.contains("a mean 5% lower is excluded"), "{}", late.sentence);
}

#[test]
fn absolute_bands_of_a_mean_hold_and_send_back() {
    let run = |hold: Option<u64>, back: Option<u64>, baseline: f64| {
        let bands = MetricPolicy { hold_above: hold, rollback_above: back, ..metric(Measure::QueryMoments) };
        found(&bands, vec![window(2.6, baseline, true); 100]).verdict
    };
    assert_eq!(run(Some(2_500_000), None, 2.0), Verdict::Hold);
    assert_eq!(run(Some(2_500_000), Some(3_000_000), 2.0), Verdict::Hold);
    assert_eq!(run(None, Some(2_500_000), 2.0), Verdict::Rollback);
    assert_eq!(run(Some(2_700_000), None, 2.0), Verdict::Proceed);
}

#[test]
fn a_loss_a_zero_and_one_value_are_judged_without_a_ratio() {
    let run = |canary: f64, baseline: f64, seconds: usize| {
        let of = |count: u64, mean: f64| {
            Moments::of(count, count as f64 * mean, Some(count as f64 * (mean * mean + 1.0))).unwrap()
        };
        let sample = Sample::Moments { canary: of(60, canary), baseline: of(540, baseline) };
        found(&revenue(), vec![self::of(sample); seconds])
    };
    assert_eq!(run(-5.0, -5.0, 100).verdict, Verdict::Proceed);
    assert_eq!(run(-6.0, -5.0, 100).verdict, Verdict::Rollback, "{}", run(-6.0, -5.0, 100).sentence);
    assert_eq!(run(0.0, 0.0, 100).verdict, Verdict::Proceed);
    let one = Sample::Moments { canary: values(1, 5.0, true), baseline: values(1, 5.0, true) };
    assert_eq!(found(&revenue(), [of(one)]).verdict, Verdict::InsufficientData);
    let none = Sample::Moments { canary: Moments::default(), baseline: values(10, 5.0, true) };
    assert!(found(&revenue(), [of(none)]).sentence.contains("no value of the canary"));
}

fn types(total: u64, named: &[(&str, u64)]) -> Types {
    let mut types = Types { total, ..Types::default() };
    for (name, count) in named {
        types.add(name, *count);
    }
    types
}

fn sessions(canary: &[(&str, u64)], baseline: &[(&str, u64)]) -> Window {
    of(Sample::Types { canary: types(1_000, canary), baseline: types(9_000, baseline) })
}

#[test]
fn a_new_type_holds_a_frequent_one_goes_back_and_a_stray_one_does_nothing() {
    let quiet = || sessions(&[("Known", 2)], &[("Known", 20)]);
    let calm = found(&client_errors(), vec![quiet(); 30]);
    assert_eq!(calm.verdict, Verdict::Proceed, "{}", calm.sentence);
    assert!(calm.sentence.starts_with("no new type"), "{}", calm.sentence);

    let stray = [vec![quiet(); 10], vec![sessions(&[("Stray", 40)], &[])], vec![quiet(); 20]].concat();
    let stray = found(&client_errors(), stray);
    assert_eq!((stray.verdict, stray.shown), (Verdict::Proceed, false), "{}", stray.sentence);
    assert!(stray.sentence.contains("`Stray`"), "{}", stray.sentence);

    // One session in 5,000, far below 0.1 %.
    let rare = (0..200).map(|i| if i % 5 == 0 { sessions(&[("Rare", 1)], &[]) } else { quiet() });
    let rare = found(&client_errors(), rare);
    assert_eq!(rare.verdict, Verdict::Hold, "{}", rare.sentence);
    assert!(rare.sentence.contains("`Rare`"), "{}", rare.sentence);

    let frequent =
        found(&client_errors(), vec![sessions(&[("Frequent", 5), ("Known", 2)], &[("Known", 20)]); 20]);
    assert_eq!(frequent.verdict, Verdict::Rollback, "{}", frequent.sentence);
    assert!(
        frequent.sentence.contains("`Frequent`") && frequent.sentence.contains("0.10%"),
        "{}",
        frequent.sentence
    );
}

#[test]
fn what_the_baseline_showed_before_is_not_new() {
    let told = Window { warm_up: true, ..sessions(&[], &[("Old", 1)]) };
    let windows = std::iter::once(told).chain(vec![sessions(&[("Old", 9)], &[]); 50]);
    let old = found(&client_errors(), windows);
    assert_eq!(old.verdict, Verdict::Proceed, "{}", old.sentence);
    // The baseline has it as often: it came up on the canary first by chance.
    let both =
        std::iter::once(sessions(&[("Both", 1)], &[]))
            .chain(vec![sessions(&[("Both", 5)], &[("Both", 45)]); 50]);
    let both = found(&client_errors(), both);
    assert_eq!(both.verdict, Verdict::Proceed, "{}", both.sentence);
}

/// A service with a long tail of errors that each come up now and then, on either side by its share.
#[test]
fn a_healthy_tail_of_rare_types_is_hardly_ever_called_new() {
    const RUNS: u64 = 400;
    let mut alarms = 0;
    for run in 0..RUNS {
        let mut seed = run + 1;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as f64 / (1_u64 << 31) as f64
        };
        let windows: Vec<Window> = (0..120)
            .map(|_| {
                let mut sides: [Vec<(&str, u64)>; 2] = [Vec::new(), Vec::new()];
                for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"] {
                    if next() < 0.03 {
                        sides[usize::from(next() >= 0.1)].push((name, 1));
                    }
                }
                sessions(&sides[0], &sides[1])
            })
            .collect();
        alarms += u64::from(found(&client_errors(), windows).verdict != Verdict::Proceed);
    }
    assert!(alarms * 100 <= RUNS, "{alarms} of {RUNS}");
}
