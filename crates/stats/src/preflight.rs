//! Before the start: what can this canary see, how long does it take, what does it cost?
//!
//! Per bad request the log evidence gains `D` on average with variance `V` (binomial split at the true ratio against the
//! tolerated one), so the evidence is about a Brownian motion with drift, and detection within `n` bad requests is its
//! first passage over `ln(1/alpha) + kappa`. `kappa` is what the mixture over alternatives and start times costs beyond
//! that, fitted by simulation (`judgebench power`).

use crate::bounds::{self, Case};
use crate::math::{bisect, exp, ln, ln_normal_cdf, normal_cdf, normal_quantile};
use crate::{Error, dispersion, exclude, increment};

/// Cost in nats of the alternatives' mixture with all wealth bet at the start, as exclusions bet it.
pub const KAPPA_PLAIN: f64 = 1.3;
/// Cost in nats of the mixture over start times as well. Simulated at shares from 1 to 50 % and ratios from 1.25 to 8, the
/// cost at which 90 % are found is 1.3 to 2.1, more for small ratios and less at large shares; this is what lies in the
/// middle, and 0.3 more or less is a point of power.
pub const KAPPA_LATE: f64 = 1.78;

/// What the test is run with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// False-alarm probability, in (0, 1).
    pub alpha: f64,
    /// Wanted probability of detection, in [0.5, 1).
    pub power: f64,
    /// Cost of the mixture in nats ([`KAPPA_PLAIN`] or [`KAPPA_LATE`]), less what a calibrated threshold saves.
    pub kappa: f64,
    /// Tolerated ratio canary / baseline.
    pub tolerated: f64,
    /// Weight of this metric among those averaged, in (0, 1]; 1 when alone.
    pub weight: f64,
    /// Dispersion of the counts, at least 1.
    pub phi: f64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { alpha: 0.01, power: 0.9, kappa: KAPPA_LATE, tolerated: 1.0, weight: 1.0, phi: 1.0 }
    }
}

/// Traffic and how often it is bad.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traffic {
    /// Requests per second, both sides together.
    pub rps: f64,
    /// Baseline's probability of a bad request.
    pub base: f64,
}

/// One step of a schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// How long it lasts.
    pub seconds: f64,
    /// Canary's share of requests, in (0, 1).
    pub share: f64,
}

impl Plan {
    /// Refuses a plan that no computation makes sense for.
    pub fn check(&self) -> Result<(), Error> {
        Error::unless(self.alpha > 0.0 && self.alpha < 1.0, "alpha", self.alpha, "between 0 and 1")?;
        Error::unless((0.5..1.0).contains(&self.power), "power", self.power, "from 0.5 to below 1")?;
        Error::unless(self.tolerated > 0.0, "tolerated", self.tolerated, "a ratio above 0")?;
        Error::unless(self.weight > 0.0 && self.weight <= 1.0, "weight", self.weight, "above 0, at most 1")?;
        Error::unless(self.phi >= 1.0 && self.phi.is_finite(), "phi", self.phi, "1 or more")
    }

    /// Evidence to be reached, in nats.
    fn target(&self) -> f64 {
        ln(1.0 / self.alpha) + self.kappa + ln(1.0 / self.weight)
    }

    fn z(&self) -> f64 {
        normal_quantile(self.power)
    }

    /// Bad requests (both sides together) after which the evidence stands above the threshold with the wanted power, in
    /// closed form; an upper bound of [`Plan::errors`], since the evidence may have crossed before and fallen back.
    pub fn errors_at_end(&self, share: f64, ratio: f64) -> f64 {
        let [gain, variance] = per_error(share, ratio, self.tolerated);
        if gain <= 0.0 {
            return f64::INFINITY;
        }
        let spread = self.z() * variance.sqrt();
        let root = (spread + (spread * spread + 4.0 * gain * self.target()).sqrt()) / (2.0 * gain);
        root * root * self.phi
    }

    /// Bad requests (both sides together) needed to detect `ratio` with the wanted power at this share; infinite when
    /// `ratio` is the tolerated one. Works in both directions: with `tolerated` above `ratio` it is the number needed
    /// to exclude.
    pub fn errors(&self, share: f64, ratio: f64) -> f64 {
        let most = self.errors_at_end(share, ratio);
        if most.is_infinite() {
            return most;
        }
        let [gain, variance] = per_error(share, ratio, self.tolerated);
        bisect(0.0, most, |errors| {
            let errors = errors / self.phi;
            !self.is_crossed(errors * gain, errors * variance)
        })
    }

    /// Seconds until `ratio` is detected with the wanted power at constant share: the minimal duration of a step.
    pub fn seconds(&self, traffic: &Traffic, share: f64, ratio: f64) -> f64 {
        let worth = self.worth(traffic, share, ratio);
        self.errors(share, ratio) / (traffic.rps * error_rate(traffic, share, ratio) * worth)
    }

    /// How many bad requests of a rare kind one of this traffic is worth, 1 or more: where many requests are bad, the good
    /// ones say something as well. The tests use that from a base rate of [`increment::RARE`] on.
    fn worth(&self, traffic: &Traffic, share: f64, ratio: f64) -> f64 {
        let [gain, _] = per_error(share, ratio, self.tolerated);
        let case = Case { share, base: traffic.base, ratio, tolerated: self.tolerated };
        let worth = bounds::information(&case) / (error_rate(traffic, share, ratio) * gain);
        let is_told = traffic.base >= increment::RARE && ratio.max(self.tolerated) * traffic.base < 1.0;
        if is_told && worth > 1.0 && worth.is_finite() { worth } else { 1.0 }
    }

    /// The smallest ratio that this schedule detects with the wanted power; `None` when not even 1000x is.
    pub fn detectable(&self, traffic: &Traffic, steps: &[Step]) -> Option<f64> {
        let short = |ln_ratio: f64| !self.detects(traffic, steps, exp(ln_ratio));
        let (low, high) = (ln(self.tolerated), ln(self.tolerated) + ln(1000.0));
        if short(high) {
            return None;
        }
        Some(exp(bisect(low, high, short)))
    }

    /// Whether a schedule detects `ratio` with the wanted power.
    pub fn detects(&self, traffic: &Traffic, steps: &[Step], ratio: f64) -> bool {
        let (mut gain, mut variance) = (0.0, 0.0);
        for step in steps {
            let rate = error_rate(traffic, step.share, ratio) * self.worth(traffic, step.share, ratio);
            let errors = step.seconds * traffic.rps * rate / self.phi;
            let [per_gain, per_variance] = per_error(step.share, ratio, self.tolerated);
            gain += errors * per_gain;
            variance += errors * per_variance;
        }
        self.is_crossed(gain, variance)
    }

    /// Whether evidence of this mean and variance has been above the target with the wanted power: first passage of a
    /// Brownian motion with drift, `Phi((m-a)/s) + e^(2 m a / s^2) Phi(-(m+a)/s)`.
    fn is_crossed(&self, mean: f64, variance: f64) -> bool {
        let (target, deviation) = (self.target(), variance.sqrt());
        if deviation == 0.0 {
            return mean >= target;
        }
        let at_end = normal_cdf((mean - target) / deviation);
        let before = exp(2.0 * mean * target / variance + ln_normal_cdf(-(mean + target) / deviation));
        at_end + before >= self.power
    }

    /// The smallest share, up to one half, that detects `ratio` within `seconds`; `None` when one half does not.
    pub fn share(&self, traffic: &Traffic, seconds: f64, ratio: f64) -> Option<f64> {
        let short = |share: f64| !self.detects(traffic, &[Step { seconds, share }], ratio);
        if short(0.5) {
            return None;
        }
        Some(bisect(0.0, 0.5, short))
    }

    /// The ratio below which noise between instances of spread `tau` hides a regression, whatever the traffic:
    /// `tolerated exp((z_alpha + z_power) tau sqrt(1/m_c + 1/m_b))`.
    pub fn instance_floor(&self, tau: f64, canary_pods: u64, baseline_pods: u64) -> f64 {
        let z = self.z() - normal_quantile(self.alpha);
        self.tolerated * exp(z * tau.max(0.0) * dispersion::pods_deviation(canary_pods, baseline_pods))
    }
}

/// Bad requests beyond the baseline's rate that users meet at `ratio` in `seconds`: `s R T p (ratio - 1)`.
pub fn harm(traffic: &Traffic, share: f64, seconds: f64, ratio: f64) -> f64 {
    share * traffic.rps * seconds * traffic.base * (ratio - 1.0)
}

/// Requests the canary must serve to exclude a slack `delta` when nothing fails on either side: the rule of three,
/// `ln(1/beta) / delta`.
pub fn quiet_requests(beta: f64, delta: f64) -> f64 {
    ln(1.0 / beta) / delta
}

/// Requests the canary must serve until a rate of its own as low as `base` excludes `rate` with the wanted power
/// ([`exclude::Test::or_below`] with `weight`): the fewest requests with which some number of failures is both likely
/// enough to be the most that come (Poisson) and evidence enough, each alternative on its own. Infinite from `base =
/// rate` on. `beta`: chance that the exclusion is wrong; `phi`: dispersion of the counts.
pub fn own_rate_requests(beta: f64, power: f64, base: f64, rate: f64, weight: f64, phi: f64) -> f64 {
    let by_alternative = exclude::BELOW_PARTS.map(|(part, share)| {
        let needed = ln(1.0 / (beta * weight * share));
        let per_good = crate::math::ln_1p(rate * (1.0 - part) / (1.0 - rate));
        let per_bad = per_good + ln(1.0 / part);
        let enough = |failures: u32| (needed + f64::from(failures) * per_bad) / per_good;
        (0..OWN_RATE_FAILURES_MAX)
            .map(|failures| (failures, enough(failures)))
            .find(|(failures, requests)| poisson_cdf(*failures, requests * base) >= power)
            .map_or(f64::INFINITY, |(_, requests)| requests * phi)
    });
    by_alternative[0].min(by_alternative[1])
}

/// Failures with which nobody excludes by the own rate any more: a comparison needs fewer requests.
const OWN_RATE_FAILURES_MAX: u32 = 100;

/// Probability of at most so many events of a Poisson law.
fn poisson_cdf(events: u32, mean: f64) -> f64 {
    let mut term = exp(-mean);
    let mut sum = term;
    for event in 1..=events {
        term *= mean / f64::from(event);
        sum += term;
    }
    sum
}

/// Bad requests per request at the true ratio: `p (s ratio + 1 - s)`; the canary's rate stops at 1.
fn error_rate(traffic: &Traffic, share: f64, ratio: f64) -> f64 {
    share * (ratio * traffic.base).min(1.0) + (1.0 - share) * traffic.base
}

/// Gain and variance of the log evidence per bad request.
fn per_error(share: f64, ratio: f64, tolerated: f64) -> [f64; 2] {
    let part = |ratio: f64| share * ratio / (share * ratio + 1.0 - share);
    let jump = ln(ratio / tolerated);
    let true_part = part(ratio);
    [crate::math::kl(true_part, part(tolerated)), true_part * (1.0 - true_part) * jump * jump]
}
