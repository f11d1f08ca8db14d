//! What to be warned of before the start, and what to change.

use super::{PROFILE_REQUESTS_MIN, forecast, is_compared};
use crate::judge::WINDOW_MS_MAX;
use crate::normal::{BUSY_REQUESTS_MIN, BUSY_SPAN_MS_MIN, REQUESTS_MIN, SPAN_MS_MIN, suffices};
use taxiway_model::command::{Refusal, RefusalCode};
use taxiway_model::evidence::total;
use taxiway_model::forecast::{Forecast, StepForecast};
use taxiway_model::normal::Normal;
use taxiway_model::plan::{Plan, Purpose, Step};
use taxiway_model::policy::Preflight;
use taxiway_model::time::ForPeople;
use taxiway_model::weight::WeightBp;

/// Requests of an endpoint class below which a fault in it alone is likely to be missed: a failure
/// of a tenth of them would show as three.
const ENDPOINT_REQUESTS_MIN: u64 = 30;

/// Endpoint classes with a smaller share are not worth a warning each, in basis points.
const ENDPOINT_SHARE_BP_MIN: u64 = 100;

/// Requests in a window, in thousandths, below which too many windows have none: with three expected
/// one in twenty has none.
const HELD_BACK_MILLI_MIN: u64 = 3_000;

/// The warnings of a start, as the policy wants them: none where nothing is compared.
pub fn start_warnings(plan: &Plan, normal: Option<&Normal>) -> Vec<String> {
    if plan.analysis.preflight == Preflight::Off
        || plan.purpose != Purpose::Forward
        || plan.baseline.is_none()
        || !plan.steps.iter().any(|step| step.analysis)
    {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    if let Some(without) = without_profile(plan, normal) {
        warnings.push(without);
    }
    match normal.and_then(|normal| forecast(plan, normal, None)) {
        Some(forecast) => warnings.extend(forecast.warnings),
        None => warnings.extend(of_steps(plan)),
    }
    warnings
}

/// Whether the policy lets a release start; the refusal names what to change.
pub fn permitted(plan: &Plan, normal: Option<&Normal>) -> Result<(), Refusal> {
    if plan.analysis.preflight != Preflight::Refuse {
        return Ok(());
    }
    let warnings = start_warnings(plan, normal);
    if warnings.is_empty() {
        return Ok(());
    }
    Err(Refusal {
        code: RefusalCode::Preflight,
        why: warnings.join("; "),
        next: "change what is named, or let it start with a warning: `analysis: {preflight: warn}`"
            .to_owned(),
    })
}

fn without_profile(plan: &Plan, normal: Option<&Normal>) -> Option<String> {
    let baseline = plan.baseline.as_ref()?;
    let Some(normal) = normal else {
        return Some(format!("no normal profile: nothing was seen yet of how {baseline} answers"));
    };
    (!suffices(normal)).then(|| {
        format!(
            "no normal profile: {baseline} was seen for {} with {} requests, {} and {} or {} and {} are needed",
            ForPeople(normal.span_ms),
            total(&normal.classes).requests,
            ForPeople(SPAN_MS_MIN),
            REQUESTS_MIN.max(PROFILE_REQUESTS_MIN),
            ForPeople(BUSY_SPAN_MS_MIN),
            BUSY_REQUESTS_MIN
        )
    })
}

/// What the forecast itself warns of.
pub(super) fn of(plan: &Plan, forecast: &Forecast) -> Vec<String> {
    let mut warnings = Vec::new();
    for (step, seen) in plan.steps.iter().zip(&forecast.steps) {
        if !seen.compared {
            continue;
        }
        if seen.detectable_ppm.is_none() {
            let requests = match seen.canary_requests {
                1 => "one canary request is".to_owned(),
                several => format!("{several} canary requests are"),
            };
            warnings.push(format!(
                "step {} ({}) is blind: its {requests} too few to be sure of finding even total failure{}",
                seen.name,
                seen.weight,
                instead(seen)
            ));
        }
        warnings.extend(asks_a_person(plan, step, seen, forecast));
    }
    warnings.extend(held_back(plan, forecast));
    let first = plan.steps.iter().find(|step| is_compared(plan, step));
    if let (Some(first), [_, _, ..]) = (first, forecast.endpoints.as_slice()) {
        let rare = forecast.endpoints.iter().filter(|endpoint| {
            endpoint.share_bp >= ENDPOINT_SHARE_BP_MIN && endpoint.canary_requests < ENDPOINT_REQUESTS_MIN
        });
        warnings.extend(rare.map(|endpoint| {
            format!(
                "endpoint {} gets about {} canary requests on step {}: a fault of it alone may be missed there",
                endpoint.class, endpoint.canary_requests, first.name
            )
        }));
    }
    warnings.extend(of_steps(plan));
    warnings
}

/// A baseline held back that hardly gets a request ages no canary: each window needs some.
fn held_back(plan: &Plan, forecast: &Forecast) -> Option<String> {
    let last = plan.steps.last().filter(|step| is_compared(plan, step))?;
    let rest = u64::from(WeightBp::ALL.bp() - last.weight.bp());
    let milli = forecast.traffic.as_ref()?.rps_milli * rest / 10_000 * WINDOW_MS_MAX / 1_000;
    (milli < HELD_BACK_MILLI_MIN).then(|| {
        format!(
            "step {} holds too little back: the baseline gets about {} requests in {}, and time without any does not count",
            last.name,
            decimal(milli),
            ForPeople(WINDOW_MS_MAX)
        )
    })
}

fn instead(seen: &StepForecast) -> String {
    match (seen.wanted_ms, seen.wanted_weight) {
        (Some(ms), Some(weight)) => format!("; bake it for {} or give it {weight}", ForPeople(ms)),
        (Some(ms), None) => format!("; bake it for {}", ForPeople(ms)),
        (None, Some(weight)) => format!("; give it {weight}"),
        (None, None) => String::new(),
    }
}

/// A step on which even a healthy canary cannot exclude what it must in its time.
fn asks_a_person(plan: &Plan, step: &Step, seen: &StepForecast, forecast: &Forecast) -> Option<String> {
    let has = step.bake_ms + step.bake_ms.max(plan.deadlines.samples_ms);
    let need = seen.exclude_ms.filter(|need| *need > has)?;
    let rps = forecast.traffic.as_ref().map_or(0, |traffic| traffic.rps_milli);
    let then = match plan.analysis.harm_budget_requests {
        Some(_) => "may have to go on within the harm budget",
        None => "may have to ask a person",
    };
    Some(format!(
        "step {} ({}) {then}: at {} requests/s a healthy canary needs about {} to exclude what it must, and has {}; give it more weight, bake it longer, or ask less of it (`analysis.exclude`)",
        seen.name,
        seen.weight,
        decimal(rps),
        ForPeople(need),
        ForPeople(has)
    ))
}

/// Thousandths as people read them: whole from ten on.
fn decimal(milli: u64) -> String {
    if milli >= 10_000 { (milli / 1_000).to_string() } else { format!("{:.1}", milli as f64 / 1e3) }
}

/// What can be said of the steps without any traffic.
fn of_steps(plan: &Plan) -> Vec<String> {
    let window_ms = plan.deadlines.abort_window_ms;
    let mut warnings = Vec::new();
    for step in &plan.steps {
        if step.weight > WeightBp::ZERO && step.bake_ms < window_ms {
            warnings.push(format!(
                "step {} is shorter ({}) than its abort window ({}): it lasts as long as that",
                step.name,
                ForPeople(step.bake_ms),
                ForPeople(window_ms)
            ));
        }
        if step.analysis && step.weight == WeightBp::ZERO && step.header.is_some() {
            warnings.push(format!(
                "step {} gets the requests of chosen users only: their mix of endpoints is not the baseline's, and it shows what they meet",
                step.name
            ));
        }
    }
    warnings
}
