//! Values of an expression that could not be taken apart: a gauge, a mean, a smoothed rate. Nobody
//! knows how many requests they rest on, so the test is weaker: values that do not rest on the same
//! seconds are compared in pairs, and only which of the two is worse counts. Twelve pairs, all
//! against the canary, are needed; and an absolute limit must be crossed twice in a row.

use super::super::finding::{self, milli, times};
use super::values_side;
use taxiway_model::policy::{AnalysisPolicy, Direction, MetricPolicy, NOT_COMPARED_BP};
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
    /// Values in a row beyond the bands for going back and for holding.
    over: [u32; 2],
    newest: [Option<i64>; 2],
}

impl Evidence {
    pub(super) fn new(every_ms: u64) -> Self {
        Self { every_ms, since_ms: every_ms, values: 0, pairs: 0, worse: 0, over: [0; 2], newest: [None; 2] }
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
        let over = |band: Option<u64>| band.is_some_and(|band| i128::from(value) > i128::from(band));
        let under = |band: Option<u64>| band.is_some_and(|band| i128::from(value) < i128::from(band));
        let beyond = [
            over(metric.rollback_above) || under(metric.rollback_below),
            over(metric.hold_above) || under(metric.hold_below),
        ];
        for (windows, beyond) in self.over.iter_mut().zip(beyond) {
            *windows = if beyond { windows.saturating_add(1) } else { 0 };
        }
        if let (Some(baseline), true) = (baseline, metric.is_compared()) {
            // In the basis points of the tolerance, so that nothing is rounded.
            let scaled = i128::from(value) * 10_000;
            let tolerated = |bp: u32| i128::from(baseline) * i128::from(bp);
            let worse = match metric.direction {
                Direction::HigherIsWorse => scaled > tolerated(metric.tolerance_bp),
                Direction::LowerIsWorse => scaled < tolerated(metric.tolerance_bp),
                Direction::Either => {
                    let mirrored = 100_000_000 / metric.tolerance_bp.max(1);
                    scaled > tolerated(metric.tolerance_bp) || scaled < tolerated(mirrored)
                }
            };
            self.pairs += 1;
            self.worse += u64::from(worse);
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
        let [back, hold] = self.over;
        let over = back.max(hold) >= OVER_MIN;
        let worse_means = if metric.red_bp == NOT_COMPARED_BP { Verdict::Hold } else { Verdict::Rollback };
        let verdict = match () {
            () if back >= OVER_MIN => Verdict::Rollback,
            () if worse => worse_means,
            () if back.max(hold) > 0 => Verdict::Hold,
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
        let words = |value: i64| metric.unit.words(value);
        let Some(newest) = self.newest[0] else { return "the source has no value yet".to_owned() };
        let mut parts = vec![format!("canary {}", words(newest))];
        if let Some(baseline) = self.newest[1] {
            parts[0] = format!("{} against baseline {}", parts[0], words(baseline));
        }
        let beyond = self.over[0].max(self.over[1]) > 0;
        let bands = [
            (metric.rollback_above.or(metric.hold_above), "above"),
            (metric.rollback_below.or(metric.hold_below), "below"),
        ];
        for (band, word) in bands {
            let Some(band) = band.and_then(|band| i64::try_from(band).ok()) else { continue };
            let place = if beyond { word } else { "within" };
            parts.push(format!("{place} the limit of {}", words(band)));
        }
        if metric.is_compared() {
            let shown = if worse { "shown to be worse" } else { "worse" };
            let (than, worse, pairs) = (times(metric.tolerance_bp), self.worse, self.pairs);
            parts.push(format!("{shown} than {than} in {worse} of {pairs} pairs"));
        }
        parts.join(", ") + " (values, not counts: the weaker test)"
    }
}
