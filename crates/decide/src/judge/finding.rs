//! From evidence to a metric's verdict: the rules that both kinds of metric share (annex: Verdicts).

use taxiway_model::counts::thousands;
use taxiway_model::policy::{AnalysisPolicy, MetricPolicy, NOT_COMPARED_BP, Profile};
use taxiway_model::verdict::{FindingState, MetricFinding, SideFinding, Verdict};
use taxiway_stats::Arm;

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
    /// Worse than tolerated.
    Shown(Shown),
    BothOverHoldBand,
    OverHoldBand,
    NotExcluded,
    Well,
}

/// How far beyond what is tolerated, and what that leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Red is shown, or estimated where the tolerance is shown.
    BeyondRed,
    WithinRed,
    /// Under `strict` whatever is shown goes back.
    Strict,
    /// A metric without red never goes back by itself.
    ForPerson,
}

impl Tests {
    pub(super) fn shown(&self) -> bool {
        self.against >= self.against_needed && self.estimate_over
    }

    /// The first rule that holds, hardest first. A metric without red never goes back by itself.
    pub(super) fn rule(&self, profile: Profile, metric: &MetricPolicy) -> Rule {
        if self.over_rollback {
            Rule::OverRollbackBand
        } else if self.shown() && metric.red_bp == NOT_COMPARED_BP {
            Rule::Shown(Shown::ForPerson)
        } else if self.shown() && (self.red >= self.against_needed || self.estimate_red) {
            Rule::Shown(Shown::BeyondRed)
        } else if self.shown() && profile == Profile::Strict {
            Rule::Shown(Shown::Strict)
        } else if self.shown() {
            Rule::Shown(Shown::WithinRed)
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
            Self::OverRollbackBand | Self::Shown(Shown::BeyondRed | Shown::Strict) => Verdict::Rollback,
            Self::Shown(Shown::ForPerson | Shown::WithinRed)
            | Self::BothOverHoldBand
            | Self::OverHoldBand => Verdict::Hold,
            Self::NotExcluded => Verdict::InsufficientData,
            Self::Well => Verdict::Proceed,
        }
    }
}

impl Rule {
    /// Whether it speaks of a comparison with the baseline.
    pub(super) fn is_relative(self) -> bool {
        !matches!(self, Self::OverRollbackBand | Self::BothOverHoldBand | Self::OverHoldBand)
    }
}

impl Shown {
    /// The finding in a sentence: what is shown, `worse` than which of the ratios `[tolerated, red]` (basis points), and the
    /// figures.
    pub(super) fn sentence(self, worse: &str, ratios_bp: [u32; 2], figures: &str) -> String {
        let [tolerated, red] = ratios_bp.map(times);
        match self {
            Self::BeyondRed => format!("shown to be {worse}, beyond {red}: {figures}"),
            Self::WithinRed => {
                format!("shown to be {worse} than {tolerated} but not beyond {red}: {figures}")
            }
            Self::Strict => format!("shown to be {worse} than tolerated: {figures}"),
            Self::ForPerson => format!(
                "shown to be {worse} than {tolerated}, for a person to decide since it is not to go back by itself: {figures}"
            ),
        }
    }
}

/// The chance of a false alarm that a metric may use: its share of the release's.
///
/// Each metric against its own share, rather than the weighted average of all e-values against the
/// whole. The average is never later where all use Ville's threshold, but it gains at most `ln M`, and
/// that only when `M` metrics are bad alike at the same moment; a threshold calibrated for one metric
/// (see [`super::prior`]) cannot be had for an average, and gains as much at every release. It also
/// names the metric, which an average does not.
pub(super) fn alpha(policy: &AnalysisPolicy, metric: &MetricPolicy) -> f64 {
    let all: u32 = policy.metrics.iter().filter(|metric| metric.required).map(|metric| metric.weight).sum();
    let share = f64::from(metric.weight.max(1)) / f64::from(all.max(metric.weight).max(1));
    f64::from(policy.false_alarm_ppm.clamp(1, 999_999)) / 1e6 * share
}

/// Log evidence at which a regression of this metric counts as shown whatever is known (Ville).
pub(super) fn needed_against(policy: &AnalysisPolicy, metric: &MetricPolicy) -> f64 {
    -libm::log(alpha(policy, metric))
}

/// Log evidence at which an exclusion suffices.
pub(super) fn needed_for(policy: &AnalysisPolicy) -> f64 {
    -libm::log(f64::from(policy.false_pass_ppm.clamp(1, 999_999)) / 1e6)
}

/// What a finding shows beside its tests.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    pub canary: SideFinding,
    /// None without a live baseline.
    pub baseline: Option<SideFinding>,
    /// Estimated ratio canary to baseline, where it can be given.
    pub ratio: Option<f64>,
    /// Both ends of its confidence sequence.
    pub interval: Option<[f64; 2]>,
    pub judged_ms: u64,
}

impl Figures {
    pub(super) fn finding(
        self,
        metric: &MetricPolicy,
        rule: Rule,
        tests: &Tests,
        sentence: String,
    ) -> MetricFinding {
        MetricFinding {
            metric: metric.name.clone(),
            verdict: rule.verdict(),
            sentence,
            canary: self.canary,
            baseline: self.baseline,
            ratio_bp: self.ratio.and_then(ratio_bp),
            ratio_from_bp: self.interval.and_then(|[low, _]| ratio_bp(low)),
            ratio_to_bp: self.interval.and_then(|[_, high]| ratio_bp(high)),
            against_milli: milli(tests.against),
            against_needed_milli: milli(tests.against_needed),
            for_milli: tests.excluded.map(milli),
            for_needed_milli: tests.excluded.map(|_| milli(tests.excluded_needed)),
            shown: tests.shown(),
            wait_ms: wait_ms(tests.excluded, tests.excluded_needed, self.judged_ms),
            state: rule.state(),
        }
    }
}

/// A share in parts per million, of counts of any size.
pub(super) fn ppm(part: u64, of: u64) -> u64 {
    let ppm = u128::from(part) * 1_000_000 / u128::from(of.max(1));
    u64::try_from(ppm).unwrap_or(u64::MAX)
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

/// A part of the requests as people read it: `0.42% (42 of 10,000)`.
pub(super) fn part(arm: Arm) -> String {
    format!("{} ({} of {})", percent(arm.bad, arm.total), thousands(arm.bad), thousands(arm.total))
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
