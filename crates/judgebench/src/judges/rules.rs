use std::collections::BTreeMap;

use taxiway_peers::argo::{Analysis, Condition, Metric, Template};
use taxiway_peers::flagger::{self, Canary, Check};
use taxiway_peers::ratio::Rule;
use taxiway_peers::{Act, Policy, Side, Signal, Stretch};
use taxiway_stats::{Arm, Window};

use super::Judge;
use crate::traffic::Run;

/// Sums of each whole minute.
pub(super) fn minutes(run: &Run) -> impl Iterator<Item = Window> + '_ {
    run.seconds.chunks_exact(60).map(|windows| {
        windows.iter().fold(Window::default(), |mut sum, window| {
            sum.add(window);
            sum
        })
    })
}

/// A peer's policy, shown the run minute by minute.
#[derive(Debug)]
pub struct Played {
    name: &'static str,
    policy: Policy,
}

impl Judge for Played {
    fn name(&self) -> &'static str {
        self.name
    }

    fn alarm_s(&self, run: &Run) -> Option<usize> {
        let mut play = self.policy.start();
        let outcome = minutes(run).enumerate().find_map(|(minute, window)| {
            play.feed(&Stretch {
                until_ms: (minute as u64 + 1) * 60_000,
                canary: side(window.canary),
                baseline: side(window.baseline),
            })
        });
        outcome.filter(|outcome| outcome.act == Act::Rollback).map(|outcome| outcome.at_ms as usize / 1_000)
    }
}

fn side(arm: Arm) -> Side {
    Side { total: arm.total, bad: arm.bad, ..Side::default() }
}

/// An Argo Rollouts analysis: the canary's error rate over the last minute against a fixed limit, `interval: 1m`,
/// `failureLimit: 3`, which fails on the fourth failure (`failed > failureLimit`). A minute without requests is NaN, which
/// a failure condition does not match. `rate_max` is the highest error rate that counts as success: 5 % as in the
/// documentation, or twice the true rate for an operator who knows it.
pub fn argo(name: &'static str, rate_max: f64) -> Played {
    Played { name, policy: argo_policy(name, rate_max, Signal::Errors { scale: 1.0 }) }
}

/// The analysis of [`argo`] of any figure: the last minute's must not be above `most`.
pub(crate) fn argo_policy(name: &str, most: f64, figure: Signal) -> Policy {
    let condition = format!("result[0] > {most}");
    let metric = Metric {
        name: "figure".to_owned(),
        interval_ms: Some(60_000),
        // The first measurement would find no request yet.
        delay_ms: 60_000,
        count: None,
        success: None,
        failure: Some(Condition::parse(&condition).expect("a number is compared")),
        failure_limit: 3,
        inconclusive_limit: 0,
        // Without traffic there are no series, which is an error; kinder than the original.
        error_limit: i64::MAX,
        success_limit: None,
        dry_run: false,
        provider: "prometheus".to_owned(),
        address: None,
        query: None,
        is_range: false,
        json_path: None,
        command: Vec::new(),
        at: (1, 1),
    };
    let template = Template {
        name: name.to_owned(),
        metrics: vec![metric],
        includes: Vec::new(),
        is_cluster: false,
        retention: Vec::new(),
        open: BTreeMap::new(),
    };
    Policy::Argo(Analysis::new(template, &BTreeMap::from([("figure".to_owned(), figure)])).0)
}

/// A Flagger analysis as its documentation shows it: success rate of the last minute at least 99 %, `interval: 1m`,
/// `threshold: 5`. Failed checks add up over the whole release; no data is a failed check; the threshold is looked at on
/// the next tick. It never promotes, so that every fault has the whole hour to be found.
pub fn flagger() -> Played {
    let policy = flagger_policy("request-success-rate", [Some(99.0), None], &BTreeMap::new());
    Played { name: "flagger-doc", policy }
}

/// The analysis of [`flagger`] with another of its own checks; `figures` says where it is read otherwise than as it stands.
pub(crate) fn flagger_policy(
    check: &str,
    range: [Option<f64>; 2],
    figures: &BTreeMap<String, Signal>,
) -> Policy {
    let check = Check {
        name: check.to_owned(),
        window_ms: 60_000,
        range,
        query: None,
        address: None,
        provider: "prometheus".to_owned(),
        at: (1, 1),
    };
    let canary = Canary {
        name: String::new(),
        interval_ms: 60_000,
        threshold: 5,
        advances: None,
        weights: Vec::new(),
        checks: vec![check],
        webhooks: Vec::new(),
        is_mirrored: false,
        others: Vec::new(),
        strategy: flagger::canary::Strategy::Weights,
    };
    Policy::Flagger(flagger::Analysis::new(canary, figures).0)
}

/// "More than twice the baseline's error rate" once the canary has 100 requests, looked at every minute, over the last
/// `minutes` or everything since the start.
pub fn ratio(name: &'static str, minutes: Option<u64>) -> Played {
    let rule = Rule { window_ms: minutes.map(|minutes| minutes * 60_000), ..Rule::TWICE };
    Played { name, policy: Policy::Ratio(rule) }
}
