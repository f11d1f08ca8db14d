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

/// `2^((j-30)/6)`, correctly rounded: the grid is data, so that folding a window needs one logarithm per point.
#[rustfmt::skip]
const RATIO: [f64; POINTS] = [
    0.031_25, 0.035_076_939_009_667_91, 0.039_372_532_809_214_79, 0.044_194_173_824_159_22, 0.049_606_282_874_006_24, 0.055_681_169_883_771_205,
    0.062_5, 0.070_153_878_019_335_81, 0.078_745_065_618_429_57, 0.088_388_347_648_318_45, 0.099_212_565_748_012_47, 0.111_362_339_767_542_41,
    0.125, 0.140_307_756_038_671_63, 0.157_490_131_236_859_15, 0.176_776_695_296_636_9, 0.198_425_131_496_024_95, 0.222_724_679_535_084_82,
    0.25, 0.280_615_512_077_343_25, 0.314_980_262_473_718_3, 0.353_553_390_593_273_8, 0.396_850_262_992_049_9, 0.445_449_359_070_169_64,
    0.5, 0.561_231_024_154_686_5, 0.629_960_524_947_436_6, 0.707_106_781_186_547_6, 0.793_700_525_984_099_8, 0.890_898_718_140_339_3,
    1.0, 1.122_462_048_309_373, 1.259_921_049_894_873_2, 1.414_213_562_373_095_1, 1.587_401_051_968_199_6, 1.781_797_436_280_678_5,
    2.0, 2.244_924_096_618_746, 2.519_842_099_789_746_4, 2.828_427_124_746_190_3, 3.174_802_103_936_399, 3.563_594_872_561_357,
    4.0, 4.489_848_193_237_492, 5.039_684_199_579_493, 5.656_854_249_492_381, 6.349_604_207_872_798, 7.127_189_745_122_714,
    8.0, 8.979_696_386_474_984, 10.079_368_399_158_986, 11.313_708_498_984_761, 12.699_208_415_745_597, 14.254_379_490_245_428,
    16.0, 17.959_392_772_949_97, 20.158_736_798_317_97, 22.627_416_997_969_522, 25.398_416_831_491_193, 28.508_758_980_490_857,
    32.0,
];

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
        let (n_c, x_c) = window.canary.floats();
        let (n_b, x_b) = window.baseline.floats();
        if !window.is_comparable() || x_c + x_b == 0.0 {
            return;
        }
        self.bad[0] = self.bad[0].saturating_add(x_c as u64);
        self.bad[1] = self.bad[1].saturating_add(x_b as u64);
        let share = n_c / (n_c + n_b);
        for (index, value) in self.ln_likelihood.iter_mut().enumerate() {
            *value += x_c * ln_ratio(index as f64) - (x_c + x_b) * ln_1p((RATIO[index] - 1.0) * share);
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
        let low = self.edge(best, -1.0, &inside).map_or(0.0, exp);
        let high = self.edge(best, 1.0, &inside).map_or(f64::INFINITY, exp);
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

    /// `ln theta` where the profile leaves the inside, walking from `best` in `direction`; `None` if it never does.
    fn edge(&self, best: usize, direction: f64, inside: &impl Fn(f64) -> bool) -> Option<f64> {
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
}
