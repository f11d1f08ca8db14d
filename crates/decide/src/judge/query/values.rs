//! Values of an expression that could not be taken apart: a gauge, a mean, a smoothed rate. Nobody
//! knows how many requests they rest on, so the test is weaker: values that do not rest on the same
//! seconds are compared in pairs, and only which of the two is worse counts. Twelve pairs, all
//! against the canary, are needed; and an absolute limit must be crossed twice in a row.

use super::super::finding::{self, milli, times};
use super::values_side;
use taxiway_model::policy::{AnalysisPolicy, MetricPolicy};
use taxiway_model::verdict::{FindingState, MetricFinding, Verdict};

/// Chances that the canary's value is the worse one, against which an even chance is held.
const ALTERNATIVES: [f64; 4] = [0.6, 0.75, 0.9, 0.99];

/// Values in a row above an absolute limit from which on it is crossed: one may be a spike.
const OVER_MIN: u32 = 2;

/// The fold of one series of values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    every_ms: u64,
    since_ms: u64,
    values: u64,
    pairs: u64,
    worse: u64,
    over: u32,
    newest: [Option<i64>; 2],
}

impl Evidence {
    pub(super) fn new(every_ms: u64) -> Self {
        Self { every_ms, since_ms: every_ms, values: 0, pairs: 0, worse: 0, over: 0, newest: [None; 2] }
    }

    pub(super) fn fold(
        &mut self,
        metric: &MetricPolicy,
        canary: Option<i64>,
        baseline: Option<i64>,
        span_ms: u64,
    ) {
        self.since_ms += span_ms;
        let Some(value) = canary else { return };
        if self.since_ms < self.every_ms {
            return;
        }
        self.since_ms = 0;
        self.newest = [canary, baseline];
        self.values += 1;
        let band = metric.rollback_above.or(metric.hold_above);
        let is_over = band.is_some_and(|band| i128::from(value) > i128::from(band));
        self.over = if is_over { self.over.saturating_add(1) } else { 0 };
        if let (Some(baseline), true) = (baseline, metric.is_compared()) {
            // In the basis points of the tolerance, so that nothing is rounded.
            let tolerated = i128::from(baseline) * i128::from(metric.tolerance_bp);
            self.pairs += 1;
            self.worse += u64::from(i128::from(value) * 10_000 > tolerated);
        }
    }

    /// Log evidence that the canary is the worse one more often than not.
    fn against(&self) -> f64 {
        let (worse, better) = (self.worse as f64, (self.pairs - self.worse) as f64);
        let logs = ALTERNATIVES.map(|p| worse * libm::log(2.0 * p) + better * libm::log(2.0 * (1.0 - p)));
        let most = logs.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = logs.iter().map(|log| libm::exp(log - most)).sum();
        most + libm::log(sum / ALTERNATIVES.len() as f64)
    }

    pub(super) fn finding(&self, policy: &AnalysisPolicy, metric: &MetricPolicy) -> MetricFinding {
        let needed = finding::needed_against(policy, metric);
        let against = self.against();
        let worse = against >= needed;
        let over = self.over >= OVER_MIN;
        let failed = if metric.rollback_above.is_some() || metric.red_bp < u32::MAX {
            Verdict::Rollback
        } else {
            Verdict::Hold
        };
        let verdict = match () {
            () if over || worse => failed,
            () if self.over > 0 => Verdict::Hold,
            () if self.values < u64::from(OVER_MIN) => Verdict::InsufficientData,
            () => Verdict::Proceed,
        };
        MetricFinding {
            metric: metric.name.clone(),
            verdict,
            sentence: self.sentence(metric, worse),
            canary: values_side(self.values, self.newest[0]),
            baseline: self.newest[1].map(|value| values_side(self.pairs, Some(value))),
            ratio_bp: None,
            ratio_from_bp: None,
            ratio_to_bp: None,
            against_milli: milli(against),
            against_needed_milli: milli(needed),
            for_milli: None,
            for_needed_milli: None,
            shown: worse || over,
            wait_ms: (self.values < u64::from(OVER_MIN)).then_some(self.every_ms),
            state: FindingState::Judged,
        }
    }

    fn sentence(&self, metric: &MetricPolicy, worse: bool) -> String {
        let micro = |value: i64| format!("{}", value as f64 / 1e6);
        let Some(newest) = self.newest[0] else { return "the source has no value yet".to_owned() };
        let mut parts = vec![format!("canary {}", micro(newest))];
        if let Some(baseline) = self.newest[1] {
            parts[0] = format!("{} against baseline {}", parts[0], micro(baseline));
        }
        if let Some(band) = metric.rollback_above.or(metric.hold_above) {
            let place = if self.over > 0 { "above" } else { "within" };
            parts.push(format!("{place} the limit of {}", band as f64 / 1e6));
        }
        if metric.is_compared() {
            let shown = if worse { "shown to be worse" } else { "worse" };
            let (than, worse, pairs) = (times(metric.tolerance_bp), self.worse, self.pairs);
            parts.push(format!("{shown} than {than} in {worse} of {pairs} pairs"));
        }
        parts.join(", ") + " (values, not counts: the weaker test)"
    }
}
