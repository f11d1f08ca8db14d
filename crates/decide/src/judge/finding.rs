//! From evidence to a metric's verdict: the rules that both kinds of metric share (annex: Verdicts).

use taxiway_model::policy::{AnalysisPolicy, MetricPolicy, Profile};
use taxiway_model::verdict::{FindingState, Verdict};

/// What the tests of a metric say, before the rules.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tests {
    /// Log evidence that it is worse than tolerated.
    pub against: f64,
    /// Where that counts as shown.
    pub against_needed: f64,
    /// Whether the estimate lies beyond tolerance, over everything or over the time just past.
    /// Evidence of something that is over, or of a stall, does not stand without it.
    pub estimate_over: bool,
    /// Whether the estimate lies beyond red, likewise.
    pub estimate_red: bool,
    /// Log evidence that it is beyond red.
    pub red: f64,
    /// Whether the absolute rollback band is crossed.
    pub over_rollback: bool,
    /// Whether the absolute hold band is crossed.
    pub over_hold: bool,
    /// Whether the baseline crosses that band too.
    pub baseline_over: bool,
    /// Log evidence that what must be excluded is excluded; none where nothing must be.
    pub excluded: Option<f64>,
    /// Where that suffices.
    pub excluded_needed: f64,
}

/// Which rule decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    OverRollbackBand,
    ShownBeyondRed,
    RedShown,
    ShownStrict,
    ShownWithinRed,
    BothOverHoldBand,
    OverHoldBand,
    NotExcluded,
    Well,
}

impl Tests {
    pub(super) fn shown(&self) -> bool {
        self.against >= self.against_needed && self.estimate_over
    }

    /// The first rule that holds, hardest first.
    pub(super) fn rule(&self, profile: Profile) -> Rule {
        if self.over_rollback {
            Rule::OverRollbackBand
        } else if self.red >= self.against_needed && self.estimate_over {
            Rule::RedShown
        } else if self.shown() && self.estimate_red {
            Rule::ShownBeyondRed
        } else if self.shown() && profile == Profile::Strict {
            Rule::ShownStrict
        } else if self.shown() {
            Rule::ShownWithinRed
        } else if self.over_hold && self.baseline_over {
            Rule::BothOverHoldBand
        } else if self.over_hold {
            Rule::OverHoldBand
        } else if self.excluded.is_some_and(|excluded| excluded < self.excluded_needed) {
            Rule::NotExcluded
        } else {
            Rule::Well
        }
    }
}

impl Rule {
    pub(super) fn state(self) -> FindingState {
        if self == Self::BothOverHoldBand { FindingState::BaselineFails } else { FindingState::Judged }
    }

    pub(super) fn verdict(self) -> Verdict {
        match self {
            Self::OverRollbackBand | Self::ShownBeyondRed | Self::RedShown | Self::ShownStrict => {
                Verdict::Rollback
            }
            Self::ShownWithinRed | Self::BothOverHoldBand | Self::OverHoldBand => Verdict::Hold,
            Self::NotExcluded => Verdict::InsufficientData,
            Self::Well => Verdict::Proceed,
        }
    }
}

/// Log evidence at which a regression of this metric counts as shown: the false-alarm rate, of
/// which each metric has its share (Ville's inequality; a weighted average of e-values over the
/// metrics is at least each one's part, so that this is never looser than the average).
pub(super) fn needed_against(policy: &AnalysisPolicy, metric: &MetricPolicy) -> f64 {
    let all: u32 = policy.metrics.iter().filter(|metric| metric.required).map(|metric| metric.weight).sum();
    let share = f64::from(metric.weight.max(1)) / f64::from(all.max(metric.weight).max(1));
    -libm::log(f64::from(policy.false_alarm_ppm.clamp(1, 999_999)) / 1e6 * share)
}

/// Log evidence at which an exclusion suffices.
pub(super) fn needed_for(policy: &AnalysisPolicy) -> f64 {
    -libm::log(f64::from(policy.false_pass_ppm.clamp(1, 999_999)) / 1e6)
}

/// A logarithm as it is recorded: thousandths, bounded so that it always fits.
pub(super) fn milli(ln: f64) -> i64 {
    libm::round(ln.clamp(-1e12, 1e12) * 1e3) as i64
}

/// A ratio in basis points; none beyond what can be said.
pub(super) fn ratio_bp(ratio: f64) -> Option<u64> {
    (ratio.is_finite() && ratio < 1e9).then(|| libm::round(ratio.max(0.0) * 1e4) as u64)
}

/// How much longer at the same pace, in milliseconds, until `have` becomes `need`.
pub(super) fn wait_ms(have: Option<f64>, need: f64, judged_ms: u64) -> Option<u64> {
    let have = have?;
    if have >= need {
        return Some(0);
    }
    (have > 0.2 && judged_ms > 0).then(|| libm::ceil(judged_ms as f64 * (need - have) / have) as u64)
}

/// A share as people read it: `0.42%`, `12%`.
pub(super) fn percent(part: u64, of: u64) -> String {
    if of == 0 {
        return "none".to_owned();
    }
    let share = part as f64 * 100.0 / of as f64;
    if share == 0.0 || share >= 10.0 { format!("{share:.0}%") } else { format!("{share:.2}%") }
}

/// A ratio in basis points as people read it: `2x`, `1.2x`.
pub(super) fn times(bp: u32) -> String {
    let text = format!("{:.2}", f64::from(bp) / 1e4);
    format!("{}x", text.trim_end_matches('0').trim_end_matches('.'))
}
