//! The Mann-Whitney test with an interval and an estimate for the shift between two samples, as R's `wilcox.test`
//! computes them by the normal approximation with correction for continuity and ties, and Kayenta after it.

use core::cmp::Ordering;

use super::brent;

/// Two samples, ready to be compared at any shift.
#[derive(Debug, Clone)]
pub struct MannWhitney {
    x: Vec<f64>,
    y: Vec<f64>,
    tolerance: Option<f64>,
}

/// All observations are tied at the shift that was tried, so that the statistic has no deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all observations are tied, there is no confidence interval")]
pub struct AllTied;

/// How exactly the ends of the interval are searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// To an absolute 1e-4, as Kayenta does: the answer depends on the unit of the metric, and differences below a
    /// thousandth are misjudged.
    Absolute,
    /// To a millionth of the range of the differences, at most the absolute 1e-4: the same in every unit.
    #[default]
    Scaled,
}

impl MannWhitney {
    /// The test of `x` (the canary) against `y`. NaN, which prepared series have none of, ranks highest.
    pub fn new(x: &[f64], y: &[f64], precision: Precision) -> Self {
        let sorted = |values: &[f64]| {
            let mut values = values.to_vec();
            values.sort_by(f64::total_cmp);
            values
        };
        Self::of_sorted(sorted(x), sorted(y), precision)
    }

    /// As [`MannWhitney::new`], of samples in rising order.
    fn of_sorted(x: Vec<f64>, y: Vec<f64>, precision: Precision) -> Self {
        let ranked = |values: Vec<f64>| -> Vec<f64> {
            values.into_iter().map(|value| if value.is_nan() { f64::INFINITY } else { value }).collect()
        };
        let mut test = Self { x: ranked(x), y: ranked(y), tolerance: None };
        test.tolerance = match precision {
            Precision::Absolute => None,
            Precision::Scaled => {
                let [low, high] = test.range();
                Some(((high - low) * 1e-6).min(brent::TOLERANCE)).filter(|tolerance| tolerance.is_finite())
            }
        };
        test
    }

    /// The smallest and the largest difference between an `x` and a `y`.
    pub fn range(&self) -> [f64; 2] {
        let ends = |values: &[f64]| (values.first().copied(), values.last().copied());
        match (ends(&self.x), ends(&self.y)) {
            ((Some(x_min), Some(x_max)), (Some(y_min), Some(y_max))) => [x_min - y_max, x_max - y_min],
            _ => [f64::NAN; 2],
        }
    }

    /// Standardised rank sum of `x - shift` among `y`, corrected for continuity and ties, minus `quantile`.
    pub fn statistic(&self, shift: f64, quantile: f64) -> Result<f64, AllTied> {
        let (n, m) = (self.x.len() as f64, self.y.len() as f64);
        let (ranks, ties) = self.ranks(shift);
        let centred = ranks - n * (n + 1.0) / 2.0 - n * m / 2.0;
        let continuity = if centred == 0.0 || centred.is_nan() { 0.0 } else { 0.5 * centred.signum() };
        let all = n + m;
        let deviation = ((n * m / 12.0) * ((all + 1.0) - ties / (all * (all - 1.0)))).sqrt();
        if deviation == 0.0 {
            return Err(AllTied);
        }
        Ok((centred - continuity) / deviation - quantile)
    }

    /// Sum of the average ranks of `x - shift` among both samples, and the sum of `t^3 - t` over ties. NaN, which only
    /// infinities make, ranks highest.
    fn ranks(&self, shift: f64) -> (f64, f64) {
        let moved = |x: f64| {
            let value = x - shift;
            if value.is_nan() { f64::INFINITY } else { value }
        };
        let (mut i, mut j) = (0, 0);
        let (mut before, mut sum, mut ties) = (0.0, 0.0, 0.0);
        while i < self.x.len() || j < self.y.len() {
            let x = self.x.get(i).map(|x| moved(*x));
            let y = self.y.get(j).copied();
            let value = match (x, y) {
                (Some(x), Some(y)) if x.partial_cmp(&y) == Some(Ordering::Greater) => y,
                (Some(x), _) => x,
                (None, Some(y)) => y,
                (None, None) => break,
            };
            let mut of_x = 0.0;
            let mut tied = 0.0;
            while self.x.get(i).is_some_and(|x| moved(*x) == value) {
                (i, of_x, tied) = (i + 1, of_x + 1.0, tied + 1.0);
            }
            while self.y.get(j).is_some_and(|y| *y == value) {
                (j, tied) = (j + 1, tied + 1.0);
            }
            sum += of_x * (before + f64::midpoint(tied, 1.0));
            ties += tied * tied * tied - tied;
            before += tied;
        }
        (sum, ties)
    }

    /// The lower end of the two-sided interval whose tails are cut at the normal quantile `z` (above 0).
    pub fn low(&self, z: f64) -> Result<f64, AllTied> {
        self.end(z)
    }

    /// The upper end.
    pub fn high(&self, z: f64) -> Result<f64, AllTied> {
        self.end(-z)
    }

    fn end(&self, quantile: f64) -> Result<f64, AllTied> {
        let [low, high] = self.range();
        let at_ends = [self.statistic(low, quantile)?, self.statistic(high, quantile)?];
        if at_ends[0] <= 0.0 {
            return Ok(low);
        }
        if at_ends[1] >= 0.0 {
            return Ok(high);
        }
        Ok(self.root([low, high], at_ends, quantile))
    }

    /// Hodges and Lehmann's estimate of the shift. Kayenta keeps the continuity correction on here, which R drops.
    pub fn estimate(&self) -> Result<f64, AllTied> {
        let [low, high] = self.range();
        let at_ends = [self.statistic(low, 0.0)?, self.statistic(high, 0.0)?];
        Ok(self.root([low, high], at_ends, 0.0))
    }

    /// Whether the lower end can lie above 0: false where the sign changes so far below it that the search, which ends
    /// within its tolerance of the change, must end below it too.
    pub(super) fn may_exceed_zero(&self, z: f64) -> bool {
        let below = -2.0 * self.tolerance.unwrap_or(brent::TOLERANCE);
        below <= self.range()[0] || self.statistic(below, z).is_ok_and(|statistic| statistic > 0.0)
    }

    fn root(&self, ends: [f64; 2], at_ends: [f64; 2], quantile: f64) -> f64 {
        // Between the ends not everything can be tied: it would be at one of them too.
        let at = |shift| self.statistic(shift, quantile).unwrap_or(0.0);
        brent::solve(ends, at_ends, self.tolerance.unwrap_or(brent::TOLERANCE), at)
    }

    /// Share of pairs in which `x` is the larger one, ties counted half (the common language effect size).
    pub fn superiority(&self) -> f64 {
        let (n, m) = (self.x.len() as f64, self.y.len() as f64);
        let (ranks, _) = self.ranks(0.0);
        (2.0 * ranks - n * (n + 1.0)) / (2.0 * n * m)
    }
}
