//! Restarts of instances: the share of the canary's that had to be started again since they began.
//! A crash loop goes back by itself, whatever this metric says.

use super::super::finding::{self, milli, percent};
use std::collections::BTreeMap;
use taxiway_model::counts::thousands;
use taxiway_model::evidence::Window;
use taxiway_model::policy::{AnalysisPolicy, MetricPolicy};
use taxiway_model::verdict::{FindingState, MetricFinding, SideFinding, Verdict};

/// The fold of the restarts of both sides.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in super::super) struct Evidence {
    /// Restarts by instance. The canary's began with the release, so that all of them count; of the
    /// baseline's those that were before the first window do not.
    canary: BTreeMap<u32, u32>,
    baseline: BTreeMap<u32, (u32, u32)>,
}

impl Evidence {
    pub(super) fn fold(&mut self, window: &Window) {
        for gauge in &window.gauges.canary {
            let seen = self.canary.entry(gauge.instance).or_default();
            *seen = (*seen).max(gauge.restarts);
        }
        for gauge in &window.gauges.baseline {
            let seen = self.baseline.entry(gauge.instance).or_insert((gauge.restarts, gauge.restarts));
            seen.1 = seen.1.max(gauge.restarts);
        }
    }

    pub(super) fn finding(&self, policy: &AnalysisPolicy, metric: &MetricPolicy) -> MetricFinding {
        let canary = side(self.canary.values().copied());
        let baseline = side(self.baseline.values().map(|(first, last)| last - first));
        let over = |side: &SideFinding, band: Option<u64>| {
            side.value.zip(band).is_some_and(|(value, band)| value > band)
        };
        let words = |side: &SideFinding| format!("{} of {}", thousands(side.bad), thousands(side.requests));
        let restarts: u32 = self.canary.values().sum();
        let figures = match baseline.requests {
            0 => format!("{} canary instances were restarted ({restarts} times)", words(&canary)),
            _ => format!(
                "{} canary instances were restarted ({restarts} times), of the baseline {}",
                words(&canary),
                words(&baseline)
            ),
        };
        let limit = |band: Option<u64>| percent(band.unwrap_or_default(), 1_000_000);
        let both = over(&canary, metric.hold_above.or(metric.rollback_above))
            && over(&baseline, metric.hold_above.or(metric.rollback_above));
        let (verdict, sentence) = match () {
            () if canary.requests == 0 => {
                (Verdict::InsufficientData, "no canary instance was seen yet".to_owned())
            }
            () if both => (Verdict::Hold, format!("instances of the baseline restart too: {figures}")),
            () if over(&canary, metric.rollback_above) => {
                (Verdict::Rollback, format!("above {}: {figures}", limit(metric.rollback_above)))
            }
            () if over(&canary, metric.hold_above) => {
                (Verdict::Hold, format!("above {}: {figures}", limit(metric.hold_above)))
            }
            () => (Verdict::Proceed, figures),
        };
        MetricFinding {
            metric: metric.name.clone(),
            verdict,
            sentence,
            canary,
            baseline: (baseline.requests > 0).then_some(baseline),
            ratio_bp: None,
            ratio_from_bp: None,
            ratio_to_bp: None,
            against_milli: 0,
            against_needed_milli: milli(finding::needed_against(policy, metric)),
            for_milli: None,
            for_needed_milli: None,
            shown: false,
            wait_ms: None,
            state: if both { FindingState::BaselineFails } else { FindingState::Judged },
        }
    }
}

/// Instances, those restarted among them, and their share.
fn side(restarts: impl Iterator<Item = u32>) -> SideFinding {
    let (mut instances, mut restarted) = (0, 0);
    for count in restarts {
        instances += 1;
        restarted += u64::from(count > 0);
    }
    let value = (instances > 0).then(|| restarted * 1_000_000 / instances);
    SideFinding { requests: instances, bad: restarted, value }
}
