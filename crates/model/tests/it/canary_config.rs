//! A `CanaryConfig` is read as it is written, and what is wrong with one is said with its place.

use std::collections::BTreeSet;

use taxiway_model::document::canary_config::{CanaryConfig, read};
use taxiway_model::document::{self, Code, Included, Problem};
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Query, Shape, Side, Trouble};
use taxiway_model::policy::{Direction, Measure, MetricPolicy};
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

/// Stands in for the parser of PromQL: what has no brackets is a selector.
fn promql(asked: &[(MetricName, String)], _: &BTreeSet<String>) -> Result<Vec<Query>, Vec<Trouble>> {
    let query = |(metric, text): &(MetricName, String)| {
        if text.contains("nonsense") {
            let (message, hint) = ("not PromQL".to_owned(), String::new());
            return Err(vec![Trouble { metric: metric.clone(), message, hint }]);
        }
        let shape = Shape::Scalar { expression: text.clone(), every_ms: 1, why: String::new() };
        Ok(Query { metric: metric.clone(), text: text.clone(), shape })
    };
    asked.iter().map(query).collect()
}

const MORE: &str = "apiVersion: analysis/v1\nkind: CanaryConfig\nmetadata: {name: more}\nspec:\n  metrics:\n";

/// A document with one metric.
fn one(metric: &str) -> String {
    format!("{MORE}    - name: m\n      {}\n", metric.replace("; ", "\n      "))
}

/// The metric's policy and what is asked of the canary, by this source.
fn judged(metric: &str, source: &str) -> Result<(MetricPolicy, Vec<String>), String> {
    let config = good(&one(metric));
    let yaml = format!("{SERVICE}analysis: {{file: canary.yaml, source: {{{source}}}}}\n");
    let named = document::named(yaml.as_bytes(), "/srv").expect("it names one");
    let queries =
        if named.is_promql { config.take_apart(&named.labels, &promql) } else { Ok(config.plain_queries()) };
    let queries = queries.map_err(|troubles| troubles[0].message.clone())?;
    let included = Included { config: &config, queries: &queries };
    let service = document::read_with(yaml.as_bytes(), "/srv", Some(included), None);
    let service = service.map_err(|problems| format!("{} {}", problems[0].message, problems[0].hint))?;
    let (source, policy) = (&service.analysis.sources[0], &service.analysis.metrics[0]);
    Ok((policy.clone(), source.questions(&queries[0].shape, Side::Canary, "v2")))
}

const PROMETHEUS: &str = "prometheus: {url: 'http://p'}";
const JSON: &str = "json: {url: 'http://h/{version}'}";

#[test]
fn a_metric_asks_in_the_words_of_a_description() {
    let of =
        |metric: &str, source: &str| judged(metric, source).unwrap_or_else(|why| panic!("{metric}: {why}"));
    let share =
        "bad: errors{a=\"b\"}; total: requests; threshold: {max_increase_ratio: 2, max_absolute_percent: 3}";
    let (policy, asked) = of(share, PROMETHEUS);
    assert_eq!(asked, ["errors{a=\"b\"}", "requests"]);
    assert_eq!((policy.measure, policy.red_bp), (Measure::QueryCounts, 20_000));
    assert_eq!((policy.rollback_above, policy.hold_above), (Some(30_000), None));

    let (policy, asked) = of(
        "good: paid; total: carts; threshold: {max_decrease_ratio: 1.25, min_absolute_percent: 40}",
        PROMETHEUS,
    );
    assert_eq!((asked.len(), policy.direction), (2, Direction::LowerIsWorse));
    // A tenth lower is tolerated as a tenth higher is; at 1/1.25 of the baseline it is red.
    assert_eq!((policy.tolerance_bp, policy.red_bp, policy.slack_ppm), (9_090, 8_000, 0));
    assert_eq!((policy.rollback_below, policy.hold_below), (Some(400_000), None));

    let (policy, asked) =
        of("count: $.n; sum: $.s; sum_of_squares: $.q; threshold: {max_decrease_ratio: 1.05}", JSON);
    assert_eq!(asked, ["$.n", "$.s", "$.q"]);
    assert_eq!((policy.measure, policy.red_bp), (Measure::QueryMoments, 9_089));
    let (policy, asked) = of("values: took; threshold: {max_increase_ratio: 1.5}", PROMETHEUS);
    assert_eq!(asked, ["took_count", "took_sum"]);
    assert_eq!((policy.tolerance_bp, policy.red_bp), (11_000, 15_000));

    let by_type = "bad: errors; total: sessions; by: type; threshold: {max_absolute_percent: 0.2}";
    let (policy, asked) = of(by_type, PROMETHEUS);
    assert_eq!((asked.len(), policy.measure), (2, Measure::QueryTypes));
    assert_eq!((policy.hold_above, policy.rollback_above), (Some(0), Some(2_000)));
    assert!(!policy.is_compared());
}

#[test]
fn what_makes_no_sense_is_said() {
    let threshold = "; threshold: {max_increase_ratio: 2}";
    for (metric, source, said) in [
        (format!("good: a; total: b{threshold}"), PROMETHEUS, "fewer of them are worse"),
        (
            "bad: a; total: b; threshold: {min_absolute_percent: 1}".to_owned(),
            PROMETHEUS,
            "count `good` ones",
        ),
        (format!("bad: a; total: b; by: c{threshold}"), PROMETHEUS, "no counterpart in the baseline"),
        (format!("bad: sum(a); total: b{threshold}"), PROMETHEUS, "the selector of a counter"),
        (format!("bad: nonsense; total: b{threshold}"), PROMETHEUS, "not PromQL"),
        (format!("values: $.a{threshold}"), JSON, "gives no single values"),
        (format!("count: n; sum: s{threshold}"), "logs: {}", "have no sums"),
        (
            "bad: err; total: x; by: kind; threshold: {max_absolute_percent: 1}".to_owned(),
            "logs: {}",
            "no group `kind`",
        ),
        (format!("bad: a..b; total: $.t{threshold}"), JSON, "no path in JSON"),
    ] {
        let why = judged(&metric, source).expect_err(&metric);
        assert!(why.contains(said), "{metric}: {why}");
    }
    for (metric, line, said) in [
        (format!("for: 1s{threshold}"), 6, "nothing is asked here"),
        (format!("bad: a{threshold}"), 7, "`total` is missing"),
        (format!("query: a; count: b; sum: c{threshold}"), 8, "asks one thing"),
        (
            "query: a; threshold: {max_absolute: 1, min_absolute: 0.5}".to_owned(),
            8,
            "from above and from below",
        ),
        ("query: a; threshold: {min_absolute: 1, min_absolute_percent: 5}".to_owned(), 8, "in two units"),
    ] {
        let problem = first(&one(&metric));
        assert!(problem.message.contains(said), "{metric}: {problem}");
        assert_eq!(problem.line, line, "{metric}: {problem}");
    }
    let config = good(&one(&format!("bad: nonsense; total: b{threshold}")));
    let problem =
        config.query_problem(&one("bad: nonsense"), &config.metrics[0].name, "no", "").expect("it is known");
    assert_eq!((problem.line, problem.path.as_str()), (7, "spec.metrics[0].bad"));
}
