//! The judge: evidence in, verdict out.
//!
//! The state is a fold of windows, nothing else; a judgement is a function of that state, the
//! policy and what the step must exclude. It knows no clock: whether the time is up is the step's
//! business, not the judge's. Both are on record, so a judgement can be made again from the log
//! and must come out the same byte for byte.
//!
//! Why a sequential test and not a threshold: a release is looked at every second, and a rule on a
//! noisy ratio looked at often enough will alarm on anything. An e-process may be looked at as
//! often as one likes; its false-alarm rate holds at all looks together.

mod band;
mod errors;
mod finding;
mod interval;
mod lasting;
mod latency;
mod missing;
mod more;
mod noise;
mod prior;
mod query;
mod ratio;
mod sides;
mod state;
mod trailing;

pub use errors::exclusion_slack_ppm;
pub(crate) use errors::own_rate;
pub(crate) use prior::is_known;
pub use prior::{Fresh, Outlook};
pub use sides::Sides;
pub use state::State;

use taxiway_model::evidence::Window;
use taxiway_model::plan::Plan;
use taxiway_model::policy::{AnalysisPolicy, MetricPolicy, Missing};
use taxiway_model::verdict::{FindingState, Judgement, MetricFinding, Verdict};
use taxiway_model::weight::WeightBp;

/// Name and version of this judge; it changes whenever the same evidence could give other words.
pub const JUDGE: &str = "taxiway-sequential/2";

/// A window is closed when the canary has had this many requests …
pub const WINDOW_REQUESTS: u64 = taxiway_stats::FULL_CANARY;

/// … or after this time, whichever is first; no window counts for more than it.
pub const WINDOW_MS_MAX: u64 = 15_000;

/// No window is closed before this time, so that a busy service does not fill its log. A look comes
/// every second, but counting begins a moment after the look before: with a whole second here every
/// other look would come some milliseconds too early, and every verdict take twice as long.
pub const WINDOW_MS_MIN: u64 = 900;

/// Whether a window is to be closed: the one rule for releases, evidence from files and the bench. It
/// rests on totals and time, never on how many requests were bad: else the test would not be valid.
pub fn is_full(canary_requests: u64, span_ms: u64) -> bool {
    span_ms >= WINDOW_MS_MAX || span_ms >= WINDOW_MS_MIN && canary_requests >= WINDOW_REQUESTS
}

/// What the judge is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The step.
    pub step: u16,
    /// What must be excluded before PROCEED, as a ratio in basis points; none where there is no
    /// live baseline to compare with.
    pub exclude_bp: Option<u32>,
}

/// The question a step puts to the judge.
pub fn question(plan: &Plan, index: u16) -> Question {
    let live = plan.baseline.is_some()
        && plan.step(index).is_some_and(|step| {
            step.weight < WeightBp::ALL
                && (step.weight > WeightBp::ZERO || step.mirror > WeightBp::ZERO || step.header.is_some())
        });
    let weight = plan.step(index).map(|step| step.weight).unwrap_or_default();
    question_at(&plan.analysis, index, weight, live)
}

/// The question at a share of the traffic, for evidence that comes without a plan; `live` says
/// whether there is a baseline beside the canary.
pub fn question_at(policy: &AnalysisPolicy, step: u16, weight: WeightBp, live: bool) -> Question {
    Question { step, exclude_bp: if live { policy.exclusion_at(weight) } else { None } }
}

/// Whether a window counts as time with fresh evidence: both sides that should have had traffic had.
pub fn is_fresh(plan: &Plan, window: &Window) -> bool {
    let Some(step) = plan.step(window.step) else { return false };
    if window.warm_up {
        return false;
    }
    let due = |metric: &&MetricPolicy| {
        let needed = step.analysis && metric.required && metric.on_error != Missing::Ignore;
        needed && metric.measure.is_query() && metric.from_step <= window.step
    };
    if plan.analysis.metrics.iter().filter(due).any(|metric| !window.metrics.contains_key(&metric.name)) {
        // Not even an empty sample: the source did not answer, and silence does not age a canary.
        return false;
    }
    let canary = window.canary.values().any(|counts| counts.requests > 0);
    let baseline = window.baseline.values().any(|counts| counts.requests > 0);
    let canary_due = step.weight > WeightBp::ZERO || step.mirror > WeightBp::ZERO || step.header.is_some();
    let baseline_due = step.weight < WeightBp::ALL && plan.baseline.is_some();
    (canary || !canary_due) && (baseline || !baseline_due) && (canary || baseline)
}

/// Judges all the evidence so far.
pub fn judge(policy: &AnalysisPolicy, state: &State, question: Question) -> Judgement {
    let findings = state.findings(policy, question);
    let harm = state.excess_errors();
    let over_budget = policy.harm_budget_requests.is_some_and(|budget| harm > budget);
    let required = |finding: &&MetricFinding| {
        policy.metrics.iter().any(|metric| metric.name == finding.metric && metric.required)
    };
    // Where several lack evidence, one that will get none is named: a silent source.
    let is_silent =
        |finding: &MetricFinding| matches!(finding.state, FindingState::SourceError | FindingState::NoData);
    let worst = findings.iter().filter(required).max_by_key(|finding| (finding.verdict, is_silent(finding)));
    let (verdict, sentence) = match worst {
        _ if over_budget => {
            let budget = policy.harm_budget_requests.unwrap_or_default();
            (Verdict::Rollback, format!("the canary has cost {harm} failed requests, the budget is {budget}"))
        }
        Some(worst) if worst.verdict == Verdict::Proceed => (Verdict::Proceed, all_well(&findings)),
        Some(worst) => (worst.verdict, format!("{}: {}", worst.metric, worst.sentence)),
        None => (Verdict::Proceed, "no metric is required on this step".to_owned()),
    };
    Judgement {
        judge: JUDGE.to_owned(),
        verdict,
        sentence,
        windows: state.windows(),
        evidence: state.digest(),
        findings,
    }
}

/// The verdict alone, without the words: what [`judge`] would say, at a hundredth of its price.
pub fn look(policy: &AnalysisPolicy, state: &State, question: Question) -> Verdict {
    if policy.harm_budget_requests.is_some_and(|budget| state.excess_errors() > budget) {
        return Verdict::Rollback;
    }
    let required = state.looks(policy, question).filter(|(metric, _, _)| metric.required);
    required.map(|(_, verdict, _)| verdict).max().unwrap_or(Verdict::Proceed)
}

/// Whether a judgement made now would say the same to a person as an earlier one.
pub fn says_the_same(
    policy: &AnalysisPolicy,
    state: &State,
    question: Question,
    earlier: &Judgement,
) -> bool {
    let told = earlier.findings.iter().map(|finding| (&finding.metric, finding.verdict, finding.shown));
    let now = state.looks(policy, question).map(|(metric, verdict, shown)| (&metric.name, verdict, shown));
    now.eq(told) && look(policy, state, question) == earlier.verdict
}

fn all_well(findings: &[MetricFinding]) -> String {
    let words: Vec<String> =
        findings.iter().map(|finding| format!("{}: {}", finding.metric, finding.sentence)).collect();
    words.join("; ")
}

/// Whether two judgements say the same to a person who acts on them.
pub fn same_message(a: &Judgement, b: &Judgement) -> bool {
    let message = |judgement: &Judgement| -> Vec<(String, Verdict, bool)> {
        judgement.findings.iter().map(|f| (f.metric.to_string(), f.verdict, f.shown)).collect()
    };
    a.verdict == b.verdict && message(a) == message(b)
}
