//! The power of the tests that will judge, with one metric of errors and one of latency.

use crate::judge::{is_known, own_rate};
use taxiway_model::counts::{Histogram, SCALE};
use taxiway_model::evidence::{Classes, total};
use taxiway_model::forecast::Traffic;
use taxiway_model::plan::{Plan, Step};
use taxiway_model::policy::{Measure, MetricPolicy};
use taxiway_model::weight::WeightBp;
use taxiway_stats::latency::{self, QUANTILES};
use taxiway_stats::preflight::{self, KAPPA_LATE, KAPPA_PLAIN};

/// Wanted probability of detection.
const POWER: f64 = 0.9;

/// Probability with which a healthy canary must have excluded what it must, for the pre-flight to be silent: whoever is
/// told nothing is stuck on a person in one release of a hundred at most.
const EXCLUSION_POWER: f64 = 0.99;

/// Beyond this nobody waits: a century, in milliseconds.
const NEVER_MS: f64 = 3.2e12;

/// How many times as slow is looked for at most, in buckets: five times.
const SLOWER_BUCKETS_MAX: i32 = 149;

/// The wealth that the exclusion's mixture has on "no failure at all".
const QUIET_WEALTH: f64 = 0.2;

/// What of the traffic a step compares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared {
    /// The canary's share of the requests of both sides.
    share: f64,
    /// What share of all requests both sides have: everything, unless the baseline is a fresh one.
    both: f64,
}

impl Compared {
    pub(super) fn on(plan: &Plan, step: &Step) -> Self {
        let share = |weight: WeightBp| f64::from(weight.bp()) / 1e4;
        match plan.fresh_weight(step) {
            WeightBp::ZERO => Self { share: share(step.weight), both: 1.0 },
            fresh => {
                let both = share(step.weight) + share(fresh);
                Self { share: share(step.weight) / both, both }
            }
        }
    }

    /// The step as the tests see it: information comes with requests, so a part of the traffic is a
    /// part of the time.
    pub(super) fn of(self, step: &Step) -> preflight::Step {
        preflight::Step { seconds: step.bake_ms as f64 / 1e3 * self.both, share: self.share }
    }
}

pub(super) struct Power<'a> {
    plan: &'a Plan,
    errors: Option<&'a MetricPolicy>,
    latency: Option<&'a MetricPolicy>,
    traffic: preflight::Traffic,
    /// Two standard errors of the base, where it was seen and not given.
    base_error: f64,
    phi: f64,
    slow_phi: f64,
    tau: f64,
    latencies: Histogram,
    /// The rate of failure as the judge will know it.
    known: Option<f64>,
}

impl<'a> Power<'a> {
    pub(super) fn new(plan: &'a Plan, traffic: &Traffic, classes: &Classes) -> Self {
        let find = |wanted: fn(Measure) -> bool| {
            plan.analysis
                .metrics
                .iter()
                .find(|metric| metric.required && metric.is_compared() && wanted(metric.measure))
        };
        let errors = find(|measure| matches!(measure, Measure::ErrorRate | Measure::QueryCounts));
        let slack = errors.map_or(0.0, |metric| f64::from(metric.slack_ppm) / 1e6);
        let all = total(classes);
        Self {
            plan,
            errors,
            latency: find(|measure| matches!(measure, Measure::Latency { .. })),
            traffic: preflight::Traffic {
                rps: traffic.rps_milli as f64 / 1e3,
                // A service without a failure still has the slack's worth of noise that the test
                // must see through.
                base: (traffic.base_ppm as f64 / 1e6).max((slack / 10.0).max(1e-6)),
            },
            base_error: if all.requests > 0 {
                2.0 * (all.errors() as f64 + 1.0).sqrt() / all.requests as f64
            } else {
                0.0
            },
            phi: (traffic.error_dispersion_milli as f64 / 1e3).max(1.0),
            slow_phi: (traffic.slow_dispersion_milli as f64 / 1e3).max(1.0),
            tau: traffic.instance_noise_milli.unwrap_or(0) as f64 / 1e3,
            known: errors
                .filter(|metric| metric.measure == Measure::ErrorRate && is_known(all.requests))
                .map(|_| traffic.base_ppm as f64 / 1e6),
            latencies: all.latency,
        }
    }

    pub(super) fn rps(&self) -> f64 {
        self.traffic.rps
    }

    pub(super) fn base(&self) -> f64 {
        self.traffic.base
    }

    /// Where red begins; twice where nothing says so.
    pub(super) fn red_bp(&self) -> u32 {
        self.errors.map(|metric| metric.red_bp).filter(|red| *red < 1_000_000).unwrap_or(20_000)
    }

    /// Instances of the baseline on a step.
    pub(super) fn instances(&self, step: &Step) -> u64 {
        match self.plan.fresh_instances(step) {
            0 => u64::from(step.baseline_instances(self.plan.version.target.replicas)),
            fresh => u64::from(fresh),
        }
    }

    /// The test that a metric must pass, or a `part` of its wealth; its tolerance as a ratio to the base, the slack counted in.
    fn test(&self, metric: &MetricPolicy, part: f64, phi: f64) -> preflight::Plan {
        let required = self.plan.analysis.metrics.iter().filter(|metric| metric.required);
        let weights: u32 = required.map(|metric| metric.weight).sum();
        let share = f64::from(metric.weight.max(1)) / f64::from(weights.max(metric.weight).max(1));
        preflight::Plan {
            alpha: f64::from(self.plan.analysis.false_alarm_ppm.clamp(1, 999_999)) / 1e6,
            power: POWER,
            kappa: KAPPA_LATE,
            tolerated: 1.0,
            weight: share * part,
            phi,
        }
    }

    fn of_errors(&self) -> Option<preflight::Plan> {
        let metric = self.errors?;
        let tolerated = self.as_ratio(f64::from(metric.tolerance_bp) / 1e4, metric);
        Some(preflight::Plan { tolerated, ..self.test(metric, 1.0, self.phi) })
    }

    fn as_ratio(&self, ratio: f64, metric: &MetricPolicy) -> f64 {
        ratio + f64::from(metric.slack_ppm) / 1e6 / self.traffic.base
    }

    /// The smallest ratio of error rates that these steps find.
    pub(super) fn detectable(&self, past: &[preflight::Step], instances: (u64, u64)) -> Option<f64> {
        let test = self.of_errors()?;
        let ratio = test.detectable(&self.traffic, past)?;
        // What lies within the noise between instances no amount of traffic tells apart.
        let floor =
            if self.tau > 0.0 { test.instance_floor(self.tau, instances.0, instances.1) } else { ratio };
        Some(ratio.max(floor)).filter(|ratio| ratio * self.traffic.base < 1.0)
    }

    pub(super) fn harm(&self, past: &[preflight::Step], ratio: f64) -> u64 {
        past.iter().map(|step| preflight::harm(&self.traffic, step.share, step.seconds, ratio)).sum::<f64>()
            as u64
    }

    /// Time on one step alone in which the wanted ratio is found.
    pub(super) fn wanted_ms(&self, compared: Compared, wanted: f64) -> Option<u64> {
        let test = self.of_errors().filter(|test| wanted > test.tolerated)?;
        within(1e3 * test.seconds(&self.traffic, compared.share, wanted) / compared.both)
    }

    /// The weight with which the wanted ratio is found in so much time.
    pub(super) fn wanted_weight(&self, bake_ms: u64, wanted: f64) -> Option<WeightBp> {
        let test = self.of_errors().filter(|test| wanted > test.tolerated)?;
        let share = if self.plan.wants_fresh() {
            // Both sides alike: the weight decides how much of the traffic is compared, and nothing else.
            let share = test.seconds(&self.traffic, 0.5, wanted) / (2.0 * bake_ms.max(1) as f64 / 1e3);
            Some(share).filter(|share| *share <= 0.5)?
        } else {
            test.share(&self.traffic, bake_ms as f64 / 1e3, wanted)?
        };
        WeightBp::new(libm::ceil(share * 1e4).clamp(1.0, 1e4) as u16).ok()
    }

    /// How many times as slow a canary is found by these steps, in basis points: the first of the
    /// three quantiles that shows it alone, though the test sees all of them together.
    pub(super) fn slower(&self, past: &[preflight::Step]) -> Option<u64> {
        let metric = self.latency?;
        let by_quantile = QUANTILES.iter().enumerate().filter_map(|(number, quantile)| {
            let test = self.test(metric, latency::bet_from(number), self.slow_phi);
            let base = 1.0 - quantile;
            let traffic = preflight::Traffic { rps: self.traffic.rps, base };
            let needed = test.detectable(&traffic, past).filter(|ratio| ratio * base < 1.0)?;
            (0..=SLOWER_BUCKETS_MAX).find(|shift| self.exceeding(metric, *quantile, *shift) >= needed)
        });
        let shift = by_quantile.min()?;
        Some(libm::round(1e4 * libm::exp2(f64::from(shift) / f64::from(1_u32 << SCALE))) as u64)
    }

    /// How many times the baseline's share of slow requests a canary has whose latencies lie so many
    /// buckets higher, slow being above the quantile's value, tolerance included for the canary.
    fn exceeding(&self, metric: &MetricPolicy, quantile: f64, shift: i32) -> f64 {
        let all = self.latencies.total();
        let mut below = 0;
        let Some(edge) = self.latencies.buckets.iter().find_map(|(bucket, count)| {
            below += count;
            (below as f64 >= quantile * all as f64).then_some(i32::from(*bucket))
        }) else {
            return 0.0;
        };
        let up = libm::log2(f64::from(metric.tolerance_bp) / 1e4) * f64::from(1_u32 << SCALE);
        let above = |edge: i32| -> f64 {
            let slow = self.latencies.buckets.iter().filter(|(bucket, _)| i32::from(**bucket) > edge);
            slow.map(|(_, count)| *count).sum::<u64>() as f64
        };
        let usual = above(edge);
        if usual > 0.0 { above(edge + libm::ceil(up) as i32 - shift) / usual } else { 0.0 }
    }

    /// Time until a canary as good as the baseline has excluded a ratio, for every metric that must.
    pub(super) fn exclusion_ms(&self, compared: Compared, ratio: f64) -> Option<u64> {
        let share = compared.share;
        let errors = self.errors.map(|metric| self.error_exclusion(metric, share, ratio));
        let latency = self.latency.and_then(|metric| self.latency_exclusion(metric, share, ratio));
        let longest = errors.into_iter().chain(latency).reduce(f64::max)?;
        Some((1e3 * longest / compared.both).min(NEVER_MS) as u64)
    }

    fn exclusion_test(&self, tolerated: f64, phi: f64) -> preflight::Plan {
        let beta = f64::from(self.plan.analysis.false_pass_ppm.clamp(1, 999_999)) / 1e6;
        preflight::Plan {
            alpha: beta,
            power: EXCLUSION_POWER,
            kappa: KAPPA_PLAIN,
            tolerated,
            weight: 1.0,
            phi,
        }
    }

    fn error_exclusion(&self, metric: &MetricPolicy, share: f64, ratio: f64) -> f64 {
        // The base rate is as it was seen, give or take: what is promised must hold at either end.
        let ends =
            [self.traffic.base, self.traffic.base - self.base_error, self.traffic.base + self.base_error];
        let by_errors = ends
            .map(|base| {
                let traffic = preflight::Traffic { base: base.max(self.traffic.base / 10.0), ..self.traffic };
                let slack = f64::from(metric.slack_ppm) / 1e6 / traffic.base;
                self.exclusion_test(ratio + slack, self.phi).seconds(&traffic, share, 1.0)
            })
            .into_iter()
            .fold(0.0, f64::max);
        let test = self.exclusion_test(self.as_ratio(ratio, metric), self.phi);
        // Where hardly anything fails it is the slack that excludes: the rule of three.
        let delta = f64::from(metric.slack_ppm) / 1e6;
        let of_canary = self.traffic.rps * share;
        let quiet = preflight::quiet_requests(test.alpha * QUIET_WEALTH, delta.max(1e-9)) / of_canary;
        let quiet = if self.traffic.base * quiet * of_canary < 0.5 { quiet } else { f64::INFINITY };
        let own = own_rate(ratio, self.known).map_or(f64::INFINITY, |(rate, weight)| {
            let base = self.traffic.base + self.base_error;
            preflight::own_rate_requests(test.alpha, EXCLUSION_POWER, base, rate, weight, self.phi)
                / of_canary
        });
        by_errors.min(quiet).min(own)
    }

    fn latency_exclusion(&self, metric: &MetricPolicy, share: f64, ratio: f64) -> Option<f64> {
        if self.latencies.total() == 0 {
            return None;
        }
        let healthy = self.exceeding(metric, 0.95, 0).max(1e-3);
        let traffic = preflight::Traffic { rps: self.traffic.rps, base: 0.05 };
        Some(self.exclusion_test(ratio, 1.0).seconds(&traffic, share, healthy))
    }
}

fn within(ms: f64) -> Option<u64> {
    (ms.is_finite() && ms < NEVER_MS).then_some(ms as u64)
}
