//! What the judge looks at beside failures and latencies: shares with a direction, SLO burn,
//! throughput, what instances use, and what that costs.

mod burn;
mod cost;
mod gauge;
mod mean;
mod one_sided;
mod per_request;
mod restarts;
mod share;
mod throughput;
mod types;

use super::Question;
use taxiway_model::evidence::Window;
use taxiway_model::policy::{AnalysisPolicy, Direction, Measure, MetricPolicy};
use taxiway_model::verdict::MetricFinding;
use taxiway_model::weight::WeightBp;

/// The evidence of one such metric.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Evidence {
    Share(Box<share::Evidence>),
    Mean(Box<mean::Evidence>),
    Types(Box<types::Evidence>),
    Burn(Box<burn::Evidence>),
    Throughput(throughput::Evidence),
    Memory(gauge::Evidence),
    Cpu(Box<cost::Cpu>),
    Restarts(restarts::Evidence),
    Cost(cost::Cost),
}

impl Evidence {
    /// The evidence of a metric that is judged here; none where it is an error rate, a latency or
    /// a query without a direction.
    pub(super) fn of(policy: &AnalysisPolicy, metric: &MetricPolicy, horizon_s: f64) -> Option<Self> {
        Some(match metric.measure {
            Measure::QueryCounts if has_direction(metric) => {
                Self::Share(Box::new(share::Evidence::new(policy, metric, horizon_s)))
            }
            Measure::QueryMoments => Self::Mean(Box::new(mean::Evidence::new(policy, metric, horizon_s))),
            Measure::QueryTypes => Self::Types(Box::new(types::Evidence::new(horizon_s))),
            Measure::Burn { .. } => Self::Burn(Box::new(burn::Evidence::new(policy, metric, horizon_s))),
            Measure::Throughput => Self::Throughput(throughput::Evidence::default()),
            Measure::Memory => Self::Memory(gauge::Evidence::default()),
            Measure::Cpu => Self::Cpu(Box::new(cost::Cpu::new(policy, metric))),
            Measure::Restarts => Self::Restarts(restarts::Evidence::default()),
            Measure::Cost => Self::Cost(cost::Cost::new(policy, metric)),
            _ => return None,
        })
    }

    pub(super) fn fold(
        &mut self,
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        window: &Window,
        weight: WeightBp,
    ) {
        match self {
            Self::Share(evidence) => {
                if let Some(sample) = window.metrics.get(&metric.name) {
                    evidence.fold(sample, window.span_ms);
                }
            }
            Self::Mean(evidence) => {
                if let Some(sample) = window.metrics.get(&metric.name) {
                    evidence.fold(sample, window.span_ms);
                }
            }
            Self::Types(evidence) => {
                if let Some(sample) = window.metrics.get(&metric.name) {
                    evidence.fold(metric, sample, window.span_ms);
                }
            }
            Self::Burn(evidence) => evidence.fold(metric, window),
            Self::Throughput(evidence) => evidence.fold(window, weight),
            Self::Memory(evidence) => evidence.fold(metric, window),
            Self::Cpu(evidence) => evidence.fold(metric, window, weight),
            Self::Restarts(evidence) => evidence.fold(window),
            Self::Cost(evidence) => evidence.fold(policy, window, weight),
        }
    }

    /// A window that is no evidence (warm-up, a step before the metric's first) still says what there is.
    pub(super) fn get_to_know(&mut self, metric: &MetricPolicy, window: &Window) {
        if let (Self::Types(evidence), Some(sample)) = (self, window.metrics.get(&metric.name)) {
            evidence.get_to_know(sample);
        }
    }

    pub(super) fn finding(
        &self,
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        question: Question,
    ) -> MetricFinding {
        match self {
            Self::Share(evidence) => evidence.finding(policy, metric, question),
            Self::Mean(evidence) => evidence.finding(policy, metric, question),
            Self::Types(evidence) => evidence.finding(policy, metric, question),
            Self::Burn(evidence) => evidence.finding(policy, metric, question),
            Self::Throughput(evidence) => evidence.finding(policy, metric),
            Self::Memory(evidence) => evidence.finding(policy, metric),
            Self::Cpu(evidence) => evidence.finding(policy, metric),
            Self::Restarts(evidence) => evidence.finding(policy, metric),
            Self::Cost(evidence) => evidence.finding(policy, metric),
        }
    }
}

/// Whether counts of a source need more than the test of failures: another direction, a band from
/// below, or bands for holding and for going back at once.
fn has_direction(metric: &MetricPolicy) -> bool {
    metric.direction != Direction::HigherIsWorse
        || metric.hold_below.is_some()
        || metric.rollback_below.is_some()
        || (metric.hold_above.is_some() && metric.rollback_above.is_some())
}
