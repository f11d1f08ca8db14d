//! Brent's root finder with the settings and the order of steps of R's `zeroin`, as Kayenta uses it.
//!
//! The sign change searched for is a step of a function of ranks, so there is no root to converge to and the point
//! returned depends on every step taken: whoever wants the same interval ends has to walk the same way.

/// Where R gives up.
const ITERATIONS_MAX: u32 = 1_001;

/// Kayenta's absolute tolerance. It is not scaled by the data: where values differ by less, the first point tried
/// within it is the answer.
pub(super) const TOLERANCE: f64 = 1e-4;

/// The point between `low` and `high` where `f` changes its sign, given its values at both ends.
pub(super) fn solve(ends: [f64; 2], at_ends: [f64; 2], tolerance: f64, f: impl Fn(f64) -> f64) -> f64 {
    let ([mut a, mut b], [mut f_a, mut f_b]) = (ends, at_ends);
    let (mut c, mut f_c) = (a, f_a);
    if is_zero(f_a) {
        return a;
    }
    if is_zero(f_b) {
        return b;
    }
    for _ in 0..ITERATIONS_MAX {
        let previous = b - a;
        if f_c.abs() < f_b.abs() {
            (a, b, c) = (b, c, b);
            (f_a, f_b, f_c) = (f_b, f_c, f_b);
        }
        let least = 2.0 * f64::EPSILON * b.abs() + tolerance / 2.0;
        let mut step = (c - b) / 2.0;
        if step.abs() <= least || is_zero(f_b) {
            return b;
        }
        if previous.abs() >= least && f_a.abs() > f_b.abs() {
            step = interpolated([a, b, c], [f_a, f_b, f_c], previous, least).unwrap_or(step);
        }
        if step.abs() < least {
            step = if step > 0.0 { least } else { -least };
        }
        (a, f_a) = (b, f_b);
        b += step;
        f_b = f(b);
        if (f_b > 0.0 && f_c > 0.0) || (f_b < 0.0 && f_c < 0.0) {
            (c, f_c) = (a, f_a);
        }
    }
    b
}

/// The step that a line or an inverse parabola proposes, if it stays well inside.
fn interpolated([a, b, c]: [f64; 3], [f_a, f_b, f_c]: [f64; 3], previous: f64, least: f64) -> Option<f64> {
    let width = c - b;
    let (mut p, mut q);
    if a == c {
        let t = f_b / f_a;
        p = width * t;
        q = 1.0 - t;
    } else {
        let (u, t, s) = (f_a / f_c, f_b / f_c, f_b / f_a);
        p = s * (width * u * (u - t) - (b - a) * (t - 1.0));
        q = (u - 1.0) * (t - 1.0) * (s - 1.0);
    }
    if p > 0.0 {
        q = -q;
    } else {
        p = -p;
    }
    (p < 0.75 * width * q - (least * q).abs() / 2.0 && p < (previous * q / 2.0).abs()).then(|| p / q)
}

/// Zero to within the smallest number there is.
fn is_zero(value: f64) -> bool {
    value.abs() <= f64::from_bits(1)
}
