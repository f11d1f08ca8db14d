//! Means of values that a source gives: revenue per session, order value, payload, load time.
//!
//! Canary and baseline are compared by a sequential test on the shift of the mean (stats: shift), which holds at every
//! look, for heavy tails and from the first values on, and finds a shift that begins late too. The figures shown beside it
//! are the ratio of the means with its confidence sequence, from which the exclusions come as well.

use super::super::Question;
use super::super::finding::{self, Figures, Rule, Tests, times};
use super::share::mirrored;
use taxiway_model::counts::thousands;
use taxiway_model::metrics::{self, Sample};
use taxiway_model::policy::{AnalysisPolicy, Direction, MetricPolicy};
use taxiway_model::verdict::{MetricFinding, SideFinding, Verdict};
use taxiway_stats::means::Moments;
use taxiway_stats::shift;

/// The estimate of the time just past.
const TRAILING_MS: u64 = 60_000;

/// Without squares only means of at least so many values of the canary are near enough to normal.
const MERGED_MIN: u64 = 50;

/// Fewer values than this on a side give no estimate.
const VALUES_MIN: u64 = 20;

/// Values of the canary from which on a mean that has no ratio (its baseline is not above zero) need not be excluded to be
/// so many times off.
const RATIOLESS_VALUES: u64 = 500;

/// Windows that a conviction takes at least.
const WINDOWS_MIN: f64 = 2.0;

/// The chance that the shown confidence sequence ever misses the ratio.
const SHOWN_ALPHA: f64 = 0.05;

/// A test with its evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Worse {
    test: shift::Test,
    state: shift::State,
}

impl Worse {
    fn new(bp: u32, slack: f64, lower: bool, horizon_s: f64) -> Self {
        let off = f64::from(bp) / 1e4 - 1.0;
        let tolerance = if lower { -off } else { off };
        let test = shift::Test::new(tolerance.clamp(0.0, 1e3), slack.clamp(0.0, 1e30), lower, horizon_s)
            .expect("the bounds are clamped");
        Self { test, state: test.start() }
    }

    fn fold(&mut self, sides: &[Moments; 2], squares: bool, elapsed_s: f64, cap: f64) {
        let before = self.ln_evidence();
        self.test.fold(&mut self.state, &sides[0], &sides[1], squares, elapsed_s);
        self.state.wealth.less(self.ln_evidence() - before - cap);
    }

    fn ln_evidence(&self) -> f64 {
        self.test.ln_evidence(&self.state)
    }
}

/// The fold of one mean.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Evidence {
    tolerance: Vec<Worse>,
    red: Vec<Worse>,
    /// Without tolerance: what the ratio and the absolute bands rest on.
    plain: Worse,
    /// Whether the source gives squares; none before its first values.
    squares: Option<bool>,
    /// Windows without squares, until the canary has enough values.
    open: [Moments; 2],
    open_ms: u64,
    all: [metrics::Moments; 2],
    judged_ms: u64,
    trailing: Vec<(u64, [Moments; 2])>,
    cap: f64,
}

impl Evidence {
    pub(super) fn new(policy: &AnalysisPolicy, metric: &MetricPolicy, horizon_s: f64) -> Self {
        let slack = metric.slack_micro as f64 / 1e6;
        let tests = |bp: u32| match metric.direction {
            Direction::HigherIsWorse => vec![Worse::new(bp, slack, false, horizon_s)],
            Direction::LowerIsWorse => vec![Worse::new(bp, slack, true, horizon_s)],
            Direction::Either => vec![
                Worse::new(bp, slack, false, horizon_s),
                Worse::new(mirrored(bp), slack, true, horizon_s),
            ],
        };
        let compared = metric.is_compared();
        Self {
            tolerance: if compared { tests(metric.tolerance_bp) } else { Vec::new() },
            red: if compared { tests(metric.red_bp) } else { Vec::new() },
            plain: Worse::new(10_000, 0.0, false, horizon_s),
            squares: None,
            open: [Moments::default(); 2],
            open_ms: 0,
            all: [metrics::Moments::default(); 2],
            judged_ms: 0,
            trailing: Vec::new(),
            cap: finding::needed_against(policy, metric) / WINDOWS_MIN,
        }
    }

    pub(super) fn fold(&mut self, sample: &Sample, span_ms: u64) {
        let Sample::Moments { canary, baseline } = sample else { return };
        let sides = [*canary, *baseline];
        if self.squares.is_none() && sides.iter().any(|side| side.count > 0) {
            self.squares = Some(sides.iter().all(|side| side.count == 0 || side.squares.is_some()));
        }
        let squares = self.squares.unwrap_or(false);
        if squares && sides.iter().any(|side| side.count > 0 && side.squares.is_none()) {
            // A source that had squares and has none now: its spread is not known.
            return;
        }
        self.all = [self.all[0].merged(sides[0]), self.all[1].merged(sides[1])];
        let now = sides.map(|side| Moments {
            count: side.count,
            sum: side.sum(),
            squares: side.squares().unwrap_or(0.0),
        });
        self.judged_ms += span_ms;
        self.trailing.push((span_ms, now));
        while self.trailing.iter().map(|(ms, _)| ms).sum::<u64>() > TRAILING_MS + self.trailing[0].0 {
            self.trailing.remove(0);
        }
        self.open = [self.open[0].merged(&now[0]), self.open[1].merged(&now[1])];
        self.open_ms += span_ms;
        if !squares && self.open[0].count < MERGED_MIN {
            return;
        }
        let (open, elapsed_s) = (self.open, self.open_ms as f64 / 1e3);
        let cap = self.cap;
        for test in self.tolerance.iter_mut().chain(&mut self.red) {
            test.fold(&open, squares, elapsed_s, cap);
        }
        self.plain.fold(&open, squares, elapsed_s, f64::INFINITY);
        (self.open, self.open_ms) = ([Moments::default(); 2], 0);
    }

    fn recent(&self) -> [Moments; 2] {
        let none = [Moments::default(); 2];
        let sum = |sum: [Moments; 2], (_, more): &(u64, [Moments; 2])| {
            [sum[0].merged(&more[0]), sum[1].merged(&more[1])]
        };
        self.trailing.iter().fold(none, sum)
    }

    /// Both means: over everything, weighed so that a change of the canary's share shifts neither; and of the time just
    /// past.
    fn estimates(&self) -> Vec<[f64; 2]> {
        let [_, baseline] = self.plain.state.sides;
        let canary =
            self.plain.state.ratio().map_or(self.plain.state.sides[0].mean, |ratio| ratio * baseline.mean);
        let enough = |sides: &[Moments; 2]| sides.iter().all(|side| side.count >= VALUES_MIN);
        let recent = Some(self.recent()).filter(enough);
        let recent = recent.and_then(|[canary, baseline]| Some([canary.mean()?, baseline.mean()?]));
        let known = self.all.iter().all(|side| side.count >= VALUES_MIN) && self.plain.state.windows > 0;
        let all = known.then_some([canary, baseline.mean]);
        all.into_iter().chain(recent).collect()
    }

    fn beyond(&self, metric: &MetricPolicy, bp: u32) -> bool {
        let slack = metric.slack_micro as f64 / 1e6;
        self.estimates().into_iter().any(|[canary, baseline]| {
            let part = |bp: u32| (f64::from(bp) / 1e4 - 1.0) * baseline.abs();
            let over = canary > baseline + part(bp) + slack;
            let under = |bp: u32| canary < baseline + part(bp) - slack;
            match metric.direction {
                Direction::HigherIsWorse => over,
                Direction::LowerIsWorse => under(bp),
                Direction::Either => over || under(mirrored(bp)),
            }
        })
    }

    /// Whether a side is shown to be beyond one of two absolute bands, and still is.
    fn over(&self, side: usize, above: Option<u64>, below: Option<u64>, needed: f64) -> bool {
        let past = &self.plain.state.sides[side];
        let recent = self.recent()[side].mean().unwrap_or(past.mean);
        let beyond = |band: Option<u64>, is_above: bool| {
            band.map(|micro| micro as f64 / 1e6).is_some_and(|band| {
                let still = if is_above { recent > band } else { recent < band };
                still && past.ln_beyond(band, is_above) >= needed
            })
        };
        beyond(above, true) || beyond(below, false)
    }

    /// What must be excluded, as ratios of the canary's mean to the baseline's: at least, and at most.
    fn excluded_at(metric: &MetricPolicy, question: Question) -> Option<[Option<f64>; 2]> {
        let step = question.exclude_bp.map(|bp| f64::from(bp) / 1e4);
        let own = metric.exclude_bp.map(|bp| f64::from(bp) / 1e4);
        let asked = step?;
        let low = || Some(own.map_or(1.0 / asked, |own| own.min(1.0 / own)));
        let high = || Some(own.map_or(asked, |own| own.max(1.0 / own)));
        metric.is_compared().then(|| match metric.direction {
            Direction::LowerIsWorse => [low(), None],
            Direction::HigherIsWorse => [None, high()],
            Direction::Either => [low(), high()],
        })
    }

    fn excluded(&self, metric: &MetricPolicy, question: Question) -> Option<f64> {
        let [low, high] = Self::excluded_at(metric, question)?;
        let state = &self.plain.state;
        if state.sides[1].mean <= 0.0 && self.all[0].count >= RATIOLESS_VALUES {
            return None;
        }
        let low = low.map(|ratio| state.ln_beyond(ratio, true));
        let high = high.map(|ratio| state.ln_beyond(ratio, false));
        low.into_iter().chain(high).reduce(f64::min)
    }

    fn tests(&self, policy: &AnalysisPolicy, metric: &MetricPolicy, question: Question) -> Tests {
        let needed = finding::needed_against(policy, metric) + libm::log(self.tolerance.len().max(1) as f64);
        let most = |tests: &[Worse]| tests.iter().map(Worse::ln_evidence).fold(-1e9, f64::max);
        let hold = |side: usize| self.over(side, metric.hold_above, metric.hold_below, needed);
        Tests {
            against: most(&self.tolerance).max(0.0),
            against_needed: needed,
            estimate_over: metric.is_compared() && self.beyond(metric, metric.tolerance_bp),
            estimate_red: metric.is_compared() && self.beyond(metric, metric.red_bp),
            red: most(&self.red),
            over_rollback: self.over(0, metric.rollback_above, metric.rollback_below, needed),
            over_hold: hold(0),
            baseline_over: hold(1),
            excluded: self.excluded(metric, question),
            excluded_needed: finding::needed_for(policy),
        }
    }

    pub(super) fn finding(
        &self,
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        question: Question,
    ) -> MetricFinding {
        let tests = self.tests(policy, metric, question);
        let rule = tests.rule(policy.profile, metric);
        let nothing = self.all[0].count == 0;
        let verdict = if nothing { Verdict::InsufficientData } else { rule.verdict() };
        let range = self.plain.state.ratio_range(SHOWN_ALPHA);
        let sentence = if nothing {
            "the source has no value of the canary yet".to_owned()
        } else {
            self.sentence(rule, metric, question, range)
        };
        let figures = Figures {
            canary: side(self.all[0]),
            baseline: (self.all[1].count > 0).then(|| side(self.all[1])),
            ratio: self.plain.state.ratio(),
            interval: range,
            judged_ms: self.judged_ms,
        };
        let finding = figures.finding(metric, rule, &tests, sentence);
        MetricFinding { verdict, shown: finding.shown || rule == Rule::OverRollbackBand, ..finding }
    }

    fn sentence(
        &self,
        rule: Rule,
        metric: &MetricPolicy,
        question: Question,
        range: Option<[f64; 2]>,
    ) -> String {
        let means = self.means(metric, range);
        let worse = match metric.direction {
            Direction::HigherIsWorse => "higher",
            Direction::LowerIsWorse => "lower",
            Direction::Either => "different",
        };
        let band = |above: Option<u64>, below: Option<u64>| {
            let of = |word: &str, micro: Option<u64>| {
                Some(format!("{word} {}", words(metric, i64::try_from(micro?).ok()?)))
            };
            let both = [of("above", above), of("below", below)];
            both.into_iter().flatten().collect::<Vec<_>>().join(" or ")
        };
        let hold = || band(metric.hold_above, metric.hold_below);
        match rule {
            Rule::OverRollbackBand => {
                format!("mean shown to be {}: {means}", band(metric.rollback_above, metric.rollback_below))
            }
            Rule::Shown(shown) => {
                let said = shown.sentence(worse, [metric.tolerance_bp, metric.red_bp], &means);
                format!("mean {said}")
            }
            Rule::BothOverHoldBand => format!("the baseline's mean is {} too: {means}", hold()),
            Rule::OverHoldBand => format!("mean {}: {means}", hold()),
            Rule::NotExcluded => {
                format!("a mean {} is not excluded yet: {means}", change(metric, question))
            }
            Rule::Well => match Self::excluded_at(metric, question) {
                Some(_) if self.plain.state.sides[1].mean > 0.0 => {
                    format!("a mean {} is excluded: {means}", change(metric, question))
                }
                _ => format!("within its bands: {means}"),
            },
        }
    }

    /// Both means with how many values they rest on, and what is known of their ratio.
    fn means(&self, metric: &MetricPolicy, range: Option<[f64; 2]>) -> String {
        let of = |side: metrics::Moments| match side.mean_micro() {
            Some(micro) => format!("{} ({} values)", words(metric, micro), thousands(side.count)),
            None => "none".to_owned(),
        };
        let [canary, baseline] = self.all;
        if baseline.count == 0 {
            return format!("canary {}", of(canary));
        }
        let mut text = format!("canary {} against baseline {}", of(canary), of(baseline));
        if let (Some(ratio), Some([low, high])) = (self.plain.state.ratio(), range) {
            let percent = |ratio: f64| format!("{:.1}%", ratio * 100.0);
            let (ratio, low, high) = (percent(ratio), percent(low), percent(high));
            text = format!("{text}, {ratio} of it, surely {low} to {high}");
        }
        if self.squares == Some(false) {
            text += "; without squares the means of windows are compared";
        }
        text
    }
}

/// The change that is to be excluded, for people.
fn change(metric: &MetricPolicy, question: Question) -> String {
    let worse = match metric.direction {
        Direction::HigherIsWorse => "higher",
        Direction::LowerIsWorse => "lower",
        Direction::Either => "off",
    };
    match metric.exclude_bp {
        Some(bp) => format!("{}% {worse}", f64::from(bp.abs_diff(10_000)) / 100.0),
        None => format!("{} {worse}", times(question.exclude_bp.unwrap_or_default())),
    }
}

/// A mean in its unit, to four digits.
fn words(metric: &MetricPolicy, micro: i64) -> String {
    let digits = micro.unsigned_abs().checked_ilog10().unwrap_or(0);
    let step = 10_i64.pow(digits.saturating_sub(3).min(17));
    metric.unit.words((micro / step).saturating_mul(step))
}

fn side(moments: metrics::Moments) -> SideFinding {
    let value = moments.mean_micro().and_then(|micro| u64::try_from(micro).ok());
    SideFinding { requests: moments.count, bad: 0, value }
}
