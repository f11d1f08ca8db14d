//! Gaps, outliers, percentiles, means and effects against the public figures of StatisticSuite, DetectorSuite,
//! TransformSuite and UtilsSuite at a69573b. What the judge does not use has no counterpart here: Cohen's d, and the
//! detector by standard deviations.

use taxiway_model::document::plain::documents;
use taxiway_peers::kayenta::classify::{Direction, mean_ratio, superiority};
use taxiway_peers::kayenta::prepare::{Fences, NanStrategy, Summary, percentile, prepare};
use taxiway_peers::kayenta::{Faith, Label, Pair, Settings, Thresholds, config, judge};

/// A series of `data/kayenta.json`.
fn series(name: &str) -> Vec<f64> {
    let all: serde_json::Value = serde_json::from_str(include_str!("data/kayenta.json")).unwrap();
    let numbers = all["series"][name].as_array().unwrap();
    numbers.iter().map(|number| number.as_f64().unwrap()).collect()
}

const NAN: f64 = f64::NAN;
const PLAIN: Fences = Fences { factor: 1.5, reduced: false };

fn close(found: f64, wanted: f64, by: f64) {
    assert!((found - wanted).abs() <= by, "{found} is not within {by} of {wanted}");
}

#[test]
fn summaries_of_one_of_six_and_of_no_values() {
    let of = |min, max, mean, deviation, count| Summary { min, max, mean, deviation, count };
    assert_eq!(Summary::of(&[4.0]), of(4.0, 4.0, 4.0, 0.0, 1));
    assert_eq!(Summary::of(&[]), of(0.0, 0.0, 0.0, 0.0, 0));
    let six = Summary::of(&[1.0, 1.0, 1.0, 10.0, 10.0, 10.0]);
    assert_eq!((six.min, six.max, six.mean, six.count), (1.0, 10.0, 5.5, 6));
    close(six.deviation, 4.9295, 1e-4);
}

#[test]
fn percentiles_lie_between_order_statistics() {
    let eight = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5];
    close(percentile(&eight, 5.0), 0.175, 1e-12);
    assert_eq!(percentile(&eight, 50.0), 1.75);
    assert_eq!(percentile(&eight, 100.0), 3.5);
    let ten: Vec<f64> = (0..10).map(f64::from).collect();
    assert_eq!(percentile(&ten, 50.0), 4.5);
    assert_eq!(percentile(&[1.0], 100.0), 1.0);
    assert!(percentile(&[], 50.0).is_nan());
    let nist = [
        95.1772, 95.1567, 95.1937, 95.1959, 95.1442, 95.0610, 95.1591, 95.1195, 95.1772, 95.0925, 95.1990,
        95.1682,
    ];
    close(percentile(&nist, 90.0), 95.19568, 1e-9);
}

/// 49 error shares, 13 of them 0.
#[test]
fn percentiles_of_many_zeros() {
    let shares = series("error_shares");
    assert_eq!(percentile(&shares, 25.0), 0.0);
    close(percentile(&shares, 75.0), 0.0416, 1e-4);
}

#[test]
fn ratios_of_means() {
    assert_eq!(mean_ratio(&[1.0; 5], &[1.0; 5]), 1.0);
    assert_eq!(mean_ratio(&[1.0; 5], &[10.0; 5]), 10.0);
    assert_eq!(mean_ratio(&[100.0; 5], &[10.0; 5]), 0.1);
    assert!(mean_ratio(&[0.0; 5], &[10.0; 5]).is_nan());
}

#[test]
fn superiority_of_equal_and_of_separate_samples() {
    let five = [1.0, 2.0, 3.0, 4.0, 5.0];
    assert_eq!(superiority(&five, &five), 0.5);
    let (low, high) = (series("apart_low"), series("apart_high"));
    assert_eq!(superiority(&high, &low), 0.0);
    assert_eq!(superiority(&low, &high), 1.0);
}

#[test]
fn superiority_of_two_overlapping_samples() {
    close(superiority(&series("high_base"), &series("higher")), 0.771, 1e-3);
    close(superiority(&series("low_base"), &series("lower")), 0.12, 1e-12);
}

#[test]
fn outliers_lie_beyond_the_fences() {
    let kept = |values: &[f64]| prepare(values, NanStrategy::Remove, Some(PLAIN));
    let one = [21.0, 23.0, 24.0, 25.0, 50.0, 29.0, 23.0, 21.0];
    assert_eq!(kept(&one), [21.0, 23.0, 24.0, 25.0, 29.0, 23.0, 21.0]);
    assert_eq!(kept(&[1.0, 1.0, 1.0, 5.0, -1.0, -1.0, -1.0, -5.0]), [1.0, 1.0, 1.0, -1.0, -1.0, -1.0]);
    assert!(kept(&[]).is_empty());
}

/// 90 counts of a NIST handbook; the last one, 1441, is the outlier.
#[test]
fn the_nist_outlier_is_found() {
    let counts = series("nist_counts");
    assert_eq!(prepare(&counts, NanStrategy::Remove, Some(PLAIN)), counts[..89]);
    // As the judge does it, the percentiles can only widen the fences.
    let judged = Fences { factor: 1.5, reduced: true };
    let [plain, judged] = [PLAIN.of(&counts), judged.of(&counts)];
    assert!(judged[0] <= plain[0] && judged[1] >= plain[1], "{plain:?} {judged:?}");
    let narrow = Fences { factor: 1e-3, reduced: true }.of(&counts);
    assert_eq!(narrow, [percentile(&counts, 1.0), percentile(&counts, 99.0)]);
}

#[test]
fn gaps_are_dropped_or_zeros() {
    let removed = |values: &[f64]| prepare(values, NanStrategy::Remove, None);
    assert_eq!(removed(&[0.0, 1.0, NAN, 1.0, 0.0]), [0.0, 1.0, 1.0, 0.0]);
    assert!(removed(&[NAN, NAN, NAN]).is_empty());
    let replaced = prepare(&[NAN, 10.1, 20.2, 30.3, NAN, 40.4], NanStrategy::Replace, None);
    assert_eq!(replaced, [0.0, 10.1, 20.2, 30.3, 0.0, 40.4]);
}

fn read(json: &str) -> Result<config::Config, String> {
    let documents = documents(json.as_bytes()).unwrap();
    config::read(&documents[0]).map_err(|misfit| misfit.to_string())
}

/// A configuration of one metric with a settings object.
fn one_metric(canary: &str) -> String {
    format!(
        "{{\n\t\"judge\": {{\"name\": \"NetflixACAJudge-v1.0\"}},\n\t\"metrics\": [{{\"name\": \"errors\", \
         \"groups\": [\"g\"],\n\t\t\"analysisConfigurations\": {{\"canary\": {canary}}}}}],\n\t\"classifier\": \
         {{\"groupWeights\": {{\"g\": 100}}}}\n}}"
    )
}

/// A path that is not there is the default, a whole number is a number, and a word that is not known is the default.
#[test]
fn settings_are_found_or_default() {
    let none = read(&one_metric("{}")).unwrap().metrics.remove(0);
    assert_eq!(none.settings, Settings::default());
    assert_eq!(none.outliers, None);
    let some = one_metric(
        "{\"direction\": \"sideways\", \"nanStrategy\": \"replace\", \"critical\": true, \"mustHaveData\": true, \
         \"muted\": true, \"effectSize\": {\"measure\": \"cles\", \"allowedIncrease\": 1}, \
         \"outliers\": {\"strategy\": \"remove\", \"outlierFactor\": 2}}",
    );
    let some = read(&some).unwrap().metrics.remove(0);
    assert_eq!(some.settings.direction, Direction::Either);
    assert_eq!(some.settings.nan, NanStrategy::Replace);
    assert!(some.settings.critical && some.settings.must_have_data && some.muted);
    assert_eq!((some.settings.allowed.increase, some.settings.allowed.decrease), (1.0, 0.5));
    assert_eq!(some.outliers, Some(Fences { factor: 2.0, reduced: true }));
}

/// What would fail every judgement there fails the configuration here, with its place; tabs are no problem.
#[test]
fn a_wrong_type_is_refused_with_its_place() {
    let wrong = read(&one_metric("{\"critical\": \"yes\"}")).unwrap_err();
    assert!(wrong.starts_with("4:") && wrong.contains("`critical: yes` is not true or false"), "{wrong}");
    let wrong = read(&one_metric("{\"effectSize\": {\"allowedIncrease\": \"much\"}}")).unwrap_err();
    assert!(wrong.contains("not a number"), "{wrong}");
    let wrong = read(&one_metric("{}").replace("NetflixACAJudge-v1.0", "dredd-v1.0")).unwrap_err();
    assert!(wrong.contains("dredd-v1.0"), "{wrong}");
}

/// The fault that passes a canary nobody looked at: one point a side cannot be compared, is an error, does not count,
/// and the group of nothing scores 100. Unless that is asked for, an error is no pass.
#[test]
fn an_error_is_no_pass_unless_asked_for() {
    let config = read(&one_metric("{\"critical\": true, \"direction\": \"increase\"}")).unwrap();
    let pairs = [Pair { name: "errors".to_owned(), canary: vec![4.0], baseline: vec![0.0] }];
    let faithful = judge(&config, Thresholds::default(), &pairs, Faith::Faithful).unwrap();
    assert_eq!(faithful.metrics[0].classification.label, Label::Error);
    assert_eq!((faithful.score.summary, faithful.grade.word()), (100.0, "Pass"));
    let mended = judge(&config, Thresholds::default(), &pairs, Faith::Mended).unwrap();
    assert_eq!((mended.score.summary, mended.grade.word()), (0.0, "Fail"));
}

#[test]
fn a_muted_metric_is_shown_and_does_not_count() {
    let config = read(&one_metric("{\"muted\": true, \"critical\": true}")).unwrap();
    let bad: Vec<f64> = (0..30).map(|at| 9.0 + f64::from(at % 3)).collect();
    let good: Vec<f64> = (0..30).map(|at| 1.0 + f64::from(at % 3)).collect();
    let pairs = [Pair { name: "errors".to_owned(), canary: bad, baseline: good }];
    let judged = judge(&config, Thresholds::default(), &pairs, Faith::Faithful).unwrap();
    assert_eq!(judged.metrics[0].classification.label, Label::High);
    assert_eq!(judged.score.summary, 0.0, "no group is left");
    let unknown = [Pair { name: "other".to_owned(), canary: vec![], baseline: vec![] }];
    assert!(judge(&config, Thresholds::default(), &unknown, Faith::Faithful).is_err());
}
