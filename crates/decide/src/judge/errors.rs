//! Error rates: counts of failed requests on both sides.

use super::finding::{self, Figures, Rule, Tests, part, percent, times};
use super::noise::Capped;
use super::prior::Prior;
use super::ratio::Ratio;
use super::sides::Strata;
use super::trailing::Trailing;
use super::{Question, band};
use taxiway_model::counts::thousands;
use taxiway_model::evidence::Classes;
use taxiway_model::policy::{AnalysisPolicy, MetricPolicy, Profile};
use taxiway_model::verdict::{MetricFinding, SideFinding, Verdict};
use taxiway_stats::threshold::{Calibrated, WINDOW_PART};
use taxiway_stats::{Arm, Window, burn, exclude, reject};

/// Fewer failed requests than this on both sides together give no ratio to show, and fewer of the
/// canary's no estimate beyond red.
const RATIO_ERRORS_MIN: u64 = 5;

/// Failed requests of the canary that a conviction takes at least: the fewest that can be evidence
/// enough at all, at a share of 5 % and with none on the other side.
const SHOWN_ERRORS_MIN: u64 = 3;

/// Slack that an exclusion has at least: of a service that never fails no multiple of its rate could
/// ever be excluded, only "a thousandth of the requests more".
const EXCLUSION_SLACK_PPM: u32 = 1_000;

/// Parts per million of the requests by which a rate may lie beyond the multiple that a step must
/// exclude, and count as excluded.
pub fn exclusion_slack_ppm(metric: &MetricPolicy) -> u32 {
    metric.slack_ppm.max(EXCLUSION_SLACK_PPM)
}

/// Chance of failure below which services count as hardly ever failing: a step that must exclude "ten
/// times" excludes ten times the baseline's rate, or of this where that is more.
const HARDLY_EVER: f64 = 1e-3;

/// Weight of excluding by the canary's own rate where nothing is known of the baseline, and where it
/// is known to fail less than half of [`HARDLY_EVER`]; none where it is known to fail more than twice.
const OWN_RATE_WEIGHTS: [f64; 2] = [0.25, 0.75];

/// Rate of the canary itself that a step which must exclude so many times excludes, and the weight
/// of that way in its test; none where the baseline is known to fail more often.
pub(crate) fn own_rate(times: f64, base_rate: Option<f64>) -> Option<(f64, f64)> {
    let rate = (times * HARDLY_EVER).min(0.5);
    let [unknown, quiet] = OWN_RATE_WEIGHTS;
    match base_rate {
        None => Some((rate, unknown)),
        Some(base) if base < HARDLY_EVER / 2.0 => Some((rate, quiet)),
        Some(base) if base <= HARDLY_EVER * 2.0 => Some((rate, unknown)),
        Some(_) => None,
    }
}

/// The fold of one error rate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    /// Tolerated and red ratio, raised to what can be attributed where instances are noisy.
    bounds: [f64; 2],
    tolerance: Capped,
    /// Under `strict` nobody asks for it: whatever is shown goes back.
    red: Option<Capped>,
    threshold: Calibrated,
    phi: f64,
    excluded: Vec<(u32, exclude::Test, exclude::State)>,
    absolute: Option<(burn::Test, burn::State)>,
    ratio: Ratio,
    /// Of a source that has its own.
    strata: Strata,
    /// Totals over windows in which both sides had traffic: what a ratio may be taken of.
    paired: Window,
    /// Totals over all windows.
    canary: Arm,
    baseline: Arm,
    judged_ms: u64,
    /// The counts of both sides in the time just past.
    trailing: Trailing<4>,
    /// What cannot be attributed because instances differ that much by themselves.
    noisy: Option<Noisy>,
}

/// Canary instances beside noisy ones.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Noisy {
    canary_instances: u32,
    ratio: f64,
}

/// Ratios raised by less than this are not worth a word.
const NOISY_FROM: f64 = 1.02;

impl Evidence {
    pub(super) fn new(policy: &AnalysisPolicy, metric: &MetricPolicy, horizon_s: f64) -> Self {
        Self::with(policy, metric, horizon_s, None)
    }

    /// The same with what is known beforehand.
    pub(super) fn with(
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        horizon_s: f64,
        prior: Option<Prior<'_>>,
    ) -> Self {
        let share = |ppm: u32| f64::from(ppm.min(900_000)) / 1e6;
        let alpha = finding::alpha(policy, metric);
        let raised = prior.map_or(1.0, |prior| prior.attributable(alpha));
        let bound = |bp: u32| (f64::from(bp) / 1e4 * raised).clamp(0.01, 1e3);
        let bounds = [bound(metric.tolerance_bp), bound(metric.red_bp)];
        let threshold =
            prior.map_or_else(|| Calibrated::none(alpha), |prior| prior.threshold(policy, metric, bounds[0]));
        let phi = prior.map_or(1.0, |prior| prior.error_dispersion());
        let base_rate = prior.and_then(|prior| prior.base_rate(metric));
        let cap = threshold.ln_at(0.0) * WINDOW_PART;
        let rejects = |theta: f64| {
            let test = reject::Test::new(theta, share(metric.slack_ppm), horizon_s)
                .and_then(|test| base_rate.map_or(Ok(test), |rate| test.expecting(rate)))
                .and_then(|test| test.dispersed(phi));
            Capped::new(test.expect("the bounds are clamped to what the test takes"), cap)
        };
        let excluded = policy.exclude.iter().map(|rule| {
            let theta = (f64::from(rule.ratio_bp) / 1e4).clamp(1.01, 1e3);
            let own = own_rate(theta, base_rate);
            let test = exclude::Test::new(theta, share(exclusion_slack_ppm(metric)))
                .and_then(|test| own.map_or(Ok(test), |(rate, weight)| test.or_below(rate, weight)))
                .and_then(|test| test.dispersed(phi))
                .expect("the bounds are clamped to what the test takes");
            (rule.ratio_bp, test, test.start())
        });
        let absolute = metric.rollback_above.map(|ppm| {
            let test = burn::Test::new((ppm as f64 / 1e6).clamp(1e-9, 1.0)).expect("a clamped probability");
            (test, test.start())
        });
        let canary_instances = prior.map_or(0, |prior| prior.outlook.canary_instances);
        Self {
            bounds,
            tolerance: rejects(bounds[0]),
            red: (policy.profile != Profile::Strict).then(|| rejects(bounds[1])),
            threshold,
            phi,
            excluded: excluded.collect(),
            absolute,
            ratio: Ratio::default(),
            strata: Strata::default(),
            paired: Window::default(),
            canary: Arm::default(),
            baseline: Arm::default(),
            judged_ms: 0,
            trailing: Trailing::default(),
            noisy: (raised > NOISY_FROM).then_some(Noisy { canary_instances, ratio: bounds[0] }),
        }
    }

    /// Takes in counts of a source of its own.
    pub(super) fn fold(&mut self, canary: &Classes, baseline: &Classes, span_ms: u64) {
        let strata = self.strata.of(canary, baseline);
        self.take(&strata, span_ms);
    }

    /// Takes in a window by endpoint class, always in the same order. Classes are strata: a canary that
    /// gets more of the slow or failing endpoint than the baseline is compared endpoint by endpoint
    /// (Simpson's paradox cannot arise).
    pub(super) fn take(&mut self, strata: &[Window], span_ms: u64) {
        let elapsed_s = span_ms as f64 / 1e3;
        let mut window = Window::default();
        for stratum in strata {
            window.add(stratum);
        }
        self.tolerance.fold(strata, elapsed_s);
        if let Some(red) = &mut self.red {
            red.fold(strata, elapsed_s);
        }
        self.ratio.fold(strata, span_ms, self.phi);
        for (_, test, state) in &mut self.excluded {
            test.fold(state, &window, elapsed_s);
        }
        if let Some((test, state)) = &mut self.absolute {
            test.fold(state, window.canary);
        }
        add(&mut self.canary, window.canary);
        add(&mut self.baseline, window.baseline);
        if window.is_comparable() {
            self.paired.add(&window);
        }
        self.judged_ms += span_ms;
        self.trailing.push(span_ms, window.counts());
    }

    /// Whether the rate of the time just past is above the band, and not by chance.
    fn over(&self, band_ppm: Option<u64>, side: fn(&Window) -> Arm) -> bool {
        let Some(band_ppm) = band_ppm else { return false };
        let recent = Window::of_counts(self.trailing.sum());
        band::is_above(side(&recent), band_ppm)
    }

    /// Whether the canary's rate lies beyond so many times the baseline's and the slack, over
    /// everything or over the time just past, with so many failures at least.
    fn estimate_beyond(&self, times: f64, slack: f64, errors_min: u64) -> bool {
        let beyond = |seen: &Window| {
            seen.canary.bad >= errors_min && seen.canary.rate() > times * seen.baseline.rate() + slack
        };
        if beyond(&self.paired) {
            return true;
        }
        let comparable = |counts: &[u64; 4]| Window::of_counts(*counts).is_comparable();
        beyond(&Window::of_counts(self.trailing.sum_where(comparable)))
    }

    fn tests(&self, policy: &AnalysisPolicy, metric: &MetricPolicy, question: Question) -> Tests {
        let slack = f64::from(metric.slack_ppm) / 1e6;
        let [tolerated, red] = self.bounds;
        let errors = (self.paired.canary.bad.saturating_add(self.paired.baseline.bad)) as f64 / self.phi;
        let against = self.tolerance.ln_evidence();
        let against_needed = self.threshold.ln_at(errors);
        let is_shown = against >= against_needed;
        Tests {
            against,
            against_needed,
            estimate_over: is_shown && self.estimate_beyond(tolerated, slack, SHOWN_ERRORS_MIN),
            estimate_red: is_shown && self.estimate_beyond(red, slack, RATIO_ERRORS_MIN),
            red: self.red.as_ref().map_or(f64::NEG_INFINITY, Capped::ln_evidence),
            over_rollback: self.absolute.as_ref().is_some_and(|(test, state)| {
                test.ln_evidence(state) >= finding::needed_against(policy, metric)
            }),
            over_hold: self.over(metric.hold_above, |window| window.canary),
            baseline_over: self.over(metric.hold_above, |window| window.baseline),
            excluded: question.exclude_bp.and_then(|bp| {
                let known = self.excluded.iter().find(|(known, _, _)| *known == bp);
                known.map(|(_, test, state)| test.ln_evidence(state))
            }),
            excluded_needed: finding::needed_for(policy),
        }
    }

    /// The verdict alone, and whether a regression is shown.
    pub(super) fn look(
        &self,
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        question: Question,
    ) -> (Verdict, bool) {
        let tests = self.tests(policy, metric, question);
        (tests.rule(policy.profile, metric).verdict(), tests.shown())
    }

    pub(super) fn finding(
        &self,
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        question: Question,
    ) -> MetricFinding {
        let tests = self.tests(policy, metric, question);
        let rule = tests.rule(policy.profile, metric);
        let errors = self.paired.canary.bad + self.paired.baseline.bad;
        let interval = (errors >= RATIO_ERRORS_MIN).then(|| self.ratio.interval(self.phi));
        let estimate = self.paired.canary.rate() / self.paired.baseline.rate();
        let figures = Figures {
            canary: side(self.canary),
            baseline: (self.baseline.total > 0).then(|| side(self.baseline)),
            ratio: (errors >= RATIO_ERRORS_MIN && self.paired.baseline.bad > 0).then_some(estimate),
            interval: interval.map(|interval| [interval.low, interval.high]),
            judged_ms: self.judged_ms,
        };
        figures.finding(metric, rule, &tests, self.sentence(rule, metric, question))
    }

    fn sentence(&self, rule: Rule, metric: &MetricPolicy, question: Question) -> String {
        let said = self.said(rule, metric, question);
        match self.noisy {
            Some(noisy) if rule.is_relative() => {
                let instances = match noisy.canary_instances {
                    0 | 1 => "one canary instance".to_owned(),
                    several => format!("{several} canary instances"),
                };
                let ratio = times((noisy.ratio * 1e4) as u32);
                format!("{said}; {instances} beside noisy instances: less than {ratio} cannot be attributed")
            }
            _ => said,
        }
    }

    fn said(&self, rule: Rule, metric: &MetricPolicy, question: Question) -> String {
        let (canary, baseline) = (self.paired.canary, self.paired.baseline);
        let rates = format!("canary {} against baseline {}", part(canary), part(baseline));
        let band = |ppm: Option<u64>| percent(ppm.unwrap_or_default(), 1_000_000);
        match rule {
            Rule::OverRollbackBand => format!(
                "canary {} is above the limit of {}",
                percent(self.canary.bad, self.canary.total),
                band(metric.rollback_above)
            ),
            Rule::Shown(shown) => {
                shown.sentence("worse", self.bounds.map(|bound| (bound * 1e4) as u32), &rates)
            }
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
                None if self.canary.total == 0 => "no request yet".to_owned(),
                None if self.paired.baseline.total == 0 => {
                    format!("no live baseline, absolute bands only: {}", part(self.canary))
                }
                None => format!(
                    "now {} of {} failed; against the baseline it was {rates}",
                    thousands(self.canary.bad),
                    thousands(self.canary.total)
                ),
            },
        }
    }
}

fn add(sum: &mut Arm, more: Arm) {
    sum.total = sum.total.saturating_add(more.total);
    sum.bad = sum.bad.saturating_add(more.bad);
}

fn side(arm: Arm) -> SideFinding {
    let value = (arm.total > 0).then(|| finding::ppm(arm.bad, arm.total));
    SideFinding { requests: arm.total, bad: arm.bad, value }
}
