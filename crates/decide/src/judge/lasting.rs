//! States that have to last: so long a metric must fail before it goes back, so long it must be
//! well before it passes. Meanwhile it holds, or waits.

use taxiway_model::policy::{Lasting, MetricPolicy};
use taxiway_model::time::ForPeople;
use taxiway_model::verdict::{MetricFinding, Verdict};

/// For how long a metric has been in its state, without a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Track {
    failing_ms: u64,
    failures: u32,
    well_ms: u64,
}

impl Track {
    /// Takes in what the metric says after a window.
    pub(super) fn fold(&mut self, verdict: Verdict, span_ms: u64) {
        *self = if verdict >= Verdict::Hold {
            let failing_ms = self.failing_ms.saturating_add(span_ms);
            Self { failing_ms, failures: self.failures.saturating_add(1), well_ms: 0 }
        } else {
            Self { well_ms: self.well_ms.saturating_add(span_ms), ..Self::default() }
        };
    }

    /// The finding, held back until its state has lasted.
    pub(super) fn applied(self, metric: &MetricPolicy, mut finding: MetricFinding) -> MetricFinding {
        let Some(Lasting { failures, bad_for_ms, good_for_ms }) = metric.lasting else { return finding };
        if finding.verdict == Verdict::Rollback && (self.failures < failures || self.failing_ms < bad_for_ms)
        {
            finding.verdict = Verdict::Hold;
            finding.shown = false;
            finding.sentence = format!(
                "fails for {} and {} looks, counts from {} and {failures} on: {}",
                ForPeople(self.failing_ms),
                self.failures,
                ForPeople(bad_for_ms),
                finding.sentence
            );
        }
        if finding.verdict == Verdict::Proceed && self.well_ms < good_for_ms {
            finding.verdict = Verdict::InsufficientData;
            finding.wait_ms = Some(good_for_ms - self.well_ms);
            finding.sentence = format!(
                "well for {} of {}: {}",
                ForPeople(self.well_ms),
                ForPeople(good_for_ms),
                finding.sentence
            );
        }
        finding
    }
}
