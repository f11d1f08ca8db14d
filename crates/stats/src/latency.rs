//! Scaled exceedance: evidence that a latency quantile of the canary is more than `1 + tolerance` times the baseline's.
//!
//! Before each window a threshold `u` is chosen for each quantile from the baseline's recent past. Then a baseline request
//! is bad when slower than `u`, a canary request when slower than `(1 + tolerance) u`, and the two counts go through the
//! exact count test ([`crate::reject`]). If canary / (1 + tolerance) is no slower than the baseline, that null holds for
//! every `u`, so a badly chosen `u` costs power and never validity. Paired in time, so drift and outages shared by both
//! sides cancel; no quantile is estimated and no minimal sample is needed. The evidences of the quantiles are averaged.

use crate::compact::Compact;
use crate::histogram::{self, Bucket, Ranked, SCALE};
use crate::math::{ln, ln_sum};
use crate::{Arm, Error, Window, exclude, reject};

/// Quantiles tested by default: a shift shows first in the middle, a tail at the end.
pub const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

/// Weights of [`reject::RATIOS`] (odds of exceeding the threshold): a slower canary doubles the requests beyond the median's
/// threshold at most, so small ratios count for more than among error rates.
pub const WEIGHTS: [f64; reject::ALTERNATIVES] = [0.24, 0.2, 0.17, 0.14, 0.15, 0.1];

/// Share of the wealth bet at the start: more than among error rates, since a release that is slow is slow from its first
/// request on unless the load grows; a late fault still finds the rest.
pub const FIRST: f64 = 0.85;

/// Requests that the quantile itself counts for in the guess of the share above its threshold.
const QUANTILE_WEIGHT: f64 = 20.0;

/// Seconds after which the baseline's recent past is rotated out: thresholds follow the last one to two minutes.
const PAST_S: f64 = 60.0;

/// What is tested: every quantile of the canary is at most `1 + tolerance` times the baseline's.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    quantiles: Vec<f64>,
    buckets_up: i32,
    worse: reject::Test,
    bad: Option<exclude::Test>,
}

/// The running evidence and the baseline's recent past. Plain numbers for storage.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Evidence per quantile that the canary is slower than tolerated.
    pub worse: Vec<reject::State>,
    /// Evidence per quantile that the canary is not slower than what must be excluded, if asked for.
    pub not_bad: Vec<exclude::State>,
    /// What thresholds are chosen from.
    pub past: Past,
}

/// The baseline's recent past: what thresholds are chosen from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Past {
    /// Baseline values of the current minute.
    pub recent: Compact,
    /// Baseline values of the minute before.
    pub before: Compact,
    /// Seconds in `recent`.
    pub recent_s: f64,
}

/// What the baseline's past says about the next window's requests beyond one quantile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// The threshold: values above this bucket count as slow.
    pub threshold: i32,
    /// Share of the baseline's requests that is to be slow.
    pub share: f64,
}

/// What a window of latencies says about one quantile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceedance {
    /// Upper edge's bucket of the threshold for the baseline; the canary's lies the tolerance higher.
    pub threshold: i32,
    /// Requests and those above their side's threshold.
    pub window: Window,
}

impl Test {
    /// A test of [`QUANTILES`] on scale-6 histograms.
    ///
    /// `tolerance`: 0.2 allows the canary 20 % (rounded up to whole buckets: 20.2 %). `horizon_s` as in
    /// [`reject::Test::new`].
    pub fn new(tolerance: f64, horizon_s: f64) -> Result<Self, Error> {
        Self::of(&QUANTILES, tolerance, horizon_s)
    }

    /// A test of own quantiles, each in (0, 1).
    pub fn of(quantiles: &[f64], tolerance: f64, horizon_s: f64) -> Result<Self, Error> {
        Error::unless((0.0..=100.0).contains(&tolerance), "tolerance", tolerance, "a share from 0 to 100")?;
        Error::unless(!quantiles.is_empty(), "number of quantiles", 0.0, "at least 1")?;
        for q in quantiles {
            Error::unless(*q > 0.0 && *q < 1.0, "quantile", *q, "between 0 and 1")?;
        }
        Ok(Self {
            quantiles: quantiles.to_vec(),
            buckets_up: histogram::buckets_up(tolerance, SCALE),
            worse: reject::Test::new(1.0, 0.0, horizon_s)?.weighted(WEIGHTS)?.first(FIRST)?,
            bad: None,
        })
    }

    /// The same test, which also gathers evidence that requests slower than tolerated are fewer than `theta` times the
    /// baseline's share above its threshold (`theta` above 1, for example 2).
    pub fn excluding(mut self, theta: f64) -> Result<Self, Error> {
        self.bad = Some(exclude::Test::new(theta, 0.0)?);
        Ok(self)
    }

    /// The same test with its information divided by `phi` (1 or more), for requests that are slow in clusters.
    pub fn dispersed(mut self, phi: f64) -> Result<Self, Error> {
        self.worse = self.worse.dispersed(phi)?;
        self.bad = self.bad.map(|bad| bad.dispersed(phi)).transpose()?;
        Ok(self)
    }

    /// The quantiles tested, in the order of the evidences.
    pub fn quantiles(&self) -> &[f64] {
        &self.quantiles
    }

    /// Evidence before the first window.
    pub fn start(&self) -> State {
        State {
            worse: vec![self.worse.start(); self.quantiles.len()],
            not_bad: self.bad.map_or_else(Vec::new, |bad| vec![bad.start(); self.quantiles.len()]),
            past: Past::default(),
        }
    }

    /// Evidence before the first window, with the baseline's latencies of the minute before the canary (sorted scale-6
    /// buckets), so that the first window already has its thresholds.
    pub fn start_after(&self, past: &[Bucket]) -> State {
        State { past: Past { before: Compact::new(past), ..Past::default() }, ..self.start() }
    }

    /// Folds one window in: sorted scale-6 histograms of both sides, `elapsed_s` seconds since the last fold.
    ///
    /// Returns what was counted per quantile; `None` while the baseline has no past to choose a threshold from.
    pub fn fold(
        &self,
        state: &mut State,
        canary: &[Bucket],
        baseline: &[Bucket],
        elapsed_s: f64,
    ) -> Vec<Option<Exceedance>> {
        let (expected, canary) = (state.past.expected(&self.quantiles), Ranked::new(canary));
        let counted = self.fold_ranked(state, &expected, &canary, &Ranked::new(baseline), elapsed_s);
        state.past.remember(baseline, elapsed_s);
        counted
    }

    /// As [`Test::fold`] for a caller that keeps the past, because several tests share it, and knows what it lets expect of
    /// each quantile; the state's own past is not used.
    pub fn fold_ranked(
        &self,
        state: &mut State,
        expected: &[Option<Expected>],
        canary: &Ranked,
        baseline: &Ranked,
        elapsed_s: f64,
    ) -> Vec<Option<Exceedance>> {
        let mut counted = Vec::with_capacity(self.quantiles.len());
        for (number, expected) in expected.iter().enumerate() {
            let exceedance = expected.map(|one| exceedance(canary, baseline, one.threshold, self.buckets_up));
            // A window without a threshold still lets the time of the start-time mixture pass.
            let window = exceedance.map_or_else(Window::default, |exceedance| exceedance.window);
            let base_rate = expected.map_or(0.0, |expected| expected.share);
            self.worse.fold_expecting(&mut state.worse[number], &window, base_rate, elapsed_s);
            if let (Some(bad), Some(not_bad)) = (&self.bad, state.not_bad.get_mut(number)) {
                bad.fold_expecting(not_bad, &window, base_rate);
            }
            counted.push(exceedance);
        }
        counted
    }

    /// Log evidence that some tested quantile is slower than tolerated: the mean of the quantiles' e-values.
    pub fn ln_evidence(&self, state: &State) -> f64 {
        let each = self.ln_evidences(state);
        ln_sum(&each) - ln(each.len() as f64)
    }

    /// Log evidence per quantile, in the order of [`Test::quantiles`]; names the quantile behind a verdict.
    pub fn ln_evidences(&self, state: &State) -> Vec<f64> {
        state.worse.iter().map(|state| self.worse.ln_evidence(state)).collect()
    }

    /// Log evidence per quantile that the excess is below what [`Test::excluding`] names; empty when it was not asked for.
    pub fn ln_not_bad(&self, state: &State) -> Vec<f64> {
        let Some(bad) = &self.bad else { return Vec::new() };
        state.not_bad.iter().map(|state| bad.ln_evidence(state)).collect()
    }
}

impl Past {
    /// What it lets expect of the next window beyond each quantile; nothing while there is no past.
    pub fn expected(&self, quantiles: &[f64]) -> Vec<Option<Expected>> {
        let past = self.before.ranked_with(&self.recent);
        let one = |q: &f64| {
            threshold(&past, *q)
                .map(|threshold| Expected { threshold, share: share_above(&past, threshold, *q) })
        };
        quantiles.iter().map(one).collect()
    }

    /// Takes a window of the baseline in; what is older than the last one to two minutes is forgotten.
    pub fn remember(&mut self, baseline: &[Bucket], elapsed_s: f64) {
        self.recent_s += elapsed_s.max(0.0);
        self.recent.merge(baseline);
        if self.recent_s >= PAST_S {
            self.before = core::mem::take(&mut self.recent);
            self.recent_s = 0.0;
        }
    }
}

/// The bucket whose upper edge comes nearest to quantile `q` of the past, in probability; `None` without a past.
pub fn threshold(past: &Ranked, q: f64) -> Option<i32> {
    let index = past.quantile_bucket(q)?;
    let total = past.total() as f64;
    let exceed = |index: i32| past.above(index) as f64 / total;
    let wanted = 1.0 - q;
    let nearer_below = (exceed(index - 1) - wanted).abs() < (exceed(index) - wanted).abs();
    Some(if nearer_below { index - 1 } else { index })
}

/// Share of the past above the threshold, drawn to what the quantile says while the past is short.
fn share_above(past: &Ranked, threshold: i32, q: f64) -> f64 {
    (past.above(threshold) as f64 + (1.0 - q) * QUANTILE_WEIGHT) / (past.total() as f64 + QUANTILE_WEIGHT)
}

/// Counts both sides against the threshold bucket; the canary's lies `buckets_up` higher.
pub fn exceedance(canary: &Ranked, baseline: &Ranked, threshold: i32, buckets_up: i32) -> Exceedance {
    let arm = |side: &Ranked, index: i32| Arm { total: side.total(), bad: side.above(index) };
    let window = Window {
        canary: arm(canary, threshold.saturating_add(buckets_up)),
        baseline: arm(baseline, threshold),
    };
    Exceedance { threshold, window }
}
