//! The likelihood profile of the ratio `theta = p_c / p_b`, and a confidence sequence by inverting the e-processes.
//!
//! Given the totals and the window's bad requests, who had them is binomial with `pi = theta n_c / (theta n_c + n_b)`,
//! whatever the baseline's rate. Its log likelihood is kept on a grid of ratios. At a true ratio `theta_0` (the same in every
//! window) the mixture `sum_k w_k exp(l(theta_k) - l(theta_0))` is an e-process, so all ratios with less than `1/alpha`
//! evidence against them hold the truth at every look with probability `1 - alpha`. `l` is concave in `ln theta`, so the set
//! is an interval. For display and sizes; the verdict's own test is [`crate::reject`].

use crate::Window;
use crate::math::{exp, ln, ln_1p, ln_sum};

/// Grid points; six to the octave from 1/32 to 32.
pub const POINTS: usize = 61;
const OCTAVE_STEPS: f64 = 6.0;

/// `2^(j/6)` for one octave, correctly rounded; the other octaves are exact multiples.
const OCTAVE: [f64; 6] = [
    1.0,
    1.122_462_048_309_373,
    1.259_921_049_894_873_2,
    core::f64::consts::SQRT_2,
    1.587_401_051_968_199_6,
    1.781_797_436_280_678_5,
];

/// The grid is data, so that folding a window needs one logarithm per point.
const RATIO: [f64; POINTS] = grid();

const fn grid() -> [f64; POINTS] {
    let mut ratios = [0.0; POINTS];
    let mut octave = 1.0 / 32.0;
    let mut index = 0;
    while index < POINTS {
        ratios[index] = OCTAVE[index % 6] * octave;
        index += 1;
        if index % 6 == 0 {
            octave *= 2.0;
        }
    }
    ratios
}

/// Log likelihood of the ratio relative to ratio 1, at each grid point. Plain numbers for storage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// `l(theta_j) - l(1)` with `theta_j = 2^((j-30)/6)`.
    pub ln_likelihood: [f64; POINTS],
    /// Bad requests seen: canary, baseline (only in windows where both sides had traffic).
    pub bad: [u64; 2],
}

/// A range of ratios canary / baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end; 0 when not bounded away from 0 by the grid (below 1/32).
    pub low: f64,
    /// Upper end; infinite when nothing up to 32x is excluded.
    pub high: f64,
    /// Likeliest ratio; 1 while there is no bad request at all.
    pub estimate: f64,
}

impl Default for Profile {
    fn default() -> Self {
        Self { ln_likelihood: [0.0; POINTS], bad: [0; 2] }
    }
}

/// The grid's ratio number `index`.
pub fn ratio(index: usize) -> f64 {
    RATIO[index.min(POINTS - 1)]
}

fn ln_ratio(index: f64) -> f64 {
    (index - (POINTS / 2) as f64) * (core::f64::consts::LN_2 / OCTAVE_STEPS)
}

impl Profile {
    /// Folds one window (or one stratum of it) in.
    pub fn fold(&mut self, window: &Window) {
        self.fold_dispersed(window, 1.0);
    }

    /// Folds one window in with its information divided by the dispersion `phi` ([`crate::dispersion`]); below 1 counts
    /// as 1.
    pub fn fold_dispersed(&mut self, window: &Window, phi: f64) {
        let phi = phi.max(1.0);
        let (n_c, x_c) = window.canary.floats();
        let (n_b, x_b) = window.baseline.floats();
        if !window.is_comparable() || x_c + x_b == 0.0 {
            return;
        }
        self.bad[0] = self.bad[0].saturating_add(x_c as u64);
        self.bad[1] = self.bad[1].saturating_add(x_b as u64);
        let share = n_c / (n_c + n_b);
        for (index, value) in self.ln_likelihood.iter_mut().enumerate() {
            let point = x_c * ln_ratio(index as f64) - (x_c + x_b) * ln_1p((RATIO[index] - 1.0) * share);
            *value += point / phi;
        }
    }

    /// Confidence sequence for a constant ratio: at any look, the true ratio lies inside with probability `1 - alpha`.
    ///
    /// `alpha` outside (0, 1) is read as 0.05. The ends are rounded outwards by at most a tenth of a grid step.
    pub fn interval(&self, alpha: f64) -> Interval {
        let alpha = if alpha > 0.0 && alpha < 1.0 { alpha } else { 0.05 };
        // Even weights over ln theta, 12 octaves wide at most: costs ln(61) at worst, ln(width) in effect.
        let mixture = ln_sum(&self.ln_likelihood) - ln(POINTS as f64);
        let floor = mixture - ln(1.0 / alpha);
        let best = self.best();
        let inside = |position: f64| self.at(position) >= floor;
        // A concave profile that lies under the floor at its grid maximum has no inside: the peak is between two points.
        let low = edge(best, -1.0, &inside).map_or(0.0, exp);
        let high = edge(best, 1.0, &inside).map_or(f64::INFINITY, exp);
        Interval { low, high, estimate: exp(ln_ratio(self.peak(best))) }
    }

    /// Log evidence against "the ratio is `theta` or more" (`above`) or "`theta` or less" (not `above`), from the
    /// alternatives on the other side, evenly weighted. Exact at grid ratios, else at the next one that is harder to
    /// exclude; beyond the grid 0, no evidence.
    pub fn ln_evidence_against(&self, theta: f64, above: bool) -> f64 {
        let position = ln(theta) / (core::f64::consts::LN_2 / OCTAVE_STEPS) + (POINTS / 2) as f64;
        let nearest = if (position - libm::round(position)).abs() < 1e-9 {
            libm::round(position)
        } else if above {
            libm::floor(position)
        } else {
            libm::ceil(position)
        };
        if !(1.0..=(POINTS - 2) as f64).contains(&nearest) {
            return 0.0;
        }
        let index = nearest as usize;
        let others = if above { &self.ln_likelihood[..index] } else { &self.ln_likelihood[index + 1..] };
        ln_sum(others) - ln(others.len() as f64) - self.ln_likelihood[index]
    }

    fn best(&self) -> usize {
        let mut best = POINTS / 2;
        for (index, value) in self.ln_likelihood.iter().enumerate() {
            if *value > self.ln_likelihood[best] {
                best = index;
            }
        }
        best
    }

    /// Position of the maximum: the parabola through the best point and its neighbours; none (no errors) is the middle.
    fn peak(&self, best: usize) -> f64 {
        if best == 0 || best == POINTS - 1 || self.bad == [0, 0] {
            return best as f64;
        }
        let [left, middle, right] =
            [self.ln_likelihood[best - 1], self.ln_likelihood[best], self.ln_likelihood[best + 1]];
        let curvature = 2.0 * middle - left - right;
        if curvature > 0.0 { best as f64 + 0.5 * (right - left) / curvature } else { best as f64 }
    }

    /// The profile between grid points: the larger of the two neighbouring chords' extensions bounds a concave function
    /// from above, the chord from below; their mean is taken from above only, so that the interval is never too short.
    fn at(&self, position: f64) -> f64 {
        let lower = libm::floor(position).clamp(0.0, (POINTS - 2) as f64);
        let index = lower as usize;
        let inner = position - lower;
        let value = |index: usize| self.ln_likelihood[index];
        let mut bound = f64::INFINITY;
        if index > 0 {
            bound = bound.min(value(index) + inner * (value(index) - value(index - 1)));
        }
        if index + 2 < POINTS {
            bound = bound.min(value(index + 1) - (1.0 - inner) * (value(index + 2) - value(index + 1)));
        }
        bound.max(value(index) + inner * (value(index + 1) - value(index)))
    }
}

/// `ln theta` where the profile leaves the inside, walking from `best` in `direction`; `None` if it never does.
fn edge(best: usize, direction: f64, inside: &impl Fn(f64) -> bool) -> Option<f64> {
    let last = (POINTS - 1) as f64;
    let mut position = best as f64;
    let mut step = direction;
    while inside(position + step) {
        position += step;
        if position <= 0.0 || position >= last {
            return None;
        }
    }
    for _ in 0..40 {
        step *= 0.5;
        if inside(position + step) {
            position += step;
        }
    }
    Some(ln_ratio(position + step))
}
