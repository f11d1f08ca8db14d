//! What Kayenta does to a series before it is compared: gaps, outliers, summary.

use taxiway_stats::math::normal_quantile;

/// What becomes of a NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NanStrategy {
    /// It is dropped.
    #[default]
    Remove,
    /// It is read as 0, and a side without data passes.
    Replace,
}

/// A series in short.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Smallest value; 0 without data, as the others.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Deviation of a sample (divided by n - 1).
    pub deviation: f64,
    /// Number of values.
    pub count: usize,
}

impl Summary {
    /// Of the values as they are.
    pub fn of(values: &[f64]) -> Self {
        if values.is_empty() {
            return Self { min: 0.0, max: 0.0, mean: 0.0, deviation: 0.0, count: 0 };
        }
        let mean = mean(values);
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let rest: f64 = values.iter().map(|value| value - mean).sum();
        let count = values.len() as f64;
        let deviation =
            if values.len() < 2 { 0.0 } else { ((squares - rest * rest / count) / (count - 1.0)).sqrt() };
        Self {
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            mean,
            deviation,
            count: values.len(),
        }
    }
}

/// Arithmetic mean in two passes, the second correcting the first one's rounding; NaN without values.
pub(super) fn mean(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let first = values.iter().sum::<f64>() / count;
    first + values.iter().map(|value| value - first).sum::<f64>() / count
}

/// The `p`th percentile (0 to 100) by linear interpolation between order statistics (Hyndman and Fan's type 7); NaN
/// without values.
pub fn percentile(values: &[f64], p: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    percentile_of_sorted(&sorted, p)
}

fn percentile_of_sorted(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = last as f64 * p.clamp(0.0, 100.0) / 100.0;
    let below = (position as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

/// Values further than `factor` interquartile ranges outside of the quartiles are outliers; with `reduced` sensitivity,
/// as the judge has it, only if they lie beyond the 1st and 99th percentiles too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fences {
    /// Times the interquartile range.
    pub factor: f64,
    /// Whether the percentiles widen the fences.
    pub reduced: bool,
}

impl Fences {
    /// The values between which nothing is an outlier; NaN without values.
    pub fn of(self, values: &[f64]) -> [f64; 2] {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |p| percentile_of_sorted(&sorted, p);
        let range = at(75.0) - at(25.0);
        let (low, high) = (at(25.0) - self.factor * range, at(75.0) + self.factor * range);
        if self.reduced { [low.min(at(1.0)), high.max(at(99.0))] } else { [low, high] }
    }
}

/// The series as it is judged: gaps first, then outliers.
pub fn prepare(values: &[f64], nan: NanStrategy, outliers: Option<Fences>) -> Vec<f64> {
    let mut kept: Vec<f64> = match nan {
        NanStrategy::Remove => values.iter().copied().filter(|value| !value.is_nan()).collect(),
        NanStrategy::Replace => {
            values.iter().map(|value| if value.is_nan() { 0.0 } else { *value }).collect()
        }
    };
    if let Some(fences) = outliers {
        let [low, high] = fences.of(&kept);
        kept.retain(|value| !(*value < low || *value > high));
    }
    kept
}

/// A constant series pulled apart by a hundred-thousandth of its value. Kayenta draws Gaussian noise without a seed, so
/// that its answer may change from run to run; these are the Gaussian's quantiles, the same every time.
pub(super) fn spread(values: &[f64]) -> Vec<f64> {
    let scale = values.first().map_or(0.0, |value| value * 1e-5);
    let count = values.len() as f64;
    let score = |at: usize| normal_quantile((at as f64 + 0.5) / count);
    values.iter().enumerate().map(|(at, value)| value + scale * score(at)).collect()
}
