//! Before the start: what these steps can detect with this traffic (R4.7).
//!
//! The figures come from the same tests that will judge: the normal approximation of their log
//! evidence, with the cost of the mixtures as measured (see `taxiway_stats::preflight`).

use serde::{Deserialize, Serialize};
use std::fmt;
use taxiway_model::counts::Counts;
use taxiway_model::evidence::total;
use taxiway_model::normal::Normal;
use taxiway_model::plan::Plan;
use taxiway_model::policy::{Measure, MetricPolicy};
use taxiway_model::time::ForPeople;
use taxiway_model::weight::WeightBp;
use taxiway_stats::preflight::{self, KAPPA_LATE, Step, Traffic};

/// Wanted probability of detection.
const POWER: f64 = 0.9;

/// Requests of which a recent traffic profile must consist to be worth a forecast.
pub const PROFILE_REQUESTS_MIN: u64 = 200;

/// What can be said before the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// Requests per second, in thousandths.
    pub rps_milli: u64,
    /// Share of failed requests, parts per million.
    pub base_ppm: u64,
    /// What each step can see.
    pub steps: Vec<StepForecast>,
    /// What to be warned of, hardest first.
    pub warnings: Vec<String>,
}

/// What one step can see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepForecast {
    /// Its name.
    pub name: String,
    /// Its share.
    pub weight: WeightBp,
    /// Its time.
    pub bake_ms: u64,
    /// Requests the canary gets in that time.
    pub canary_requests: u64,
    /// The smallest error rate of the canary that is found by the end of this step with 90 % power,
    /// parts per million; none when even total failure is not.
    pub detectable_ppm: Option<u64>,
    /// Requests that fail before that is found, beyond the baseline's.
    pub harm_requests: Option<u64>,
    /// Evidence time after which a healthy canary has excluded what the step must exclude; none
    /// where nothing must be excluded.
    pub exclude_ms: Option<u64>,
}

/// The forecast for a plan; none when there is no recent traffic to go by.
pub fn forecast(plan: &Plan, recent: &Normal) -> Option<Forecast> {
    let seen = total(&recent.classes);
    if seen.requests < PROFILE_REQUESTS_MIN || recent.span_ms == 0 {
        return None;
    }
    let metric = plan.analysis.metrics.iter().find(|metric| {
        matches!(metric.measure, Measure::ErrorRate | Measure::QueryCounts) && metric.is_compared()
    })?;
    let traffic = traffic(&seen, recent.span_ms, metric);
    let mut past = Vec::new();
    let mut steps = Vec::new();
    for step in &plan.steps {
        let share = f64::from(step.weight.bp()) / 1e4;
        let compared = step.analysis && share > 0.0 && share < 1.0;
        if compared {
            past.push(Step { seconds: step.bake_ms as f64 / 1e3, share });
        }
        let detectable = if compared { detectable(plan, metric, &traffic, &past) } else { None };
        let exclude_ms = plan.analysis.exclusion_at(step.weight).filter(|_| compared).map(|bp| {
            (1e3 * exclusion_seconds(plan, metric, &traffic, share, f64::from(bp) / 1e4)).min(1e15) as u64
        });
        steps.push(StepForecast {
            name: step.name.to_string(),
            weight: step.weight,
            bake_ms: step.bake_ms,
            canary_requests: (traffic.rps * share * step.bake_ms as f64 / 1e3) as u64,
            detectable_ppm: detectable.map(|ratio| ((ratio * traffic.base).min(1.0) * 1e6) as u64),
            harm_requests: detectable.map(|ratio| {
                past.iter().map(|s| preflight::harm(&traffic, s.share, s.seconds, ratio)).sum::<f64>() as u64
            }),
            exclude_ms,
        });
    }
    let rps_milli = (traffic.rps * 1e3) as u64;
    let base_ppm = seen.errors() * 1_000_000 / seen.requests;
    let mut forecast = Forecast { rps_milli, base_ppm, steps, warnings: Vec::new() };
    forecast.warnings = warnings(plan, &forecast);
    Some(forecast)
}

/// The rate that the forecast reckons with: a service without a failure still has the slack's worth
/// of noise that the test must see through.
fn traffic(seen: &Counts, span_ms: u64, metric: &MetricPolicy) -> Traffic {
    let floor = (f64::from(metric.slack_ppm) / 1e7).max(1e-6);
    Traffic {
        rps: seen.requests as f64 * 1e3 / span_ms as f64,
        base: (seen.errors() as f64 / seen.requests as f64).max(floor),
    }
}

/// The tolerated rate as a ratio to the base: the slack counts in.
fn as_ratio(bp_ratio: f64, metric: &MetricPolicy, base: f64) -> f64 {
    bp_ratio + f64::from(metric.slack_ppm) / 1e6 / base
}

fn detectable(plan: &Plan, metric: &MetricPolicy, traffic: &Traffic, steps: &[Step]) -> Option<f64> {
    let weights: u32 =
        plan.analysis.metrics.iter().filter(|metric| metric.required).map(|metric| metric.weight).sum();
    let test = preflight::Plan {
        alpha: f64::from(plan.analysis.false_alarm_ppm) / 1e6,
        power: POWER,
        kappa: KAPPA_LATE,
        tolerated: as_ratio(f64::from(metric.tolerance_bp) / 1e4, metric, traffic.base),
        weight: f64::from(metric.weight.max(1)) / f64::from(weights.max(metric.weight).max(1)),
        phi: 1.0,
    };
    test.check().ok()?;
    test.detectable(traffic, steps).filter(|ratio| ratio * traffic.base < 1.0)
}

/// Seconds until a canary as good as the baseline has excluded a ratio.
fn exclusion_seconds(plan: &Plan, metric: &MetricPolicy, traffic: &Traffic, share: f64, ratio: f64) -> f64 {
    let beta = f64::from(plan.analysis.false_pass_ppm) / 1e6;
    let test = preflight::Plan {
        alpha: beta,
        power: POWER,
        kappa: preflight::KAPPA_PLAIN,
        tolerated: as_ratio(ratio, metric, traffic.base),
        weight: 1.0,
        phi: 1.0,
    };
    let by_errors = test.seconds(traffic, share, 1.0);
    // Where hardly anything fails it is the slack that excludes: the rule of three, and the cost of
    // the alternative "no failure at all" in the mixture (weight 0.2).
    let delta = f64::from(metric.slack_ppm) / 1e6;
    let quiet = preflight::quiet_requests(beta * 0.2, delta.max(1e-9)) / (traffic.rps * share);
    let quiet = if traffic.base * quiet * traffic.rps * share < 0.5 { quiet } else { f64::INFINITY };
    by_errors.min(quiet)
}

fn warnings(plan: &Plan, forecast: &Forecast) -> Vec<String> {
    let mut warnings = Vec::new();
    let samples_ms = plan.deadlines.samples_ms;
    for (step, seen) in plan.steps.iter().zip(&forecast.steps) {
        if let Some(need) = seen.exclude_ms
            && need > step.bake_ms + step.bake_ms.max(samples_ms)
        {
            warnings.push(format!(
                "step {} ({}) will ask a person: at {} requests/s a healthy canary needs about {} to exclude what the step must exclude, it has {}",
                seen.name,
                seen.weight,
                forecast.rps_milli / 1_000,
                ForPeople(need),
                ForPeople(step.bake_ms + step.bake_ms.max(samples_ms))
            ));
        }
        let compared = seen.exclude_ms.is_some();
        if compared && seen.detectable_ppm.is_none() {
            warnings.push(format!(
                "step {} ({}) is blind: not even total failure is sure to be found",
                seen.name, seen.weight
            ));
        }
        if step.weight > WeightBp::ZERO && step.bake_ms < plan.deadlines.abort_window_ms {
            warnings.push(format!(
                "step {} is shorter ({}) than its abort window ({})",
                seen.name,
                ForPeople(step.bake_ms),
                ForPeople(plan.deadlines.abort_window_ms)
            ));
        }
    }
    warnings
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |ppm: u64| format!("{:.2}%", ppm as f64 / 1e4);
        writeln!(
            f,
            "recent traffic: {:.1} requests/s, {} failed",
            self.rps_milli as f64 / 1e3,
            rate(self.base_ppm)
        )?;
        for step in &self.steps {
            write!(f, "  {:<16} {:>6} {:>7}", step.name, step.weight, ForPeople(step.bake_ms).to_string())?;
            match (step.detectable_ppm, step.harm_requests) {
                (Some(ppm), Some(harm)) => {
                    write!(
                        f,
                        "  finds an error rate of {} (90% power, {harm} failed requests by then)",
                        rate(ppm)
                    )?;
                }
                _ if step.exclude_ms.is_some() => write!(f, "  finds nothing for sure")?,
                _ => write!(f, "  no live comparison")?,
            }
            if let Some(ms) = step.exclude_ms {
                write!(f, ", a healthy one may pass after {}", ForPeople(ms))?;
            }
            writeln!(f)?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}
