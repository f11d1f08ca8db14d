//! Evidence that successes became fewer than tolerated, also when they did so late.
//!
//! The e-variables of [`crate::exclude::Test::fewer_successes`] under the start-time mixture of [`crate::starts`]: a drop
//! that begins after half an hour does not have to win back what half an hour without one has cost.

use crate::increment::{Boundary, bernoulli};
use crate::math::exp;
use crate::starts::{Starts, Wealth};
use crate::{Error, Window};

/// Alternatives as parts of the tolerated share.
pub const RATIOS: [f64; 6] = [0.98, 0.95, 0.9, 0.8, 0.5, 0.1];

/// Weights of [`RATIOS`]; the last stands for "next to none", which needs no weight to be found fast.
const WEIGHTS: [f64; 6] = [0.22, 0.2, 0.2, 0.18, 0.14, 0.06];

/// Seconds over which the baseline's share is remembered.
const TRAILING_S: f64 = 600.0;

/// What is tested: the canary's share of successes is at least `1 - margin` times the baseline's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    null: Boundary,
    starts: Starts<{ RATIOS.len() }>,
}

/// The running evidence as plain numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    /// What each alternative holds.
    pub wealth: Wealth<{ RATIOS.len() }>,
    /// Decayed baseline total and successes, from which the next window's share is guessed.
    pub baseline: [f64; 2],
}

impl Test {
    /// `margin`: tolerated drop, from 0 to below 1 (0.05 tolerates 5 %). `horizon_s`: how long the comparison may last.
    pub fn new(margin: f64, horizon_s: f64) -> Result<Self, Error> {
        Error::unless((0.0..1.0).contains(&margin), "margin", margin, "a share from 0 to below 1")?;
        let null = Boundary { theta: 1.0 - margin, delta: 0.0 };
        Ok(Self { null, starts: Starts::new(WEIGHTS, horizon_s) })
    }

    /// The same test with the part `first` of the wealth bet at the start; 1 is without late starts.
    #[must_use]
    pub fn first(mut self, first: f64) -> Self {
        self.starts = self.starts.first(first);
        self
    }

    /// Evidence before the first window: `ln E = 0`.
    pub fn start(&self) -> State {
        State { wealth: self.starts.start(), baseline: [0.0; 2] }
    }

    /// Folds one window in, in which bad means success; `elapsed_s` seconds since the one before.
    pub fn fold(&self, state: &mut State, window: &Window, elapsed_s: f64) {
        self.starts.wait(&mut state.wealth, elapsed_s);
        if window.is_comparable() {
            let rate = state.baseline[1] / (state.baseline[0] + 100.0);
            let gained = RATIOS.map(|ratio| bernoulli(window, self.null, ratio * self.null.theta, rate));
            self.starts.step(&mut state.wealth, gained);
        }
        let keep = exp(-elapsed_s.clamp(0.0, 1e9) / TRAILING_S);
        let (total, bad) = window.baseline.floats();
        state.baseline = [state.baseline[0] * keep + total, state.baseline[1] * keep + bad];
    }

    /// Log evidence that successes are fewer than tolerated.
    pub fn ln_evidence(&self, state: &State) -> f64 {
        state.wealth.ln_evidence()
    }
}
