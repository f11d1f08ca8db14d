use taxiway_stats::math::{ln, ln_1p, ln_beta};

use super::Judge;
use crate::traffic::Run;

/// Bayes factor of the Dirichlet process of Lindon and Malek (NeurIPS 2022, arXiv 2011.03567), the method of Netflix's
/// count data monitoring: prior Beta(100 s, 100 (1-s)) on the canary's part of the errors, a look every second, alarm at
/// 100 when the canary has more than its share.
#[derive(Debug, Clone, Copy)]
pub struct Netflix {
    /// The canary's share of the traffic, constant.
    pub share: f64,
}

/// savvi's default concentration.
const CONCENTRATION: f64 = 100.0;

impl Judge for Netflix {
    fn name(&self) -> &'static str {
        "nfx"
    }

    fn alarm_s(&self, run: &Run) -> Option<usize> {
        let (prior_c, prior_b) = (CONCENTRATION * self.share, CONCENTRATION * (1.0 - self.share));
        let start = ln_beta(prior_c, prior_b);
        let (ln_c, ln_b) = (ln(self.share), ln_1p(-self.share));
        let threshold = ln(100.0);
        let (mut bad_c, mut bad_b) = (0.0, 0.0);
        for (second, window) in run.seconds.iter().enumerate() {
            if window.canary.bad + window.baseline.bad == 0 {
                continue;
            }
            bad_c += window.canary.bad as f64;
            bad_b += window.baseline.bad as f64;
            let ln_factor = ln_beta(prior_c + bad_c, prior_b + bad_b) - start - bad_c * ln_c - bad_b * ln_b;
            if ln_factor >= threshold && bad_c > self.share * (bad_c + bad_b) {
                return Some(second + 1);
            }
        }
        None
    }
}
