//! Soft-rank e-process over instances: does the canary's count stand out among baseline groups of the same size?
//!
//! Error bursts (one user retrying, one bad batch) break every test that takes requests as independent. If the canary's
//! instances are exchangeable with groups of baseline instances, whatever the law of a burst or an outage, the soft rank
//! `(m+1) e^(lambda v_0) / sum_j e^(lambda v_j)` of a window has mean 1, so the product over windows is an e-process. On
//! independent errors it is as fast as the count test. Needs counts per instance and similar loads.

use crate::math::{ln, ln_sum};

/// Steepness of the soft rank; small ones see small excesses over many windows, large ones a single glaring window.
pub const LAMBDAS: [f64; 8] = [0.05, 0.1, 0.2, 0.4, 0.7, 1.1, 1.6, 2.3];

/// Log wealth per steepness, evenly weighted. Plain numbers for storage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    /// Log wealth of each of [`LAMBDAS`].
    pub ln_wealth: [f64; LAMBDAS.len()],
}

impl Default for State {
    fn default() -> Self {
        Self { ln_wealth: [-ln(LAMBDAS.len() as f64); LAMBDAS.len()] }
    }
}

impl State {
    /// Folds one window in: bad requests of the canary group, and of each baseline group of the same number of instances
    /// and similar load. Without a baseline group it says nothing.
    pub fn fold(&mut self, canary: u64, groups: &[u64]) {
        if groups.is_empty() {
            return;
        }
        for (wealth, lambda) in self.ln_wealth.iter_mut().zip(LAMBDAS) {
            let own = lambda * canary as f64;
            let all: Vec<f64> =
                core::iter::once(own).chain(groups.iter().map(|count| lambda * *count as f64)).collect();
            *wealth += own + ln(all.len() as f64) - ln_sum(&all);
        }
    }

    /// Log evidence that the canary group has more bad requests than its peers; compare with `ln(1/alpha)`.
    pub fn ln_evidence(&self) -> f64 {
        ln_sum(&self.ln_wealth)
    }
}
