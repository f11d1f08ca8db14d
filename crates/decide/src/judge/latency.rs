//! Latency: both sides' distributions, compared by how many requests are slower than a threshold
//! taken from the baseline's own recent past (scaled exceedance), in one test of the stretches between
//! p50, p95 and p99.

use super::Question;
use super::finding::{self, Figures, Rule, Tests, times};
use super::interval;
use super::noise::{self, Noise};
use super::prior::{self, Prior};
use super::sides::{self, Latencies};
use super::trailing::Trailing;
use taxiway_model::evidence::Classes;
use taxiway_model::policy::{AnalysisPolicy, Measure, MetricPolicy, Profile};
use taxiway_model::verdict::{MetricFinding, SideFinding, Verdict};
use taxiway_stats::compact::Compact;
use taxiway_stats::histogram::{self, Bucket, Ranked, SCALE};
use taxiway_stats::latency::{Expected, Past, QUANTILES};
use taxiway_stats::threshold::Calibrated;
use taxiway_stats::{Arm, Window, exclude, latency};

/// Requests below which a quantile of the time just past is not held against an absolute band.
const BAND_REQUESTS_MIN: u64 = 20;

/// Slow requests of the canary below which there is no estimate of its quantile.
const SLOW_MIN: u64 = 5;

/// The quantile whose slow requests are shown and excluded: the 95th.
const TAIL: usize = 1;

/// The part of the needed evidence that one window may bring: a single stall is one event, however
/// many requests it makes slow, so that a conviction takes three windows at least …
const WINDOW_PART: f64 = 1.0 / 3.0;

/// … and two where the normal profile has seen slow requests come independently of each other.
const WINDOW_PART_CALM: f64 = 0.7;

/// The fold of one latency.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    tolerance: Compared,
    /// Under `strict` nobody asks for it: whatever is shown goes back.
    red: Option<Compared>,
    threshold: Calibrated,
    /// Windows in which both sides had traffic.
    windows: u32,
    past: Past,
    /// By the ratio that must be excluded: evidence that slow requests are fewer than that many
    /// times the baseline's.
    excluded: Vec<(u32, exclude::Test, exclude::State)>,
    /// Over windows in which both sides had traffic, canary first, and over the others.
    paired: [Compact; 2],
    alone: [Compact; 2],
    /// Requests, and those slower than the tail's threshold.
    slow: Window,
    judged_ms: u64,
    bands: Bands,
    /// How far the baseline's requests are from independent, by quantile.
    noise: [Noise; QUANTILES.len()],
    /// The most that one window may add to the evidence, in nats.
    cap: f64,
}

/// One tolerated ratio: its test, and what was counted for it by quantile.
#[derive(Debug, Clone, PartialEq)]
struct Compared {
    test: latency::Test,
    state: latency::State,
    ln_evidence: f64,
    counted: Counted,
    /// Of the time just past: requests and slow ones of both sides ([`flat`]) for each quantile.
    recent: Trailing<RECENT>,
}

/// Requests and slow ones of both sides, by quantile.
type Counted = [Window; QUANTILES.len()];

/// Four counts for each quantile.
const RECENT: usize = 4 * QUANTILES.len();

/// Requests above the absolute bands in the time just past, canary first.
#[derive(Debug, Clone, PartialEq)]
struct Bands {
    /// Buckets of the hold and of the rollback band; what lies above them is above the band.
    above: [Option<i32>; 2],
    /// Requests of both sides, those above the hold band, those above the rollback band.
    recent: Trailing<6>,
}

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
        let more = |bp: u32| (f64::from(bp) / 1e4 - 1.0).clamp(0.0, 100.0);
        let compared = |bp: u32| {
            let test = latency::Test::new(more(bp), horizon_s);
            Compared::new(test.expect("the tolerance is clamped to what the test takes"))
        };
        let known = prior.and_then(|prior| prior.slow_dispersion());
        let excluded = policy.exclude.iter().map(|rule| {
            let theta = (f64::from(rule.ratio_bp) / 1e4).clamp(1.01, 1e3);
            let test = exclude::Test::new(theta, 0.0)
                .and_then(|test| test.dispersed(known.unwrap_or(1.0)))
                .expect("the ratio is clamped to what the test takes");
            (rule.ratio_bp, test, test.start())
        });
        let past = prior.map(|prior| sides::buckets(&prior.seen(metric).latency)).unwrap_or_default();
        let noise = known.map_or_else(Noise::new, Noise::known);
        let threshold = prior::latency_threshold(finding::alpha(policy, metric), metric, prior);
        let part = if known == Some(1.0) { WINDOW_PART_CALM } else { WINDOW_PART };
        Self {
            tolerance: compared(metric.tolerance_bp),
            red: (policy.profile != Profile::Strict).then(|| compared(metric.red_bp)),
            threshold,
            windows: 0,
            past: Past::of(&past),
            excluded: excluded.collect(),
            paired: <[Compact; 2]>::default(),
            alone: <[Compact; 2]>::default(),
            slow: Window::default(),
            judged_ms: 0,
            bands: Bands::of(metric),
            noise: [noise; QUANTILES.len()],
            cap: threshold.ln_at(0.0) * part,
        }
    }

    /// Takes in answers of a source of its own.
    pub(super) fn fold(&mut self, canary: &Classes, baseline: &Classes, span_ms: u64) {
        self.take(&Latencies::of(canary, baseline), span_ms);
    }

    /// Takes in a window.
    pub(super) fn take(&mut self, Latencies { buckets, ranked }: &Latencies, span_ms: u64) {
        let elapsed_s = span_ms as f64 / 1e3;
        self.compare(ranked, elapsed_s);
        self.bands.fold(ranked, span_ms);
        self.past.remember(&buckets[1], elapsed_s);
        let both = ranked.iter().all(|side| side.total() > 0);
        self.windows = self.windows.saturating_add(u32::from(both));
        let sums = if both { &mut self.paired } else { &mut self.alone };
        for (sum, side) in sums.iter_mut().zip(buckets) {
            sum.merge(side);
        }
        self.judged_ms += span_ms;
    }

    /// Takes in what both sides answered to the question of how many requests are slow; nothing before the
    /// baseline has a past to choose thresholds from.
    fn compare(&mut self, ranked: &[Ranked; 2], elapsed_s: f64) {
        let Some(expected) = self.past.expected() else {
            for compared in [Some(&mut self.tolerance), self.red.as_mut()].into_iter().flatten() {
                compared.test.wait(&mut compared.state, elapsed_s);
            }
            return;
        };
        let phi = self.noise.iter().map(Noise::phi).fold(1.0, f64::max);
        let counted = self.tolerance.fold(&expected, ranked, phi, self.cap, elapsed_s);
        if let Some(red) = &mut self.red {
            red.fold(&expected, ranked, phi, self.cap, elapsed_s);
        }
        for ((noise, window), expected) in self.noise.iter_mut().zip(&counted).zip(&expected) {
            noise.fold(window.baseline, expected.share);
        }
        let tail = &counted[TAIL];
        for (_, test, state) in &mut self.excluded {
            test.fold(state, tail, elapsed_s);
        }
        self.slow.add(tail);
    }

    /// How clustered the requests beyond a quantile are, by the nearest that is watched.
    fn phi_at(&self, q: f64) -> f64 {
        let far = |known: f64| (known - q).abs();
        let watched = QUANTILES.iter().zip(&self.noise);
        let nearest = watched.min_by(|(a, _), (b, _)| far(**a).total_cmp(&far(**b)));
        nearest.map_or(1.0, |(_, noise)| noise.phi())
    }

    /// Everything that a side answered.
    fn all(&self, side: usize) -> Vec<Bucket> {
        histogram::merged(&self.paired[side].buckets(), &self.alone[side].buckets())
    }

    fn tests(&self, policy: &AnalysisPolicy, metric: &MetricPolicy, question: Question) -> Tests {
        let q = quantile(metric);
        let against_needed = self.threshold.ln_at(f64::from(self.windows));
        let is_shown = self.tolerance.ln_evidence >= against_needed;
        Tests {
            against: self.tolerance.ln_evidence,
            against_needed,
            estimate_over: is_shown && self.tolerance.estimate_beyond(),
            estimate_red: is_shown && self.estimate_red(f64::from(metric.red_bp) / 1e4),
            red: self.red.as_ref().map_or(f64::NEG_INFINITY, |red| red.ln_evidence),
            over_rollback: self.bands.over(1, 0, q),
            over_hold: self.bands.over(0, 0, q),
            baseline_over: self.bands.over(0, 1, q),
            excluded: question.exclude_bp.and_then(|bp| {
                let known = self.excluded.iter().find(|(known, _, _)| *known == bp);
                known.map(|(_, test, state)| test.ln_evidence(state))
            }),
            excluded_needed: finding::needed_for(policy),
        }
    }

    /// Whether a quantile lies beyond red by what was counted, or by both sides' distributions where
    /// red is not tested.
    fn estimate_red(&self, times: f64) -> bool {
        let Some(red) = &self.red else {
            let [canary, baseline] = [self.paired[0].buckets(), self.paired[1].buckets()];
            return QUANTILES.iter().any(|q| {
                let enough = self.paired[0].total() as f64 * (1.0 - q) >= SLOW_MIN as f64;
                let pair = value_us(&canary, *q).zip(value_us(&baseline, *q));
                enough && pair.is_some_and(|(c, b)| c as f64 > times * b as f64)
            });
        };
        red.estimate_beyond()
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
        let q = quantile(metric);
        let paired = [self.paired[0].buckets(), self.paired[1].buckets()];
        let pair = value_us(&paired[0], q).zip(value_us(&paired[1], q));
        let [canary, baseline] = [self.all(0), self.all(1)];
        let side = |all: &[Bucket], bad| SideFinding {
            requests: histogram::total(all),
            bad,
            value: value_us(all, q),
        };
        let figures = Figures {
            canary: side(&canary, self.slow.canary.bad),
            baseline: (!baseline.is_empty()).then(|| side(&baseline, self.slow.baseline.bad)),
            ratio: pair.map(|(c, b)| c as f64 / b.max(1) as f64),
            interval: interval::of_quantiles(&paired[0], &paired[1], q, self.phi_at(q)),
            judged_ms: self.judged_ms,
        };
        figures.finding(metric, rule, &tests, self.sentence(rule, metric, question, &paired, &canary))
    }

    /// Both sides' quantile, and beside it the one from which on the canary is shown to be slower where
    /// that lies further out: at a slow hundredth the 95th percentiles are alike.
    fn values(&self, rule: Rule, q: f64, paired: &[Vec<Bucket>; 2]) -> String {
        let of = |q: f64| {
            let ms = |histogram: &[Bucket]| value_us(histogram, q).map_or("none".to_owned(), in_ms);
            format!("p{} canary {} against baseline {}", q * 100.0, ms(&paired[0]), ms(&paired[1]))
        };
        let from = QUANTILES[self.tolerance.test.likeliest_from(&self.tolerance.state)];
        if matches!(rule, Rule::Shown(_)) && from > q { format!("{}, {}", of(from), of(q)) } else { of(q) }
    }

    fn sentence(
        &self,
        rule: Rule,
        metric: &MetricPolicy,
        question: Question,
        paired: &[Vec<Bucket>; 2],
        canary: &[Bucket],
    ) -> String {
        let q = quantile(metric);
        let ms = |histogram: &[Bucket]| value_us(histogram, q).map_or("none".to_owned(), in_ms);
        let values = self.values(rule, q, paired);
        let band = |us: Option<u64>| in_ms(us.unwrap_or_default());
        match rule {
            Rule::OverRollbackBand => {
                format!("canary {} is above the limit of {}", ms(canary), band(metric.rollback_above))
            }
            Rule::Shown(shown) => shown.sentence("slower", [metric.tolerance_bp, metric.red_bp], &values),
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
                None => format!("no live baseline now: p{} {}", q * 100.0, ms(canary)),
            },
        }
    }
}

impl Compared {
    fn new(test: latency::Test) -> Self {
        let state = test.start();
        let ln_evidence = test.ln_evidence(&state);
        Self { test, state, ln_evidence, counted: Counted::default(), recent: Trailing::default() }
    }

    /// Folds a window with its information divided by `phi` and its weight capped.
    fn fold(
        &mut self,
        expected: &[Expected; QUANTILES.len()],
        [canary, baseline]: &[Ranked; 2],
        phi: f64,
        cap: f64,
        elapsed_s: f64,
    ) -> Counted {
        let counted = self.test.count(expected, canary, baseline);
        self.test.fold(&mut self.state, expected, &counted, phi, elapsed_s);
        if counted[0].is_comparable() {
            let now = self.test.ln_evidence(&self.state);
            let is_capped = noise::capped(&mut self.state.ln_wealth, self.ln_evidence, now, cap);
            self.ln_evidence = if is_capped { self.test.ln_evidence(&self.state) } else { now };
            for (sum, window) in self.counted.iter_mut().zip(&counted) {
                sum.add(window);
            }
            self.recent.push((elapsed_s * 1e3) as u64, flat(&counted));
        }
        counted
    }

    /// Whether a quantile of the canary is estimated beyond the ratio, over everything or over the
    /// time just past: more than the baseline's share is slower than the scaled threshold.
    fn estimate_beyond(&self) -> bool {
        let beyond = |seen: &Window| seen.canary.bad >= SLOW_MIN && seen.canary.rate() > seen.baseline.rate();
        self.counted.iter().any(beyond) || windows(&self.recent.sum()).any(|window| beyond(&window))
    }
}

/// The counts of a window for each quantile, as [`Trailing`] takes them.
fn flat(windows: &Counted) -> [u64; RECENT] {
    let mut counts = [0; RECENT];
    for (four, window) in counts.as_chunks_mut::<4>().0.iter_mut().zip(windows) {
        *four = window.counts();
    }
    counts
}

/// The inverse of [`flat`].
fn windows(counts: &[u64; RECENT]) -> impl Iterator<Item = Window> {
    counts.as_chunks::<4>().0.iter().map(|four| Window::of_counts(*four))
}

impl Bands {
    fn of(metric: &MetricPolicy) -> Self {
        let bucket = |band: Option<u64>| band.map(|us| histogram::index_of((us as f64).max(1.0), SCALE));
        Self {
            above: [bucket(metric.hold_above), bucket(metric.rollback_above)],
            recent: Trailing::default(),
        }
    }

    fn fold(&mut self, sides: &[Ranked; 2], span_ms: u64) {
        if self.above == [None, None] {
            return;
        }
        let above = |band: usize, side: &Ranked| self.above[band].map_or(0, |bucket| side.above(bucket));
        let [canary, baseline] = sides;
        let counts = [
            canary.total(),
            baseline.total(),
            above(0, canary),
            above(0, baseline),
            above(1, canary),
            above(1, baseline),
        ];
        self.recent.push(span_ms, counts);
    }

    /// Whether quantile `q` of a side's requests of the time just past lies above a band.
    fn over(&self, band: usize, side: usize, q: f64) -> bool {
        let counts = self.recent.sum();
        let sum = Arm { total: counts[side], bad: counts[2 + 2 * band + side] };
        self.above[band].is_some() && sum.total >= BAND_REQUESTS_MIN && sum.rate() > 1.0 - q
    }
}

fn quantile(metric: &MetricPolicy) -> f64 {
    match metric.measure {
        Measure::Latency { quantile_bp } | Measure::QueryBuckets { quantile_bp } => {
            f64::from(quantile_bp.clamp(1, 9_999)) / 1e4
        }
        _ => 0.95,
    }
}

fn value_us(histogram: &[Bucket], q: f64) -> Option<u64> {
    histogram::quantile(histogram, q, SCALE).map(|value| libm::round(value) as u64)
}

fn in_ms(us: u64) -> String {
    match us {
        0..10_000 => format!("{:.1} ms", us as f64 / 1e3),
        10_000..10_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}
