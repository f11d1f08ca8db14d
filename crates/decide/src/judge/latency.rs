//! Latency: both sides' distributions, compared by how many requests are slower than a threshold
//! taken from the baseline's own recent past (scaled exceedance), at p50, p95 and p99 together.

use super::Question;
use super::finding::{self, Rule, Tests, milli, ratio_bp, times};
use super::noise::{self, Noise};
use std::collections::BTreeMap;
use taxiway_model::counts::Histogram;
use taxiway_model::evidence::{Classes, total};
use taxiway_model::policy::{AnalysisPolicy, Measure, MetricPolicy};
use taxiway_model::verdict::{MetricFinding, SideFinding};
use taxiway_stats::histogram::{self, Bucket, SCALE};
use taxiway_stats::{exclude, latency, reject};

/// Requests below which a quantile of the time just past is not held against an absolute band.
const BAND_REQUESTS_MIN: u64 = 20;

/// Absolute bands look at the time just past.
const TRAILING_MS: u64 = 60_000;

/// Windows that a conviction takes at least: a single stall is one event, however many requests it
/// makes slow.
const WINDOWS_MIN: f64 = 3.0;

/// Only read by the cap, which asks a test for the sum of a state's wealth.
const HORIZON_S: f64 = 3_600.0;

/// The fold of one latency.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    tolerance: (latency::Test, latency::State),
    red: (latency::Test, latency::State),
    /// By the ratio that must be excluded: evidence that slow requests are fewer than that many
    /// times the baseline's.
    excluded: BTreeMap<u32, (exclude::Test, exclude::State)>,
    canary: Histogram,
    baseline: Histogram,
    /// Over windows in which both sides had traffic.
    paired: [Histogram; 2],
    slow: [u64; 4],
    judged_ms: u64,
    trailing: Vec<(u64, Histogram, Histogram)>,
    /// How far the baseline's requests are from independent, by quantile.
    noise: Vec<Noise>,
    /// The most that one window may add to the evidence, in nats.
    cap: f64,
}

impl Evidence {
    pub(super) fn new(policy: &AnalysisPolicy, metric: &MetricPolicy, horizon_s: f64) -> Self {
        let more = |bp: u32| (f64::from(bp) / 1e4 - 1.0).clamp(0.0, 100.0);
        let test = |bp: u32| {
            latency::Test::new(more(bp), horizon_s).expect("the tolerance is clamped to what the test takes")
        };
        let (tolerance, red) = (test(metric.tolerance_bp), test(metric.red_bp));
        let excluded = policy.exclude.iter().map(|rule| {
            let theta = (f64::from(rule.ratio_bp) / 1e4).clamp(1.01, 1e3);
            let test = exclude::Test::new(theta, 0.0).expect("the ratio is clamped to what the test takes");
            (rule.ratio_bp, (test, test.start()))
        });
        let (tolerance_state, red_state) = (tolerance.start(), red.start());
        Self {
            tolerance: (tolerance, tolerance_state),
            red: (red, red_state),
            excluded: excluded.collect(),
            canary: Histogram::default(),
            baseline: Histogram::default(),
            paired: [Histogram::default(), Histogram::default()],
            slow: [0; 4],
            judged_ms: 0,
            trailing: Vec::new(),
            noise: vec![Noise::new(); latency::QUANTILES.len()],
            cap: finding::needed_against(policy, metric) / WINDOWS_MIN,
        }
    }

    pub(super) fn fold(&mut self, canary: &Classes, baseline: &Classes, span_ms: u64) {
        let elapsed_s = span_ms as f64 / 1e3;
        let (canary, baseline) = (total(canary).latency, total(baseline).latency);
        let (slow, usual) = (buckets(&canary), buckets(&baseline));
        let phi = self.noise.iter().map(Noise::phi).fold(1.0, f64::max);
        let counted = fold_quietly(&mut self.tolerance, phi, self.cap, &slow, &usual, elapsed_s);
        fold_quietly(&mut self.red, phi, self.cap, &slow, &usual, elapsed_s);
        let quantiles = self.tolerance.0.quantiles();
        for ((noise, exceedance), q) in self.noise.iter_mut().zip(&counted).zip(quantiles) {
            if let Some(exceedance) = exceedance {
                noise.fold(exceedance.window.baseline, 1.0 - q);
            }
        }
        let tail = quantiles.iter().position(|q| (*q - 0.95).abs() < 1e-9).unwrap_or(0);
        if let Some(exceedance) = counted.get(tail).copied().flatten() {
            for (test, state) in self.excluded.values_mut() {
                test.fold(state, &exceedance.window, elapsed_s);
            }
            let window = exceedance.window;
            let seen = [window.canary.total, window.canary.bad, window.baseline.total, window.baseline.bad];
            for (sum, more) in self.slow.iter_mut().zip(seen) {
                *sum += more;
            }
        }
        if canary.total() > 0 && baseline.total() > 0 {
            self.paired[0].merge(&canary);
            self.paired[1].merge(&baseline);
        }
        self.canary.merge(&canary);
        self.baseline.merge(&baseline);
        self.judged_ms += span_ms;
        self.trailing.push((span_ms, canary, baseline));
        while self.trailing.iter().map(|(ms, _, _)| ms).sum::<u64>() > TRAILING_MS + self.trailing[0].0 {
            self.trailing.remove(0);
        }
    }

    fn over(&self, band_us: Option<u64>, q: f64, baseline: bool) -> bool {
        let Some(band_us) = band_us else { return false };
        let mut sum = Histogram::default();
        for (_, canary, other) in &self.trailing {
            sum.merge(if baseline { other } else { canary });
        }
        sum.total() >= BAND_REQUESTS_MIN && value_us(&sum, q).is_some_and(|value| value > band_us)
    }

    /// Whether a quantile of the canary lies beyond so many times the baseline's, over everything
    /// or over the time just past.
    fn estimate_beyond(&self, times: f64) -> bool {
        let mut recent = [Histogram::default(), Histogram::default()];
        for (_, canary, baseline) in self.trailing.iter().filter(|(_, c, b)| c.total() > 0 && b.total() > 0) {
            recent[0].merge(canary);
            recent[1].merge(baseline);
        }
        [&self.paired, &recent].into_iter().any(|[canary, baseline]| {
            self.tolerance.0.quantiles().iter().any(|q| {
                let enough = canary.total() as f64 * (1.0 - q) >= 5.0;
                let beyond = |(c, b): (u64, u64)| c as f64 > times * b as f64;
                enough && value_us(canary, *q).zip(value_us(baseline, *q)).is_some_and(beyond)
            })
        })
    }

    fn tests(&self, policy: &AnalysisPolicy, metric: &MetricPolicy, question: Question) -> Tests {
        let q = quantile(metric);
        Tests {
            against: self.tolerance.0.ln_evidence(&self.tolerance.1),
            against_needed: finding::needed_against(policy, metric),
            estimate_over: self.estimate_beyond(f64::from(metric.tolerance_bp) / 1e4),
            estimate_red: self.estimate_beyond(f64::from(metric.red_bp) / 1e4),
            red: self.red.0.ln_evidence(&self.red.1),
            over_rollback: self.over(metric.rollback_above, q, false),
            over_hold: self.over(metric.hold_above, q, false),
            baseline_over: self.over(metric.hold_above, q, true),
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
        let q = quantile(metric);
        let pair = value_us(&self.paired[0], q).zip(value_us(&self.paired[1], q));
        let side = |histogram: &Histogram, bad| SideFinding {
            requests: histogram.total(),
            bad,
            value: value_us(histogram, q),
        };
        MetricFinding {
            metric: metric.name.clone(),
            verdict: rule.verdict(),
            sentence: self.sentence(rule, metric, question),
            canary: side(&self.canary, self.slow[1]),
            baseline: (self.baseline.total() > 0).then(|| side(&self.baseline, self.slow[3])),
            ratio_bp: pair.and_then(|(c, b)| ratio_bp(c as f64 / b.max(1) as f64)),
            ratio_from_bp: None,
            ratio_to_bp: None,
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
        let q = quantile(metric);
        let ms = |histogram: &Histogram| value_us(histogram, q).map_or("none".to_owned(), in_ms);
        let values =
            format!("p{} canary {} against baseline {}", q * 100.0, ms(&self.paired[0]), ms(&self.paired[1]));
        let band = |us: Option<u64>| in_ms(us.unwrap_or_default());
        match rule {
            Rule::OverRollbackBand => {
                format!("canary {} is above the limit of {}", ms(&self.canary), band(metric.rollback_above))
            }
            Rule::RedShown | Rule::ShownBeyondRed => {
                format!("shown to be slower, beyond {}: {values}", times(metric.red_bp))
            }
            Rule::ShownStrict => format!("shown to be slower than tolerated: {values}"),
            Rule::ShownWithinRed => format!(
                "shown to be slower than {} but not beyond {}: {values}",
                times(metric.tolerance_bp),
                times(metric.red_bp)
            ),
            Rule::BothOverHoldBand => {
                format!("the baseline is slow too, both above {}: {values}", band(metric.hold_above))
            }
            Rule::OverHoldBand => format!("canary above {}: {values}", band(metric.hold_above)),
            Rule::NotExcluded => format!(
                "{} as many slow requests are not excluded yet: {values}",
                question.exclude_bp.map(times).unwrap_or_default()
            ),
            Rule::Well => match question.exclude_bp {
                Some(bp) => format!("{} as many slow requests are excluded: {values}", times(bp)),
                None => format!("no live baseline now: p{} {}", q * 100.0, ms(&self.canary)),
            },
        }
    }
}

/// Folds a window with its information divided by `phi` and its weight capped.
fn fold_quietly(
    (test, state): &mut (latency::Test, latency::State),
    phi: f64,
    cap: f64,
    canary: &[Bucket],
    baseline: &[Bucket],
    elapsed_s: f64,
) -> Vec<Option<latency::Exceedance>> {
    let before = test.ln_evidences(state);
    let dispersed = test.clone().dispersed(phi).expect("the dispersion is clamped to what the test takes");
    let counted = dispersed.fold(state, canary, baseline, elapsed_s);
    let single = reject::Test::new(1.0, 0.0, HORIZON_S).expect("fixed numbers within bounds");
    for (state, before) in state.worse.iter_mut().zip(before) {
        noise::capped(&single, before, state, cap);
    }
    counted
}

fn quantile(metric: &MetricPolicy) -> f64 {
    match metric.measure {
        Measure::Latency { quantile_bp } | Measure::QueryBuckets { quantile_bp } => {
            f64::from(quantile_bp.clamp(1, 9_999)) / 1e4
        }
        _ => 0.95,
    }
}

fn buckets(histogram: &Histogram) -> Vec<Bucket> {
    histogram.buckets.iter().map(|(index, count)| (i32::from(*index), *count)).collect()
}

fn value_us(histogram: &Histogram, q: f64) -> Option<u64> {
    histogram::quantile(&buckets(histogram), q, SCALE).map(|value| libm::round(value) as u64)
}

fn in_ms(us: u64) -> String {
    match us {
        0..10_000 => format!("{:.1} ms", us as f64 / 1e3),
        10_000..10_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}
