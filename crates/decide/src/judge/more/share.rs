//! Shares of a source that have a direction: successes and conversions, where lower is worse; shares
//! that should not change; client errors, where any is worth a look.
//!
//! Lower is worse: "the canary's rate is at least `tolerance` times the baseline's" is tested by the
//! mirror image of the test of failures, in its exact Bernoulli form, since conversions are rarely
//! rare, mixed over the moment at which the drop began. Either way: both tests, each at half the false-alarm rate.

use super::super::finding::{self, Figures, Rule, Tests, part, percent, times};
use super::super::{Question, band, interval, noise};
use super::one_sided::Below;
use std::collections::BTreeMap;
use taxiway_model::metrics::{Sample, Tally};
use taxiway_model::policy::{AnalysisPolicy, Direction, MetricPolicy};
use taxiway_model::verdict::{MetricFinding, SideFinding, Verdict};
use taxiway_stats::{Arm, Window, burn, exclude, fewer, reject};

/// Absolute bands for HOLD look at the time just past.
const TRAILING_MS: u64 = 60_000;

/// Fewer events than this on both sides together give no ratio.
const RATIO_EVENTS_MIN: u64 = 5;

/// Windows that a conviction takes at least.
const WINDOWS_MIN: f64 = 2.0;

/// A test that the canary is worse, in one direction.
#[derive(Debug, Clone, PartialEq)]
enum Worse {
    /// Events become more.
    Rise(reject::Test, reject::State),
    /// Events become fewer than a share of the baseline's.
    Fall(fewer::Test, fewer::State),
}

impl Worse {
    fn rise(bp: u32, slack: f64, horizon_s: f64) -> Self {
        let theta = (f64::from(bp) / 1e4).clamp(0.01, 1e3);
        let test = reject::Test::new(theta, slack, horizon_s).expect("the bounds are clamped");
        Self::Rise(test, test.start())
    }

    fn fall(bp: u32, horizon_s: f64) -> Self {
        let margin = (1.0 - f64::from(bp) / 1e4).clamp(0.0, 0.99);
        let test = fewer::Test::new(margin, horizon_s).expect("the margin is clamped");
        Self::Fall(test, test.start())
    }

    fn fold(&mut self, window: &Window, elapsed_s: f64, cap: f64) {
        match self {
            Self::Rise(test, state) => {
                let before = test.ln_evidence(state);
                test.fold(state, window, elapsed_s);
                let now = test.ln_evidence(state);
                noise::capped(&mut state.ln_wealth, before, now, cap);
            }
            Self::Fall(test, state) => {
                let before = test.ln_evidence(state);
                test.fold(state, window, elapsed_s);
                state.wealth.less(test.ln_evidence(state) - before - cap);
            }
        }
    }

    fn ln_evidence(&self) -> f64 {
        match self {
            Self::Rise(test, state) => test.ln_evidence(state),
            Self::Fall(test, state) => test.ln_evidence(state),
        }
    }
}

/// Evidence that the canary is not so many times worse.
#[derive(Debug, Clone, PartialEq)]
enum Excluded {
    Rise(exclude::Test, exclude::State),
    /// Events are more than a part of the baseline's.
    Fall(reject::Test, reject::State),
}

impl Excluded {
    fn new(direction: Direction, ratio_bp: u32, slack: f64, horizon_s: f64) -> Self {
        let times = (f64::from(ratio_bp) / 1e4).clamp(1.01, 1e3);
        if direction == Direction::LowerIsWorse {
            let test = reject::Test::new((1.0 / times).max(0.01), 0.0, horizon_s)
                .and_then(|test| test.first(1.0))
                .expect("the bounds are clamped");
            return Self::Fall(test, test.start());
        }
        let test = exclude::Test::new(times, slack).expect("the bounds are clamped");
        Self::Rise(test, test.start())
    }

    fn fold(&mut self, window: &Window, elapsed_s: f64) {
        match self {
            Self::Rise(test, state) => test.fold(state, window, elapsed_s),
            Self::Fall(test, state) => test.fold(state, window, elapsed_s),
        }
    }

    fn ln_evidence(&self) -> f64 {
        match self {
            Self::Rise(test, state) => test.ln_evidence(state),
            Self::Fall(test, state) => test.ln_evidence(state),
        }
    }
}

/// The fold of one share.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Evidence {
    tolerance: Vec<Worse>,
    red: Vec<Worse>,
    excluded: BTreeMap<u32, Excluded>,
    above: Option<(burn::Test, burn::State)>,
    below: Option<Below>,
    paired: Window,
    canary: Arm,
    baseline: Arm,
    judged_ms: u64,
    trailing: Vec<(u64, Window)>,
    cap: f64,
}

impl Evidence {
    pub(super) fn new(policy: &AnalysisPolicy, metric: &MetricPolicy, horizon_s: f64) -> Self {
        let slack = f64::from(metric.slack_ppm.min(900_000)) / 1e6;
        let tests = |bp: u32| -> Vec<Worse> {
            let mut tests = Vec::new();
            if metric.direction != Direction::LowerIsWorse {
                tests.push(Worse::rise(bp, slack, horizon_s));
            }
            match metric.direction {
                Direction::HigherIsWorse => {}
                Direction::LowerIsWorse => tests.push(Worse::fall(bp, horizon_s)),
                Direction::Either => tests.push(Worse::fall(mirrored(bp), horizon_s)),
            }
            tests
        };
        let compared = metric.is_compared();
        let excluded =
            policy.exclude.iter().filter(|_| compared).map(|rule| {
                (rule.ratio_bp, Excluded::new(metric.direction, rule.ratio_bp, slack, horizon_s))
            });
        let rate = |ppm: u64| (ppm as f64 / 1e6).clamp(1e-9, 1.0);
        let above = metric.rollback_above.map(|ppm| {
            let test = burn::Test::new(rate(ppm)).expect("a clamped probability");
            (test, test.start())
        });
        Self {
            tolerance: if compared { tests(metric.tolerance_bp) } else { Vec::new() },
            red: if compared { tests(metric.red_bp) } else { Vec::new() },
            excluded: excluded.collect(),
            above,
            below: metric.rollback_below.map(|ppm| Below::new(rate(ppm))),
            paired: Window::default(),
            canary: Arm::default(),
            baseline: Arm::default(),
            judged_ms: 0,
            trailing: Vec::new(),
            cap: finding::needed_against(policy, metric) / WINDOWS_MIN,
        }
    }

    pub(super) fn fold(&mut self, sample: &Sample, span_ms: u64) {
        let Sample::Counts { canary, baseline } = sample else { return };
        let window = Window { canary: arm(*canary), baseline: arm(*baseline) };
        let elapsed_s = span_ms as f64 / 1e3;
        for test in self.tolerance.iter_mut().chain(&mut self.red) {
            test.fold(&window, elapsed_s, self.cap);
        }
        for test in self.excluded.values_mut() {
            test.fold(&window, elapsed_s);
        }
        if let Some((test, state)) = &mut self.above {
            test.fold(state, window.canary);
        }
        if let Some(test) = &mut self.below {
            test.fold(window.canary);
        }
        add(&mut self.canary, window.canary);
        add(&mut self.baseline, window.baseline);
        if window.is_comparable() {
            add(&mut self.paired.canary, window.canary);
            add(&mut self.paired.baseline, window.baseline);
        }
        self.judged_ms += span_ms;
        self.trailing.push((span_ms, window));
        while self.trailing.iter().map(|(ms, _)| ms).sum::<u64>() > TRAILING_MS + self.trailing[0].0 {
            self.trailing.remove(0);
        }
    }

    fn recent(&self) -> Window {
        let mut sum = Window::default();
        for (_, window) in &self.trailing {
            add(&mut sum.canary, window.canary);
            add(&mut sum.baseline, window.baseline);
        }
        sum
    }

    /// Whether the estimate lies beyond a ratio, over everything or over the time just past.
    fn beyond(&self, metric: &MetricPolicy, bp: u32) -> bool {
        let slack = f64::from(metric.slack_ppm) / 1e6;
        [self.paired, self.recent()].into_iter().any(|seen| {
            let enough = seen.canary.bad + seen.baseline.bad >= RATIO_EVENTS_MIN;
            let (canary, baseline) = (seen.canary.rate(), seen.baseline.rate());
            let over = |bp: u32| canary > f64::from(bp) / 1e4 * baseline + slack;
            let under = |bp: u32| canary < f64::from(bp) / 1e4 * baseline;
            enough
                && seen.canary.total > 0
                && match metric.direction {
                    Direction::HigherIsWorse => over(bp),
                    Direction::LowerIsWorse => under(bp),
                    Direction::Either => over(bp) || under(mirrored(bp)),
                }
        })
    }

    /// Whether a side's rate of the time just past is beyond the hold band, and not by chance.
    fn over_hold(&self, metric: &MetricPolicy, side: fn(&Window) -> Arm) -> bool {
        let recent = side(&self.recent());
        if recent.total == 0 {
            return false;
        }
        let above = metric.hold_above.is_some_and(|ppm| match ppm {
            // Nothing at all is allowed: one is enough to be looked at.
            0 => recent.bad > 0,
            ppm => band::is_above(recent, ppm),
        });
        above || metric.hold_below.is_some_and(|ppm| band::is_below(recent, ppm))
    }

    fn tests(&self, policy: &AnalysisPolicy, metric: &MetricPolicy, question: Question) -> Tests {
        let needed = finding::needed_against(policy, metric) + libm::log(self.tolerance.len().max(1) as f64);
        let most = |tests: &[Worse]| tests.iter().map(Worse::ln_evidence).fold(f64::NEG_INFINITY, f64::max);
        let above = self.above.as_ref().is_some_and(|(test, state)| test.ln_evidence(state) >= needed);
        Tests {
            against: most(&self.tolerance).max(0.0),
            against_needed: needed,
            estimate_over: metric.is_compared() && self.beyond(metric, metric.tolerance_bp),
            estimate_red: metric.is_compared() && self.beyond(metric, metric.red_bp),
            red: most(&self.red).max(-1e9),
            over_rollback: above || self.below.as_ref().is_some_and(|test| test.ln_evidence() >= needed),
            over_hold: self.over_hold(metric, |window| window.canary),
            baseline_over: self.over_hold(metric, |window| window.baseline),
            excluded: question.exclude_bp.and_then(|bp| self.excluded.get(&bp)).map(Excluded::ln_evidence),
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
        let nothing = self.canary.total == 0;
        let verdict = if nothing { Verdict::InsufficientData } else { rule.verdict() };
        let sentence = if nothing {
            "the source has counted nothing of the canary yet".to_owned()
        } else {
            self.sentence(rule, metric, question)
        };
        let baseline_rate = self.paired.baseline.rate();
        let figures = Figures {
            canary: side(self.canary),
            baseline: (self.baseline.total > 0).then(|| side(self.baseline)),
            ratio: (baseline_rate > 0.0).then(|| self.paired.canary.rate() / baseline_rate),
            interval: interval::of_rates(self.paired.canary, self.paired.baseline, 1.0),
            judged_ms: self.judged_ms,
        };
        let finding = figures.finding(metric, rule, &tests, sentence);
        MetricFinding { verdict, shown: finding.shown || rule == Rule::OverRollbackBand, ..finding }
    }

    fn sentence(&self, rule: Rule, metric: &MetricPolicy, question: Question) -> String {
        let (canary, baseline) = (self.paired.canary, self.paired.baseline);
        let rates = if baseline.total > 0 {
            format!("canary {} against baseline {}", part(canary), part(baseline))
        } else {
            format!("canary {}", part(self.canary))
        };
        let worse = match metric.direction {
            Direction::HigherIsWorse => "higher",
            Direction::LowerIsWorse => "lower",
            Direction::Either => "different",
        };
        let limit = |bands: [(&str, Option<u64>); 2]| {
            let of = |(word, ppm): (&str, Option<u64>)| Some(format!("{word} {}", percent(ppm?, 1_000_000)));
            bands.into_iter().filter_map(of).collect::<Vec<_>>().join(" or ")
        };
        let hold = || limit([("above", metric.hold_above), ("below", metric.hold_below)]);
        match rule {
            Rule::OverRollbackBand => {
                let band = limit([("above", metric.rollback_above), ("below", metric.rollback_below)]);
                format!("shown to be {band}: {rates}")
            }
            Rule::Shown(shown) => shown.sentence(worse, [metric.tolerance_bp, metric.red_bp], &rates),
            Rule::BothOverHoldBand => format!("the baseline is {} too: {rates}", hold()),
            Rule::OverHoldBand => format!("canary {}: {rates}", hold()),
            Rule::NotExcluded => {
                let bp = question.exclude_bp.unwrap_or_default();
                format!("{} {worse} is not excluded yet: {rates}", times(bp))
            }
            Rule::Well => match question.exclude_bp.filter(|_| metric.is_compared()) {
                Some(bp) => format!("{} {worse} is excluded: {rates}", times(bp)),
                None => format!("within its bands: {rates}"),
            },
        }
    }
}

/// The same distance below the baseline as above it.
pub(super) fn mirrored(bp: u32) -> u32 {
    (100_000_000 / bp.max(1)).min(10_000)
}

fn arm(tally: Tally) -> Arm {
    Arm { total: tally.total, bad: tally.bad.min(tally.total) }
}

fn add(sum: &mut Arm, more: Arm) {
    sum.total = sum.total.saturating_add(more.total);
    sum.bad = sum.bad.saturating_add(more.bad);
}

fn side(arm: Arm) -> SideFinding {
    let ppm = |arm: Arm| u128::from(arm.bad) * 1_000_000 / u128::from(arm.total);
    SideFinding { requests: arm.total, bad: arm.bad, value: (arm.total > 0).then(|| ppm(arm) as u64) }
}
