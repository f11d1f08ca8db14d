//! What a verdict of HOLD waits for (annex: Verdicts): a shown regression that lasts goes back, a
//! baseline that fails too may recover, everything else is for a person.

use taxiway_model::policy::{AnalysisPolicy, NOT_COMPARED_BP};
use taxiway_model::verdict::{FindingState, Judgement, MetricFinding, Verdict};

/// Why a judgement holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// A regression is shown between tolerance and red: when it lasts, the release goes back.
    Shown,
    /// The baseline fails too: when it recovers, the release goes on by itself.
    BaselineFails,
    /// An absolute band is crossed, or a regression is shown that must not go back by itself.
    Other,
}

/// Why it holds; none where the verdict is not HOLD.
pub fn holding(policy: &AnalysisPolicy, judgement: &Judgement) -> Option<Holding> {
    if judgement.verdict != Verdict::Hold {
        return None;
    }
    let metric = |finding: &MetricFinding| policy.metrics.iter().find(|metric| metric.name == finding.metric);
    let holds = |finding: &&MetricFinding| {
        finding.verdict == Verdict::Hold && metric(finding).is_some_and(|metric| metric.required)
    };
    let mut holding = judgement.findings.iter().filter(holds).peekable();
    // A metric without red was told never to go back (`rollback_on_failure: false`).
    let may_go_back =
        |finding: &MetricFinding| metric(finding).is_some_and(|metric| metric.red_bp != NOT_COMPARED_BP);
    if holding.clone().any(|finding| finding.shown && may_go_back(finding)) {
        return Some(Holding::Shown);
    }
    let by_baseline =
        holding.peek().is_some() && holding.all(|finding| finding.state == FindingState::BaselineFails);
    Some(if by_baseline { Holding::BaselineFails } else { Holding::Other })
}
