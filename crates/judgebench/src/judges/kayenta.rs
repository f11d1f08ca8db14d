use super::{Judge, rules};
use crate::traffic::Run;

/// Kayenta's `NetflixACAJudge` on one metric, the error ratio per minute, direction increase: HIGH when the lower end of
/// the 98 % Mann-Whitney interval exceeds a quarter of the Hodges-Lehmann estimate and the mean ratio is at least 1
/// (`MannWhitneyClassifier.scala`: tolerance 0.25, confLevel 0.98; these are constants of the judge).
///
/// Kinder than the original: interval ends are exact order statistics of the pairwise differences, where Kayenta's root
/// finder stops at an absolute 1e-4 and misjudges error ratios below a thousandth; the canary is compared with the whole
/// baseline rather than with one of equal size.
#[derive(Debug, Clone, Copy)]
pub struct Kayenta {
    name: &'static str,
    first_minute: usize,
}

impl Kayenta {
    /// A growing window, judged each minute from the fifth on; the first HIGH rolls back.
    pub const EVERY_MINUTE: Self = Self { name: "kay60", first_minute: 5 };
    /// One judgement after an hour.
    pub const ONCE: Self = Self { name: "kay1", first_minute: 60 };
}

/// Upper 1 % point of the normal distribution.
const Z: f64 = 2.326_347_874_040_841;

impl Judge for Kayenta {
    fn name(&self) -> &'static str {
        self.name
    }

    fn alarm_s(&self, run: &Run) -> Option<usize> {
        let (mut canary, mut baseline) = (Vec::new(), Vec::new());
        for (minute, window) in rules::minutes(run).enumerate() {
            // A minute without requests is NaN, which the default strategy removes.
            if window.canary.total > 0 {
                canary.push(window.canary.rate());
            }
            if window.baseline.total > 0 {
                baseline.push(window.baseline.rate());
            }
            if minute + 1 >= self.first_minute && is_high(&canary, &baseline) {
                return Some((minute + 1) * 60);
            }
        }
        None
    }
}

/// The classification HIGH of two series.
pub fn is_high(canary: &[f64], baseline: &[f64]) -> bool {
    if canary.is_empty() || baseline.is_empty() {
        return false;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    // Without a baseline error the effect size is NaN and is not asked.
    if mean(baseline) > 0.0 && mean(canary) < mean(baseline) {
        return false;
    }
    let pairs = (canary.len() * baseline.len()) as f64;
    let deviation = deviation(canary, baseline);
    let needed = 0.5 * pairs + 0.5 + Z * deviation;
    let positive = canary.iter().flat_map(|x| baseline.iter().map(move |y| f64::from(x > y))).sum::<f64>();
    // With too few points for the confidence the root finder's bracket ends at the smallest difference, and that is taken.
    let needed = if pairs <= needed + 0.5 { pairs } else { needed };
    // The interval's lower end is above 0 only if that many differences are; most looks end here.
    if deviation == 0.0 || positive < needed {
        return false;
    }
    let mut differences: Vec<f64> = canary.iter().flat_map(|x| baseline.iter().map(move |y| x - y)).collect();
    let low = order(&mut differences, (pairs - needed) as usize);
    let middle = order(&mut differences, (pairs / 2.0) as usize);
    low > 0.25 * middle.abs()
}

fn order(values: &mut [f64], index: usize) -> f64 {
    *values.select_nth_unstable_by(index, f64::total_cmp).1
}

/// Standard deviation of the rank sum with its correction for ties, which for all shifts but single points are the ties
/// within a side.
fn deviation(canary: &[f64], baseline: &[f64]) -> f64 {
    let (n, m) = (canary.len() as f64, baseline.len() as f64);
    let all = n + m;
    let ties = (ties(canary) + ties(baseline)) / (all * (all - 1.0));
    (n * m / 12.0 * (all + 1.0 - ties)).max(0.0).sqrt()
}

/// Sum of `t^3 - t` over groups of equal values.
fn ties(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.chunk_by(|a, b| a == b).map(|group| group.len() as f64).map(|t| t * t * t - t).sum()
}
