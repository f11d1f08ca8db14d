//! Argo Rollouts: conditions, counters, and whole runs over a release.

use std::collections::BTreeMap;

use taxiway_model::document::plain::documents;
use taxiway_peers::argo::run::{Counters, Phase, measure};
use taxiway_peers::argo::{Analysis, Condition, Value, template};
use taxiway_peers::{Act, Outcome, Play, Policy, Signal};

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
        ("result.Name() == 'hi'", list(&[]), "methods of objects"),
        ("result.name == 1", list(&[]), "needs an object"),
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
        read(&format!("{head}    successCondition: result.data() > 1\n    provider: {{web: {{url: a}}}}\n"));
    assert!(condition.starts_with("6:23:") && condition.contains("methods of objects"), "{condition}");
    let argument = read(&format!("{head}    count: '{{{{args.n}}}}'\n    provider: {{web: {{url: a}}}}\n"));
    assert!(argument.contains("the argument `n` has no value"), "{argument}");
    assert!(read(head).contains("no `provider`"));
}

/// A web metric's result is an object: its members are figures of the recording.
#[test]
fn members_of_a_result_are_read() {
    let object = Value::Map(BTreeMap::from([
        ("ok".to_owned(), Value::Bool(true)),
        ("data".to_owned(), Value::Map(BTreeMap::from([("share".to_owned(), Value::Float(0.97))]))),
    ]));
    for (condition, wanted) in [
        ("result.ok && result.data.share >= 0.95", true),
        ("result[\"data\"][\"share\"] < 0.95", false),
        ("result.none == nil", true),
        ("result.none?.share == nil", true),
        ("(result.data.share ?? 0) > 0.9", true),
    ] {
        assert_eq!(holds(condition, &object), Ok(wanted), "{condition}");
    }
    assert!(holds("result.none.share > 1", &object).unwrap_err().contains("needs an object"));
    let condition = Condition::parse("result.ok && result.data.share >= 0.95 && result['x'] > 1").unwrap();
    assert_eq!(condition.members().into_iter().collect::<Vec<_>>(), ["data.share", "ok", "x"]);

    let yaml = "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nspec:\n  metrics:\n  - name: web\n    interval: 1m\n    \
                initialDelay: 1m\n    failureCondition: result.good < 0.95 && result.p99 >= 0\n    provider: {web: {url: 'http://a', \
                jsonPath: '{$.data}'}}\n";
    let documents = documents(yaml.as_bytes()).unwrap();
    let template = template::read(&documents[0], &BTreeMap::new()).unwrap();
    let (_, unknown) = Analysis::new(template.clone(), &BTreeMap::new());
    assert_eq!(unknown, ["web.good`, `web.p99"], "what it needs is named");
    let named = BTreeMap::from([
        ("web.good".to_owned(), Signal::of_words("success_rate")),
        ("web.p99".to_owned(), Signal::of_words("error_rate")),
    ]);
    let (analysis, unknown) = Analysis::new(template, &named);
    assert!(unknown.is_empty());
    let judged = Policy::Argo(analysis).judge(&minutes(10, 100, 10, 0));
    assert_eq!((judged.act, judged.at_ms), (Act::Rollback, 60_000), "{}", judged.reason);
    assert!(judged.reason.contains("good 0.9"), "{}", judged.reason);
}

fn templates(texts: &[&str]) -> Result<template::Template, String> {
    let read: Vec<_> = texts.iter().map(|text| documents(text.as_bytes()).unwrap().remove(0)).collect();
    let all: Vec<_> = read.iter().enumerate().collect();
    template::read_all(&all, &BTreeMap::new()).map_err(|(index, misfit)| format!("{index}: {misfit}"))
}

/// As a rollout flattens them: all metrics, arguments of the first that has a value, the same template once.
#[test]
fn included_templates_are_followed() {
    let one = |name: &str, spec: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {{name: {name}}}\nspec:\n{spec}"
        )
    };
    let metric = |name: &str, more: &str| {
        format!(
            "  metrics:\n  - name: {name}\n    provider: {{prometheus: {{query: 'up{{a=\"{{{{args.who}}}}\"}}'}}}}\n{more}"
        )
    };
    let outer = one("outer", "  args: [{name: who}]\n  templates:\n  - templateName: inner\n");
    let inner =
        one("inner", &metric("b", "  args: [{name: who, value: shop}]\n  dryRun: [{metricName: '^b'}]\n"));
    let whole = templates(&[&outer, &inner, &inner]).unwrap();
    assert_eq!(whole.metrics.len(), 1, "the same template is there once");
    assert!(whole.metrics[0].dry_run && whole.metrics[0].query.as_deref().unwrap().contains("shop"));
    let missing = templates(&[&outer]).unwrap_err();
    assert!(missing.contains("`inner` that it includes is not among the files"), "{missing}");
    let other = one("other", &metric("b", ""));
    assert!(templates(&[&inner, &other]).unwrap_err().starts_with("1: 1:1: a second metric is called `b`"));
    let differs = one("c", &metric("c", "  args: [{name: who, value: cart}]\n"));
    assert!(templates(&[&inner, &differs]).unwrap_err().contains("`shop` in one template and `cart`"));
    for (more, part) in [
        ("  dryRun: [{metricName: 'x'}]\n", "matches no metric"),
        ("  measurementRetention: [{metricName: '(', limit: 3}]\n", "not a regular expression"),
    ] {
        let refused = templates(&[&one("d", &metric("d", more))]).unwrap_err();
        assert!(refused.contains(part), "{refused}");
    }
}

/// What the original's validation refuses is refused, with the place.
#[test]
fn limits_that_make_no_sense_are_refused() {
    for (keys, part) in [
        ("    count: 3\n", "needs an `interval`"),
        ("    interval: 1m\n    count: 2\n    failureLimit: 3\n", "less than its limits"),
        ("    failureLimit: -1\n", "or -1 beside"),
        ("    consecutiveErrorLimit: -1\n", "at least 0"),
        ("    initialDelay: soon\n", "not a time"),
        ("    failureCondition: '{{args.limit}} < result'\n", "would come from a secret"),
    ] {
        let text = format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nspec:\n  args:\n  - name: limit\n    valueFrom: \
             {{secretKeyRef: {{name: a, key: b}}}}\n  metrics:\n  - name: a\n{keys}    provider: {{prometheus: {{query: up}}}}\n"
        );
        let refused = templates(&[&text]).unwrap_err();
        assert!(refused.contains(part), "{keys}: {refused}");
    }
}
