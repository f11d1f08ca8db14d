//! Do requests fail independently? Measured on the baseline's instances before the canary begins.
//!
//! `phi` (Pearson X^2 per degree of freedom) is 1 for independent errors and about the mean square cluster size per mean
//! cluster size otherwise; the count tests divide their information by it. Learned during the canary it comes too late.
//! `tau` is the spread between instances that no amount of traffic averages away; it raises the ratio that can be told
//! from luck.

use crate::Arm;
use crate::math::{exp, normal_quantile};

/// Pearson X^2 per degree of freedom over windows of per-instance counts, at least 1.
///
/// Outer slice: windows in time order; inner: one [`Arm`] per instance, in the same order. 1 when nothing was bad or there
/// are fewer than two instances.
pub fn pearson(windows: &[Vec<Arm>]) -> f64 {
    fit(windows).map_or(1.0, |fit| fit.phi.max(1.0))
}

/// Pearson statistic of some windows, with what its error and the expected counts are.
struct Fit {
    /// X^2 per degree of freedom.
    phi: f64,
    /// Standard error of `phi` if requests were independent.
    error: f64,
    /// Mean expected bad count of an instance in a window.
    expected: f64,
}

fn fit(windows: &[Vec<Arm>]) -> Option<Fit> {
    let (mut square, mut freedom, mut cells, mut bad_sum) = (0.0, 0.0, 0.0, 0.0);
    for pods in windows {
        let (total, bad) = sums(pods);
        if bad <= 0.0 || pods.len() < 2 {
            continue;
        }
        for pod in pods {
            let (n, x) = pod.floats();
            let expected = bad * n / total;
            if expected > 0.0 {
                square += (x - expected) * (x - expected) / expected;
                cells += 1.0;
                freedom += 1.0;
            }
        }
        freedom -= 1.0;
        bad_sum += bad;
    }
    if freedom <= 0.0 {
        return None;
    }
    let expected = bad_sum / cells;
    Some(Fit { phi: square / freedom, error: ((2.0 + 1.0 / expected) / freedom).sqrt(), expected })
}

/// How the baseline's instances fail, learned before the canary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Learned {
    /// Dispersion by clusters of errors, at least 1; divides the count tests' information.
    pub phi: f64,
    /// Relative spread of the instances' rates beyond that (0.2 = 20 %); raises the tolerated ratio ([`attributable`]).
    pub tau: f64,
}

/// Tells clusters of errors from noise between instances: clusters inflate the Pearson statistic alike at any window length,
/// noise in proportion to the expected count, `phi(T) = phi + tau^2 mu(T)`.
///
/// `windows` as in [`pearson`], `sizes`: numbers of windows to merge, rising, at least two for `tau` (10 s windows: 1, 6
/// and 30). What is within three standard errors of independence counts as independent, so that healthy traffic pays
/// nothing.
pub fn learn(windows: &[Vec<Arm>], sizes: &[usize]) -> Learned {
    let fits: Vec<Fit> = sizes.iter().filter_map(|size| fit(&merged(windows, *size))).collect();
    let (Some(short), Some(long)) = (fits.first(), fits.last()) else {
        return Learned { phi: 1.0, tau: 0.0 };
    };
    let (rise, run) = (long.phi - short.phi, long.expected - short.expected);
    // The long statistic's error grows with its own size once instances do differ.
    let sure = rise > 3.0 * (short.error + long.error) * short.phi.max(1.0);
    let square = if sure && run > 0.0 { rise / run } else { 0.0 };
    let phi = fits
        .iter()
        .filter(|fit| fit.phi - square * fit.expected > 1.0 + 3.0 * fit.error)
        .map(|fit| fit.phi - square * fit.expected)
        .fold(1.0, f64::max);
    Learned { phi, tau: square.sqrt() }
}

/// The largest [`pearson`] after merging each of `sizes` consecutive windows (ten-second windows: 1, 6 and 30 give 10 s,
/// 60 s and 300 s); clusters longer than a window show only in a longer one. At least 1; a trailing rest is dropped.
pub fn dispersion(windows: &[Vec<Arm>], sizes: &[usize]) -> f64 {
    sizes.iter().map(|size| pearson(&merged(windows, *size))).fold(1.0, f64::max)
}

fn merged(windows: &[Vec<Arm>], size: usize) -> Vec<Vec<Arm>> {
    windows.chunks_exact(size.max(1)).map(merge).collect()
}

fn merge(windows: &[Vec<Arm>]) -> Vec<Arm> {
    let mut sum: Vec<Arm> = Vec::new();
    for pods in windows {
        sum.resize(sum.len().max(pods.len()), Arm::default());
        for (sum, pod) in sum.iter_mut().zip(pods) {
            sum.total = sum.total.saturating_add(pod.total);
            sum.bad = sum.bad.saturating_add(pod.bad);
        }
    }
    sum
}

fn sums(pods: &[Arm]) -> (f64, f64) {
    pods.iter().map(|pod| pod.floats()).fold((0.0, 0.0), |sum, pod| (sum.0 + pod.0, sum.1 + pod.1))
}

/// Spread `tau` of the bad rate between instances beyond chance, relative to the mean (0.2 = 20 %), by moments:
/// `tau^2 = sum((x-e)^2 - e(1-e/X)) / sum e^2`, at least 0. 0 for fewer than two instances.
pub fn spread(pods: &[Arm]) -> f64 {
    let (total, bad) = sums(pods);
    if bad <= 0.0 || pods.len() < 2 {
        return 0.0;
    }
    let (mut excess, mut scale) = (0.0, 0.0);
    for pod in pods {
        let (n, x) = pod.floats();
        let expected = bad * n / total;
        excess += (x - expected) * (x - expected) - expected * (1.0 - expected / bad);
        scale += expected * expected;
    }
    if scale > 0.0 { (excess / scale).max(0.0).sqrt() } else { 0.0 }
}

/// The tolerated ratio raised to what instances of spread `tau` do by luck: `theta exp(z_alpha tau sqrt(1/m_c + 1/m_b))`.
///
/// `m_c`, `m_b`: instances of canary and baseline (0 counts as 1). With one canary instance and `tau` 0.2 it is 1.6 times
/// `theta`: smaller regressions are not attributable whatever the traffic.
pub fn attributable(theta: f64, tau: f64, canary_pods: u64, baseline_pods: u64, alpha: f64) -> f64 {
    let z = -normal_quantile(alpha);
    theta * exp(z.max(0.0) * tau.max(0.0) * pods_deviation(canary_pods, baseline_pods))
}

/// `sqrt(1/m_c + 1/m_b)`, counting no instance as one.
pub(crate) fn pods_deviation(canary_pods: u64, baseline_pods: u64) -> f64 {
    (1.0 / canary_pods.max(1) as f64 + 1.0 / baseline_pods.max(1) as f64).sqrt()
}
