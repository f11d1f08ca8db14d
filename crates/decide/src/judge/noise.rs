//! Requests that are not independent: what to do about stalls, bursts and noisy neighbours.
//!
//! A count-based sequential test takes every request for a witness of its own. A process that
//! stalls for a quarter of a second makes dozens of requests slow at once, which is one event and
//! not dozens; on a loaded machine this convicts healthy canaries. Two remedies, both of which
//! leave the test valid:
//!
//! - [`capped`]: no single window may carry more than a part of the evidence that is needed. The
//!   smaller of an e-variable and a constant is still an e-variable, so nothing is lost but a
//!   little time.
//! - [`Noise`]: the information of a window is divided by how much more the baseline's share of
//!   slow requests varies from window to window than independent requests would (Pearson's X² over
//!   its degrees of freedom). It is learned from windows that are past, so it is predictable.

use taxiway_stats::{Arm, reject};

/// Dispersion assumed before the baseline has shown its own: queueing makes latencies of
/// neighbouring requests alike, so that independence would be the wrong guess.
const PRIOR: f64 = 4.0;

/// Windows that the prior counts for.
const PRIOR_WINDOWS: f64 = 8.0;

/// What remains of a window's weight after each further one: the last half a minute or so counts.
const KEEP: f64 = 0.97;

/// Expected slow requests below which a window says nothing of the dispersion.
const EXPECTED_MIN: f64 = 1.0;

/// The dispersion of one share, learned from the baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Noise {
    sum: f64,
    weight: f64,
}

impl Noise {
    pub(super) fn new() -> Self {
        Self { sum: PRIOR * PRIOR_WINDOWS, weight: PRIOR_WINDOWS }
    }

    /// The factor by which information is to be divided, at least 1.
    pub(super) fn phi(&self) -> f64 {
        (self.sum / self.weight).clamp(1.0, 1e6)
    }

    /// Takes in a window of the baseline in which a share `expected` of requests was to be slow.
    pub(super) fn fold(&mut self, baseline: Arm, expected: f64) {
        let (total, bad) = (baseline.total as f64, baseline.bad as f64);
        let mean = total * expected;
        if mean < EXPECTED_MIN || expected <= 0.0 || expected >= 1.0 {
            return;
        }
        let square = (bad - mean) * (bad - mean) / (mean * (1.0 - expected));
        self.sum = self.sum * KEEP + square;
        self.weight = self.weight * KEEP + 1.0;
    }
}

/// Lets the evidence grow by at most `cap` (nats) over what it was before a window.
pub(super) fn capped(test: &reject::Test, before: f64, state: &mut reject::State, cap: f64) {
    let excess = test.ln_evidence(state) - before - cap;
    if excess > 0.0 {
        for wealth in &mut state.ln_wealth {
            *wealth -= excess;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Noise, PRIOR};
    use taxiway_stats::Arm;

    #[test]
    fn independent_requests_end_near_one_and_stalls_well_above() {
        let (mut calm, mut stalling) = (Noise::new(), Noise::new());
        for window in 0..200_u64 {
            // Binomial(1000, 5 %) has a standard deviation of 6.9.
            let bad = [43, 57, 50, 46, 54, 50, 58, 42][(window % 8) as usize];
            calm.fold(Arm { total: 1_000, bad }, 0.05);
            stalling.fold(Arm { total: 1_000, bad: if window % 10 == 0 { 300 } else { 22 } }, 0.05);
        }
        assert!(calm.phi() < 1.2, "{}", calm.phi());
        assert!(stalling.phi() > 2.0 * PRIOR, "{}", stalling.phi());
    }
}
