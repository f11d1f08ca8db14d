//! Error rates: counts of failed requests on both sides.

use super::Question;
use super::finding::{self, Rule, Tests, milli, percent, ratio_bp, times};
use super::noise;
use std::collections::BTreeMap;
use taxiway_model::evidence::{Classes, total};
use taxiway_model::policy::{AnalysisPolicy, MetricPolicy};
use taxiway_model::verdict::{MetricFinding, SideFinding};
use taxiway_stats::{Arm, Window, burn, exclude, interval, profile, reject};

/// Absolute bands for HOLD look at the time just past, since an outage that is over is over.
const TRAILING_MS: u64 = 60_000;

/// Windows that a conviction takes at least: what fails within one second may be one event.
const WINDOWS_MIN: f64 = 2.0;

/// Fewer failed requests than this on both sides together give no ratio.
const RATIO_ERRORS_MIN: u64 = 5;

/// How sure the lower end of a rate must be before it crosses an absolute hold band.
const BAND_CONFIDENCE: f64 = 0.999;

/// The fold of one error rate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    tolerance: (reject::Test, reject::State),
    red: (reject::Test, reject::State),
    excluded: BTreeMap<u32, (exclude::Test, exclude::State)>,
    absolute: Option<(burn::Test, burn::State)>,
    profile: profile::Profile,
    /// Totals over windows in which both sides had traffic: what a ratio may be taken of.
    paired: Window,
    /// Totals over all windows.
    canary: Arm,
    baseline: Arm,
    judged_ms: u64,
    trailing: Vec<(u64, Window)>,
    /// The most that one window may add to the evidence, in nats.
    cap: f64,
}

impl Evidence {
    pub(super) fn new(policy: &AnalysisPolicy, metric: &MetricPolicy, horizon_s: f64) -> Self {
        let slack = f64::from(metric.slack_ppm.min(900_000)) / 1e6;
        let bound = |bp: u32| (f64::from(bp) / 1e4).clamp(0.01, 1e3);
        let tolerance = reject::Test::new(bound(metric.tolerance_bp), slack, horizon_s)
            .expect("the bounds are clamped to what the test takes");
        let red = reject::Test::new(bound(metric.red_bp), slack, horizon_s)
            .expect("the bounds are clamped to what the test takes");
        let excluded = policy.exclude.iter().map(|rule| {
            let test = exclude::Test::new(bound(rule.ratio_bp).max(1.01), slack)
                .expect("the bounds are clamped to what the test takes");
            (rule.ratio_bp, (test, test.start()))
        });
        let absolute = metric.rollback_above.map(|ppm| {
            let test = burn::Test::new((ppm as f64 / 1e6).clamp(1e-9, 1.0)).expect("a clamped probability");
            (test, test.start())
        });
        Self {
            tolerance: (tolerance, tolerance.start()),
            red: (red, red.start()),
            excluded: excluded.collect(),
            absolute,
            profile: profile::Profile::default(),
            paired: Window::default(),
            canary: Arm::default(),
            baseline: Arm::default(),
            judged_ms: 0,
            trailing: Vec::new(),
            cap: finding::needed_against(policy, metric) / WINDOWS_MIN,
        }
    }

    /// Endpoint classes are strata: a canary that gets more of the slow or failing endpoint than
    /// the baseline is compared endpoint by endpoint (Simpson's paradox cannot arise).
    pub(super) fn fold(&mut self, canary: &Classes, baseline: &Classes, span_ms: u64) {
        let elapsed_s = span_ms as f64 / 1e3;
        let classes: Vec<&String> = {
            let mut names: Vec<_> = canary.keys().chain(baseline.keys()).collect();
            names.sort();
            names.dedup();
            names
        };
        let strata: Vec<Window> = classes
            .iter()
            .map(|class| Window {
                canary: arm_of(canary.get(*class)),
                baseline: arm_of(baseline.get(*class)),
            })
            .collect();
        for (test, state) in [&mut self.tolerance, &mut self.red] {
            let before = test.ln_evidence(state);
            test.fold_strata(state, &strata, elapsed_s);
            noise::capped(test, before, state, self.cap);
        }
        for stratum in &strata {
            self.profile.fold(stratum);
        }
        let window = Window { canary: arm(&total(canary)), baseline: arm(&total(baseline)) };
        for (test, state) in self.excluded.values_mut() {
            test.fold(state, &window, elapsed_s);
        }
        if let Some((test, state)) = &mut self.absolute {
            test.fold(state, window.canary);
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

    /// Whether the rate of the time just past is above the band, and not by chance.
    fn over(&self, band_ppm: Option<u64>, side: fn(&Window) -> Arm) -> bool {
        let Some(band_ppm) = band_ppm else { return false };
        let mut sum = Arm::default();
        for (_, window) in &self.trailing {
            add(&mut sum, side(window));
        }
        sum.bad >= RATIO_ERRORS_MIN && interval::wilson(sum, BAND_CONFIDENCE)[0] * 1e6 > band_ppm as f64
    }

    /// Whether the canary's rate lies beyond so many times the baseline's and the slack, over
    /// everything or over the time just past.
    fn estimate_beyond(&self, times: f64, slack: f64) -> bool {
        let mut recent = Window::default();
        for (_, window) in self.trailing.iter().filter(|(_, window)| window.is_comparable()) {
            add(&mut recent.canary, window.canary);
            add(&mut recent.baseline, window.baseline);
        }
        [self.paired, recent].into_iter().any(|seen| {
            seen.canary.bad >= RATIO_ERRORS_MIN && seen.canary.rate() > times * seen.baseline.rate() + slack
        })
    }

    fn tests(&self, policy: &AnalysisPolicy, metric: &MetricPolicy, question: Question) -> Tests {
        let slack = f64::from(metric.slack_ppm) / 1e6;
        let against_needed = finding::needed_against(policy, metric);
        Tests {
            against: self.tolerance.0.ln_evidence(&self.tolerance.1),
            against_needed,
            estimate_over: self.estimate_beyond(f64::from(metric.tolerance_bp) / 1e4, slack),
            estimate_red: self.estimate_beyond(f64::from(metric.red_bp) / 1e4, slack),
            red: self.red.0.ln_evidence(&self.red.1),
            over_rollback: self
                .absolute
                .as_ref()
                .is_some_and(|(test, state)| test.ln_evidence(state) >= against_needed),
            over_hold: self.over(metric.hold_above, |window| window.canary),
            baseline_over: self.over(metric.hold_above, |window| window.baseline),
            excluded: question
                .exclude_bp
                .and_then(|bp| self.excluded.get(&bp))
                .map(|(test, state)| test.ln_evidence(state)),
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
        let rule = tests.rule(policy.profile);
        let errors = self.paired.canary.bad + self.paired.baseline.bad;
        let interval = (errors >= RATIO_ERRORS_MIN).then(|| self.profile.interval(0.05));
        MetricFinding {
            metric: metric.name.clone(),
            verdict: rule.verdict(),
            sentence: self.sentence(rule, metric, question),
            canary: side(self.canary),
            baseline: (self.baseline.total > 0).then(|| side(self.baseline)),
            ratio_bp: (errors >= RATIO_ERRORS_MIN && self.paired.baseline.bad > 0)
                .then(|| ratio_bp(self.paired.canary.rate() / self.paired.baseline.rate()))
                .flatten(),
            ratio_from_bp: interval.and_then(|interval| ratio_bp(interval.low)),
            ratio_to_bp: interval.and_then(|interval| ratio_bp(interval.high)),
            against_milli: milli(tests.against),
            against_needed_milli: milli(tests.against_needed),
            for_milli: tests.excluded.map(milli),
            for_needed_milli: tests.excluded.map(|_| milli(tests.excluded_needed)),
            shown: tests.shown(),
            wait_ms: finding::wait_ms(tests.excluded, tests.excluded_needed, self.judged_ms),
            state: rule.state(),
        }
    }

    fn sentence(&self, rule: Rule, metric: &MetricPolicy, question: Question) -> String {
        let (canary, baseline) = (self.paired.canary, self.paired.baseline);
        let rates = format!(
            "canary {} ({} of {}) against baseline {} ({} of {})",
            percent(canary.bad, canary.total),
            canary.bad,
            canary.total,
            percent(baseline.bad, baseline.total),
            baseline.bad,
            baseline.total
        );
        let band = |ppm: Option<u64>| percent(ppm.unwrap_or_default(), 1_000_000);
        match rule {
            Rule::OverRollbackBand => format!(
                "canary {} is above the limit of {}",
                percent(self.canary.bad, self.canary.total),
                band(metric.rollback_above)
            ),
            Rule::RedShown | Rule::ShownBeyondRed => {
                format!("shown to be worse, beyond {}: {rates}", times(metric.red_bp))
            }
            Rule::ShownStrict => format!("shown to be worse than tolerated: {rates}"),
            Rule::ShownWithinRed => format!(
                "shown to be worse than {} but not beyond {}: {rates}",
                times(metric.tolerance_bp),
                times(metric.red_bp)
            ),
            Rule::BothOverHoldBand => {
                format!("the baseline fails too, both above {}: {rates}", band(metric.hold_above))
            }
            Rule::OverHoldBand => format!("canary above {}: {rates}", band(metric.hold_above)),
            Rule::NotExcluded => format!(
                "{} worse is not excluded yet: {rates}",
                question.exclude_bp.map(times).unwrap_or_default()
            ),
            Rule::Well => match question.exclude_bp {
                Some(bp) => format!("{} worse is excluded: {rates}", times(bp)),
                None if self.paired.baseline.total == 0 => format!(
                    "no live baseline, absolute bands only: {} ({} of {})",
                    percent(self.canary.bad, self.canary.total),
                    self.canary.bad,
                    self.canary.total
                ),
                None => format!(
                    "now {} of {} failed; against the baseline it was {rates}",
                    self.canary.bad, self.canary.total
                ),
            },
        }
    }
}

fn arm(counts: &taxiway_model::counts::Counts) -> Arm {
    Arm { total: counts.requests, bad: counts.errors() }
}

fn arm_of(counts: Option<&taxiway_model::counts::Counts>) -> Arm {
    counts.map(arm).unwrap_or_default()
}

fn add(sum: &mut Arm, more: Arm) {
    sum.total += more.total;
    sum.bad += more.bad;
}

fn side(arm: Arm) -> SideFinding {
    let value = (arm.total > 0).then(|| arm.bad * 1_000_000 / arm.total);
    SideFinding { requests: arm.total, bad: arm.bad, value }
}
