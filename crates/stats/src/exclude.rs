//! Evidence that the canary is not too bad: excludes "at least `theta` times the baseline (plus `delta`)".
//!
//! The mirror image of [`crate::reject`]: the same e-variables with alternatives below the boundary. To proceed early, or
//! to have excluded 10x, 5x or 2x before a step is left, the evidence must reach `1/beta`. With no errors on either side
//! only the slack `delta` moves it (rule of three: about `ln(1/beta)/delta` canary requests).
//!
//! A service that hardly ever fails has no multiple that could be excluded in any useful time. [`Test::or_below`] adds
//! alternatives that need no baseline, "the canary's own rate is below `rate`": what is excluded then is "at least `theta`
//! times the baseline (plus `delta`) and at least `rate`", of which both parts are tested by e-variables, so that their
//! mixture is one as well.

use crate::increment::{Boundary, bernoulli_each};
use crate::math::{exp, ln, ln_1p, ln_sum};
use crate::reject::ALTERNATIVES;
use crate::{Error, Window};

/// Alternatives as absolute ratios `p_c / p_b`; 0.02 stands for "hardly any error", without which a quiet service takes
/// twice as long to be believed.
pub const RATIOS: [f64; 4] = [0.02, 0.5, 0.75, 1.0];

/// Weights of [`RATIOS`].
pub const WEIGHTS: [f64; 4] = [0.2, 0.1, 0.2, 0.5];

/// What is tested: `p_c >= theta p_b + delta` in every window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    null: Boundary,
    ratios: [f64; ALTERNATIVES],
    ln_weights: [f64; ALTERNATIVES],
    /// How many of them are used.
    compared: usize,
    below: Option<Below>,
    trailing_s: f64,
    phi: f64,
}

/// Places of [`Below`]'s alternatives among the wealth; the default ratios leave them free.
const BELOW: [usize; 2] = [4, 5];

/// Rates of [`Below`]'s alternatives as parts of the excluded rate, and their shares of its weight: hardly any failure
/// at all, or a third of it.
pub(crate) const BELOW_PARTS: [(f64, f64); 2] = [(0.02, 0.6), (0.3, 0.4)];

/// Log likelihood of a failed and of a good request under an alternative against the excluded rate.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Below {
    ln_bad: [f64; 2],
    ln_good: [f64; 2],
}

/// The running evidence as plain numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    /// Log wealth held by each alternative (unused ones are `-inf`).
    pub ln_wealth: [f64; ALTERNATIVES],
    /// Decayed baseline total and bad count, from which the next window's base rate is guessed.
    pub baseline: [f64; 2],
}

impl Test {
    /// A test of "at least `theta` times the baseline plus `delta`" with the default alternatives; those not below
    /// `theta` are left out and the rest keep their proportions.
    ///
    /// `theta`: ratio above 0.02. `delta`: absolute slack in probability.
    pub fn new(theta: f64, delta: f64) -> Result<Self, Error> {
        let pairs: Vec<(f64, f64)> =
            RATIOS.into_iter().zip(WEIGHTS).filter(|(ratio, _)| *ratio < theta).collect();
        Self::with(theta, delta, &pairs)
    }

    /// "Not worse than `1 - margin` times the baseline" for success and conversion counts, where bad means good: the
    /// canary's rate is at least as high as tolerated. `margin` from 0 to below 1. Evidence here says the canary is WORSE.
    pub fn fewer_successes(margin: f64) -> Result<Self, Error> {
        Error::unless((0.0..1.0).contains(&margin), "margin", margin, "a share from 0 to below 1")?;
        let theta = 1.0 - margin;
        let ratios = [0.98, 0.95, 0.9, 0.8, 0.5];
        Self::with(theta, 0.0, &ratios.map(|ratio| (ratio * theta, 0.2)))
    }

    /// A test with own alternatives: at most six pairs of (ratio below `theta`, weight above 0).
    pub fn with(theta: f64, delta: f64, alternatives: &[(f64, f64)]) -> Result<Self, Error> {
        Error::unless(theta > 0.0 && theta <= 1e3, "theta", theta, "a ratio above 0 and at most 1000")?;
        Error::unless((0.0..1.0).contains(&delta), "delta", delta, "a probability from 0 to below 1")?;
        let count = alternatives.len();
        Error::unless(
            (1..=ALTERNATIVES).contains(&count),
            "alternatives",
            count as f64,
            "1 to 6 ratios below theta",
        )?;
        let sum: f64 = alternatives.iter().map(|(_, weight)| weight).sum();
        let mut test = Self {
            null: Boundary { theta, delta },
            ratios: [theta; ALTERNATIVES],
            ln_weights: [f64::NEG_INFINITY; ALTERNATIVES],
            compared: count,
            below: None,
            trailing_s: 600.0,
            phi: 1.0,
        };
        for (index, (ratio, weight)) in alternatives.iter().enumerate() {
            Error::unless(*ratio > 0.0 && *ratio < theta, "ratio", *ratio, "above 0 and below theta")?;
            Error::unless(*weight > 0.0 && weight.is_finite(), "weight", *weight, "above 0")?;
            test.ratios[index] = *ratio;
            test.ln_weights[index] = ln(weight / sum);
        }
        Ok(test)
    }

    /// The same test in the Poisson form only (no guess of the base rate): less power above 2 % base rate.
    #[must_use]
    pub fn rare(mut self) -> Self {
        self.trailing_s = 0.0;
        self
    }

    /// The same test with every window's information divided by `phi` (1 or more), for requests that fail in clusters
    /// ([`crate::dispersion`]).
    pub fn dispersed(mut self, phi: f64) -> Result<Self, Error> {
        Error::unless((1.0..=1e6).contains(&phi), "phi", phi, "from 1 to 1e6")?;
        self.phi = phi;
        Ok(self)
    }

    /// The same test that also excludes by the canary's rate alone being below `rate`, a probability between 0 and 1, with
    /// so much of the weight (between 0 and 1). An error where there are more than four alternatives already.
    pub fn or_below(mut self, rate: f64, weight: f64) -> Result<Self, Error> {
        Error::unless(rate > 0.0 && rate < 1.0, "rate", rate, "a probability between 0 and 1")?;
        Error::unless(weight > 0.0 && weight < 1.0, "weight", weight, "between 0 and 1")?;
        let taken = self.compared > BELOW[0] || self.below.is_some();
        Error::unless(!taken, "alternatives", ALTERNATIVES as f64, "at most 4 beside a rate")?;
        for known in &mut self.ln_weights[..BELOW[0]] {
            *known += ln(1.0 - weight);
        }
        let mut below = Below { ln_bad: [0.0; 2], ln_good: [0.0; 2] };
        for (index, (part, share)) in BELOW_PARTS.into_iter().enumerate() {
            self.ln_weights[BELOW[index]] = ln(weight * share);
            below.ln_bad[index] = ln(part);
            below.ln_good[index] = ln_1p(rate * (1.0 - part) / (1.0 - rate));
        }
        self.below = Some(below);
        Ok(self)
    }

    /// The excluded hypothesis's boundary.
    pub fn null(&self) -> Boundary {
        self.null
    }

    /// Evidence before the first window: `ln E = 0`.
    pub fn start(&self) -> State {
        State { ln_wealth: self.ln_weights, baseline: [0.0; 2] }
    }

    /// Folds one window in; `elapsed_s` seconds since the previous one (only ages the guess of the base rate).
    pub fn fold(&self, state: &mut State, window: &Window, elapsed_s: f64) {
        self.step(state, window, state.baseline[1] / (state.baseline[0] + 100.0));
        if self.trailing_s > 0.0 {
            let keep = exp(-elapsed_s.max(0.0) / self.trailing_s);
            let (total, bad) = window.baseline.floats();
            state.baseline = [state.baseline[0] * keep + total, state.baseline[1] * keep + bad];
        }
    }

    fn step(&self, state: &mut State, window: &Window, base_rate: f64) {
        if !window.is_comparable() {
            return;
        }
        if self.compared > BELOW[0] {
            let gains = bernoulli_each(window, self.null, &self.ratios, base_rate);
            self.gain(&mut state.ln_wealth, &gains);
        } else {
            let ratios: &[f64; BELOW[0]] = self.ratios.first_chunk().expect("fewer than there are");
            let gains = bernoulli_each(window, self.null, ratios, base_rate);
            self.gain(&mut state.ln_wealth, &gains);
        }
        if let Some(below) = self.below {
            let (total, bad) = window.canary.floats();
            let gains: [f64; BELOW.len()] =
                core::array::from_fn(|at| bad * below.ln_bad[at] + (total - bad) * below.ln_good[at]);
            self.gain(&mut state.ln_wealth[BELOW[0]..], &gains);
        }
    }

    fn gain(&self, ln_wealth: &mut [f64], gains: &[f64]) {
        for (wealth, gain) in ln_wealth.iter_mut().zip(gains) {
            *wealth += gain / self.phi;
        }
    }

    /// Log evidence against "at least `theta` times the baseline"; excluded with confidence `1-beta` at `ln(1/beta)`.
    pub fn ln_evidence(&self, state: &State) -> f64 {
        ln_sum(&state.ln_wealth)
    }
}

impl State {
    /// The state as raw bits: `ln_wealth`, then the two baseline numbers.
    pub fn to_bits(&self) -> Vec<u64> {
        self.ln_wealth.iter().chain(&self.baseline).map(|number| number.to_bits()).collect()
    }

    /// The inverse of [`State::to_bits`]; `None` when the length fits no state or a number is NaN.
    pub fn from_bits(bits: &[u64]) -> Option<Self> {
        let numbers: Vec<f64> = bits.iter().map(|bits| f64::from_bits(*bits)).collect();
        if numbers.iter().any(|number| number.is_nan()) {
            return None;
        }
        let (wealth, rest) = numbers.split_first_chunk::<ALTERNATIVES>()?;
        let baseline: [f64; 2] = rest.try_into().ok()?;
        Some(Self { ln_wealth: *wealth, baseline })
    }
}
