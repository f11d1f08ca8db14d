//! A `CanaryConfig` is read as it is written, and what is wrong with one is said with its place.

use taxiway_model::document::canary_config::{CanaryConfig, read};
use taxiway_model::document::{self, Code, Included, Problem};
use taxiway_model::metrics::{Query, Shape};
use taxiway_model::policy::Measure;
use taxiway_model::service::ServiceSpec;

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
fn a_metric_may_begin_late_last_and_be_shown_only() {
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

/// The given document's queries as they are taken apart.
fn queries(config: &CanaryConfig) -> Vec<Query> {
    let counts = |scale_micro| Shape::Counts { bad: "a".into(), total: "b".into(), scale_micro };
    let latency = Shape::Buckets {
        buckets: "c".into(),
        quantile_bp: 9_500,
        unit_us: 1_000_000,
        scale_micro: 1_000_000,
    };
    let shapes = [counts(1_000_000), latency, counts(1_000_000_000)];
    let query = |(metric, shape): (&document::canary_config::Metric, Shape)| Query {
        metric: metric.name.clone(),
        text: metric.query.clone(),
        shape,
    };
    config.metrics.iter().zip(shapes).map(query).collect()
}

const SERVICE: &str =
    "name: shop\nowner: me\ntarget: {command: ./run}\ntraffic: {listen: '127.0.0.1:8080'}\n";
const NAMES_IT: &str = "analysis: {file: canary.yaml, source: {prometheus: {url: 'http://p:9090/'}}}\n";

fn service(config: &str, more: &str) -> Result<ServiceSpec, Vec<Problem>> {
    let config = good(config);
    let included = Included { config: &config, queries: &queries(&config) };
    document::read_with(format!("{SERVICE}{more}").as_bytes(), "/srv", Some(included), None)
}

#[test]
fn a_description_takes_steps_and_metrics_from_the_file_it_names() {
    let named = document::named(format!("{SERVICE}{NAMES_IT}").as_bytes(), "/srv").expect("it names one");
    assert_eq!((named.path.as_str(), named.labels.len()), ("/srv/canary.yaml", 1));
    let service = service(GIVEN, NAMES_IT).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(service.strategy.steps.len(), 4);
    let [source] = service.analysis.sources.as_slice() else { panic!("it has a source") };
    assert_eq!((source.api.place().as_str(), source.interval_ms), ("http://p:9090", 5_000));
    assert_eq!((source.canary["version"].as_str(), source.queries.len()), ("{version}", 3));
    let [errors, latency, burn] = service.analysis.metrics.as_slice() else { panic!("three metrics") };
    assert_eq!((errors.tolerance_bp, errors.red_bp, errors.rollback_above), (11_000, 20_000, None));
    assert_eq!(latency.measure, Measure::QueryBuckets { quantile_bp: 9_500 });
    assert_eq!((latency.rollback_above, latency.is_compared()), (Some(500_000), false));
    // A burn of 3 of what 99.9 % allow: 0.3 % of requests.
    assert_eq!((burn.rollback_above, burn.measure), (Some(3_000), Measure::QueryCounts));
    assert_eq!(burn.lasting, None);
    let json = serde_json::to_string(&service).expect("plain data");
    assert_eq!(serde_json::from_str::<ServiceSpec>(&json).expect("it comes back"), service);
}

#[test]
fn what_holds_instead_of_going_back_holds() {
    let text =
        GIVEN.replace("on_failure: true", "on_failure: false").replace("threshold: 1 #", "threshold: 3 #");
    let service = service(&text, NAMES_IT).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let [errors, latency, burn] = service.analysis.metrics.as_slice() else { panic!("three metrics") };
    assert_eq!((errors.tolerance_bp, latency.hold_above), (20_000, Some(500_000)));
    assert_eq!((burn.hold_above, burn.rollback_above), (Some(3_000), None));
    assert!(service.analysis.metrics.iter().all(|metric| metric.lasting.is_some_and(|l| l.failures == 3)));
}

#[test]
fn what_does_not_fit_together_is_told() {
    let told = |more: &str| {
        let problems = service(GIVEN, more).expect_err("this does not fit");
        format!("{}", problems[0])
    };
    let steps = told(&format!("strategy: canary\n{NAMES_IT}"));
    assert!(
        steps.starts_with("line 5, column 11: strategy: the file of the analysis has steps too"),
        "{steps}"
    );
    assert!(told("analysis: {file: a.yaml}").contains("its queries have no source"));
    let metrics = "analysis: {file: a, source: {prometheus: {url: 'http://p'}}, metrics: {error_rate: {}}}";
    assert!(told(metrics).contains("`error_rate` is a metric of the file too"), "{}", told(metrics));
    let url = "analysis: {file: a, source: {prometheus: {url: 'p:9090'}}}";
    assert!(told(url).contains("write http://p:9090"), "{}", told(url));
    let same =
        "analysis: {file: a, source: {prometheus: {url: 'http://p'}, canary: {a: b}, baseline: {a: b}}}";
    assert!(told(same).contains("both sides would be the same series"), "{}", told(same));
    let kind = "analysis: {file: a, source: {canary: {a: b}}}";
    assert!(told(kind).contains("one of `prometheus`, `datadog`"), "{}", told(kind));
    let alone = document::read(format!("{SERVICE}{NAMES_IT}").as_bytes(), "/srv").expect_err("not read");
    assert!(alone[0].message.contains("was not read"), "{alone:?}");
    let unused = document::read(
        format!("{SERVICE}analysis: {{source: {{prometheus: {{url: 'http://p'}}}}}}\n").as_bytes(),
        "/srv",
    );
    assert!(unused.expect_err("unused")[0].message.contains("nothing is asked"));
}

#[test]
fn the_source_of_the_file_may_be_one_of_the_named_ones() {
    let sources = "sources: {p: {prometheus: {url: 'http://p:9090'}}, j: {json: {url: 'http://h/'}}}";
    let named = format!("{SERVICE}analysis: {{file: canary.yaml, source: p, {sources}}}\n");
    let found = document::named(named.as_bytes(), "/srv").expect("it names one");
    assert!(found.is_promql && found.labels.contains("version"));
    let told = |more: &str| {
        let problems = service(GIVEN, more).expect_err("this does not fit");
        problems.iter().map(|problem| format!("{problem}")).collect::<Vec<_>>().join("\n")
    };
    let unused = told(&format!("analysis: {{file: canary.yaml, source: p, {sources}}}\n"));
    assert!(unused.contains("analysis.sources.j: nothing is asked of this source"), "{unused}");
    let missing = told(&format!("analysis: {{file: canary.yaml, source: q, {sources}}}\n"));
    assert!(missing.contains("there is no source `q`"), "{missing}");
    // What is put to a source as it is has to tell the sides apart, too.
    let same = told(&format!("analysis: {{file: canary.yaml, source: j, {sources}}}\n"));
    assert!(same.contains("`error_rate`: both sides would be asked the same"), "{same}");
    let one = "sources: {p: {prometheus: {url: 'http://p:9090'}}}";
    let read = service(GIVEN, &format!("analysis: {{file: canary.yaml, source: p, {one}}}\n"));
    let read = read.unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!((read.analysis.sources.len(), read.analysis.sources[0].queries.len()), (1, 3));
}
