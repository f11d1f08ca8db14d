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

use taxiway_stats::{Arm, Window, reject};

/// Dispersion assumed before the baseline has shown its own: queueing makes latencies of
/// neighbouring requests alike, so that independence would be the wrong guess.
const PRIOR: f64 = 4.0;

/// Windows that the prior counts for.
const PRIOR_WINDOWS: f64 = 8.0;

/// Windows that a normal profile counts for, which has seen minutes and not seconds.
const KNOWN_WINDOWS: f64 = 30.0;

/// What remains of a window's weight after each further one: the last minute or so counts.
const KEEP: f64 = 0.985;

/// Expected slow requests below which a window says nothing of the dispersion.
const EXPECTED_MIN: f64 = 1.0;

/// Standard errors within which the estimate counts as independence, once a normal profile has
/// shown independence: the largest of three estimates of 1 is 1.2, and dividing by that would throw
/// a sixth of the information away.
const ERRORS_OF_ESTIMATE: f64 = 3.0;

/// The dispersion of one share, learned from the baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Noise {
    sum: f64,
    weight: f64,
    /// What a normal profile says; 0 where there is none.
    known: f64,
}

impl Noise {
    /// Nothing known: careful.
    pub(super) fn new() -> Self {
        Self { sum: PRIOR * PRIOR_WINDOWS, weight: PRIOR_WINDOWS, known: 0.0 }
    }

    /// A normal profile has shown this dispersion. The estimate still follows what happens now, so
    /// that a machine that begins to stall is noticed.
    pub(super) fn known(phi: f64) -> Self {
        Self { sum: phi * KNOWN_WINDOWS, weight: KNOWN_WINDOWS, known: phi }
    }

    /// The factor by which information is to be divided, at least 1.
    pub(super) fn phi(&self) -> f64 {
        let estimate = (self.sum / self.weight).clamp(1.0, 1e6);
        let error = (2.0 / self.weight).sqrt();
        if self.known > 0.0 && estimate <= 1.0 + ERRORS_OF_ESTIMATE * error {
            return self.known;
        }
        estimate.max(self.known)
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

/// A test whose evidence no single window may move by more than a cap.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Capped {
    test: reject::Test,
    state: reject::State,
    /// The evidence, kept because it is asked for at every look.
    ln_evidence: f64,
    /// The most that one window may add, in nats.
    cap: f64,
}

impl Capped {
    pub(super) fn new(test: reject::Test, cap: f64) -> Self {
        let state = test.start();
        let ln_evidence = test.ln_evidence(&state);
        Self { test, state, ln_evidence, cap }
    }

    pub(super) fn fold(&mut self, strata: &[Window], elapsed_s: f64) {
        if self.test.fold_strata(&mut self.state, strata, elapsed_s) {
            let now = self.test.ln_evidence(&self.state);
            let is_capped = capped(&mut self.state.ln_wealth, self.ln_evidence, now, self.cap);
            self.ln_evidence = if is_capped { self.test.ln_evidence(&self.state) } else { now };
        }
    }

    pub(super) fn ln_evidence(&self) -> f64 {
        self.ln_evidence
    }
}

/// Takes from the logarithms of wealth what lets the evidence grow by more than `cap` (nats) over
/// what it was `before` a window; answers whether it did.
pub(super) fn capped(ln_wealth: &mut [f64], before: f64, now: f64, cap: f64) -> bool {
    let excess = now - before - cap;
    if excess <= 0.0 {
        return false;
    }
    for wealth in ln_wealth {
        *wealth -= excess;
    }
    true
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
