//! Resolving a plan: the description of a service, a version and what runs now become steps.

use crate::environment::Environment;
use taxiway_model::command::{Refusal, RefusalCode};
use taxiway_model::ids::{StepName, StreamId, VersionName};
use taxiway_model::plan::{Plan, Purpose, Step};
use taxiway_model::policy::Baseline;
use taxiway_model::service::{ServiceSpec, Stage, StrategyKind, Version};
use taxiway_model::weight::WeightBp;

/// The plan by which `version` of the service would be released now.
pub fn resolve(spec: &ServiceSpec, version: Version, state: &Environment) -> Plan {
    // While a first release is in flight, or about to be, there will be a baseline by the time a
    // queued one starts.
    let in_flight = state.flight.as_ref().map(|flight| flight.plan.version.name.clone());
    let queued = || state.queue.first().map(|waiting| waiting.plan.version.name.clone());
    let baseline = state.stable.clone().or(in_flight).or_else(queued);
    let (strategy, preset, steps) = if baseline.is_some() {
        (spec.strategy.kind, spec.strategy.preset.clone(), spec.strategy.steps.clone())
    } else {
        // Nothing runs here yet: there is nobody to compare with and nothing to protect.
        (StrategyKind::Canary, "first".to_owned(), vec![everything("first-release")])
    };
    let mut steps = steps;
    place_checks(spec, &mut steps);
    Plan {
        stream: StreamId { service: spec.name.clone(), environment: spec.environment.clone() },
        stage: spec.stage,
        tier: spec.tier,
        owner: spec.owner.clone(),
        version,
        baseline,
        purpose: Purpose::Forward,
        strategy,
        preset,
        steps,
        analysis: spec.analysis.clone(),
        listen: spec.listen.clone(),
        deadlines: spec.deadlines.clone(),
        concurrency: spec.concurrency,
        retire_after_ms: spec.strategy.retire_after_ms,
        signals: spec.signals.clone(),
    }
}

/// The checks of the service take their places among those of the steps.
fn place_checks(spec: &ServiceSpec, steps: &mut [Step]) {
    use taxiway_model::plan::CheckAt;
    let last = steps.len().saturating_sub(1);
    for (index, step) in steps.iter_mut().enumerate() {
        for check in &spec.checks {
            match check.at {
                CheckAt::Start if index == 0 => step.before.insert(0, check.clone()),
                CheckAt::EachStep => step.after.push(check.clone()),
                CheckAt::End if index == last => step.after.push(check.clone()),
                CheckAt::Start | CheckAt::End | CheckAt::Step => {}
            }
        }
    }
}

/// The plan of a way back to an earlier version after a release has ended: at once, unjudged.
pub fn back_to(template: &Plan, version: Version, baseline: Option<VersionName>) -> Plan {
    Plan {
        version,
        baseline,
        purpose: Purpose::Rollback,
        strategy: StrategyKind::BlueGreen,
        preset: "rollback".to_owned(),
        steps: vec![everything("back")],
        retire_after_ms: 0,
        ..template.clone()
    }
}

fn everything(name: &str) -> Step {
    Step {
        name: StepName::new(name).expect("a fixed valid name"),
        weight: WeightBp::ALL,
        instances: None,
        baseline_instances: None,
        header: None,
        mirror: WeightBp::ZERO,
        bake_ms: 0,
        analysis: false,
        approval: false,
        before: Vec::new(),
        after: Vec::new(),
    }
}

/// What the last step has at least: everything but what `holdback` leaves the baseline.
const LAST_BP_MIN: u16 = 9_000;

/// Whether a plan holds together: the reader of `taxiway.yaml` has said all this with line and
/// column, but a plan may come through any door.
pub fn sound(plan: &Plan) -> Result<(), Refusal> {
    let bad = |why: String, next: &str| Refusal { code: RefusalCode::BadPlan, why, next: next.to_owned() };
    let Some(last) = plan.steps.last() else {
        return Err(bad("the plan has no steps".to_owned(), "name a preset or at least one step"));
    };
    if last.weight.bp() < LAST_BP_MIN || (last.weight != WeightBp::ALL && plan.baseline.is_none()) {
        let why = format!("the last step {} has {} of the traffic, not all of it", last.name, last.weight);
        return Err(bad(why, "end with a step of 100%, of which `holdback` may leave the baseline a little"));
    }
    if plan.steps.len() > 100 {
        return Err(bad(format!("the plan has {} steps", plan.steps.len()), "use at most 100"));
    }
    for (earlier, later) in plan.steps.iter().zip(plan.steps.iter().skip(1)) {
        if later.weight < earlier.weight {
            let why = format!(
                "step {} has {} after {} with {}: exposure may only grow",
                later.name, later.weight, earlier.name, earlier.weight
            );
            return Err(bad(why, "order the steps by weight"));
        }
    }
    let mut names = std::collections::BTreeSet::new();
    if let Some(step) = plan.steps.iter().find(|step| !names.insert(&step.name)) {
        return Err(bad(format!("two steps are called {}", step.name), "give each step its own name"));
    }
    if plan.version.target.replicas == 0 {
        return Err(bad("the target has no replicas".to_owned(), "set replicas to at least 1"));
    }
    sound_baseline(plan)?;
    if plan.version.name.is_fresh() || plan.baseline.as_ref().is_some_and(VersionName::is_fresh) {
        let why = format!("{} names the instances of a fresh baseline, no version", plan.version.name);
        return Err(bad(why, "name the version without `+`"));
    }
    if plan.strategy == StrategyKind::Recreate && plan.stage == Stage::Production {
        return Err(Refusal {
            code: RefusalCode::StrategyNotAllowed,
            why:
                "recreate stops the old version before the new one runs: an outage, not allowed in production"
                    .to_owned(),
            next: "use canary, blue-green or rolling, or release to another environment".to_owned(),
        });
    }
    Ok(())
}

/// A fresh baseline needs a canary beside it that has a share of the traffic.
fn sound_baseline(plan: &Plan) -> Result<(), Refusal> {
    let asked = plan.analysis.baseline == Baseline::Fresh
        && plan.purpose == Purpose::Forward
        && plan.baseline.is_some();
    let shared = plan.steps.iter().any(|step| !plan.fresh_weight(step).is_zero());
    if !asked || shared {
        return Ok(());
    }
    let why = if plan.strategy == StrategyKind::Canary {
        "no step splits the traffic, so a fresh baseline would never be compared with"
    } else {
        "a fresh baseline runs beside a canary, and this strategy has none"
    };
    let next = "use a canary with steps between 0% and 100%, or leave out `analysis.baseline`";
    Err(Refusal { code: RefusalCode::BadPlan, why: why.to_owned(), next: next.to_owned() })
}
