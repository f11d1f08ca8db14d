//! A `CanaryConfig` is read as it is written, and what is wrong with one is said with its place.

use taxiway_model::document::canary_config::{CanaryConfig, read};
use taxiway_model::document::{Code, Problem};

const GIVEN: &str = include_str!("canary-analysis.yaml");

fn good(text: &str) -> CanaryConfig {
    read(text.as_bytes()).unwrap_or_else(|problems| panic!("this document is right: {problems:#?}"))
}

/// The first problem of a document; a mistyped bound also leaves nothing bounded.
fn first(text: &str) -> Problem {
    let mut problems = read(text.as_bytes()).expect_err("this document is wrong");
    assert!(problems.len() <= 2, "{problems:#?}");
    problems.remove(0)
}

#[test]
fn the_given_document_is_read_unmodified() {
    let config = good(GIVEN);
    assert_eq!((config.name.as_str(), config.failures), ("service-x-canary", 1));
    let steps = config.steps.expect("it has steps");
    let shape: Vec<_> = steps.iter().map(|s| (s.name.as_str(), s.weight.bp(), s.bake_ms / 60_000)).collect();
    assert_eq!(
        shape,
        [("canary-1", 100, 5), ("canary-5", 500, 5), ("canary-25", 2_500, 10), ("full", 10_000, 30)]
    );
    assert!(steps.iter().all(|step| step.analysis));
    let [errors, latency, burn] = config.metrics.as_slice() else { panic!("three metrics") };
    assert!(errors.query.contains(r#"{status=~"5.."}[2m]"#), "{}", errors.query);
    assert_eq!(errors.threshold.increase_bp, Some(20_000));
    assert_eq!((latency.name.as_str(), latency.threshold.absolute_us), ("latency_p95", Some(500_000)));
    assert_eq!(burn.threshold.absolute_micro, Some(3_000_000));
    assert!(config.metrics.iter().all(|metric| metric.critical && metric.required));
}

#[test]
fn a_metric_may_begin_late_last_and_be_shown_first() {
    let text = GIVEN.replace(
        "max_absolute: 3\n",
        "max_absolute: 0.5\n      from_step: 3\n      for: 5m\n      good_for: 15m\n      required: false\n      critical: false\n",
    );
    let config = good(&text);
    let burn = &config.metrics[2];
    assert_eq!((burn.from_step, burn.bad_for_ms, burn.good_for_ms), (2, 300_000, 900_000));
    assert!(!burn.required && !burn.critical);
    assert_eq!(burn.threshold.absolute_micro, Some(500_000));
}

#[test]
fn without_steps_the_service_has_its_own() {
    let (start, end) =
        (GIVEN.find("  # Traffic steps").unwrap(), GIVEN.find("  # Metrics to check").unwrap());
    assert_eq!(good(&(GIVEN[..start].to_owned() + &GIVEN[end..])).steps, None);
}

/// What is replaced, by what; code, line, column, path, and a part of what is said.
type Mistake = (&'static str, &'static str, Code, u32, u32, &'static str, &'static str);

const MISTAKES: &[Mistake] = &[
    ("analysis/v1", "analysis/v2", Code::UnknownWord, 2, 13, "apiVersion", "did you mean `analysis/v1`?"),
    ("kind: CanaryConfig", "kind: Canary", Code::UnknownWord, 3, 7, "kind", "CanaryConfig"),
    ("  name: service-x-canary", "  nam: x", Code::UnknownKey, 5, 3, "metadata.nam", "did you mean `name`?"),
    (
        "percentage: 5\n",
        "percentage: 1\n",
        Code::NotRising,
        11,
        19,
        "spec.steps[1].percentage",
        "exposes no more",
    ),
    (
        "percentage: 100",
        "percentage: 90",
        Code::NotRising,
        15,
        19,
        "spec.steps[3].percentage",
        "percentage: 100",
    ),
    (
        "percentage: 5\n",
        "percentage: five\n",
        Code::BadValue,
        11,
        19,
        "spec.steps[1].percentage",
        "like 5 or 0.5",
    ),
    ("duration: 10m", "duration: 10", Code::WrongUnit, 14, 17, "spec.steps[2].duration", "write 10s, 10m"),
    (
        "max_increase_ratio: 2.0",
        "max_increase_ration: 2.0",
        Code::UnknownKey,
        22,
        9,
        "spec.metrics[0].threshold.max_increase_ration",
        "did you mean `max_increase_ratio`?",
    ),
    (
        "max_increase_ratio: 2.0",
        "max_increase_ratio: 0.5",
        Code::OutOfRange,
        22,
        29,
        "spec.metrics[0].threshold.max_increase_ratio",
        "20% over the baseline",
    ),
    (
        "max_absolute: 3",
        "max_absolute: three",
        Code::BadValue,
        30,
        23,
        "spec.metrics[2].threshold.max_absolute",
        "like 3",
    ),
    ("slo_burn_rate", "error_rate", Code::DuplicateName, 27, 13, "spec.metrics[2].name", "another metric"),
    (
        "threshold: 1 #",
        "threshold: 0 #",
        Code::OutOfRange,
        33,
        28,
        "spec.failure_count_threshold",
        "between 1",
    ),
    ("on_failure: true", "on_failure: yes", Code::BadValue, 32, 24, "spec.rollback_on_failure", "write true"),
];

#[test]
fn every_mistake_is_told_with_its_place_and_how_to_mend_it() {
    for (from, to, code, line, column, path, said) in MISTAKES {
        assert!(GIVEN.contains(from), "{from} stands in the document");
        let problem = first(&GIVEN.replacen(from, to, 1));
        let place = (problem.code, problem.line, problem.column, problem.path.as_str());
        assert_eq!(place, (*code, *line, *column, *path), "{to}");
        assert!(format!("{} {}", problem.message, problem.hint).contains(said), "{to}: {problem}");
    }
}

#[test]
fn a_threshold_that_bounds_nothing_is_refused() {
    let problem = first(&GIVEN.replace("max_absolute: 3", "{}"));
    assert_eq!(problem.code, Code::MissingKey);
    assert!(problem.hint.contains("max_increase_ratio"), "{problem}");
}

#[test]
fn a_problem_with_a_query_stands_where_the_query_stands() {
    let config = good(GIVEN);
    let name = config.metrics[1].name.clone();
    let problem = config.query_problem(GIVEN, &name, "not PromQL", "").expect("the metric is known");
    assert_eq!((problem.line, problem.path.as_str()), (24, "spec.metrics[1].query"));
    assert!(problem.excerpt.contains("histogram_quantile"));
}
