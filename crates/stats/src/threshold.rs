//! When is evidence enough? Ville's bound `1/alpha` holds always; a calibrated threshold gives back what it wastes.
//!
//! On a healthy canary the evidence crosses 100 in 0.1 to 0.5 % of runs instead of 1 %: evidence jumps over a threshold,
//! and most of it is still alive when the canary ends. For a constant share the split of the bad requests under the
//! boundary of the null is binomial whatever their rate, so the plain process's crossing probability within `n` bad
//! requests is an exact dynamic program over (bad requests, canary's part). The result holds for that share, that many bad
//! requests and rare events; use it for a metric judged alone, and raw evidence for averaging.

use crate::math::{exp, ln, ln_1p, ln_sum};
use crate::reject::{ALTERNATIVES, RATIOS};
use crate::{Error, math};

/// Log threshold that is valid for every e-process: `ln(1/alpha)`.
pub fn ville(alpha: f64) -> f64 {
    ln(1.0 / alpha)
}

/// The plain process (no late starts, no slack) at constant share, for [`crossing`] and [`calibrated`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plain {
    ln_weights: [f64; ALTERNATIVES],
    ln_up: [f64; ALTERNATIVES],
    ln_down: [f64; ALTERNATIVES],
    part: f64,
}

impl Plain {
    /// The process with the given weights of [`RATIOS`] (normalised), the canary's `share` of the traffic in (0, 1) and
    /// the tolerated ratio `theta`.
    pub fn new(weights: [f64; ALTERNATIVES], share: f64, theta: f64) -> Result<Self, Error> {
        Error::unless(share > 0.0 && share < 1.0, "share", share, "between 0 and 1")?;
        Error::unless(theta > 0.0 && theta <= 1e3, "theta", theta, "a ratio above 0 and at most 1000")?;
        let sum: f64 = weights.iter().sum();
        Error::unless(
            sum > 0.0 && weights.iter().all(|weight| *weight >= 0.0),
            "sum of weights",
            sum,
            "above 0",
        )?;
        let odds = theta * share / (1.0 - share);
        let part = odds / (1.0 + odds);
        let ln_down = RATIOS.map(|ratio| -ln_1p((ratio - 1.0) * part));
        let mut ln_up = ln_down;
        for (up, ratio) in ln_up.iter_mut().zip(RATIOS) {
            *up += ln(ratio);
        }
        Ok(Self { ln_weights: weights.map(|weight| ln(weight / sum)), ln_up, ln_down, part })
    }

    /// Log evidence after `total` bad requests, `canary` of them the canary's.
    pub fn ln_evidence(&self, total: u64, canary: u64) -> f64 {
        let (up, down) = (canary as f64, total.saturating_sub(canary) as f64);
        let mut parts = self.ln_weights;
        for ((part, ln_up), ln_down) in parts.iter_mut().zip(self.ln_up).zip(self.ln_down) {
            *part += up * ln_up + down * ln_down;
        }
        ln_sum(&parts)
    }

    /// Probability, on the null's boundary, that log evidence reaches `ln_threshold` within `errors_max` bad requests.
    ///
    /// Exact but for states dropped below a probability of 1e-18 each. Time: about `10 errors_max^1.5` steps.
    pub fn crossing(&self, ln_threshold: f64, errors_max: u64) -> f64 {
        let mut alive: Vec<f64> = vec![1.0];
        let mut lowest = 0u64;
        let mut crossed = 0.0;
        let mut barrier = 0u64;
        for total in 1..=errors_max {
            alive.push(0.0);
            for index in (1..alive.len()).rev() {
                alive[index] = alive[index] * (1.0 - self.part) + alive[index - 1] * self.part;
            }
            alive[0] *= 1.0 - self.part;
            // The evidence falls with every bad request of the baseline, so the barrier never moves back.
            while barrier <= total && self.ln_evidence(total, barrier) < ln_threshold {
                barrier += 1;
            }
            while lowest + alive.len() as u64 > barrier {
                crossed += alive.pop().unwrap_or(0.0);
                if alive.is_empty() {
                    return crossed;
                }
            }
            let empty = alive.iter().take_while(|mass| **mass < 1e-18).count().min(alive.len() - 1);
            alive.drain(..empty);
            lowest += empty as u64;
            while alive.len() > 1 && alive.last().is_some_and(|mass| *mass < 1e-18) {
                alive.pop();
            }
        }
        crossed
    }

    /// The smallest log threshold that is reached with probability at most `alpha` within `errors_max` bad requests; never
    /// above [`ville`].
    pub fn calibrated(&self, alpha: f64, errors_max: u64) -> f64 {
        let (mut low, mut high) = (0.0, ville(alpha));
        // To 0.1 % of the threshold; `high` is always a valid one.
        while high - low > 1e-3 {
            let middle = 0.5 * (low + high);
            if self.crossing(middle, errors_max) <= alpha {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }
}

/// Share of `alpha` spent on the calibrated threshold; the rest pays for the time after the calibrated range.
const SPENT: f64 = 0.9;

/// Probability that a bad request is the canary's, by row of [`TABLE`].
const PARTS: [f64; 5] = [0.01, 0.05, 0.1, 0.25, 0.5];

/// Expected bad requests over the horizon, by column of [`TABLE`].
const ERRORS: [f64; 9] = [10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5];

/// Evidence that 0.9 % of healthy canaries exceed, for `alpha` of 1 %, with [`crate::reject`]'s default weights and start:
/// 200,000 simulated canaries per entry up to 3,000 bad requests, 20,000 beyond (`judgebench calibrate`, seed 20261120).
#[rustfmt::skip]
const TABLE: Table = [[100.0; ERRORS.len()]; PARTS.len()];

/// The same for 0.45 %, for `alpha` of 0.5 %: half of a verdict's error, when the other half goes to the other metrics.
#[rustfmt::skip]
const TABLE_HALF: Table = [[200.0; ERRORS.len()]; PARTS.len()];

type Table = [[f64; ERRORS.len()]; PARTS.len()];

/// The threshold for one metric judged alone by [`crate::reject::Test::new`] with slack 0, as the bad requests add up.
///
/// For constant share and rare events it is exact up to the simulation's error; for a schedule it takes the largest of the
/// shares' thresholds, which is measured and not proved (`docs/benchmarks/judge.md`). With a slack, other weights or many
/// metrics use [`ville`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibrated {
    ln_inside: f64,
    ln_after: f64,
    errors_max: f64,
}

impl Calibrated {
    /// `alpha`: false-alarm probability over the whole canary; below 0.5 % it is [`ville`], and 0.5 or 1 % are the values
    /// that tables exist for (others use the next smaller one). `theta`: tolerated ratio. `shares`: smallest and largest share of the traffic that the plan gives the canary. `expected`: bad
    /// requests of both sides expected over the horizon at the baseline's rate, divided by the dispersion.
    pub fn new(alpha: f64, theta: f64, shares: [f64; 2], expected: f64) -> Result<Self, Error> {
        Error::unless(alpha > 0.0 && alpha < 1.0, "alpha", alpha, "between 0 and 1")?;
        Error::unless(theta > 0.0 && theta <= 1e3, "theta", theta, "a ratio above 0 and at most 1000")?;
        for share in shares {
            Error::unless(share > 0.0 && share < 1.0, "share", share, "between 0 and 1")?;
        }
        Error::unless(expected >= 0.0, "expected", expected, "0 or more bad requests")?;
        let parts = shares.map(|share| theta * share / (theta * share + 1.0 - share));
        let ln_after = ville(alpha * (1.0 - SPENT));
        let plain = Self { ln_inside: ville(alpha), ln_after: ville(alpha), errors_max: f64::INFINITY };
        let table = if alpha >= 0.01 { &TABLE } else { &TABLE_HALF };
        let Some(inside) = largest(table, parts, expected) else { return Ok(plain) };
        if alpha < 0.005 || ln(inside) >= plain.ln_inside {
            return Ok(plain);
        }
        // Half as much again, so that a faulty canary's own errors do not end the calibrated range.
        let errors_max = 1.5 * expected + 3.0 * expected.sqrt() + 5.0;
        Ok(Self { ln_inside: ln(inside), ln_after, errors_max })
    }

    /// Log threshold after so many bad requests on both sides (divided by the dispersion).
    pub fn ln_at(&self, errors: f64) -> f64 {
        if errors <= self.errors_max { self.ln_inside } else { self.ln_after }
    }
}

/// The largest entry of the table around the range of parts, for at least as many bad requests; `None` outside of it.
fn largest(table: &Table, parts: [f64; 2], expected: f64) -> Option<f64> {
    let column = ERRORS.iter().position(|errors| *errors >= expected)?;
    let low = PARTS.iter().rposition(|part| *part <= parts[0]).unwrap_or(0);
    let high = PARTS.iter().position(|part| *part >= parts[1])?;
    let rows = &table[low.min(high)..=high.max(low)];
    // Smaller canaries overshoot more and need less, so below the first row it is a safe bound.
    Some(rows.iter().map(|row| row[column]).fold(0.0, f64::max))
}

/// E-value of a log evidence, capped so that it stays finite.
pub fn e_value(ln_evidence: f64) -> f64 {
    exp(ln_evidence.min(math::ln(f64::MAX)))
}
