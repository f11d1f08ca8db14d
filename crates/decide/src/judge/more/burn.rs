//! SLO burn: failed requests over what the objective allows (R4.2, R7.5).
//!
//! Absolute, on the canary's counts alone: a band (above 3 by default it goes back), and the three
//! multi-window rules of the SRE Workbook, their windows cut to the time there has been. At the
//! beginning a window holds a handful of requests, of which one failure burns twenty-fold; so a
//! rule or a band counts only when an anytime-valid test shows the same: the windows say that it
//! burns now, the test that it is not chance. Beside that the canary is compared with the baseline.

use super::super::finding::{self, milli, percent, ratio_bp};
use super::super::{Question, errors, interval as shown};
use super::one_sided::Trail;
use taxiway_model::counts::{Counts, thousands};
use taxiway_model::evidence::{Classes, total};
use taxiway_model::metrics::{Sample, Tally};
use taxiway_model::policy::{AnalysisPolicy, Counter, Measure, MetricPolicy, POINT_MS};
use taxiway_model::time::ForPeople;
use taxiway_model::verdict::{FindingState, MetricFinding, SideFinding, Verdict};
use taxiway_stats::starts::{Starts, Wealth};
use taxiway_stats::{Arm, Window, burn};

/// A burn at which the baseline itself is an incident.
const BASELINE_FAILS: f64 = 14.4;

/// How long a burn must go on to count as burning now, at most.
const NOW_MS: u64 = 300_000;

/// Tests of the canary's burn, each at its part of the false-alarm rate.
const TESTS: f64 = 4.0;

type Tested = (burn::Test, burn::State);

/// A test of the hold band, also for a burn that begins late; it holds at every look.
#[derive(Debug, Clone, PartialEq)]
struct Held {
    rate: f64,
    starts: Starts<{ burn::FACTORS.len() }>,
    wealth: Wealth<{ burn::FACTORS.len() }>,
}

impl Held {
    fn new(rate: f64, horizon_s: f64) -> Self {
        let starts = Starts::new([1.0; burn::FACTORS.len()], horizon_s);
        Self { rate: rate.clamp(1e-9, 1.0), starts, wealth: starts.start() }
    }

    fn fold(&mut self, arm: Arm, span_ms: u64) {
        self.starts.wait(&mut self.wealth, span_ms as f64 / 1e3);
        if arm.total > 0 {
            let (total, bad) = (arm.total as f64, arm.bad as f64);
            let gained = burn::FACTORS.map(|more| bad * libm::log(more) - total * self.rate * (more - 1.0));
            self.starts.step(&mut self.wealth, gained);
        }
    }
}

/// The fold of one SLO.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Evidence {
    budget: f64,
    /// Against the baseline; none where it is not compared.
    relative: Option<errors::Evidence>,
    /// Of the rollback band: the canary and the baseline.
    band: Option<[Tested; 2]>,
    /// Of the hold band.
    hold: Option<Held>,
    /// Of each of [`burn::RULES`].
    rules: [Tested; burn::RULES.len()],
    baseline_fails: Tested,
    trail: Trail,
    canary: Arm,
    baseline: Arm,
    elapsed_ms: u64,
    /// Since the last value that counted as a point in time.
    since_ms: u64,
}

impl Evidence {
    pub(super) fn new(policy: &AnalysisPolicy, metric: &MetricPolicy, horizon_s: f64) -> Self {
        let budget = budget(metric);
        let test = |factor: f64| -> Tested {
            let rate = (factor * budget).clamp(1e-9, 1.0);
            let test = burn::Test::new(rate).expect("a clamped probability");
            (test, test.start())
        };
        let band = metric.rollback_above.map(|burn_milli| [test(burn_milli as f64 / 1e3); 2]);
        Self {
            budget,
            relative: metric
                .is_compared()
                .then(|| errors::Evidence::new(policy, &relative(metric), horizon_s)),
            band,
            hold: metric.hold_above.map(|burn_milli| Held::new(burn_milli as f64 / 1e3 * budget, horizon_s)),
            rules: burn::RULES.map(|rule| test(rule.factor)),
            baseline_fails: test(BASELINE_FAILS),
            trail: Trail::default(),
            canary: Arm::default(),
            baseline: Arm::default(),
            elapsed_ms: 0,
            since_ms: POINT_MS,
        }
    }

    pub(super) fn fold(&mut self, metric: &MetricPolicy, window: &taxiway_model::evidence::Window) {
        let (canary, baseline) = if metric.measure.is_query() {
            self.since_ms += window.span_ms;
            match window.metrics.get(&metric.name) {
                Some(Sample::Counts { canary, baseline }) => {
                    (classes(metric, *canary), classes(metric, *baseline))
                }
                Some(Sample::Scalar { canary, baseline }) if self.since_ms >= POINT_MS => {
                    self.since_ms = 0;
                    (classes(metric, point(metric, *canary)), classes(metric, point(metric, *baseline)))
                }
                _ => (Classes::new(), Classes::new()),
            }
        } else {
            (of_endpoint(&window.canary, metric), of_endpoint(&window.baseline, metric))
        };
        if let Some(relative) = &mut self.relative {
            relative.fold(&canary, &baseline, window.span_ms);
        }
        let seen = Window { canary: arm(&total(&canary)), baseline: arm(&total(&baseline)) };
        for (test, state) in &mut self.rules {
            test.fold(state, seen.canary);
        }
        if let Some([of_canary, of_baseline]) = &mut self.band {
            of_canary.0.fold(&mut of_canary.1, seen.canary);
            of_baseline.0.fold(&mut of_baseline.1, seen.baseline);
        }
        if let Some(hold) = &mut self.hold {
            hold.fold(seen.canary, window.span_ms);
        }
        self.baseline_fails.0.fold(&mut self.baseline_fails.1, seen.baseline);
        for (sum, more) in [(&mut self.canary, seen.canary), (&mut self.baseline, seen.baseline)] {
            sum.total = sum.total.saturating_add(more.total);
            sum.bad = sum.bad.saturating_add(more.bad);
        }
        self.elapsed_ms += window.span_ms;
        self.trail.push(window.span_ms, seen);
    }

    fn burn(&self, arm: Arm) -> f64 {
        burn::rate(arm, 1.0 - self.budget).min(1e9)
    }

    /// The multi-window rules that fire on the canary, hardest first, with both burns.
    fn fires(&self, needed: f64) -> Option<(usize, f64, f64)> {
        burn::RULES.iter().zip(&self.rules).enumerate().find_map(|(place, (rule, (test, state)))| {
            let long_ms = (rule.long_s * 1_000).min(self.elapsed_ms);
            let (long, short) = (self.trail.last(long_ms).canary, self.trail.last(long_ms / 12).canary);
            let shown = test.ln_evidence(state) >= needed;
            let fires = shown && rule.fires(long, short, 1.0 - self.budget);
            fires.then(|| (place, self.burn(long), self.burn(short)))
        })
    }

    /// Whether a side burns above the rollback band, now and not by chance.
    fn over_band(&self, metric: &MetricPolicy, needed: f64, side: usize) -> bool {
        let (Some(tests), Some(band)) = (&self.band, metric.rollback_above) else { return false };
        let (test, state) = tests[side];
        let now = self.trail.last(NOW_MS.min(self.elapsed_ms / 4).max(1));
        let now = if side == 0 { now.canary } else { now.baseline };
        test.ln_evidence(&state) >= needed && self.burn(now) > band as f64 / 1e3
    }

    fn baseline_fails(&self, needed: f64) -> bool {
        let (test, state) = self.baseline_fails;
        let now = self.trail.last(NOW_MS.min(self.elapsed_ms / 4).max(1)).baseline;
        test.ln_evidence(&state) >= needed && self.burn(now) > BASELINE_FAILS
    }

    /// Whether it burns above the hold band, now and not by chance.
    fn over_hold(&self, metric: &MetricPolicy, needed: f64) -> bool {
        let (Some(hold), Some(band)) = (&self.hold, metric.hold_above) else { return false };
        let now = self.trail.last(NOW_MS.min(self.elapsed_ms)).canary;
        hold.wealth.ln_evidence() >= needed && self.burn(now) > band as f64 / 1e3
    }

    pub(super) fn finding(
        &self,
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        question: Question,
    ) -> MetricFinding {
        let needed = finding::needed_against(policy, metric) + libm::log(TESTS);
        let relative = self.relative.as_ref().map(|r| r.finding(policy, &relative(metric), question));
        let (verdict, sentence, state) = self.verdict(metric, needed, relative.as_ref());
        let against = self.band.map_or(0.0, |[(test, state), _]| test.ln_evidence(&state));
        let ratio = (self.baseline.bad > 0 && self.canary.total > 0)
            .then(|| ratio_bp(self.canary.rate() / self.baseline.rate()))
            .flatten();
        let range = ratio.and_then(|_| shown::of_rates(self.canary, self.baseline, 1.0));
        let own = MetricFinding {
            metric: metric.name.clone(),
            verdict,
            sentence,
            canary: self.side(self.canary),
            baseline: (self.baseline.total > 0).then(|| self.side(self.baseline)),
            ratio_bp: ratio,
            ratio_from_bp: range.and_then(|[low, _]| ratio_bp(low)),
            ratio_to_bp: range.and_then(|[_, high]| ratio_bp(high)),
            against_milli: milli(against),
            against_needed_milli: milli(needed),
            for_milli: None,
            for_needed_milli: None,
            shown: verdict == Verdict::Rollback,
            wait_ms: None,
            state,
        };
        match relative {
            // What the comparison says of its evidence stays, with this sentence.
            Some(relative) if relative.verdict == own.verdict && own.verdict != Verdict::Rollback => {
                MetricFinding {
                    sentence: own.sentence,
                    canary: own.canary,
                    baseline: own.baseline,
                    ..relative
                }
            }
            _ => own,
        }
    }

    fn verdict(
        &self,
        metric: &MetricPolicy,
        needed: f64,
        relative: Option<&MetricFinding>,
    ) -> (Verdict, String, FindingState) {
        let now = self.words(self.canary);
        let judged = FindingState::Judged;
        if self.canary.total == 0 {
            return (Verdict::InsufficientData, "no request of the canary is counted yet".to_owned(), judged);
        }
        if let Some(worse) = relative.filter(|finding| finding.verdict == Verdict::Rollback) {
            return (Verdict::Rollback, format!("{}; {now}", worse.sentence), judged);
        }
        let baseline_fails = self.baseline_fails(needed);
        let fires = self.fires(needed);
        let over = self.over_band(metric, needed, 0);
        if over || fires.is_some_and(|(place, ..)| place < 2) {
            if baseline_fails || self.over_band(metric, needed, 1) {
                let sentence = format!("baseline also failing ({}): {now}", self.words(self.baseline));
                return (Verdict::Hold, sentence, FindingState::BaselineFails);
            }
            let why = match fires {
                Some(fired) => rule_words(fired, self.elapsed_ms),
                None => format!("above {}x", metric.rollback_above.unwrap_or_default() as f64 / 1e3),
            };
            return (Verdict::Rollback, format!("{now}, {why}"), judged);
        }
        if baseline_fails {
            let sentence = format!("baseline also failing ({}): {now}", self.words(self.baseline));
            return (Verdict::Hold, sentence, FindingState::BaselineFails);
        }
        if let Some(fired) = fires {
            return (Verdict::Hold, format!("{now}, {}", rule_words(fired, self.elapsed_ms)), judged);
        }
        if self.over_hold(metric, needed) {
            let band = metric.hold_above.unwrap_or_default() as f64 / 1e3;
            return (Verdict::Hold, format!("{now}, above {band}x"), judged);
        }
        let compared = relative.map(|finding| (finding.verdict, finding.sentence.clone(), finding.state));
        match compared {
            Some((verdict, sentence, state)) => (verdict, format!("{now}; {sentence}"), state),
            None => (Verdict::Proceed, now, judged),
        }
    }

    /// The burn, what it rests on, and what it has cost of the budget.
    fn words(&self, arm: Arm) -> String {
        let allowed = percent(libm::round(self.budget * 1e6) as u64, 1_000_000);
        let burn = self.burn(arm);
        let burn = if burn >= 10.0 { format!("{burn:.0}") } else { format!("{burn:.1}") };
        format!(
            "burns {burn}x the budget ({} of {} failed, {allowed} may)",
            thousands(arm.bad),
            thousands(arm.total)
        )
    }

    fn side(&self, arm: Arm) -> SideFinding {
        let value = (arm.total > 0).then(|| libm::round(self.burn(arm) * 1e3) as u64);
        SideFinding { requests: arm.total, bad: arm.bad, value }
    }
}

/// A rule that fires, for people.
fn rule_words((place, long, short): (usize, f64, f64), elapsed_ms: u64) -> String {
    let rule = burn::RULES[place];
    let long_ms = (rule.long_s * 1_000).min(elapsed_ms);
    format!(
        "{long:.1}x over {} and {short:.1}x over {}, both above {}x",
        ForPeople(long_ms),
        ForPeople(long_ms / 12),
        rule.factor
    )
}

fn budget(metric: &MetricPolicy) -> f64 {
    match metric.measure {
        Measure::Burn { budget_ppm, .. } => (f64::from(budget_ppm) / 1e6).clamp(1e-6, 1.0),
        _ => 1.0,
    }
}

/// The metric as it is compared: its bands are tested here.
fn relative(metric: &MetricPolicy) -> MetricPolicy {
    MetricPolicy { measure: Measure::ErrorRate, hold_above: None, rollback_above: None, ..metric.clone() }
}

fn of_endpoint(classes: &Classes, metric: &MetricPolicy) -> Classes {
    let wanted = |class: &String| metric.endpoint.as_ref().is_none_or(|name| class == name);
    classes.iter().filter(|(class, _)| wanted(class)).map(|(c, counts)| (c.clone(), counts.clone())).collect()
}

/// A value as one point in time, good or bad; nothing where there was none.
fn point(metric: &MetricPolicy, value: Option<i64>) -> Tally {
    let Some(value) = value else { return Tally::default() };
    let bad = match metric.measure {
        Measure::Burn { by: Counter::Above(most), .. } => i128::from(value) > i128::from(most),
        Measure::Burn { by: Counter::Below(least), .. } => i128::from(value) < i128::from(least),
        _ => false,
    };
    Tally { total: 1, bad: u64::from(bad) }
}

fn classes(metric: &MetricPolicy, tally: Tally) -> Classes {
    if tally.total == 0 {
        return Classes::new();
    }
    let counted = tally.bad.min(tally.total);
    let good = matches!(metric.measure, Measure::Burn { by: Counter::Good, .. });
    let bad = if good { tally.total - counted } else { counted };
    let counts =
        Counts { requests: tally.total, status: [0, tally.total - bad, 0, 0, bad], ..Counts::default() };
    Classes::from([(String::new(), counts)])
}

fn arm(counts: &Counts) -> Arm {
    Arm { total: counts.requests, bad: counts.errors() }
}
