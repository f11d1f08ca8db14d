//! The information bound: no test at this error level can be faster (Wald 1945, in Garivier and Kaufmann's form).

use crate::increment::nearest_null;
use crate::math::{kl, ln};

/// What is to be told apart, per request: the canary's share of traffic and both sides' rates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Canary's share of requests, in (0, 1).
    pub share: f64,
    /// Baseline's probability of a bad request, in (0, 1).
    pub base: f64,
    /// True ratio canary / baseline.
    pub ratio: f64,
    /// Tolerated ratio.
    pub tolerated: f64,
}

/// Information per request in nats: `min_q [s kl(ratio p, tolerated q) + (1-s) kl(p, q)]`; 0 when the canary is within
/// tolerance or the case is not a proper one. A canary rate beyond 1 is read as 1.
pub fn information(case: &Case) -> f64 {
    let Case { share, base, ratio, tolerated } = *case;
    let proper = share > 0.0 && share < 1.0 && base > 0.0 && base < 1.0 && tolerated > 0.0;
    if !proper || ratio.is_nan() || ratio <= tolerated {
        return 0.0;
    }
    let worse = (ratio * base).min(1.0);
    let q = nearest_null(share, 1.0 - share, worse, base, tolerated);
    share * kl(worse, tolerated * q) + (1.0 - share) * kl(base, q)
}

/// Least expected seconds to detection of any test with false-alarm probability `alpha` that always detects in the end,
/// `ln(1/alpha) / (rps I)`; infinite when there is nothing to detect.
pub fn seconds(case: &Case, alpha: f64, rps: f64) -> f64 {
    ln(1.0 / alpha) / (rps * information(case))
}

/// Least expected requests of any test that detects with probability `power`: `kl(power, alpha) / I`.
pub fn requests(case: &Case, alpha: f64, power: f64) -> f64 {
    kl(power, alpha) / information(case)
}
