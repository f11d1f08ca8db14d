//! Flagger: ticks, failed checks added up, templates with variables.

use std::collections::BTreeMap;

use taxiway_model::document::plain::documents;
use taxiway_peers::flagger::{Analysis, canary};
use taxiway_peers::named::Named;
use taxiway_peers::{Act, Outcome, Policy, Signal};

use crate::release::{Release, minutes};

pub(crate) const CANARY: &str = "apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: shop, namespace: test}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}
  analysis:
    interval: 1m
    threshold: 5
    maxWeight: 50
    stepWeight: 10
    metrics:
    - name: errors
      templateRef: {name: errors}
      thresholdRange: {max: 1}
      interval: 2m
      templateVariables: {code: '5..'}
    - name: request-success-rate
      thresholdRange: {min: 99}
      interval: 1m
    - name: request-duration
      thresholdRange: {max: 500}
      interval: 1m
    webhooks:
    - name: load-test
      url: http://loadtester/
---
apiVersion: flagger.app/v1beta1
kind: MetricTemplate
metadata: {name: errors, namespace: test}
spec:
  provider: {type: prometheus, address: 'http://p:9090'}
  query: |
    100 * sum(rate(requests_total{namespace=\"{{ namespace }}\",target=\"{{ target }}\",code=~\"{{ variables.code }}\"}[{{ interval }}]))
    / sum(rate(requests_total{namespace=\"{{ namespace }}\",target=\"{{ target }}\"}[{{ interval }}]))
";

fn analysis(text: &str) -> Analysis {
    let documents = documents(text.as_bytes()).unwrap();
    let templates: Vec<_> = documents
        .iter()
        .filter(|document| canary::is_template(document))
        .map(|document| canary::read_template(document).unwrap())
        .collect();
    let found = documents.iter().find(|document| canary::is_canary(document)).unwrap();
    let (analysis, unknown) = Analysis::new(canary::read(found, &templates).unwrap(), &BTreeMap::new());
    assert!(unknown.is_empty(), "{unknown:?}");
    analysis
}

fn play(text: &str, release: &Release) -> Outcome {
    Policy::Flagger(analysis(text)).judge(release)
}

#[test]
fn queries_are_filled_and_recognised() {
    let analysis = analysis(CANARY);
    let check = &analysis.canary.checks[0];
    let query = check.query.as_deref().unwrap();
    assert!(query.contains("namespace=\"test\",target=\"shop\",code=~\"5..\"}[2m]"), "{query}");
    assert_eq!(analysis.signals["errors"], Signal::Errors { scale: 100.0 });
    assert_eq!(check.window_ms, 120_000);
    assert_eq!(analysis.canary.weights, [10, 20, 30, 40, 50]);
    let webhooks: Vec<_> =
        analysis.canary.webhooks.iter().map(|it| (it.name.as_str(), it.kind.as_str())).collect();
    assert_eq!(webhooks, [("load-test", "rollout")]);
}

/// Five bad checks, and the threshold is looked at on the tick after; built-in metrics come first whatever their place.
#[test]
fn the_threshold_is_looked_at_on_the_next_tick() {
    let bad = play(CANARY, &minutes(60, 100, 2, 0));
    assert_eq!((bad.act, bad.at_ms), (Act::Rollback, 360_000), "{}", bad.reason);
    assert!(bad.reason.contains("5 failed checks, threshold 5"), "{}", bad.reason);
    assert!(bad.reason.contains("request-success-rate 98.00 < 99"), "{}", bad.reason);
    let good = play(CANARY, &minutes(60, 100, 1, 0));
    assert_eq!((good.act, good.at_ms), (Act::Promote, 300_000), "{}", good.reason);
}

/// Good checks take nothing back: bad minutes far apart add up.
#[test]
fn failed_checks_add_up_over_the_whole_release() {
    let long = CANARY.replace("stepWeight: 10", "stepWeight: 1");
    let mut release = Vec::new();
    for minute in 0..50 {
        let bad = if minute % 8 == 7 { 5 } else { 0 };
        release.extend(minutes(1, 100, bad, minute));
    }
    let long_window = long.replace("interval: 2m", "interval: 1m");
    let found = play(&long_window, &release);
    assert_eq!((found.act, found.at_ms), (Act::Rollback, 41 * 60_000), "{}", found.reason);
}

#[test]
fn no_data_is_a_failed_check() {
    let silent = play(CANARY, &minutes(60, 0, 0, 0));
    assert_eq!((silent.act, silent.at_ms), (Act::Rollback, 360_000), "{}", silent.reason);
    assert!(silent.reason.contains("has no values"), "{}", silent.reason);
}

/// 100 ms lies below 500 and above 99; Flagger cuts durations to whole milliseconds.
#[test]
fn latency_has_its_bound() {
    let slow = CANARY.replace("{max: 500}", "{max: 98}");
    let found = play(&slow, &minutes(60, 100, 0, 0));
    assert_eq!(found.act, Act::Rollback);
    assert!(found.reason.contains("request-duration"), "{}", found.reason);
}

#[test]
fn the_floor_of_the_interval_and_the_old_threshold() {
    let quick = CANARY.replace("    interval: 1m\n    threshold: 5", "    interval: 2s");
    let quick = quick.replace("      thresholdRange: {min: 99}\n", "      threshold: 99\n");
    let analysis = analysis(&quick);
    assert_eq!((analysis.canary.interval_ms, analysis.canary.threshold), (10_000, 1));
    assert_eq!(analysis.canary.checks[1].range, [Some(99.0), None]);
}

#[test]
fn a_missing_template_is_named() {
    let documents = documents(CANARY.as_bytes()).unwrap();
    let missing = canary::read(&documents[0], &[]).map(|_| ()).unwrap_err().to_string();
    assert!(missing.contains("MetricTemplate `errors` is not among the files"), "{missing}");
    assert!(missing.starts_with("12:"), "{missing}");
}

/// Gates that stay closed pause, checks that fail count like metrics, a rollback that is asked for comes at once.
#[test]
fn webhooks_answer_as_somebody_says() {
    let hooks = "    webhooks:
    - {name: load-test, url: 'http://a/'}
    - {name: smoke, type: pre-rollout, url: 'http://a/'}
    - {name: start, type: confirm-rollout, url: 'http://a/'}
    - {name: more, type: confirm-traffic-increase, url: 'http://a/'}
    - {name: go, type: confirm-promotion, url: 'http://a/'}
    - {name: back, type: rollback, url: 'http://a/'}
    - {name: told, type: event, url: 'http://a/'}
";
    let text = CANARY.replace("    webhooks:\n    - name: load-test\n      url: http://loadtester/\n", hooks);
    let play = |settings: &str| {
        let named = Named::parse(&format!("flagger:f.yaml{settings}")).unwrap();
        let (policy, _) =
            named.policy(&[text.clone().into_bytes()]).map_err(|problems| problems.to_string())?;
        let judged = policy.judge(&minutes(60, 1_000, 0, 0));
        Ok::<_, String>((judged.act, judged.at_ms / 60_000, judged.reason))
    };
    let (act, minute, _) = play("").unwrap();
    assert_eq!((act, minute), (Act::Promote, 5));
    for (settings, wanted) in [
        (",load-test=fails", (Act::Rollback, 6)),
        (",smoke=fails", (Act::Rollback, 6)),
        (",start=closed", (Act::Pause, 1)),
        (",more=closed", (Act::Pause, 1)),
        (",go=closed", (Act::Pause, 5)),
        (",back=open", (Act::Rollback, 1)),
        (",back=closed,go=open", (Act::Promote, 5)),
    ] {
        let (act, minute, reason) = play(settings).unwrap();
        assert_eq!((act, minute), wanted, "{settings}: {reason}");
    }
    assert!(play(",go=perhaps").unwrap_err().contains("no answer of the webhook `go`"));
}

/// One good check a weight, one more for mirroring; an iteration each for users by header; one more than iterations
/// behind the running version.
#[test]
fn good_checks_until_promotion() {
    let advances = |progress: &str| {
        analysis(&CANARY.replace("    maxWeight: 50\n    stepWeight: 10\n", progress)).canary.advances
    };
    assert_eq!(advances("    maxWeight: 50\n    stepWeight: 20\n"), Some(3));
    assert_eq!(advances("    stepWeights: [1, 5, 20]\n"), Some(3));
    assert_eq!(advances("    stepWeights: [1, 5, 20]\n    mirror: true\n"), Some(4));
    assert_eq!(advances("    iterations: 10\n"), Some(11));
    assert_eq!(advances("    iterations: 10\n    match: [{headers: {cookie: {exact: a}}}]\n"), Some(10));
}
