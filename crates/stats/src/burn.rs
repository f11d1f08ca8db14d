//! Absolute guards that need no baseline: SLO burn rate, an anytime-valid test of it, and the harm a canary has done.

use crate::math::{ln, ln_sum};
use crate::{Arm, Error};

/// Burn rate: error rate over the SLO's error budget (SLO 0.999 and 1.44 % errors: 14.4). Infinite for a budget of 0 with
/// errors, 0 without.
pub fn rate(arm: Arm, slo: f64) -> f64 {
    let budget = (1.0 - slo).max(0.0);
    let errors = arm.rate();
    if errors == 0.0 { 0.0 } else { errors / budget }
}

/// A multi-window alert (Google SRE Workbook, chapter 5, table 5-8): fires only when both windows burn beyond `factor`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Long window in seconds; the short one is a twelfth.
    pub long_s: u64,
    /// Burn rate that both windows must exceed.
    pub factor: f64,
}

/// Page, page, ticket: 2 % of a 30-day budget in 1 h, 5 % in 6 h, 10 % in 3 d.
pub const RULES: [Rule; 3] = [
    Rule { long_s: 3_600, factor: 14.4 },
    Rule { long_s: 21_600, factor: 6.0 },
    Rule { long_s: 259_200, factor: 1.0 },
];

impl Rule {
    /// Length of the short window in seconds.
    pub fn short_s(&self) -> u64 {
        self.long_s / 12
    }

    /// Whether counts over the long and the short window both burn beyond the factor.
    pub fn fires(&self, long: Arm, short: Arm, slo: f64) -> bool {
        rate(long, slo) > self.factor && rate(short, slo) > self.factor
    }
}

/// Alternatives of [`Test`]: multiples of the tolerated rate.
pub const FACTORS: [f64; 4] = [1.5, 2.0, 4.0, 8.0];

/// Anytime-valid test of "the bad rate is at most `rate_max`" on one side alone: per window
/// `x ln g - n rate_max (g - 1)`, mixed over [`FACTORS`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    rate_max: f64,
}

/// Log wealth per factor, evenly weighted. Plain numbers for storage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    /// Log wealth of each of [`FACTORS`].
    pub ln_wealth: [f64; FACTORS.len()],
}

impl Test {
    /// `rate_max`: tolerated probability of a bad request, for example `14.4 * (1 - slo)`; above 0, at most 1.
    pub fn new(rate_max: f64) -> Result<Self, Error> {
        Error::unless(rate_max > 0.0 && rate_max <= 1.0, "rate_max", rate_max, "a probability above 0")?;
        Ok(Self { rate_max })
    }

    /// Evidence before the first window: `ln E = 0`.
    pub fn start(&self) -> State {
        State { ln_wealth: [-ln(FACTORS.len() as f64); FACTORS.len()] }
    }

    /// Folds one window of one side in.
    pub fn fold(&self, state: &mut State, arm: Arm) {
        let (n, x) = arm.floats();
        for (wealth, factor) in state.ln_wealth.iter_mut().zip(FACTORS) {
            *wealth += x * ln(factor) - n * self.rate_max * (factor - 1.0);
        }
    }

    /// Log evidence that the rate is above `rate_max`; compare with `ln(1/alpha)`.
    pub fn ln_evidence(&self, state: &State) -> f64 {
        ln_sum(&state.ln_wealth)
    }
}

/// Bad requests of the canary beyond what it would have had at `theta` times the baseline's rate; may be negative.
pub fn excess(canary: Arm, baseline: Arm, theta: f64) -> f64 {
    let (n_c, x_c) = canary.floats();
    x_c - theta * n_c * baseline.rate()
}

/// Share of a period's error budget that a burn rate spends: `share * burn * seconds / period_s` (5 % weight at burn 100
/// for 10 min of 30 days: 0.12 %).
pub fn budget_spent(share: f64, burn: f64, seconds: f64, period_s: f64) -> f64 {
    if period_s > 0.0 { share * burn * seconds / period_s } else { 0.0 }
}
