//! Means of values (revenue, payload, load times): is the canary's shifted for the worse, at any look, for any tail?
//!
//! Per window `d = m_c - f m_b` (less a slack; the other way round where lower is worse), with `f` one and the tolerance.
//! Under each of a few effects `c`, in standard deviations of a value, the window's log e-variable is
//!
//! ```text
//! l d - l^2 (Q + 2 v) / 6,   l = c sigma / v,   v = sigma^2 (1/n_c + f^2/n_b),   Q = sum (x - f m)^2/n_c^2 + f^2 sum (y - m)^2/n_b^2
//! ```
//!
//! `Q` is what the values of the window really varied by. That the half of `v` alone is replaced by `(Q + 2 v)/6` makes the
//! bound exact for every law with a finite variance, however heavy its tail and from one value on (Delyon 2009; Howard,
//! Ramdas, McAuliffe and Sekhon, Probability Surveys 2020, table 3, "self-normalised II"): an order of a thousand times the
//! usual raises its own yardstick. What is left to be learned is `sigma`, from windows before: the canary's variance, but at
//! least two thirds of the way to the baseline's (a canary whose few values happen to lie close together must not be
//! believed), and by how much windows vary beyond what their values explain (values that come in clusters). Effects are mixed with start times ([`crate::starts`]).
//!
//! Without squares only window means are known: `sigma` is learned from how much they changed from one window to the next, which
//! a drift over the day hardly does, over [`WARM_UP`] windows, and `Q` is `d^2`.

use crate::Error;
use crate::math::{bisect, ln};
use crate::means::{self, Moments};
use crate::starts::{Starts, Wealth};

/// Windows without squares from which the variance is learned before the test begins.
pub const WARM_UP: u64 = 30;

/// Values of the baseline from which it is learned where there are squares.
pub const LEARNED: u64 = 100;

/// Effects in standard deviations of a value: a shift of `c` takes about `9.2/c^2` values of the canary.
pub const EFFECTS: [f64; 8] = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64];

/// Weights of [`EFFECTS`].
const WEIGHTS: [f64; EFFECTS.len()] = [1.0; EFFECTS.len()];

/// A standard deviation below this part of the mean is taken for it: values that never vary would prove anything.
const SIGMA_PART_MIN: f64 = 1e-3;

/// Values at which the confidence sequence is tightest.
const VALUES_OPT: f64 = 2_000.0;

/// Level for which the sequence is tuned.
const ALPHA_OPT: f64 = 0.05;

/// What a window may weigh in the estimate of clustering: one order of a thousand times the usual is no cluster.
const SQUARE_MAX: f64 = 16.0;

/// Windows that independence counts for beforehand.
const PRIOR_WINDOWS: f64 = 8.0;

/// What remains of a window's weight in that estimate after each further one.
const KEEP: f64 = 0.985;

/// Standard errors within which values count as independent.
const ERRORS_OF_ESTIMATE: f64 = 3.0;

/// What is tested: the canary's mean is within `tolerance` of the baseline's, plus `slack`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    tolerance: f64,
    slack: f64,
    /// 1 where higher is worse, -1 where lower is.
    sign: f64,
    starts: Starts<{ EFFECTS.len() }>,
}

/// Count, mean and sum of squared deviations of one side's values.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Past {
    /// Values.
    pub count: f64,
    /// Their mean.
    pub mean: f64,
    /// Sum of squared deviations from it.
    pub deviations: f64,
}

/// The running evidence as plain numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    /// What each effect holds.
    pub wealth: Wealth<{ EFFECTS.len() }>,
    /// The canary's values, then the baseline's.
    pub sides: [Past; 2],
    /// Windows in which both sides had values.
    pub windows: u64,
    /// Of the differences of window means: number and mean.
    batches: [f64; 2],
    /// Of each side: values and mean of the window before, weighted squared changes and their number.
    changes: [[f64; 4]; 2],
    /// Squares beyond what values explain, and what they count for.
    clusters: [f64; 2],
    /// Weighted sums of both means and of their variances.
    sums: [f64; 4],
}

impl Past {
    /// Variance of a value; none below two.
    pub fn variance(&self) -> Option<f64> {
        (self.count >= 2.0).then(|| (self.deviations / (self.count - 1.0)).max(0.0))
    }

    fn add(&mut self, count: f64, mean: f64, deviations: f64) {
        let all = self.count + count;
        let step = mean - self.mean;
        self.deviations += deviations + step * step * (self.count * count / all);
        self.mean += step * (count / all);
        self.count = all;
    }
}

/// One side of a window: how many values, their mean, and their squared deviations from it.
#[derive(Clone, Copy)]
struct Seen {
    count: f64,
    mean: f64,
    deviations: Option<f64>,
}

impl Seen {
    fn of(moments: &Moments, squares: bool) -> Option<Self> {
        let count = moments.count as f64;
        let mean = moments.mean().filter(|mean| mean.abs() < 1e100)?;
        let deviations = (moments.squares - count * mean * mean).max(0.0);
        let known = squares && moments.squares < 1e200;
        if squares && !known {
            return None;
        }
        Some(Self { count, mean, deviations: known.then_some(deviations) })
    }

    /// Squared deviations from another centre.
    fn around(&self, centre: f64) -> Option<f64> {
        let off = self.mean - centre;
        self.deviations.map(|deviations| deviations + self.count * off * off)
    }
}

impl Test {
    /// `tolerance`: 0.05 allows the mean to be 5 % of its size worse; from 0 to 1000. `slack`: further allowed, in the unit of
    /// the values. `lower`: lower is worse. `horizon_s`: how long the comparison may last.
    pub fn new(tolerance: f64, slack: f64, lower: bool, horizon_s: f64) -> Result<Self, Error> {
        Error::unless((0.0..=1e3).contains(&tolerance), "tolerance", tolerance, "from 0 to 1000")?;
        Error::unless((0.0..=1e30).contains(&slack), "slack", slack, "from 0 to 1e30")?;
        let sign = if lower { -1.0 } else { 1.0 };
        Ok(Self { tolerance, slack, sign, starts: Starts::new(WEIGHTS, horizon_s) })
    }

    /// The same test with the part `first` of the wealth bet at the start; 1 is without late starts.
    #[must_use]
    pub fn first(mut self, first: f64) -> Self {
        self.starts = self.starts.first(first);
        self
    }

    /// Evidence before the first window: `ln E = 0`.
    pub fn start(&self) -> State {
        State {
            wealth: self.starts.start(),
            sides: [Past::default(); 2],
            windows: 0,
            batches: [0.0; 2],
            changes: [[0.0; 4]; 2],
            clusters: [PRIOR_WINDOWS; 2],
            sums: [0.0; 4],
        }
    }

    /// Folds one window in. `squares`: whether the moments have them. A side without values, or with what is not a number,
    /// leaves the evidence as it is.
    pub fn fold(
        &self,
        state: &mut State,
        canary: &Moments,
        baseline: &Moments,
        squares: bool,
        elapsed_s: f64,
    ) {
        self.starts.wait(&mut state.wealth, elapsed_s);
        let (Some(ours), Some(theirs)) = (Seen::of(canary, squares), Seen::of(baseline, squares)) else {
            return;
        };
        let factor = self.factor(state);
        let difference = self.sign * (ours.mean - factor * theirs.mean) - self.slack;
        let inverse = 1.0 / ours.count + factor * factor / theirs.count;
        if let Some(sigma) = state.sigma(squares) {
            let phi = state.phi();
            let (z, spread) = (difference / sigma, inverse * phi);
            let centre = state.sides[1].mean;
            let squared = match (ours.around(factor * centre), theirs.around(centre)) {
                (Some(ours_squared), Some(theirs_squared)) => {
                    let ours = ours_squared / (ours.count * sigma) / (ours.count * sigma);
                    let theirs = theirs_squared / (theirs.count * sigma) / (theirs.count * sigma);
                    (ours + factor * factor * theirs) * phi
                }
                _ => z * z,
            };
            let gained = EFFECTS.map(|effect| {
                let bet = effect / spread;
                bet * z - bet * bet * (squared + 2.0 * spread) / 6.0
            });
            if gained.iter().all(|more| more.is_finite()) {
                self.starts.step(&mut state.wealth, gained);
                state.add(&ours, &theirs, sigma * sigma * phi);
            }
            state.cluster(difference, sigma, inverse);
        }
        state.learn(&ours, &theirs, difference);
    }

    /// One and the tolerance, away from zero for the worse: of a negative mean "5 % lower" is 5 % further from zero.
    fn factor(&self, state: &State) -> f64 {
        let mean = state.sides[1].mean;
        let away = if mean < 0.0 { -self.sign } else { self.sign };
        1.0 + away * self.tolerance
    }

    /// Log evidence that the canary's mean is shifted beyond tolerance and slack.
    pub fn ln_evidence(&self, state: &State) -> f64 {
        state.wealth.ln_evidence()
    }
}

impl State {
    /// Standard deviation of a value as learned before the window; none while too little is known, or nothing varies around
    /// zero.
    fn sigma(&self, squares: bool) -> Option<f64> {
        let known = if squares { self.sides[1].count >= LEARNED as f64 } else { self.windows >= WARM_UP };
        let [canary, baseline] = [0, 1].map(|side: usize| {
            let [_, _, changes, number] = self.changes[side];
            if squares { self.sides[side].variance().unwrap_or(0.0) } else { changes / number.max(1.0) }
        });
        let variance = known.then(|| canary.max((canary + 2.0 * baseline) / 3.0));
        let least = SIGMA_PART_MIN * self.sides[1].mean.abs().max(self.sides[0].mean.abs());
        let sigma = variance?.max(0.0).sqrt().max(least);
        (sigma > 1e-150 && sigma.is_finite()).then_some(sigma)
    }

    /// By how much more windows vary than their values explain, at least 1.
    fn phi(&self) -> f64 {
        let [sum, weight] = self.clusters;
        let estimate = sum / weight;
        if estimate <= 1.0 + ERRORS_OF_ESTIMATE * (2.0 / weight).sqrt() { 1.0 } else { estimate }
    }

    fn cluster(&mut self, difference: f64, sigma: f64, inverse: f64) {
        let off = (difference - self.batches[1]) / sigma;
        let square = (off * off / inverse).min(SQUARE_MAX);
        self.clusters = [self.clusters[0] * KEEP + square, self.clusters[1] * KEEP + 1.0];
    }

    fn learn(&mut self, ours: &Seen, theirs: &Seen, difference: f64) {
        self.windows += 1;
        for (side, seen) in self.sides.iter_mut().zip([ours, theirs]) {
            side.add(seen.count, seen.mean, seen.deviations.unwrap_or(0.0));
        }
        for ([count, mean, changes, number], seen) in self.changes.iter_mut().zip([ours, theirs]) {
            if *count > 0.0 {
                let change = seen.mean - *mean;
                *changes += change * change / (1.0 / *count + 1.0 / seen.count);
                *number += 1.0;
            }
            (*count, *mean) = (seen.count, seen.mean);
        }
        let [number, mean] = &mut self.batches;
        *number += 1.0;
        *mean += (difference - *mean) / *number;
    }

    fn add(&mut self, ours: &Seen, theirs: &Seen, variance: f64) {
        // What the difference of the two means rests on, so that windows of all sizes and weights add up.
        let worth = ours.count / (ours.count + theirs.count) * theirs.count;
        let more = [
            worth * ours.mean,
            worth * theirs.mean,
            worth * (worth / ours.count) * variance,
            worth * (worth / theirs.count) * variance,
        ];
        if more.iter().all(|number| number.is_finite()) {
            for (sum, more) in self.sums.iter_mut().zip(more) {
                *sum += more;
            }
        }
    }

    /// The canary's mean over the baseline's; none where the baseline's is not above 0.
    pub fn ratio(&self) -> Option<f64> {
        let [ours, theirs, ..] = self.sums;
        (theirs > 0.0).then(|| ours / theirs).filter(|ratio| ratio.is_finite())
    }

    /// Sum and variance of `m_c - ratio m_b` over all windows.
    fn against(&self, ratio: f64) -> (f64, f64) {
        let [ours, theirs, our_variance, their_variance] = self.sums;
        (ours - ratio * theirs, our_variance + ratio * ratio * their_variance)
    }

    fn rho(&self) -> f64 {
        let values = self.sides.iter().map(|side| side.count).fold(f64::INFINITY, f64::min).max(1.0);
        let (_, variance) = self.against(1.0);
        means::rho(variance / values * VALUES_OPT, ALPHA_OPT)
    }

    /// Confidence sequence of the ratio of the means: it holds at every look, for means alike over time; asymptotic. None
    /// where the baseline's mean is not surely above 0.
    pub fn ratio_range(&self, alpha: f64) -> Option<[f64; 2]> {
        let estimate = self.ratio()?;
        let rho = self.rho();
        if rho.is_nan() || rho <= 0.0 {
            return None;
        }
        let inside = |ratio: f64| {
            let (sum, variance) = self.against(ratio);
            let all = variance + rho;
            sum * sum <= all * (ln(all / rho) - 2.0 * ln(alpha))
        };
        let (below, above) = (-1e3, 1e3);
        if !inside(estimate) || inside(below) || inside(above) {
            return None;
        }
        let low = bisect(below, estimate, |ratio| !inside(ratio));
        let high = bisect(estimate, above, inside);
        (high > 0.0).then_some([low.max(0.0), high])
    }

    /// Log evidence that the ratio of the means is above `ratio`, or below it where `above` is false.
    pub fn ln_beyond(&self, ratio: f64, above: bool) -> f64 {
        let rho = self.rho();
        if rho.is_nan() || rho <= 0.0 {
            return 0.0;
        }
        let (sum, variance) = self.against(ratio);
        means::normal_mixture(if above { sum } else { -sum }, variance, rho)
    }
}

impl Past {
    /// Log evidence that the mean of these values is above `bound`, or below it where `above` is false; asymptotic.
    pub fn ln_beyond(&self, bound: f64, above: bool) -> f64 {
        let least = SIGMA_PART_MIN * self.mean.abs();
        let Some(variance) = self.variance().filter(|_| self.count >= LEARNED as f64 / 2.0) else {
            return 0.0;
        };
        let variance = variance.max(least * least);
        if variance <= 0.0 || !variance.is_finite() {
            return 0.0;
        }
        let sum = self.count * (self.mean - bound);
        means::normal_mixture(
            if above { sum } else { -sum },
            self.count * variance,
            means::rho(VALUES_OPT * variance, ALPHA_OPT),
        )
    }
}
