//! The field's judges beside ours: the same traffic, window by window, as long as the steps are the same.

use taxiway_model::counts::Counts;
use taxiway_model::evidence::{Classes, Window, total};
use taxiway_peers::named::Named;
use taxiway_peers::{Act, Play, Policy, Side, Stretch};

use super::world::Release;

/// Kayenta's configuration: failures and p95, both critical; points of a minute, judged every five.
const KAYENTA: &str = r#"{
  "name": "canary", "judge": {"name": "NetflixACAJudge-v1.0", "judgeConfigurations": {}},
  "metrics": [
    {"name": "error_rate", "groups": ["all"], "query": {"type": "prometheus", "metricName": "errors"},
     "analysisConfigurations": {"canary": {"direction": "increase", "nanStrategy": "remove", "critical": true}}},
    {"name": "latency_p95", "groups": ["all"], "query": {"type": "prometheus", "metricName": "latency"},
     "analysisConfigurations": {"canary": {"direction": "increase", "nanStrategy": "remove", "critical": true}}}
  ],
  "classifier": {"groupWeights": {"all": 100}, "scoreThresholds": {"pass": 75, "marginal": 50}}
}"#;

/// Argo Rollouts as its documentation shows it: at least 95 % of the last minute's requests succeed, every minute.
const ARGO: &str = r#"apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: success-rate}
spec:
  metrics:
    - name: success_rate
      interval: 1m
      initialDelay: 1m
      failureLimit: 3
      successCondition: result[0] >= 0.95
      provider: {prometheus: {address: "http://prometheus.example:9090", query: "sum(rate(http_requests_total{status!~\"5.*\"}[1m])) / sum(rate(http_requests_total[1m]))"}}
"#;

/// Flagger as its documentation shows it: 99 % succeed, and the slowest hundredth takes no longer than half a second.
const FLAGGER: &str = "apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: service, namespace: prod}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: service}
  analysis:
    interval: 1m
    threshold: 5
    maxWeight: 50
    stepWeight: 5
    metrics:
      - {name: request-success-rate, thresholdRange: {min: 99}, interval: 1m}
      - {name: request-duration, thresholdRange: {max: 500}, interval: 1m}
";

/// The judges, in the order of the columns.
pub(super) fn all() -> Vec<Policy> {
    let named = [
        ("kayenta:config,latency_p95=latency_p95_ms", KAYENTA),
        ("argo:template", ARGO),
        ("flagger:canary", FLAGGER),
        ("ratio:2", ""),
    ];
    let read = |(words, text): (&str, &str)| {
        let named = Named::parse(words).expect("the words are right");
        let contents = if named.has_files() { vec![text.as_bytes().to_vec()] } else { Vec::new() };
        let (policy, unknown) = named.policy(&contents).expect("the texts are right");
        assert!(unknown.is_empty(), "{words}: {unknown:?}");
        policy
    };
    named.map(read).into()
}

/// When each of them would have sent this release back, in milliseconds since it was exposed.
pub(super) fn rollbacks(release: &Release, policies: &[Policy], seed: &[u64]) -> Vec<Option<u64>> {
    let mut plays: Vec<Box<dyn Play + '_>> = policies.iter().map(Policy::start).collect();
    let mut decided: Vec<Option<Option<u64>>> = vec![None; plays.len()];
    release.run(seed, &mut |until_ms, window: &Window| {
        let stretch = Stretch { until_ms, canary: side(&window.canary), baseline: side(&window.baseline) };
        for (play, decided) in plays.iter_mut().zip(&mut decided).filter(|(_, decided)| decided.is_none()) {
            let outcome = play.feed(&stretch);
            *decided = outcome.map(|outcome| (outcome.act == Act::Rollback).then_some(outcome.at_ms));
        }
        decided.iter().any(Option::is_none)
    });
    // What is left at the end has let it pass: where all the traffic is the canary's, there is nothing to compare.
    decided.into_iter().map(Option::flatten).collect()
}

fn side(classes: &Classes) -> Side {
    let counts: Counts = total(classes);
    let buckets = counts.latency.buckets.iter();
    Side {
        total: counts.requests,
        bad: counts.errors(),
        latency_us: buckets.map(|(bucket, count)| (i32::from(*bucket), *count)).collect(),
        ..Side::default()
    }
}
