//! An absolute limit, as a test of a share: of bad ones among all, or of those slower than the
//! limit among all, which for a quantile `q` must be at most `1 - q`.

use super::super::finding::percent;
use taxiway_model::policy::{Measure, MetricPolicy};
use taxiway_stats::{Arm, burn, sequence};

/// Bad ones expected under what is excluded at which its confidence sequence is tightest: with none at all it takes
/// some five, with a few as many again.
const EXPECTED_OPT: f64 = 10.0;

/// The fold of one limit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limit {
    share_max: f64,
    test: (burn::Test, burn::State),
    sum: Arm,
}

impl Limit {
    /// The metric's limit; none where it has none, or its values are not counted.
    pub(super) fn of(metric: &MetricPolicy) -> Option<Self> {
        let band = metric.rollback_above.or(metric.hold_above)?;
        let share_max = match metric.measure {
            Measure::QueryCounts => band as f64 / 1e6,
            Measure::QueryBuckets { quantile_bp } => 1.0 - f64::from(quantile_bp.clamp(1, 9_999)) / 1e4,
            _ => return None,
        };
        let share_max = share_max.clamp(1e-9, 1.0);
        let test = burn::Test::new(share_max).expect("a clamped probability");
        Some(Self { share_max, test: (test, test.start()), sum: Arm::default() })
    }

    pub(super) fn fold(&mut self, arm: Arm) {
        self.test.0.fold(&mut self.test.1, arm);
        self.sum.total += arm.total;
        self.sum.bad += arm.bad;
    }

    /// Log evidence that the share is above the limit.
    pub(super) fn ln_evidence(&self) -> f64 {
        self.test.0.ln_evidence(&self.test.1)
    }

    /// Whether a share of so many times the limit's, in basis points, is excluded: it lies above the confidence sequence of
    /// the share, which misses the truth at any look with a chance of `exp(-needed)` at most.
    pub(super) fn excludes(&self, multiple_bp: u32, needed: f64) -> bool {
        let multiple = (f64::from(multiple_bp) / 1e4 * self.share_max).min(0.5_f64.max(self.share_max));
        let multiple = multiple.min(1.0 - 1e-9);
        let (total, bad) = (self.sum.total as f64, self.sum.bad.min(self.sum.total) as f64);
        let beyond = || sequence::beta_binomial(bad, total, multiple, EXPECTED_OPT / multiple) >= needed;
        bad < total * multiple && beyond()
    }

    /// The limit for people.
    pub(super) fn words(&self, metric: &MetricPolicy) -> String {
        let band = metric.rollback_above.or(metric.hold_above).unwrap_or_default();
        match metric.measure {
            Measure::QueryBuckets { .. } => {
                format!("{:.4}% may be slower than {} ms", self.share_max * 1e2, band as f64 / 1e3)
                    .replace(".0000%", "%")
            }
            _ => percent(band, 1_000_000),
        }
    }
}
