//! Throughput: does the canary answer the share of requests that was routed to it (stats: sample-
//! ratio mismatch)? What hangs, is refused or is lost reaches no counter of failures; it shows as a
//! share that is too small.

use super::super::finding::{self, milli, percent, times};
use super::super::interval;
use taxiway_model::counts::thousands;
use taxiway_model::evidence::Window;
use taxiway_model::policy::{AnalysisPolicy, MetricPolicy};
use taxiway_model::verdict::{FindingState, MetricFinding, SideFinding, Verdict};
use taxiway_model::weight::WeightBp;
use taxiway_stats::{Arm, split};

/// What is not looked at after each change of the share: requests routed before it still end, and
/// a new canary has none open yet.
const SETTLE_MS: u64 = 10_000;

/// The fold of one split.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in super::super) struct Evidence {
    split: split::State,
    requests: [u64; 2],
    /// Requests the canary should have had, in millionths.
    expected_micro: u128,
    weight: Option<WeightBp>,
    settled_ms: u64,
}

impl Evidence {
    pub(super) fn fold(&mut self, window: &Window, weight: WeightBp) {
        if self.weight != Some(weight) {
            (self.weight, self.settled_ms) = (Some(weight), 0);
        }
        let settled = self.settled_ms >= SETTLE_MS;
        self.settled_ms += window.span_ms;
        if !settled || weight == WeightBp::ZERO || weight == WeightBp::ALL {
            return;
        }
        let (canary, baseline) = (window.canary_total().requests, window.baseline_total().requests);
        self.split.fold(canary, baseline, f64::from(weight.bp()) / 1e4, 1.0);
        self.requests[0] = self.requests[0].saturating_add(canary);
        self.requests[1] = self.requests[1].saturating_add(baseline);
        self.expected_micro += (u128::from(canary) + u128::from(baseline)) * u128::from(weight.bp()) * 100;
    }

    pub(super) fn finding(&self, policy: &AnalysisPolicy, metric: &MetricPolicy) -> MetricFinding {
        let needed = finding::needed_against(policy, metric);
        let against = self.split.ln_evidence();
        let [canary, baseline] = self.requests;
        let all = canary.saturating_add(baseline);
        let ratio = (self.expected_micro > 0).then(|| canary as f64 * 1e6 / self.expected_micro as f64);
        let routed_share = self.expected_micro as f64 / 1e6 / (all.max(1) as f64);
        let range = ratio.map(|_| interval::of_share(Arm { total: all, bad: canary }, routed_share));
        let beyond = |bp: u32| {
            let bound = f64::from(bp.max(10_001)) / 1e4;
            ratio.is_some_and(|ratio| ratio > bound || ratio * bound < 1.0)
        };
        let shown = against >= needed && beyond(metric.tolerance_bp);
        let lost = ratio.is_some_and(|ratio| ratio < 1.0);
        let routed = percent((self.expected_micro / 1_000_000) as u64, all);
        let figures = format!(
            "canary answered {} of all ({} of {}), {routed} were routed",
            percent(canary, all),
            thousands(canary),
            thousands(all)
        );
        let (verdict, sentence) = match () {
            () if shown && lost && beyond(metric.red_bp) => {
                let red = times(metric.red_bp);
                (
                    Verdict::Rollback,
                    format!("requests are lost, more than {red} fewer than routed: {figures}"),
                )
            }
            () if shown && lost => (Verdict::Hold, format!("requests hang or are lost: {figures}")),
            () if shown => (Verdict::Hold, format!("the split is not the one routed: {figures}")),
            () if all == 0 => (Verdict::Proceed, "no share to compare on this step yet".to_owned()),
            () => (Verdict::Proceed, figures),
        };
        let side = |requests: u64| SideFinding {
            requests,
            bad: 0,
            value: (all > 0).then(|| (u128::from(requests) * 1_000_000 / u128::from(all)) as u64),
        };
        MetricFinding {
            metric: metric.name.clone(),
            verdict,
            sentence,
            canary: side(canary),
            baseline: Some(side(baseline)),
            ratio_bp: ratio.and_then(finding::ratio_bp),
            ratio_from_bp: range.and_then(|[low, _]| finding::ratio_bp(low)),
            ratio_to_bp: range.and_then(|[_, high]| finding::ratio_bp(high)),
            against_milli: milli(against),
            against_needed_milli: milli(needed),
            for_milli: None,
            for_needed_milli: None,
            shown,
            wait_ms: None,
            state: FindingState::Judged,
        }
    }
}
