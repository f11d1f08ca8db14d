//! One metric's classification.

use taxiway_stats::math::normal_quantile;

use super::mann_whitney::{MannWhitney, Precision};
use super::prepare::{NanStrategy, mean, spread};

/// Which changes matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Larger is worse.
    Increase,
    /// Smaller is worse.
    Decrease,
    /// Both are.
    #[default]
    Either,
}

/// What a metric came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// No change that matters.
    Pass,
    /// The canary is higher.
    High,
    /// The canary is lower.
    Low,
    /// A side has no data.
    Nodata,
    /// A side has no data, and the metric must have some.
    NodataFailMetric,
    /// The comparison failed.
    Error,
}

impl Label {
    /// The word in Kayenta's results.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::High => "High",
            Self::Low => "Low",
            Self::Nodata => "Nodata",
            Self::NodataFailMetric => "NodataFailMetric",
            Self::Error => "Error",
        }
    }
}

/// How the size of a change is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effect {
    /// The canary's mean through the baseline's; unknown where one of them is 0.
    #[default]
    MeanRatio,
    /// Share of pairs in which the canary's value is the larger one.
    Cles,
}

impl Effect {
    /// The effect of no change.
    pub fn neutral(self) -> f64 {
        match self {
            Self::MeanRatio => 1.0,
            Self::Cles => 0.5,
        }
    }
}

/// How large a change in either direction must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Effects at or below count as lower.
    pub decrease: f64,
    /// Effects at or above count as higher.
    pub increase: f64,
}

/// A metric's settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Which changes matter.
    pub direction: Direction,
    /// What becomes of gaps.
    pub nan: NanStrategy,
    /// Whether a bad classification fails the whole canary.
    pub critical: bool,
    /// Whether a side without data counts against the metric's group.
    pub must_have_data: bool,
    /// How the size of a change is measured.
    pub effect: Effect,
    /// From where on a change matters.
    pub allowed: Bounds,
    /// From where on it is critical, for critical metrics.
    pub critical_at: Bounds,
}

impl Default for Settings {
    fn default() -> Self {
        let neutral = Bounds { decrease: 1.0, increase: 1.0 };
        Self {
            direction: Direction::Either,
            nan: NanStrategy::Remove,
            critical: false,
            must_have_data: false,
            effect: Effect::MeanRatio,
            allowed: neutral,
            critical_at: neutral,
        }
    }
}

/// How sure the test has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rigour {
    /// The interval must clear this share of the estimated shift.
    pub tolerance: f64,
    /// Upper point of the normal distribution that cuts either tail of the interval.
    pub z: f64,
    /// How the interval's ends are found.
    pub precision: Precision,
}

impl Rigour {
    /// A tolerance and a two-sided confidence level.
    pub fn new(tolerance: f64, confidence: f64, precision: Precision) -> Self {
        Self { tolerance, z: -normal_quantile((1.0 - confidence) / 2.0), precision }
    }

    /// The constants of `NetflixACAJudge-v1.0`: tolerance 0.25, confidence 98 %.
    pub const fn judge(precision: Precision) -> Self {
        Self { tolerance: 0.25, z: 2.326_347_874_040_841, precision }
    }
}

/// A metric's classification with what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Classification {
    /// What it came to.
    pub label: Label,
    /// Why, where Kayenta says so.
    pub reason: Option<String>,
    /// The ratio of means; 1 where nothing was compared, NaN where one is 0.
    pub ratio: f64,
    /// Whether it fails the whole canary.
    pub critical: bool,
    /// The interval of the shift and its estimate, where the test was done.
    pub shift: Option<Shift>,
}

/// How far the canary's values lie from the baseline's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Estimate.
    pub estimate: f64,
}

/// Classifies prepared series (no NaN among them) of the metric `name`.
pub fn classify(
    name: &str,
    baseline: &[f64],
    canary: &[f64],
    settings: &Settings,
    rigour: &Rigour,
) -> Classification {
    if let Some(settled) = without_test(name, baseline, canary, settings) {
        return settled;
    }
    match compare(baseline, canary, settings, rigour) {
        Ok(compared) => conclude(name, &compared, settings),
        Err(problem) => Classification {
            label: Label::Error,
            reason: Some(format!("metric classification failed: {problem}")),
            ratio: f64::NAN,
            critical: false,
            shift: None,
        },
    }
}

/// What needs no test: no data, the same data, one value only.
fn without_test(name: &str, baseline: &[f64], canary: &[f64], settings: &Settings) -> Option<Classification> {
    let settled =
        |label, reason, critical| Classification { label, reason, ratio: 1.0, critical, shift: None };
    if baseline.is_empty() || canary.is_empty() {
        let reason = Some(format!("missing data for {name}"));
        return Some(match settings.nan {
            NanStrategy::Replace => settled(Label::Pass, None, false),
            NanStrategy::Remove if settings.must_have_data && !settings.critical => {
                settled(Label::NodataFailMetric, reason, false)
            }
            NanStrategy::Remove => settled(Label::Nodata, reason, settings.critical),
        });
    }
    if canary.len() == baseline.len() {
        let sorted = |values: &[f64]| {
            let mut values = values.to_vec();
            values.sort_by(f64::total_cmp);
            values
        };
        if sorted(canary) == sorted(baseline) {
            let reason = "canary and baseline data are identical".to_owned();
            return Some(settled(Label::Pass, Some(reason), false));
        }
    }
    let is_one_value = canary.iter().chain(baseline).all(|value| *value == canary[0]);
    is_one_value.then(|| settled(Label::Pass, None, false))
}

struct Compared {
    label: Label,
    ratio: f64,
    effect: f64,
    shift: Shift,
}

fn compare(
    baseline: &[f64],
    canary: &[f64],
    settings: &Settings,
    rigour: &Rigour,
) -> Result<Compared, super::mann_whitney::AllTied> {
    let is_constant = |values: &[f64]| values.iter().all(|value| *value == values[0]);
    let pulled_apart =
        (is_constant(canary) && is_constant(baseline)).then(|| [spread(canary), spread(baseline)]);
    let (canary, baseline) = match &pulled_apart {
        Some([canary, baseline]) => (canary.as_slice(), baseline.as_slice()),
        None => (canary, baseline),
    };
    let test = MannWhitney::new(canary, baseline, rigour.precision);
    let shift = Shift { low: test.low(rigour.z)?, high: test.high(rigour.z)?, estimate: test.estimate()? };
    let ratio = mean_ratio(baseline, canary);
    let effect = match settings.effect {
        Effect::MeanRatio => ratio,
        Effect::Cles => test.superiority(),
    };
    let bound = rigour.tolerance * shift.estimate.abs();
    let is_high = settings.direction != Direction::Decrease
        && shift.low > bound
        && at_least(effect, settings.allowed.increase);
    let is_low = settings.direction != Direction::Increase
        && shift.high < -bound
        && at_most(effect, settings.allowed.decrease);
    let label = match (is_high, is_low) {
        (true, _) => Label::High,
        (false, true) => Label::Low,
        (false, false) => Label::Pass,
    };
    Ok(Compared { label, ratio, effect, shift })
}

fn conclude(name: &str, compared: &Compared, settings: &Settings) -> Classification {
    let critical = settings.critical
        && match compared.label {
            Label::High => at_least(compared.effect, settings.critical_at.increase),
            Label::Low => at_most(compared.effect, settings.critical_at.decrease),
            _ => false,
        };
    let reason = (compared.label != Label::Pass).then(|| {
        let tail = if critical { " (critical)" } else { "" };
        format!("{name} was classified as {}{tail}", compared.label.word())
    });
    Classification {
        label: compared.label,
        reason,
        ratio: compared.ratio,
        critical,
        shift: Some(compared.shift),
    }
}

/// An effect that is unknown passes every bound.
fn at_least(effect: f64, bound: f64) -> bool {
    effect.is_nan() || effect >= bound
}

fn at_most(effect: f64, bound: f64) -> bool {
    effect.is_nan() || effect <= bound
}

/// The canary's mean through the baseline's; NaN where one of them is 0.
pub fn mean_ratio(baseline: &[f64], canary: &[f64]) -> f64 {
    let (below, above) = (mean(baseline), mean(canary));
    if below == 0.0 || above == 0.0 { f64::NAN } else { above / below }
}

/// Share of pairs in which the canary's value is the larger one.
pub fn superiority(baseline: &[f64], canary: &[f64]) -> f64 {
    MannWhitney::new(canary, baseline, Precision::Absolute).superiority()
}

/// Whether a metric with direction `increase` and default effect sizes is classified High, asking only what decides:
/// the figure of [`classify`] for benchmarks that ask it millions of times.
pub fn is_high(baseline: &[f64], canary: &[f64], rigour: &Rigour) -> bool {
    if baseline.is_empty() || canary.is_empty() || mean_ratio(baseline, canary) < 1.0 {
        return false;
    }
    let is_constant = |values: &[f64]| values.iter().all(|value| *value == values[0]);
    if is_constant(canary) && is_constant(baseline) {
        let settings = Settings { direction: Direction::Increase, ..Settings::default() };
        return classify("", baseline, canary, &settings, rigour).label == Label::High;
    }
    let test = MannWhitney::new(canary, baseline, rigour.precision);
    // Only a positive lower end can clear the bound, so most looks end before anything is searched for.
    test.may_exceed_zero(rigour.z)
        && matches!(test.low(rigour.z), Ok(low) if low > 0.0
            && test.estimate().is_ok_and(|estimate| low > rigour.tolerance * estimate.abs()))
}
