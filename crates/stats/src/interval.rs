//! Fixed-sample intervals for one rate, for display beside a count. Not valid under peeking: verdicts never use them.

use crate::Arm;
use crate::math::{beta_regularized, bisect, normal_quantile};

/// Wilson's score interval of a proportion, `[low, high]` in `[0, 1]`; `[0, 1]` for an empty arm.
///
/// `confidence` in (0, 1), for example 0.95 (other values are read so).
pub fn wilson(arm: Arm, confidence: f64) -> [f64; 2] {
    wilson_at(arm, -normal_quantile(0.5 * (1.0 - sane(confidence))))
}

/// The same at so many standard errors, for who asks again and again: the quantile costs more than the rest.
pub fn wilson_at(arm: Arm, z: f64) -> [f64; 2] {
    let (n, x) = arm.floats();
    if n == 0.0 {
        return [0.0, 1.0];
    }
    let p = x / n;
    let scale = 1.0 + z * z / n;
    let centre = (p + z * z / (2.0 * n)) / scale;
    let half = z / scale * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    // At the ends the formula is exact 0 or 1 up to rounding.
    let low = if x == 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if x == n { 1.0 } else { (centre + half).min(1.0) };
    [low, high]
}

/// Clopper and Pearson's exact interval of a proportion, `[low, high]`; `[0, 1]` for an empty arm.
///
/// Beyond a million of both good and bad it is Wilson's, which then agrees to six digits.
pub fn clopper_pearson(arm: Arm, confidence: f64) -> [f64; 2] {
    let (n, x) = arm.floats();
    if n == 0.0 {
        return [0.0, 1.0];
    }
    if x > 1e6 && n - x > 1e6 {
        return wilson(arm, confidence);
    }
    let tail = 0.5 * (1.0 - sane(confidence));
    let low = if x == 0.0 { 0.0 } else { bisect(0.0, x / n, |p| beta_regularized(x, n - x + 1.0, p) < tail) };
    let high =
        if x == n { 1.0 } else { bisect(x / n, 1.0, |p| beta_regularized(x + 1.0, n - x, p) < 1.0 - tail) };
    [low, high]
}

fn sane(confidence: f64) -> f64 {
    if confidence > 0.0 && confidence < 1.0 { confidence } else { 0.95 }
}
