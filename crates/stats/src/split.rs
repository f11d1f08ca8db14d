//! Sample-ratio mismatch: did the canary get the share of requests that routing promised?
//!
//! Hung, refused or lost requests never reach an error counter; they show as a share that is too small. Given the window's
//! total, the canary's part is binomial with the routed share; the alternatives multiply its odds. Sticky sessions come in
//! clusters: count sessions, or divide by their dispersion.

use crate::math::{ln, ln_1p, ln_sum};

/// Alternatives: factors on the odds of the routed share.
pub const FACTORS: [f64; 8] = [0.5, 0.8, 0.9, 0.97, 1.03, 1.1, 1.25, 2.0];

/// Log wealth per alternative, evenly weighted. Plain numbers for storage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    /// Log wealth of each of [`FACTORS`].
    pub ln_wealth: [f64; FACTORS.len()],
}

impl Default for State {
    fn default() -> Self {
        Self { ln_wealth: [-ln(FACTORS.len() as f64); FACTORS.len()] }
    }
}

impl State {
    /// Folds one window in: requests of canary and baseline, and the share routed to the canary (0 to 1, both excluded;
    /// another share, such as a pinned 0 or 1, says nothing). `phi` divides the information, 1 for independent requests.
    pub fn fold(&mut self, canary: u64, baseline: u64, share: f64, phi: f64) {
        if !(share > 0.0 && share < 1.0) {
            return;
        }
        let (n_c, n_b) = (canary as f64, baseline as f64);
        for (wealth, factor) in self.ln_wealth.iter_mut().zip(FACTORS) {
            *wealth += (n_c * ln(factor) - (n_c + n_b) * ln_1p((factor - 1.0) * share)) / phi.max(1.0);
        }
    }

    /// Log evidence that the split is not the routed one; compare with `ln(1/alpha)`.
    pub fn ln_evidence(&self) -> f64 {
        ln_sum(&self.ln_wealth)
    }
}
