//! Confidence sequences for display: a rate, a quantile, a whole distribution. They hold at every look, for requests that
//! are alike over time (the verdict's tests need no such thing).

use crate::histogram::{self, Bucket};
use crate::math::{bisect, exp, ln, ln_1p, ln_beta};
use crate::{Arm, means};

/// Log of the two-sided beta-binomial mixture against "the rate is `p`": `x` of `n` bad, tuned to be tightest near
/// `n_opt` requests (confseq's beta-binomial mixture with `g = p`, `h = 1 - p`).
pub fn beta_binomial(x: f64, n: f64, p: f64, n_opt: f64) -> f64 {
    let variance = p * (1.0 - p);
    let prior = (means::rho(n_opt * variance, 0.025) - variance).max(1e-3 * variance);
    let (bad, good) = (prior / (1.0 - p), prior / p);
    ln_beta(bad + x, good + n - x) - ln_beta(bad, good) - x * ln(p) - (n - x) * ln_1p(-p)
}

/// Confidence sequence of one side's rate, `[low, high]` in `[0, 1]`, with probability `1 - alpha` at every look.
///
/// `n_opt`: requests at which it is tightest.
pub fn rate(arm: Arm, alpha: f64, n_opt: f64) -> [f64; 2] {
    let (n, x) = arm.floats();
    if n == 0.0 {
        return [0.0, 1.0];
    }
    let outside = |p: f64| beta_binomial(x, n, p, n_opt) >= ln(1.0 / alpha);
    let estimate = x / n;
    let low = if x == 0.0 { 0.0 } else { bisect(0.0, estimate, outside) };
    let high = if x == n { 1.0 } else { bisect(estimate, 1.0, |p| !outside(p)) };
    [low, high]
}

/// Confidence sequence of quantile `q` from a histogram, in its unit; ends are bucket edges, rounded outwards. `None` where
/// there are too few values for an end.
///
/// The number of values up to the true quantile is a sum of coins of bias `q`; the ranks it may take at level `alpha` are
/// cut out by [`beta_binomial`].
pub fn quantile(buckets: &[Bucket], q: f64, alpha: f64, n_opt: f64, scale: u32) -> [Option<f64>; 2] {
    quantile_dispersed(buckets, q, alpha, n_opt, scale, 1.0)
}

/// The same where values come in clusters: `phi` (at least 1) is how many times as much the number of values above the
/// quantile varies as with independent ones, so that `n` of them say what `n / phi` would.
pub fn quantile_dispersed(
    buckets: &[Bucket],
    q: f64,
    alpha: f64,
    n_opt: f64,
    scale: u32,
    phi: f64,
) -> [Option<f64>; 2] {
    let phi = if phi >= 1.0 { phi } else { 1.0 };
    let all = histogram::total(buckets) as f64;
    let n = all / phi;
    if n == 0.0 || !(q > 0.0 && q < 1.0) {
        return [None, None];
    }
    let outside = |x: f64| beta_binomial(x, n, q, n_opt) >= ln(1.0 / alpha);
    let low_rank = if outside(0.0) { libm::floor(phi * bisect(0.0, q * n, outside)) } else { 0.0 };
    let high_rank =
        if outside(n) { libm::ceil(phi * bisect(q * n, n, |x| !outside(x))) + 1.0 } else { all + 1.0 };
    let at = |rank: f64| {
        (1.0..=all).contains(&rank).then(|| histogram::quantile_bucket(buckets, rank / all)).flatten()
    };
    [
        at(low_rank).map(|index| histogram::lower_edge(index, scale)),
        at(high_rank).map(|index| histogram::upper_edge(index, scale)),
    ]
}

/// Half-width of a band around a whole empirical distribution that holds at every look from `n_min` values on, with
/// probability `1 - alpha`: `0.85 sqrt((ln ln(e n/n_min) + C)/n)` (Howard and Ramdas, Bernoulli 2022, corollary 2).
///
/// At most 1, and 1 below `n_min`. Blind at p99 below about 100,000 values: for charts, not for verdicts.
pub fn band(n: f64, n_min: f64, alpha: f64) -> f64 {
    if n.is_nan() || n < n_min || n_min < 1.0 {
        return 1.0;
    }
    let constant = bisect(0.1, 1_000.0, |constant| band_error(constant) > alpha);
    (BAND_FACTOR * ((ln_1p(ln(n / n_min)) + constant) / n).sqrt()).min(1.0)
}

/// `A` of the band; 0.85 is the authors' choice, near the least that any `C` allows.
const BAND_FACTOR: f64 = 0.85;

/// Error probability of the band with constant `C`: the least over `eta` in `(1, 2 A^2)` of
/// `4 e^(-g C) (1 + 1/((g-1) ln eta))`, `g = (2/eta)(A - sqrt(2(eta-1)/C))^2 > 1`.
fn band_error(constant: f64) -> f64 {
    const STEPS: u32 = 2_000;
    let width = 2.0 * BAND_FACTOR * BAND_FACTOR - 1.0;
    let mut least = f64::INFINITY;
    for step in 1..STEPS {
        let eta = 1.0 + width * f64::from(step) / f64::from(STEPS);
        let root = BAND_FACTOR - (2.0 * (eta - 1.0) / constant).sqrt();
        let g = 2.0 / eta * root * root;
        if root > 0.0 && g > 1.0 {
            least = least.min(4.0 * exp(-g * constant) * (1.0 + 1.0 / ((g - 1.0) * ln(eta))));
        }
    }
    least
}
