//! The course of a recording under a policy: a look after every window, by the judge that runs
//! live, and what a release would have done.

use crate::recording::{Head, Lack, Recording, Seen};
use serde::{Deserialize, Serialize};
use taxiway_decide::judge::{self, Fresh, Outlook, State};
use taxiway_model::policy::{AnalysisPolicy, Measure, MetricPolicy};
use taxiway_model::verdict::{Judgement, Verdict};
use taxiway_model::weight::WeightBp;

/// A look at the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// When, in milliseconds since the start.
    pub at_ms: u64,
    /// The step.
    pub step: u16,
    /// Requests of the canary so far, and failed ones among them; warm-up included.
    pub canary: (u64, u64),
    /// What the judge said.
    pub judgement: Judgement,
}

/// All the looks, and what they come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// The policy as it was applied: without metrics of which nothing was recorded.
    pub policy: AnalysisPolicy,
    /// Metrics of the policy that were left out, with the reason.
    pub left_out: Vec<String>,
    /// After every window.
    pub looks: Vec<Look>,
    /// What they come to.
    pub decision: Decision,
}

/// What a judge answered in the end; other judges than ours have one too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// ROLLBACK if it fell at any look, since a release ends there; else that of the last look.
    pub verdict: Verdict,
    /// When it fell first, in milliseconds since the start (for ROLLBACK), or since when it has
    /// stood (for the others); none where there was no look.
    pub at_ms: Option<u64>,
    /// Why, one sentence.
    pub sentence: String,
}

/// Judges a recording by a policy, window by window.
pub fn follow(recording: &Recording, policy: &AnalysisPolicy) -> Course {
    let (policy, left_out) = fitted(recording, policy);
    let looks = looks(recording, &policy);
    let decision = decide(recording, &looks);
    Course { policy, left_out, looks, decision }
}

/// The policy without metrics that were not recorded. A metric of the release's own policy stays
/// whatever its source gave: silence is not health.
fn fitted(recording: &Recording, policy: &AnalysisPolicy) -> (AnalysisPolicy, Vec<String>) {
    let own = recording.head.policy.as_ref();
    let mut left_out = Vec::new();
    let mut keep = |metric: &MetricPolicy| {
        let lacks = |lack| recording.head.lacks.contains(&lack);
        let why = match metric.measure {
            Measure::ErrorRate if lacks(Lack::Errors) => "failed requests were not counted",
            measure @ Measure::Burn { .. } if !measure.is_query() && lacks(Lack::Errors) => {
                "failed requests were not counted"
            }
            Measure::Latency { .. } if lacks(Lack::Latency) => "latencies were not recorded",
            Measure::Throughput if lacks(Lack::Share) => "the share that was routed is not known",
            measure if measure.is_gauge() && own.is_none_or(|own| !has(own, metric)) => {
                let is_there = |seen: &Seen| !seen.window.gauges.is_empty();
                if recording.windows.iter().any(is_there) {
                    return true;
                }
                "what instances use was not recorded"
            }
            measure if measure.is_query() && own.is_none_or(|own| !has(own, metric)) => {
                let is_there = |seen: &Seen| seen.window.metrics.contains_key(&metric.name);
                if recording.windows.iter().any(is_there) {
                    return true;
                }
                "its source was not asked then"
            }
            _ => return true,
        };
        left_out.push(format!("{} is not judged: {why}", metric.name));
        false
    };
    let metrics = policy.metrics.iter().filter(|metric| keep(metric)).cloned().collect();
    (AnalysisPolicy { metrics, ..policy.clone() }, left_out)
}

fn has(policy: &AnalysisPolicy, metric: &MetricPolicy) -> bool {
    policy.metrics.iter().any(|known| known.name == metric.name)
}

/// What the plan's steps amounted to, as the judge was told when the release began.
fn outlook(recording: &Recording) -> Outlook {
    let Head { steps, lacks, baseline, .. } = &recording.head;
    let live = |weight| weight > WeightBp::ZERO && weight < WeightBp::ALL;
    let compared = || steps.iter().filter(|step| baseline.is_some() && step.analysis && live(step.weight));
    let by_weight = steps.iter().all(|step| !step.by_header && step.mirror == WeightBp::ZERO);
    let known = by_weight && !lacks.contains(&Lack::Share);
    let weights = || compared().map(|step| step.weight.among(step.fresh));
    let both =
        || compared().filter_map(|step| WeightBp::new(step.weight.bp().saturating_add(step.fresh.bp())).ok());
    let fresh = compared().any(|step| !step.fresh.is_zero()).then(|| Fresh {
        instances: compared().map(|step| step.fresh_instances.max(1)).min().unwrap_or(1),
        both: both().min().filter(|least| both().all(|other| other == *least)),
    });
    Outlook {
        shares: weights().min().zip(weights().max()).filter(|_| known).map(|(least, most)| [least, most]),
        compared_ms: compared().map(|step| step.bake_ms).sum(),
        canary_instances: compared().map(|step| step.instances.max(1)).min().unwrap_or(1),
        fresh,
    }
}

fn looks(recording: &Recording, policy: &AnalysisPolicy) -> Vec<Look> {
    let mut state = State::expecting(policy, recording.head.normal.as_ref(), &outlook(recording));
    let mut looks = Vec::with_capacity(recording.windows.len());
    for seen in &recording.windows {
        let step = seen.window.step;
        let weight = recording.weight(step);
        state.fold(policy, &seen.window, weight);
        if !recording.step(step).is_some_and(|step| step.analysis) {
            continue;
        }
        let question = judge::question_at(policy, step, weight, recording.is_live(step));
        let judgement = judge::judge(policy, &state, question);
        looks.push(Look { at_ms: seen.at_ms, step, canary: state.canary_totals(), judgement });
    }
    looks
}

/// What a release would have done: back at the first ROLLBACK, and when a shown regression stays
/// on HOLD for the step's time again.
fn decide(recording: &Recording, looks: &[Look]) -> Decision {
    let mut hold: Option<(u16, u64)> = None;
    for look in looks {
        let Judgement { verdict, sentence, findings, .. } = &look.judgement;
        if *verdict == Verdict::Rollback {
            return Decision { verdict: *verdict, at_ms: Some(look.at_ms), sentence: sentence.clone() };
        }
        let shown = findings.iter().any(|finding| finding.shown);
        hold = hold.filter(|(step, _)| *step == look.step);
        if *verdict != Verdict::Hold || !shown {
            hold = None;
            continue;
        }
        let (step, since_ms) = *hold.get_or_insert((look.step, look.at_ms));
        let bake_ms = recording.step(step).map_or(0, |step| step.bake_ms);
        if bake_ms > 0 && look.at_ms - since_ms > bake_ms {
            let sentence = format!("{sentence} for the whole step again");
            return Decision { verdict: Verdict::Rollback, at_ms: Some(look.at_ms), sentence };
        }
    }
    let Some(last) = looks.last() else {
        let sentence = "there is no evidence to judge".to_owned();
        return Decision { verdict: Verdict::InsufficientData, at_ms: None, sentence };
    };
    let stood = looks.iter().rev().take_while(|look| look.judgement.verdict == last.judgement.verdict);
    Decision {
        verdict: last.judgement.verdict,
        at_ms: stood.last().map(|look| look.at_ms),
        sentence: last.judgement.sentence.clone(),
    }
}

impl Course {
    /// The look that decided: at a ROLLBACK, else the last one.
    pub fn decisive(&self) -> Option<&Look> {
        match (self.decision.verdict, self.decision.at_ms) {
            (Verdict::Rollback, Some(at_ms)) => self.looks.iter().find(|look| look.at_ms == at_ms),
            _ => self.looks.last(),
        }
    }
}

/// What the canary cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Exposure {
    /// Requests it had.
    pub requests: u64,
    /// Of those, failed ones.
    pub failed: u64,
    /// Failed requests beyond what the baseline's rate would have given; less than zero is a gain.
    pub excess: i64,
    /// The judge would have let it go on, but the recording ends: it would have been more.
    pub at_least: bool,
}

/// The canary's exposure up to a verdict (for ROLLBACK), else over the whole recording.
pub fn exposure(recording: &Recording, decision: &Decision) -> Exposure {
    let until = match decision.verdict {
        Verdict::Rollback => decision.at_ms.unwrap_or(u64::MAX),
        _ => u64::MAX,
    };
    let mut exposure = Exposure::default();
    let mut excess = 0.0;
    for seen in recording.windows.iter().filter(|seen| seen.at_ms <= until) {
        if recording.weight(seen.window.step) == WeightBp::ZERO {
            continue;
        }
        let (canary, baseline) = (seen.window.canary_total(), seen.window.baseline_total());
        exposure.requests += canary.requests;
        exposure.failed += canary.errors();
        if baseline.requests > 0 {
            let expected = canary.requests as f64 * baseline.errors() as f64 / baseline.requests as f64;
            excess += canary.errors() as f64 - expected;
        }
    }
    exposure.excess = libm::round(excess) as i64;
    let sent_back = recording
        .ended
        .as_ref()
        .is_some_and(|(_, ended)| ended.outcome != taxiway_model::event::Outcome::Released);
    exposure.at_least = sent_back && decision.verdict != Verdict::Rollback;
    exposure
}
