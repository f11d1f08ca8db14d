//! Missing evidence of a metric by query: a source that fails, a source that has nothing. Neither
//! is a bad result and neither is health; what a metric does about them is its policy's.

use taxiway_model::evidence::Window;
use taxiway_model::policy::{MetricPolicy, Missing};
use taxiway_model::time::ForPeople;
use taxiway_model::verdict::{FindingState, MetricFinding, Verdict};

/// How long a source may have nothing new of the canary before that is said: four scrapes of
/// fifteen seconds.
const NOTHING_MS: u64 = 60_000;

/// For how long evidence of a metric has been missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Track {
    failing_ms: u64,
    nothing_ms: u64,
}

impl Track {
    pub(super) fn fold(&mut self, metric: &MetricPolicy, window: &Window) {
        if !metric.measure.is_query() {
            return;
        }
        match window.metrics.get(&metric.name) {
            // Not even an empty sample: the source did not answer.
            None => self.failing_ms += window.span_ms,
            Some(sample) => {
                self.failing_ms = 0;
                let seen = sample.totals().0 > 0;
                self.nothing_ms = if seen { 0 } else { self.nothing_ms + window.span_ms };
            }
        }
    }

    /// The finding with what is missing said, and with the verdict that the policy gives it.
    pub(super) fn applied(self, metric: &MetricPolicy, mut finding: MetricFinding) -> MetricFinding {
        let (state, policy, words) = if self.failing_ms > 0 {
            let words = format!("its source has not answered for {}", ForPeople(self.failing_ms));
            (FindingState::SourceError, metric.when_silent(), words)
        } else if self.nothing_ms >= NOTHING_MS {
            let words = format!("its source has had nothing new for {}", ForPeople(self.nothing_ms));
            (FindingState::NoData, metric.when_empty(), words)
        } else {
            return finding;
        };
        finding.state = state;
        // What was shown before it fell silent stays shown.
        if finding.verdict <= Verdict::InsufficientData {
            finding.verdict =
                if policy == Missing::Ignore { Verdict::Proceed } else { Verdict::InsufficientData };
            let then = match policy {
                Missing::Rollback => "it goes back if that lasts",
                Missing::Hold => "it waits for it",
                Missing::Ignore => "it goes on without",
            };
            finding.sentence = format!("{words}, {then}: {}", finding.sentence);
        }
        finding
    }
}
