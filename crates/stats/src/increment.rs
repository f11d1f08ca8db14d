//! The one formula under every two-sample count test here: the log e-variable of one window.
//!
//! Null hypothesis of a window, given the past and the totals: `p_c <= theta p_b + delta` (test against worse) or
//! `p_c >= theta p_b + delta` (test against bad, when the alternative lies below `theta`); `p` is the mean probability of
//! being bad over the requests of that side, which need not be alike. An alternative `(p_c*, p_b*)` is compared with the
//! null's nearest point `(theta q, q)`:
//!
//! `e = (p_c*/theta q)^x_c ((1-p_c*)/(1-theta q))^(n_c-x_c) (p_b*/q)^x_b ((1-p_b*)/(1-q))^(n_b-x_b) exp(-n_c a delta)`,
//! `a = (p_c*-theta q) / (theta q (1-theta q))`.
//!
//! Why it is valid: a request's factor has mean `1 + a(p - theta q)` (canary) and `1 - b(p - q)` (baseline), both at most
//! the exponential, so heterogeneity is free; `q` is the stationary point of the relative entropy, which says
//! `n_c theta a = n_b b`; the exponents then add to `n_c a (p_c - theta p_b)`, at most `n_c a delta` under the null. This
//! extends the exact Bernoulli e-variable of Turner, Ly and Gruenwald (arXiv 2106.02693) from `p_c <= p_b` to any `theta`
//! and `delta`; for `p_b* -> 0` it becomes the conditional binomial ratio of two Poisson streams (Lindon and Malek, arXiv
//! 2011.03567), which needs no `p_b*` at all.

use crate::Window;
use crate::logs::{ln_1p_each, ln_each};

/// The boundary of a null hypothesis, `p_c = theta p_b + delta`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Boundary {
    /// Ratio canary / baseline, dimensionless, above 0.
    pub theta: f64,
    /// Absolute slack in probability, 0 or more.
    pub delta: f64,
}

/// Base rates below this are treated as rare: the Poisson form then wastes at most this share of the information, costs a
/// quarter of the arithmetic and needs no guess.
pub const RARE: f64 = 0.005;

/// Log e-variable of a window for rare events (Poisson form); exact under the null for any base rate, fully powerful for
/// small ones. `ratio` is the alternative `p_c / p_b`. A window that lacks a side gives 0.
pub fn poisson(window: &Window, null: Boundary, ratio: f64) -> f64 {
    poisson_each(window, null, &[ratio])[0]
}

/// [`poisson`] of several alternatives.
fn poisson_each<const N: usize>(window: &Window, null: Boundary, ratios: &[f64; N]) -> [f64; N] {
    if !window.is_comparable() {
        return [0.0; N];
    }
    let (n_c, x_c) = window.canary.floats();
    let (n_b, x_b) = window.baseline.floats();
    let Boundary { theta, delta } = null;
    let steps = ratios.map(|ratio| ratio - theta);
    let ups: [f64; N] = times(x_c, || ln_each(ratios.map(|ratio| ratio / theta)));
    let downs: [f64; N] = times(x_c + x_b, || ln_1p_each(steps.map(|step| step * n_c / (theta * n_c + n_b))));
    core::array::from_fn(|at| {
        let slack = n_c * delta * (steps[at] / theta) * (n_b / (ratios[at] * n_c + n_b));
        ups[at] - downs[at] - slack
    })
}

/// Log e-variable of a window for events of any rate (Bernoulli form), given a guess `base_rate` of `p_b` that was made
/// before the window was seen. The alternative multiplies the odds of `theta * base_rate` by `ratio / theta`.
///
/// A `base_rate` below [`RARE`] (0: no guess) gives [`poisson`]. A bad guess costs power, never validity.
pub fn bernoulli(window: &Window, null: Boundary, ratio: f64, base_rate: f64) -> f64 {
    bernoulli_each(window, null, &[ratio], base_rate)[0]
}

/// [`bernoulli`] of several alternatives, in a third of the time.
pub(crate) fn bernoulli_each<const N: usize>(
    window: &Window,
    null: Boundary,
    ratios: &[f64; N],
    base_rate: f64,
) -> [f64; N] {
    if base_rate.is_nan() || base_rate < RARE {
        return poisson_each(window, null, ratios);
    }
    if !window.is_comparable() {
        return [0.0; N];
    }
    let (n_c, x_c) = window.canary.floats();
    let (n_b, x_b) = window.baseline.floats();
    let Boundary { theta, delta } = null;
    // Keeps theta * p_b* and p_b* inside (0, 1), whatever was guessed.
    let p_b = base_rate.min(0.98).min(0.98 / theta);
    let centre = theta * p_b;
    let p_c = ratios.map(|ratio| {
        let odds = centre / (1.0 - centre) * (ratio / theta);
        odds / (1.0 + odds)
    });
    let q = p_c.map(|p_c| nearest_null(n_c, n_b, p_c, p_b, theta));
    let p_0 = q.map(|q| theta * q);
    // ln((1-p)/(1-q)) = ln_1p((q-p)/(1-q)): no cancellation when both are small.
    let good: [[f64; N]; 2] = [
        ln_1p_each(core::array::from_fn(|at| (p_0[at] - p_c[at]) / (1.0 - p_0[at]))),
        ln_1p_each(core::array::from_fn(|at| (q[at] - p_b) / (1.0 - q[at]))),
    ];
    let bad: [[f64; N]; 2] = [
        times(x_c, || ln_each(core::array::from_fn(|at| p_c[at] / p_0[at]))),
        times(x_b, || ln_each(core::array::from_fn(|at| p_b / q[at]))),
    ];
    core::array::from_fn(|at| {
        let slope = (p_c[at] - p_0[at]) / (p_0[at] * (1.0 - p_0[at]));
        bad[0][at] + (n_c - x_c) * good[0][at] + bad[1][at] + (n_b - x_b) * good[1][at] - n_c * slope * delta
    })
}

/// So many times each logarithm, free of charge for a count of 0, which is the common case.
#[inline]
pub(crate) fn times<const N: usize>(count: f64, logarithms: impl FnOnce() -> [f64; N]) -> [f64; N] {
    if count > 0.0 { logarithms().map(|logarithm| count * logarithm) } else { [0.0; N] }
}

/// The `q` that minimises `n_c kl(p_c, theta q) + n_b kl(p_b, q)`: the smaller root of
/// `(n_c+n_b) theta q^2 - (n_c (p_c+theta) + n_b (1+theta p_b)) q + n_c p_c + n_b p_b = 0`.
#[inline]
pub(crate) fn nearest_null(n_c: f64, n_b: f64, p_c: f64, p_b: f64, theta: f64) -> f64 {
    // Divided by the total so that 1e12 requests do not square away the digits.
    let share = n_c / (n_c + n_b);
    let rest = n_b / (n_c + n_b);
    let linear = share * (p_c + theta) + rest * (1.0 + theta * p_b);
    let constant = share * p_c + rest * p_b;
    let root = (linear * linear - 4.0 * theta * constant).max(0.0).sqrt();
    2.0 * constant / (linear + root)
}
