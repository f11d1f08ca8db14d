//! Rank sum over instances: is what the canary's instances use higher than what the baseline's do?
//!
//! For gauges (memory, queue depth) the unit is the instance, not the sample: sixty readings of one process are not sixty
//! observations. If instances of both sides are exchangeable, every choice of which ones are the canary's is equally
//! likely, whatever the law of the gauge; the chance of a rank sum at least as high is counted exactly (Wilcoxon, Mann and
//! Whitney). Few instances cannot show much, and [`least`] says how much before anything is seen.

use crate::math::{exp, ln_normal_cdf};

/// Products of the two numbers of instances up to which the chance is counted; the normal approximation beyond.
const EXACT_MAX: usize = 4_000;

/// Chance, when the instances are exchangeable, that the canary's rank as high as they do or higher. Ties go against
/// showing anything. 1 when a side is empty; values that are not numbers are left out.
pub fn chance(canary: &[f64], baseline: &[f64]) -> f64 {
    let clean =
        |values: &[f64]| -> Vec<f64> { values.iter().copied().filter(|value| !value.is_nan()).collect() };
    let (canary, baseline) = (clean(canary), clean(baseline));
    if canary.is_empty() || baseline.is_empty() {
        return 1.0;
    }
    let above =
        canary.iter().map(|value| baseline.iter().filter(|other| value > other).count()).sum::<usize>();
    let (m, n) = (canary.len(), baseline.len());
    if m * n <= EXACT_MAX { exact(m, n, above) } else { normal(m, n, above) }
}

/// The smallest [`chance`] that so many instances can give: one in the number of ways to choose them.
pub fn least(canary: usize, baseline: usize) -> f64 {
    let few = canary.min(baseline);
    (1..=few).map(|k| k as f64 / (canary + baseline - few + k) as f64).product()
}

/// Chance that at least `above` of the `m n` pairs are won, over all ways to choose the `m`.
fn exact(m: usize, n: usize, above: usize) -> f64 {
    // won[j][u]: the share of ways in which j chosen among those looked at so far win u pairs; built one instance at a
    // time from the lowest, a chosen one wins against every one below that was not chosen.
    let mut ways = vec![vec![0.0_f64; m * n + 1]; m + 1];
    ways[0][0] = 1.0;
    for seen in 0..m + n {
        for chosen in (0..m.min(seen + 1)).rev() {
            let below = seen - chosen;
            if below > n {
                continue;
            }
            for won in (0..=m * n - below.min(m * n)).rev() {
                let ways_here = ways[chosen][won];
                if ways_here > 0.0 {
                    ways[chosen + 1][won + below] += ways_here;
                }
            }
        }
    }
    let all: f64 = ways[m].iter().sum();
    let high: f64 = ways[m][above.min(m * n)..].iter().sum();
    if all > 0.0 { (high / all).clamp(0.0, 1.0) } else { 1.0 }
}

fn normal(m: usize, n: usize, above: usize) -> f64 {
    let (m, n, above) = (m as f64, n as f64, above as f64);
    let spread = (m * n * (m + n + 1.0) / 12.0).sqrt();
    exp(ln_normal_cdf(-(above - 0.5 - m * n / 2.0) / spread)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64) {
        assert!((one - other).abs() < 1e-9, "{one} is not {other}");
    }

    /// Reference values: `scipy.stats.mannwhitneyu(c, b, alternative="greater", method="exact")`.
    #[test]
    fn chances_are_counted_exactly() {
        near(chance(&[4.0, 5.0, 6.0], &[1.0, 2.0, 3.0]), 0.05);
        near(chance(&[3.0, 5.0, 6.0], &[1.0, 2.0, 4.0]), 0.1);
        near(chance(&[1.0, 2.0], &[3.0, 4.0, 5.0]), 1.0);
        near(chance(&[2.0, 7.0, 9.0, 10.0], &[1.0, 3.0, 4.0, 5.0, 6.0, 8.0]), 27.0 / 210.0);
        near(least(3, 8), 1.0 / 165.0);
        near(chance(&[9.0, 10.0, 11.0], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]), 1.0 / 165.0);
    }

    #[test]
    fn ties_show_nothing_and_no_number_panics() {
        near(chance(&[1.0; 5], &[1.0; 5]), 1.0);
        near(chance(&[], &[1.0]), 1.0);
        near(chance(&[f64::NAN, f64::INFINITY], &[f64::NEG_INFINITY, 0.0]), 1.0 / 3.0);
        let many: Vec<f64> = (0..100).map(f64::from).collect();
        let chance = chance(&many, &many);
        assert!((0.45..=0.6).contains(&chance), "{chance}");
    }
}
