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
    let (mut square, mut freedom) = (0.0, 0.0);
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
                freedom += 1.0;
            }
        }
        freedom -= 1.0;
    }
    if freedom > 0.0 { (square / freedom).max(1.0) } else { 1.0 }
}

/// The largest [`pearson`] after merging each of `sizes` consecutive windows (ten-second windows: 1, 6 and 30 give 10 s,
/// 60 s and 300 s); clusters longer than a window show only in a longer one. At least 1; a trailing rest is dropped.
pub fn dispersion(windows: &[Vec<Arm>], sizes: &[usize]) -> f64 {
    let merged = |size: usize| -> Vec<Vec<Arm>> { windows.chunks_exact(size.max(1)).map(merge).collect() };
    sizes.iter().map(|size| pearson(&merged(*size))).fold(1.0, f64::max)
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
