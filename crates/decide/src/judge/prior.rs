//! What is known before the first window: how the running version answers (the normal profile) and
//! what the plan will ask of the canary. A choice of test may rest on either, never on the canary.

use taxiway_model::counts::Counts;
use taxiway_model::evidence::total;
use taxiway_model::normal::Normal;
use taxiway_model::plan::Plan;
use taxiway_model::policy::{AnalysisPolicy, MetricPolicy};
use taxiway_model::weight::WeightBp;
use taxiway_stats::threshold::{Calibrated, Forecast};
use taxiway_stats::{Window, dispersion};

use super::finding;

/// Seconds over which the wealth for late faults is spread at least: an hour, since a canary that
/// bakes for seconds is usually left to run on, and since the price of a longer horizon is small.
pub(super) const HORIZON_S_MIN: f64 = 3_600.0;

/// Requests of a normal profile below which its base rate is not taken for known.
const KNOWN_REQUESTS_MIN: u64 = 1_000;

/// Whether so many requests of a normal profile make its rates known.
pub(crate) fn is_known(requests: u64) -> bool {
    requests >= KNOWN_REQUESTS_MIN
}

/// What the plan says of the comparison to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// Smallest and largest share of the requests that the canary is given while it is compared;
    /// none where the share is not the plan's to say (by header, mirrored, from files).
    pub shares: Option<[WeightBp; 2]>,
    /// Time for which it is to be compared, all steps together.
    pub compared_ms: u64,
    /// The fewest canary instances it is compared with.
    pub canary_instances: u32,
    /// The fresh baseline it is compared with; none where that is all that ran before.
    pub fresh: Option<Fresh>,
}

/// What a plan says of a fresh baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fresh {
    /// The fewest instances it has.
    pub instances: u32,
    /// The share of all requests that it and the canary have together, where all steps have the same.
    pub both: Option<WeightBp>,
}

impl Outlook {
    /// What a plan's steps with a live baseline amount to.
    pub fn of(plan: &Plan) -> Self {
        let compared = || {
            let live = |weight| weight > WeightBp::ZERO && weight < WeightBp::ALL;
            plan.steps
                .iter()
                .filter(move |step| plan.baseline.is_some() && step.analysis && live(step.weight))
        };
        let by_weight = plan.steps.iter().all(|step| step.header.is_none() && step.mirror == WeightBp::ZERO);
        // Of the requests of both sides: a fresh baseline has only as many as the canary.
        let weights = || compared().map(|step| step.weight.among(plan.fresh_weight(step)));
        let shares = weights().min().zip(weights().max()).filter(|_| by_weight);
        let both = || {
            compared().filter_map(|step| WeightBp::new(step.weight.bp() + plan.fresh_weight(step).bp()).ok())
        };
        let fresh = plan.wants_fresh().then(|| Fresh {
            instances: compared().map(|step| plan.fresh_instances(step)).min().unwrap_or(1),
            both: both().min().filter(|least| both().all(|other| other == *least)),
        });
        let replicas = plan.version.target.replicas;
        Self {
            shares: shares.map(|(least, most)| [least, most]),
            compared_ms: compared().map(|step| step.bake_ms).sum(),
            canary_instances: compared().map(|step| step.canary_instances(replicas)).min().unwrap_or(1),
            fresh,
        }
    }

    /// Seconds over which faults may begin.
    pub(super) fn horizon_s(&self) -> f64 {
        (self.compared_ms as f64 / 1e3).max(HORIZON_S_MIN)
    }
}

/// A normal profile and the outlook, as one metric's tests ask for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prior<'a> {
    pub normal: &'a Normal,
    pub outlook: &'a Outlook,
}

impl Prior<'_> {
    /// What the running version answered where this metric looks.
    pub(super) fn seen(&self, metric: &MetricPolicy) -> Counts {
        match &metric.endpoint {
            Some(name) => self.normal.classes.get(name).cloned().unwrap_or_default(),
            None => total(&self.normal.classes),
        }
    }

    /// The rate of failure, where enough requests were seen to call it known.
    pub(super) fn base_rate(&self, metric: &MetricPolicy) -> Option<f64> {
        let seen = self.seen(metric);
        is_known(seen.requests).then(|| seen.errors() as f64 / seen.requests as f64)
    }

    /// How much more failures vary than independent ones would; 1 where that is not known.
    pub(super) fn error_dispersion(&self) -> f64 {
        known_dispersion(self.normal.error_dispersion_milli).unwrap_or(1.0)
    }

    /// The same of slow requests; none where it is not known.
    pub(super) fn slow_dispersion(&self) -> Option<f64> {
        known_dispersion(self.normal.slow_dispersion_milli)
    }

    /// The factor below which a difference of rates is within what instances differ by anyway.
    pub(super) fn attributable(&self, alpha: f64) -> f64 {
        let tau = self.normal.instance_noise_milli.unwrap_or(0) as f64 / 1e3;
        let canary = u64::from(self.outlook.canary_instances);
        let baseline = self.outlook.fresh.map_or(self.normal.instances, |fresh| fresh.instances);
        dispersion::attributable(1.0, tau.min(5.0), canary, u64::from(baseline), alpha).clamp(1.0, 1e3)
    }

    /// Requests a second that both sides of the comparison will have together. Beside a fresh baseline
    /// that is a part of all; none where that part grows from step to step.
    fn compared_rps(&self, metric: &MetricPolicy) -> Option<f64> {
        let both = self.outlook.fresh.map_or(Some(WeightBp::ALL), |fresh| fresh.both)?;
        let all = self.seen(metric).requests as f64 * 1e3 / self.normal.span_ms.max(1) as f64;
        Some(all * f64::from(both.bp()) / 1e4).filter(|rps| *rps > 0.0)
    }

    /// When evidence of failures against a tolerated ratio is enough.
    ///
    /// Ville's threshold always holds. What it wastes is given back (a third of the time to
    /// detection) where the crossing probability is known: no slack, failures independent of each
    /// other and alike at all instances in the profile, and a share that the plan knows.
    pub(super) fn threshold(&self, policy: &AnalysisPolicy, metric: &MetricPolicy, theta: f64) -> Calibrated {
        let alpha = finding::alpha(policy, metric);
        let independent = self.normal.error_dispersion_milli.is_some_and(|milli| milli <= 1_000)
            && self.normal.instance_noise_milli.unwrap_or(0) == 0;
        let (Some(shares), Some(rate)) = (self.outlook.shares, self.base_rate(metric)) else {
            return Calibrated::none(alpha);
        };
        if !independent || metric.slack_ppm > 0 || self.normal.span_ms == 0 {
            return Calibrated::none(alpha);
        }
        let Some(rps) = self.compared_rps(metric) else { return Calibrated::none(alpha) };
        let horizon_s = self.outlook.horizon_s();
        let shares = shares.map(|share| f64::from(share.bp()) / 1e4);
        // The largest share closes windows the soonest, and the more windows the more must be asked for.
        let windows = horizon_s / Window::expected_s(rps * shares[0].max(shares[1]));
        let forecast = Forecast { shares, errors: rate * rps * horizon_s, windows: windows.max(1.0) };
        Calibrated::new(alpha, theta, &forecast).unwrap_or_else(|_| Calibrated::none(alpha))
    }
}

/// When evidence of slowness is enough: calibrated where the profile has seen slow requests come
/// independently of each other, and the plan knows the share; else Ville's.
pub(super) fn latency_threshold(alpha: f64, metric: &MetricPolicy, prior: Option<Prior<'_>>) -> Calibrated {
    let calibrated = |prior: Prior<'_>| {
        let shares = prior.outlook.shares?.map(|share| f64::from(share.bp()) / 1e4);
        let rps = prior.compared_rps(metric)?;
        let windows = prior.outlook.horizon_s() / Window::expected_s(rps * shares[0].max(shares[1]));
        Calibrated::latency(alpha, shares, rps, windows).ok()
    };
    let calm = prior.filter(|prior| prior.slow_dispersion() == Some(1.0));
    calm.and_then(calibrated).unwrap_or_else(|| Calibrated::none(alpha))
}

fn known_dispersion(milli: Option<u64>) -> Option<f64> {
    milli.map(|milli| (milli as f64 / 1e3).clamp(1.0, 1e6))
}
