//! Scaled exceedance: evidence that the canary's latencies are more than `1 + tolerance` times the baseline's.
//!
//! Before each window a threshold `u` is chosen for each quantile from the baseline's recent past. Then the baseline's
//! requests are counted in the stretches between the thresholds, the canary's between `1 + tolerance` times the thresholds,
//! and the counts go through the exact test of ordered stretches ([`crate::ordered`]). If canary / (1 + tolerance) is no
//! slower than the baseline, that null holds for every `u`, so a badly chosen `u` costs power and never validity. Paired in
//! time, so drift and outages shared by both sides cancel; no quantile is estimated and no minimal sample is needed.
//!
//! The alternatives are mixed as in [`crate::reject`]: all requests slower, only the slowest twentieth, only the slowest
//! hundredth. A shift shows at all thresholds together, which tells a seventh more than the median alone, and finding out
//! which of them it shows at costs what the weights say instead of a factor of three in evidence.

use crate::compact::Compact;
use crate::histogram::{self, Bucket, Ranked, SCALE};
use crate::math::{ln, ln_add, ln_sum};
use crate::ordered::{Alternative, STRETCHES, Stretches, THRESHOLDS, ln_evidence_each};
use crate::{Arm, Error, Window};

/// Quantiles whose thresholds are compared: a shift shows first in the middle, a tail at the end.
pub const QUANTILES: [f64; THRESHOLDS] = [0.5, 0.95, 0.99];

/// How many alternatives the mixture holds.
pub const ALTERNATIVES: usize = 13;

/// Alternatives that differ from the same threshold on: their odds and weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group<const N: usize> {
    odds: [f64; N],
    weights: [f64; N],
}

/// All requests slower.
pub const ALL: Group<6> =
    Group { odds: [1.25, 1.5, 2.0, 3.0, 5.0, 10.0], weights: [0.17, 0.1, 0.15, 0.1, 0.1, 0.04] };

/// The slowest twentieth slower.
pub const TAIL: Group<3> = Group { odds: [1.4, 2.5, 6.0], weights: [0.05, 0.05, 0.02] };

/// The slowest hundredth slower.
pub const END: Group<4> = Group { odds: [1.5, 2.2, 4.0, 10.0], weights: [0.04, 0.12, 0.04, 0.02] };

/// All alternatives with their weights, which add to 1.
///
/// Chosen so that shifts of 1.3 to 2 times and a slow tail of 5 % are each found about as soon as by a test of that fault
/// alone (`docs/benchmarks/judge.md`, latency).
pub fn mixture() -> [(Alternative, f64); ALTERNATIVES] {
    let all = ALL.alternatives(0).chain(TAIL.alternatives(1)).chain(END.alternatives(2));
    let mut mixture = [(Alternative { from: 0, odds: 1.0 }, 0.0); ALTERNATIVES];
    for (place, one) in mixture.iter_mut().zip(all) {
        *place = one;
    }
    mixture
}

impl<const N: usize> Group<N> {
    fn alternatives(self, from: usize) -> impl Iterator<Item = (Alternative, f64)> {
        self.odds.into_iter().map(move |odds| Alternative { from, odds }).zip(self.weights)
    }
}

/// Share of the wealth bet at the start: more than among error rates, since a release that is slow is slow from its first
/// request on unless the load grows; a late fault still finds the rest.
pub const FIRST: f64 = 0.85;

/// Largest odds that newly bet wealth goes to while requests are slow in clusters, as in [`crate::reject`].
const DISPERSED_ODDS_MAX: f64 = 2.5;

/// Requests that the quantile itself counts for in the guess of the share above its threshold.
const QUANTILE_WEIGHT: f64 = 20.0;

/// Seconds after which the baseline's recent past is rotated out: thresholds follow the last one to two minutes.
const PAST_S: f64 = 60.0;

/// What is tested: every quantile of the canary is at most `1 + tolerance` times the baseline's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    buckets_up: i32,
    horizon_s: f64,
    ln_weights: [f64; ALTERNATIVES],
    ln_dispersed: [f64; ALTERNATIVES],
}

/// The running evidence. Plain numbers for storage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    /// Log wealth held by each alternative.
    pub ln_wealth: [f64; ALTERNATIVES],
    /// Wealth not yet bet, kept for later start times; in `[0, 1]`.
    pub cash: f64,
    /// Wealth bet since the evidence last moved.
    pub fresh: f64,
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

impl Test {
    /// A test of [`QUANTILES`] on scale-6 histograms.
    ///
    /// `tolerance`: 0.2 allows the canary 20 % (rounded up to whole buckets: 20.2 %). `horizon_s` as in
    /// [`crate::reject::Test::new`].
    pub fn new(tolerance: f64, horizon_s: f64) -> Result<Self, Error> {
        Error::unless((0.0..=100.0).contains(&tolerance), "tolerance", tolerance, "a share from 0 to 100")?;
        Error::unless(horizon_s > 0.0 && horizon_s.is_finite(), "horizon_s", horizon_s, "seconds above 0")?;
        let mixture = mixture();
        let small: f64 = mixture.iter().filter(|(one, _)| is_small(one)).map(|(_, weight)| weight).sum();
        Ok(Self {
            buckets_up: histogram::buckets_up(tolerance, SCALE),
            horizon_s,
            ln_weights: mixture.map(|(_, weight)| ln(weight)),
            ln_dispersed: mixture
                .map(|(one, weight)| if is_small(&one) { ln(weight / small) } else { f64::NEG_INFINITY }),
        })
    }

    /// Evidence before the first window.
    pub fn start(&self) -> State {
        State { ln_wealth: self.ln_weights.map(|weight| weight + ln(FIRST)), cash: 1.0 - FIRST, fresh: 0.0 }
    }

    /// Counts a window against the thresholds, by quantile: requests of both sides and how many of them were slower than
    /// their side's threshold.
    pub fn count(
        &self,
        expected: &[Expected; THRESHOLDS],
        canary: &Ranked,
        baseline: &Ranked,
    ) -> [Window; THRESHOLDS] {
        expected.map(|Expected { threshold, .. }| {
            let arm = |side: &Ranked, index: i32| Arm { total: side.total(), bad: side.above(index) };
            Window {
                canary: arm(canary, threshold.saturating_add(self.buckets_up)),
                baseline: arm(baseline, threshold),
            }
        })
    }

    /// Lets time pass without a window that could be compared: `elapsed_s` seconds since the last fold or wait.
    pub fn wait(&self, state: &mut State, elapsed_s: f64) {
        let elapsed_s = if elapsed_s > 0.0 { elapsed_s.min(self.horizon_s) } else { 0.0 };
        let bet = (elapsed_s / self.horizon_s * (1.0 - FIRST)).min(state.cash);
        state.cash -= bet;
        state.fresh += bet;
    }

    /// Folds one window in: what [`Test::count`] counted, with its information divided by `phi` (1 or more) for requests
    /// that are slow in clusters.
    pub fn fold(
        &self,
        state: &mut State,
        expected: &[Expected; THRESHOLDS],
        counted: &[Window; THRESHOLDS],
        phi: f64,
        elapsed_s: f64,
    ) {
        self.wait(state, elapsed_s);
        if !counted[0].is_comparable() {
            return;
        }
        if state.fresh > 0.0 {
            let ln_fresh = ln(state.fresh);
            let weights = if phi > 1.0 { &self.ln_dispersed } else { &self.ln_weights };
            for (wealth, weight) in state.ln_wealth.iter_mut().zip(weights) {
                *wealth = ln_add(*wealth, weight + ln_fresh);
            }
            state.fresh = 0.0;
        }
        let (window, beyond) = (stretches(counted), expected.map(|expected| expected.share));
        let all = ln_evidence_each(&window, &beyond, 0, &ALL.odds);
        let tail = ln_evidence_each(&window, &beyond, 1, &TAIL.odds);
        let end = ln_evidence_each(&window, &beyond, 2, &END.odds);
        for (wealth, gain) in state.ln_wealth.iter_mut().zip(all.into_iter().chain(tail).chain(end)) {
            *wealth += gain / phi.max(1.0);
        }
    }

    /// Number of the threshold from which on the canary is most likely slower: 0 says that all requests are.
    pub fn likeliest_from(&self, state: &State) -> usize {
        let (all, rest) = state.ln_wealth.split_at(ALL.odds.len());
        let (tail, end) = rest.split_at(TAIL.odds.len());
        let wealth = [all, tail, end].map(ln_sum);
        (0..THRESHOLDS).fold(0, |best, from| if wealth[from] > wealth[best] { from } else { best })
    }

    /// Log evidence that the canary is slower than tolerated.
    pub fn ln_evidence(&self, state: &State) -> f64 {
        ln_add(ln_sum(&state.ln_wealth), ln(state.cash + state.fresh))
    }
}

/// Part of the wealth that is bet on differences from threshold number `from` on.
pub fn bet_from(from: usize) -> f64 {
    mixture().iter().filter(|(one, _)| one.from == from).map(|(_, weight)| weight).sum()
}

fn is_small(alternative: &Alternative) -> bool {
    alternative.odds <= DISPERSED_ODDS_MAX
}

/// Requests between the thresholds, from what lies beyond each of them.
fn stretches(counted: &[Window; THRESHOLDS]) -> Stretches {
    let between = |side: fn(&Window) -> Arm| {
        let all = side(&counted[0]).total;
        let beyond = |number: usize| if number < THRESHOLDS { side(&counted[number]).bad } else { 0 };
        core::array::from_fn::<u64, STRETCHES, _>(|number| {
            let from = if number == 0 { all } else { beyond(number - 1) };
            from.saturating_sub(beyond(number))
        })
    };
    Stretches { canary: between(|window| window.canary), baseline: between(|window| window.baseline) }
}

impl Past {
    /// The minute before the canary (sorted scale-6 buckets), so that the first window already has its thresholds.
    pub fn of(before: &[Bucket]) -> Self {
        Self { before: Compact::new(before), ..Self::default() }
    }

    /// What it lets expect of the next window beyond each quantile; nothing while there is no past.
    pub fn expected(&self) -> Option<[Expected; THRESHOLDS]> {
        let past = self.before.ranked_with(&self.recent);
        (past.total() > 0).then(|| QUANTILES.map(|q| expected(&past, q)))
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

/// The threshold is the bucket whose upper edge comes nearest to quantile `q` of the past, in probability; the share beyond
/// it is drawn to what the quantile says while the past is short.
fn expected(past: &Ranked, q: f64) -> Expected {
    let wanted = 1.0 - q;
    let total = past.total() as f64;
    let beyond = |index: i32| past.above(index) as f64;
    let index = past.quantile_bucket(q).unwrap_or_default();
    let nearer_below = (beyond(index - 1) / total - wanted).abs() < (beyond(index) / total - wanted).abs();
    let threshold = if nearer_below { index - 1 } else { index };
    let share = (beyond(threshold) + wanted * QUANTILE_WEIGHT) / (total + QUANTILE_WEIGHT);
    Expected { threshold, share }
}
