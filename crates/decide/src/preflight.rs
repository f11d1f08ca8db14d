//! Before the start: what these steps can detect with this traffic (R4.7).
//!
//! The figures come from the same tests that will judge: the normal approximation of their log
//! evidence, with the cost of the mixtures as measured (see `taxiway_stats::preflight`), with the
//! dispersion of failures and the noise between instances that the normal profile has shown.

pub mod mix;
mod power;
mod warnings;

pub use warnings::{permitted, start_warnings};

use power::{Compared, Power};
use taxiway_model::counts::quantile_us;
use taxiway_model::evidence::{Classes, total};
use taxiway_model::forecast::{EndpointForecast, Forecast, FreshPrice, StepForecast, Traffic};
use taxiway_model::normal::Normal;
use taxiway_model::plan::{Plan, Step};
use taxiway_model::policy::Baseline;
use taxiway_model::weight::WeightBp;
use taxiway_stats::preflight;

/// Requests of which a recent traffic profile must consist to be worth a forecast.
pub const PROFILE_REQUESTS_MIN: u64 = 200;

/// Independent requests, in thousandths of dispersion.
const INDEPENDENT_MILLI: u64 = 1_000;

/// Traffic as a person describes it, where none was seen: no distribution of latencies.
pub fn given(rps_milli: u64, base_ppm: u64) -> Traffic {
    Traffic {
        span_ms: 0,
        rps_milli,
        base_ppm,
        p95_us: None,
        error_dispersion_milli: INDEPENDENT_MILLI,
        slow_dispersion_milli: INDEPENDENT_MILLI,
        instance_noise_milli: None,
    }
}

/// The traffic of a profile; none where it is too little to go by.
pub fn seen(recent: &Normal) -> Option<Traffic> {
    let seen = total(&recent.classes);
    if seen.requests < PROFILE_REQUESTS_MIN || recent.span_ms == 0 {
        return None;
    }
    let share = u128::from(seen.errors()) * 1_000_000 / u128::from(seen.requests);
    Some(Traffic {
        span_ms: recent.span_ms,
        rps_milli: u64::try_from(u128::from(seen.requests) * 1_000_000 / u128::from(recent.span_ms))
            .unwrap_or(u64::MAX),
        base_ppm: u64::try_from(share).unwrap_or(1_000_000),
        p95_us: quantile_us(&seen.latency, 9_500),
        error_dispersion_milli: recent.error_dispersion_milli.unwrap_or(INDEPENDENT_MILLI),
        slow_dispersion_milli: recent.slow_dispersion_milli.unwrap_or(INDEPENDENT_MILLI),
        instance_noise_milli: recent.instance_noise_milli,
    })
}

/// The forecast for a plan by what was seen; none when that is too little to go by. `wanted_bp`:
/// the regression asked about, as a ratio to the baseline; none: where the metric's red begins.
pub fn forecast(plan: &Plan, recent: &Normal, wanted_bp: Option<u32>) -> Option<Forecast> {
    let traffic = seen(recent)?;
    Some(reckon(plan, traffic, &recent.classes, wanted_bp))
}

/// The forecast for a plan by figures a person has given.
pub fn forecast_given(plan: &Plan, traffic: Traffic, wanted_bp: Option<u32>) -> Forecast {
    reckon(plan, traffic, &Classes::new(), wanted_bp)
}

fn reckon(plan: &Plan, traffic: Traffic, classes: &Classes, wanted_bp: Option<u32>) -> Forecast {
    let wanted_bp = wanted_bp.unwrap_or_else(|| Power::new(plan, &traffic, classes).red_bp());
    let steps = steps(plan, &traffic, classes, wanted_bp);
    let fresh = if plan.wants_fresh() {
        let mut otherwise = plan.clone();
        otherwise.analysis.baseline = Baseline::Stable;
        prices(plan, &steps, &self::steps(&otherwise, &traffic, classes, wanted_bp))
    } else {
        Vec::new()
    };
    let mut forecast = Forecast {
        endpoints: endpoints(plan, &traffic, classes),
        traffic: Some(traffic),
        wanted_bp,
        steps,
        fresh,
        warnings: Vec::new(),
    };
    forecast.warnings = warnings::of(plan, &forecast);
    forecast
}

/// What a fresh baseline costs on each step that has one: instances, and the time and certainty that
/// all that runs would give.
fn prices(plan: &Plan, fresh: &[StepForecast], stable: &[StepForecast]) -> Vec<FreshPrice> {
    let compared = plan.steps.iter().zip(fresh.iter().zip(stable)).filter(|(_, (seen, _))| seen.compared);
    compared
        .map(|(step, (seen, stable))| FreshPrice {
            name: seen.name.clone(),
            instances: plan.fresh_instances(step),
            weight: plan.fresh_weight(step),
            detectable_bp: [seen.detectable_bp, stable.detectable_bp],
            exclude_ms: [seen.exclude_ms, stable.exclude_ms],
            wanted_ms: [seen.wanted_ms, stable.wanted_ms],
        })
        .collect()
}

/// What each step can see, together with those before it.
fn steps(plan: &Plan, traffic: &Traffic, classes: &Classes, wanted_bp: u32) -> Vec<StepForecast> {
    let power = Power::new(plan, traffic, classes);
    let mut past = Vec::new();
    let mut steps = Vec::new();
    let mut excluded_bp = u32::MAX;
    for step in &plan.steps {
        let compared = is_compared(plan, step);
        if compared {
            past.push(Compared::on(plan, step).of(step));
        }
        let mut seen = one(&power, plan, step, &past, wanted_bp);
        if let Some(bp) = plan.analysis.exclusion_at(step.weight).filter(|_| compared) {
            // Evidence is of all steps: what one has excluded no later one has to exclude again.
            if excluded_bp <= bp {
                seen.exclude_ms = seen.exclude_ms.map(|_| 0);
            }
            excluded_bp = excluded_bp.min(bp);
        }
        steps.push(seen);
    }
    steps
}

/// Whether a step compares a canary with a live baseline.
fn is_compared(plan: &Plan, step: &Step) -> bool {
    plan.baseline.is_some() && step.analysis && step.weight > WeightBp::ZERO && step.weight < WeightBp::ALL
}

fn one(
    power: &Power<'_>,
    plan: &Plan,
    step: &Step,
    past: &[preflight::Step],
    wanted_bp: u32,
) -> StepForecast {
    let compared = is_compared(plan, step);
    let share = f64::from(step.weight.bp()) / 1e4;
    let sides = Compared::on(plan, step);
    let instances = (u64::from(step.canary_instances(plan.version.target.replicas)), power.instances(step));
    let detectable = if compared { power.detectable(past, instances) } else { None };
    let wanted = f64::from(wanted_bp) / 1e4;
    StepForecast {
        name: step.name.to_string(),
        weight: step.weight,
        bake_ms: step.bake_ms,
        canary_requests: (power.rps() * share * step.bake_ms as f64 / 1e3) as u64,
        compared,
        detectable_ppm: detectable.map(|ratio| ((ratio * power.base()).min(1.0) * 1e6) as u64),
        detectable_bp: detectable.map(|ratio| (ratio * 1e4).min(1e15) as u64),
        slower_bp: if compared { power.slower(past) } else { None },
        harm_requests: detectable.map(|ratio| power.harm(past, ratio)),
        exclude_ms: plan
            .analysis
            .exclusion_at(step.weight)
            .filter(|_| compared)
            .and_then(|bp| power.exclusion_ms(sides, f64::from(bp) / 1e4)),
        wanted_ms: if compared { power.wanted_ms(sides, wanted) } else { None },
        wanted_weight: if compared { power.wanted_weight(step.bake_ms, wanted) } else { None },
    }
}

/// What each endpoint class gets on the first step that compares.
fn endpoints(plan: &Plan, traffic: &Traffic, classes: &Classes) -> Vec<EndpointForecast> {
    let all = total(classes).requests;
    let Some(step) = plan.steps.iter().find(|step| is_compared(plan, step)) else { return Vec::new() };
    let on_step =
        traffic.rps_milli as f64 / 1e3 * f64::from(step.weight.bp()) / 1e4 * step.bake_ms as f64 / 1e3;
    let seen = classes.iter().filter(|(_, counts)| counts.requests > 0);
    seen.map(|(class, counts)| EndpointForecast {
        class: class.clone(),
        share_bp: counts.requests * 10_000 / all.max(1),
        canary_requests: (on_step * counts.requests as f64 / all.max(1) as f64) as u64,
    })
    .collect()
}
