//! Means per request (revenue, payload, CPU seconds): a sequential test on the difference of window means.
//!
//! Each window gives `d = mean_c - (1 + tolerance) mean_b`; the sum `S` of the differences and their squared deviations
//! `V` go through the one-sided normal mixture of Robbins (confseq's one-sided normal mixture). Asymptotic: merge windows
//! until the canary has 50 requests, cut values at the baseline's earlier 99th percentile, and halve `alpha` for skews
//! above 2. The scale of `V` is learned in a warm-up whose windows are not judged.

use crate::Error;
use crate::math::{ln, ln_normal_cdf};

/// Windows from which the variance is learned before the test begins.
pub const WARM_UP: u64 = 30;

/// Count, sum and sum of squares of one side's values in a window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Moments {
    /// Number of values.
    pub count: u64,
    /// Their sum, in the metric's unit.
    pub sum: f64,
    /// Sum of their squares.
    pub squares: f64,
}

impl Moments {
    /// Mean value; `None` when there is none or the sum is not a finite number.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0 && self.sum.is_finite()).then(|| self.sum / self.count as f64)
    }

    /// Variance of the values (divided by n-1), at least 0; `None` below two values.
    pub fn variance(&self) -> Option<f64> {
        let mean = self.mean()?;
        let count = self.count as f64;
        (self.count > 1 && self.squares.is_finite())
            .then(|| ((self.squares - count * mean * mean) / (count - 1.0)).max(0.0))
    }

    /// Both together.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }
}

/// What is tested: the canary's mean is at most `1 + tolerance` times the baseline's (or at least, see [`Test::lower`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    factor: f64,
    sign: f64,
    alpha: f64,
    windows_opt: f64,
}

/// Running sums of the window differences. Plain numbers for storage.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct State {
    /// Windows seen, warm-up included.
    pub windows: u64,
    /// Warm-up: mean difference and sum of squared deviations (Welford).
    pub learned: [f64; 2],
    /// Judged windows: sum of differences `S` and sum of squared deviations.
    pub sums: [f64; 2],
}

impl Test {
    /// `tolerance`: 0.05 allows the canary's mean to be 5 % higher; above -1. `alpha`: level the mixture is tuned for.
    /// `windows`: number of windows it is tuned for, at least 1.
    pub fn new(tolerance: f64, alpha: f64, windows: u64) -> Result<Self, Error> {
        Error::unless(
            tolerance > -1.0 && tolerance <= 1e3,
            "tolerance",
            tolerance,
            "above -1, at most 1000",
        )?;
        Error::unless(alpha > 0.0 && alpha < 0.5, "alpha", alpha, "between 0 and 0.5")?;
        Error::unless(windows > 0, "windows", windows as f64, "at least 1")?;
        Ok(Self { factor: 1.0 + tolerance, sign: 1.0, alpha, windows_opt: windows as f64 })
    }

    /// The same test in the other direction: the canary's mean must not be lower than `1 + tolerance` (say -0.05) times
    /// the baseline's.
    #[must_use]
    pub fn lower(mut self) -> Self {
        self.sign = -1.0;
        self
    }

    /// Folds one window in; ignored unless both sides have a finite mean.
    pub fn fold(&self, state: &mut State, canary: &Moments, baseline: &Moments) {
        let (Some(canary), Some(baseline)) = (canary.mean(), baseline.mean()) else { return };
        let difference = self.sign * (canary - self.factor * baseline);
        // Values near the largest float would overflow when squared.
        if difference.is_nan() || difference.abs() > 1e150 {
            return;
        }
        state.windows += 1;
        if state.windows <= WARM_UP {
            let [mean, deviations] = &mut state.learned;
            let step = difference - *mean;
            *mean += step / state.windows as f64;
            *deviations += step * (difference - *mean);
            return;
        }
        let judged = (state.windows - WARM_UP) as f64;
        let [sum, deviations] = &mut state.sums;
        let before = if judged > 1.0 { *sum / (judged - 1.0) } else { state.learned[0] };
        *sum += difference;
        *deviations += (difference - before) * (difference - *sum / judged);
    }

    /// Log evidence that the canary's mean is beyond tolerance; 0 during the warm-up and when nothing varies.
    pub fn ln_evidence(&self, state: &State) -> f64 {
        let variance = state.learned[1] / (WARM_UP - 1) as f64;
        if state.windows <= WARM_UP || variance <= 0.0 {
            return 0.0;
        }
        normal_mixture(state.sums[0], state.sums[1].max(0.0), rho(variance * self.windows_opt, self.alpha))
    }
}

/// Log of the one-sided normal mixture: `ln(4 rho/(v+rho))/2 + s^2/(2(v+rho)) + ln Phi(s/sqrt(v+rho))` for a sum `s` with
/// variance `v` (Howard, Ramdas, McAuliffe and Sekhon, Ann. Stat. 2021, proposition 6).
pub fn normal_mixture(s: f64, v: f64, rho: f64) -> f64 {
    let total = v + rho;
    0.5 * ln(4.0 * rho / total) + s * s / (2.0 * total) + ln_normal_cdf(s / total.sqrt())
}

/// Tuning of the mixture to be tightest at variance `v_opt`: `v_opt / (2 ln(1/2a) + ln(1 + 2 ln(1/2a)))`.
pub fn rho(v_opt: f64, alpha: f64) -> f64 {
    let twice = 2.0 * ln(1.0 / (2.0 * alpha));
    v_opt / (twice + ln(1.0 + twice))
}
