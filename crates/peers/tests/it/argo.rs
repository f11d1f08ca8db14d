//! Argo Rollouts: conditions, counters, and whole runs over a release.

use std::collections::BTreeMap;

use taxiway_model::document::plain::documents;
use taxiway_peers::argo::run::{Counters, Phase, measure};
use taxiway_peers::argo::{Analysis, Condition, Value, template};
use taxiway_peers::{Act, Outcome, Play};

use crate::release::{Release, minutes};

fn holds(condition: &str, result: &Value) -> Result<bool, String> {
    Condition::parse(condition).and_then(|it| it.holds(result)).map_err(|fault| fault.to_string())
}

fn list(values: &[f64]) -> Value {
    Value::List(values.iter().map(|value| Value::Float(*value)).collect())
}

#[test]
fn conditions_that_are_written_in_the_field() {
    let one = list(&[0.97]);
    for (condition, wanted) in [
        ("result[0] >= 0.95", true),
        ("result[0] < .95", false),
        ("len(result) > 0 && result[0] >= 0.95", true),
        ("len(result) == 0 || isNaN(result[0]) || result[0] > 0.99", false),
        ("result[0] > 0.5 and not (result[0] > 0.98)", true),
        ("all(result, {# > 0.9})", true),
        ("any(result, # > 0.99)", false),
        ("none(result, # > 0.99)", true),
        ("0.97 in result", true),
        ("1 not in result", true),
        ("result[-1] == 0.97", true),
        ("len(result) == 0 ? true : result[0] * 100 >= 95", true),
        ("(1 - result[0]) * 100 <= 5", true),
        ("max(result) - min(result) < 1e-9", true),
        ("2 ** 3 == 8 and 7 % 4 == 3 and 1 / 2 == 0.5", true),
        ("asInt(result[0]) == 0", true),
    ] {
        assert_eq!(holds(condition, &one), Ok(wanted), "{condition}");
    }
    let text = Value::Text("1.5".to_owned());
    assert_eq!(holds("asFloat(result) > 1.4", &text), Ok(true));
    assert_eq!(holds("result == \"1.5\"", &text), Ok(true));
    assert_eq!(holds("asFloat(result) > 1.4 && isInf(asFloat(result))", &text), Ok(false));
    assert_eq!(holds("result == true", &Value::Bool(true)), Ok(true));
    assert_eq!(holds("result == false", &Value::Bool(true)), Ok(false));
    assert_eq!(holds("result > 1", &Value::Float(5.0)), Ok(true));
    assert_eq!(holds("2 in result", &list(&[1.0, 2.0])), Ok(true));
}

/// NaN is above nothing and below nothing: the success condition fails, the failure condition does not.
#[test]
fn nan_satisfies_no_comparison() {
    let nan = list(&[f64::NAN]);
    assert_eq!(holds("result[0] >= 0.95", &nan), Ok(false));
    assert_eq!(holds("result[0] < 0.95", &nan), Ok(false));
    assert_eq!(holds("isNaN(result[0])", &nan), Ok(true));
    let phase = |success: Option<&str>, failure: Option<&str>| {
        let parsed = [success, failure].map(|text| text.map(|text| Condition::parse(text).unwrap()));
        measure(parsed[0].as_ref(), parsed[1].as_ref(), &nan).unwrap()
    };
    assert_eq!(phase(Some("result[0] >= .95"), None), Phase::Failed);
    assert_eq!(phase(None, Some("result[0] >= 10")), Phase::Successful);
    assert_eq!(phase(Some("result[0] >= .95"), Some("result[0] < .9")), Phase::Inconclusive);
    assert_eq!(phase(None, None), Phase::Successful);
}

#[test]
fn what_has_no_value_is_an_error() {
    for (condition, result, part) in [
        ("result[0] > 1", list(&[]), "out of range"),
        ("result > 1", list(&[1.0]), "cannot be compared"),
        ("1", list(&[]), "not true or false"),
        ("invalidVariable", list(&[]), "unknown name"),
        ("result.Name() == 'hi'", list(&[]), "members of objects"),
        ("asInt(result) == 1.1", Value::Text("1.1".to_owned()), "not a whole number"),
        ("result + ", list(&[]), "ends early"),
        ("result == 'a", list(&[]), "not closed"),
        ("noSuch(result)", list(&[]), "unknown function"),
        ("result[0] > 1 )", list(&[]), "not expected"),
    ] {
        let fault = holds(condition, &result).unwrap_err();
        assert!(fault.contains(part), "{condition}: {fault}");
    }
    let deep = format!("{}result{}", "(".repeat(200), ")".repeat(200));
    assert!(holds(&deep, &Value::Nil).unwrap_err().contains("nested"));
}

/// `isNil` and `default` look at the result, whatever they are given.
#[test]
fn nothing_can_be_replaced() {
    assert_eq!(holds("isNil(result) || result > 1", &Value::Nil), Ok(true));
    assert_eq!(holds("default(result, 0) == 0", &Value::Nil), Ok(true));
    assert_eq!(holds("default(result, 0) == 2", &Value::Float(2.0)), Ok(true));
    assert_eq!(holds("(result ?? 7) == 7", &Value::Nil), Ok(true));
}

fn analysis(metric: &str) -> Analysis {
    let yaml = format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {{name: t}}\nspec:\n  args:\n  - name: \
         service\n    value: shop\n  metrics:\n  - name: errors\n{metric}    provider:\n      prometheus:\n        \
         address: http://p:9090\n        query: |\n          sum(rate(http_requests_total{{service=\"{{{{args.service}}}}\",\
         code=~\"5..\"}}[1m])) / sum(rate(http_requests_total{{service=\"{{{{args.service}}}}\"}}[1m]))\n"
    );
    let documents = documents(yaml.as_bytes()).unwrap();
    assert!(template::is_template(&documents[0]));
    let template = template::read(&documents[0], &BTreeMap::new()).unwrap();
    assert!(template.metrics[0].query.as_deref().unwrap().contains("service=\"shop\""));
    let (analysis, unknown) = Analysis::new(template, &BTreeMap::new());
    assert!(unknown.is_empty());
    analysis
}

fn play(metric: &str, release: &Release) -> Outcome {
    let analysis = analysis(metric);
    let mut play = analysis.start();
    let decided = release.iter().find_map(|stretch| play.feed(stretch));
    decided.unwrap_or_else(|| play.finish(release.last().unwrap().until_ms))
}

/// A limit of three needs four failures; the first measurement falls on the second after the delay.
#[test]
fn the_failure_limit_is_exceeded_by_the_fourth() {
    let metric = "    interval: 1m\n    initialDelay: 1m\n    failureLimit: 3\n    failureCondition: result[0] > 0.05\n";
    let bad = play(metric, &minutes(60, 60, 6, 0));
    assert_eq!((bad.act, bad.at_ms), (Act::Rollback, 240_000), "{}", bad.reason);
    assert!(bad.reason.contains("4 failed, more than failureLimit 3"), "{}", bad.reason);
    let at_limit = play(metric, &minutes(60, 100, 5, 0));
    assert_eq!(at_limit.act, Act::Promote, "{}", at_limit.reason);
}

/// Without any traffic there is no series; the fifth error in a row, 40 seconds after the first, aborts like a failure.
#[test]
fn a_source_without_series_aborts_after_forty_seconds() {
    let metric = "    interval: 1m\n    failureCondition: result[0] > 0.05\n";
    let silent = play(metric, &minutes(10, 0, 0, 0));
    assert_eq!((silent.act, silent.at_ms), (Act::Rollback, 40_000), "{}", silent.reason);
    assert!(silent.reason.contains("5 errors in a row"), "{}", silent.reason);
}

/// Without a delay the first measurement finds no series yet, which is an error and asked again after ten seconds.
#[test]
fn the_first_measurement_comes_too_early() {
    let metric = "    interval: 1m\n    failureLimit: 1\n    successCondition: result[0] <= 0.05\n";
    let bad = play(metric, &minutes(10, 100, 6, 0));
    assert_eq!((bad.act, bad.at_ms), (Act::Rollback, 70_000), "{}", bad.reason);
    assert_eq!(play(metric, &minutes(10, 100, 5, 0)).act, Act::Promote);
}

/// Once it has had traffic, silence is NaN, and a failure condition alone passes it.
#[test]
fn silence_after_traffic_passes_a_failure_condition() {
    let mut release = minutes(2, 100, 0, 0);
    release.extend(minutes(30, 0, 0, 2));
    let metric =
        "    interval: 1m\n    initialDelay: 1m\n    count: 20\n    failureCondition: result[0] > 0.05\n";
    assert_eq!(play(metric, &release).act, Act::Promote);
    let metric = "    interval: 1m\n    initialDelay: 1m\n    successCondition: result[0] <= 0.05\n";
    let noticed = play(metric, &release);
    assert_eq!((noticed.act, noticed.at_ms), (Act::Rollback, 180_000), "{}", noticed.reason);
}

#[test]
fn between_two_conditions_it_pauses() {
    let metric = "    interval: 1m\n    initialDelay: 1m\n    successCondition: result[0] < 0.01\n    failureCondition: result[0] > 0.05\n";
    let paused = play(metric, &minutes(10, 100, 3, 0));
    assert_eq!((paused.act, paused.at_ms), (Act::Pause, 60_000), "{}", paused.reason);
}

#[test]
fn counts_and_successes_in_a_row_end_a_metric() {
    let metric = "    interval: 1m\n    initialDelay: 1m\n    count: 5\n    failureLimit: 2\n    successCondition: result[0] < 0.05\n";
    let counted = play(metric, &minutes(60, 100, 0, 0));
    assert_eq!((counted.act, counted.at_ms), (Act::Promote, 300_000), "{}", counted.reason);
    let metric = "    interval: 1m\n    initialDelay: 1m\n    consecutiveSuccessLimit: 3\n    failureLimit: -1\n    successCondition: result[0] < 0.05\n";
    assert_eq!(play(metric, &minutes(60, 100, 0, 0)).at_ms, 180_000);
    let never = play(&metric.replace("consecutive", "count: 4\n    consecutive"), &minutes(60, 100, 50, 0));
    assert_eq!((never.act, never.at_ms), (Act::Rollback, 240_000), "{}", never.reason);
}

/// The later test wins: enough errors hide enough failures.
#[test]
fn errors_hide_failures() {
    let analysis = analysis("    interval: 1m\n    failureCondition: result[0] > 1\n");
    let mut counters = Counters::default();
    assert_eq!(counters.assess(&analysis.template.metrics[0]), None);
    counters.add(Phase::Failed);
    assert_eq!(counters.assess(&analysis.template.metrics[0]).unwrap().0, Phase::Failed);
    for _ in 0..5 {
        counters.add(Phase::Error);
    }
    assert_eq!(counters.assess(&analysis.template.metrics[0]).unwrap().0, Phase::Error);
}

#[test]
fn a_dry_run_decides_nothing() {
    let mut analysis =
        analysis("    interval: 1m\n    initialDelay: 1m\n    failureCondition: result[0] > 0.05\n");
    analysis.template.metrics[0].dry_run = true;
    let mut play = analysis.start();
    let release = minutes(10, 100, 90, 0);
    let found = release.iter().find_map(|stretch| play.feed(stretch)).unwrap();
    assert_eq!(found.act, Act::Promote);
}

#[test]
fn a_template_that_cannot_be_read_says_where() {
    let read = |text: &str| {
        let documents = documents(text.as_bytes()).unwrap();
        template::read(&documents[0], &BTreeMap::new()).map(|_| ()).unwrap_err().to_string()
    };
    let head = "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nspec:\n  metrics:\n  - name: a\n";
    let condition =
        read(&format!("{head}    successCondition: result.data > 1\n    provider: {{web: {{url: a}}}}\n"));
    assert!(condition.starts_with("6:23:") && condition.contains("members of objects"), "{condition}");
    let argument = read(&format!("{head}    count: '{{{{args.n}}}}'\n    provider: {{web: {{url: a}}}}\n"));
    assert!(argument.contains("the argument `n` has no value"), "{argument}");
    assert!(read(head).contains("no `provider`"));
}
