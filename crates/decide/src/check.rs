//! A second opinion: what a decision would lead to, held against rules that know nothing of how it
//! was made. A decision that breaks one is not carried out; only the way back still is.

use crate::environment::{Environment, evolve};
use crate::judge;
use std::borrow::Cow;
use taxiway_model::decision::{Action, Decision, Violation};
use taxiway_model::event::{Event, Outcome};
use taxiway_model::record::{Actor, Recorded};
use taxiway_model::service::StrategyKind;
use taxiway_model::verdict::Verdict;
use taxiway_model::weight::WeightBp;

/// The rules a decision would break; empty means it may be carried out.
pub fn check(decision: &Decision, state: &Environment) -> Vec<Violation> {
    let mut violations = Vec::new();
    // A look that decides nothing is by far the most frequent, and a state is large.
    let mut after = Cow::Borrowed(state);
    for event in &decision.events {
        one(event, &after, &mut violations);
        let recorded = Recorded {
            global: 0,
            stream: after.stream.clone(),
            seq: after.seq + 1,
            at: after.at,
            actor: Actor::Engine,
            origin: String::new(),
            reason: String::new(),
            event: event.clone(),
        };
        after = Cow::Owned(evolve(after.into_owned(), &recorded));
    }
    for action in &decision.actions {
        effect(action, &after, &mut violations);
    }
    violations
}

fn breaks(rule: &'static str, detail: impl Into<String>, violations: &mut Vec<Violation>) {
    violations.push(Violation { rule, detail: detail.into() });
}

fn one(event: &Event, before: &Environment, violations: &mut Vec<Violation>) {
    let flight = before.flight.as_ref();
    match event {
        Event::SplitIntended { generation, split } => {
            if *generation <= before.generation {
                breaks("generations-grow", format!("{generation} after {}", before.generation), violations);
            }
            let allowed = match flight {
                Some(flight) if flight.returning.is_none() => {
                    flight.current().map_or(WeightBp::ZERO, |step| step.weight)
                }
                _ => WeightBp::ZERO,
            };
            if split.weight > allowed {
                let detail = format!("{} where {allowed} is approved", split.weight);
                breaks("weight-within-step", detail, violations);
            }
            if split.fresh > split.weight.min(split.weight.rest()) {
                let detail = format!("{} beside a canary with {}", split.fresh, split.weight);
                breaks("fresh-beside-canary", detail, violations);
            }
        }
        Event::WorkloadIntended { generation, replicas } => {
            if *generation <= before.generation {
                breaks("generations-grow", format!("{generation} after {}", before.generation), violations);
            }
            baseline_stays(replicas, before, violations);
        }
        Event::StepPassed { step, by_hand: false } => passed(*step, before, violations),
        Event::ReleaseEnded { outcome: Outcome::Released, .. }
            if !flight.is_some_and(|flight| flight.on_last_step() && flight.passed) =>
        {
            breaks("sealed-after-last-step", "the last step has not been passed", violations);
        }
        Event::StepEntered { step } => {
            let previous = flight.and_then(|flight| flight.step);
            let by_hand = flight.is_some_and(|flight| flight.passed);
            if previous.is_some() && !by_hand {
                breaks("steps-in-order", format!("step {step} before the one before it passed"), violations);
            }
        }
        _ => {}
    }
}

/// The baseline keeps the capacity to take everything back until the release is sealed.
fn baseline_stays(
    replicas: &std::collections::BTreeMap<taxiway_model::ids::VersionName, u32>,
    before: &Environment,
    violations: &mut Vec<Violation>,
) {
    let (Some(flight), Some(stable)) = (&before.flight, &before.stable) else { return };
    let full = before.full_replicas(stable);
    let floor = match flight.plan.strategy {
        StrategyKind::Canary | StrategyKind::BlueGreen => {
            let lent = flight.current().and_then(|step| step.baseline_instances);
            lent.unwrap_or(full).max(1)
        }
        StrategyKind::Rolling => 1,
        StrategyKind::Recreate => 0,
    };
    let kept = replicas.get(stable).copied().unwrap_or(0);
    if kept < floor {
        breaks("baseline-keeps-capacity", format!("{kept} of {floor} instances of {stable}"), violations);
    }
}

/// A step is left only when its time was spent with evidence and nothing speaks against it.
fn passed(step: u16, before: &Environment, violations: &mut Vec<Violation>) {
    let Some(flight) = &before.flight else {
        breaks("steps-in-order", "no release is in flight", violations);
        return;
    };
    let Some(plan_step) = flight.current().filter(|_| flight.step == Some(step)) else {
        breaks("steps-in-order", format!("step {step} is not the current one"), violations);
        return;
    };
    if flight.bake_ms < plan_step.bake_ms {
        let detail = format!("{} ms of {} ms with evidence", flight.bake_ms, plan_step.bake_ms);
        breaks("bake-time-is-evidence", detail, violations);
    }
    if !flight.holds.is_empty() {
        breaks("holds-hold", format!("{:?}", flight.holds), violations);
    }
    if plan_step.analysis && flight.plan.baseline.is_some() {
        let question = judge::question(&flight.plan, step);
        let verdict = judge::look(&flight.plan.analysis, &flight.evidence, question);
        let taken = flight.accepted.is_some_and(|taken| taken.step == step) && verdict == Verdict::Hold;
        let waived = flight.waived && verdict == Verdict::InsufficientData;
        if verdict != Verdict::Proceed && !taken && !waived {
            breaks("proceed-on-evidence", format!("the verdict is {verdict}"), violations);
        }
    }
    let unmet = plan_step.before.iter().chain(&plan_step.after).find(|check| {
        use taxiway_model::plan::OnFailure;
        check.on_failure != OnFailure::Continue
            && !flight.checks.iter().any(|(effect, record)| {
                effect.ends_with(&format!("/{}", check.name))
                    && effect.contains(&format!("/{}/", plan_step.name))
                    && record.passed == Some(true)
            })
    });
    if let Some(check) = unmet {
        breaks("checks-pass", format!("check {} has not passed", check.name), violations);
    }
}

/// No effect without its intent on record.
fn effect(action: &Action, after: &Environment, violations: &mut Vec<Violation>) {
    match action {
        Action::ApplyWorkload(desired) => {
            if desired.generation != after.workload.generation {
                let detail = format!("workload {} against {}", desired.generation, after.workload.generation);
                breaks("intent-before-effect", detail, violations);
            }
        }
        Action::ApplyRoutes(table) => {
            if table.generation != after.routes.generation {
                let detail = format!("routes {} against {}", table.generation, after.routes.generation);
                breaks("intent-before-effect", detail, violations);
            }
            let weight = table.canary.as_ref().map_or(WeightBp::ZERO, |canary| canary.weight);
            if weight > after.routes.split.weight {
                let detail = format!("{weight} where {} is intended", after.routes.split.weight);
                breaks("weight-within-step", detail, violations);
            }
            let fresh = table.canary.as_ref().and_then(|canary| canary.fresh.as_ref());
            let share = fresh.map_or(WeightBp::ZERO, |fresh| fresh.weight);
            if share > after.routes.split.fresh {
                let detail = format!("{share} where {} is intended", after.routes.split.fresh);
                breaks("fresh-beside-canary", detail, violations);
            }
        }
        Action::ToBaseline { .. } | Action::StartCheck(_) => {}
    }
}

/// Whether an action can only move towards the baseline: what is allowed when a rule is broken.
pub fn is_way_back(action: &Action) -> bool {
    matches!(action, Action::ToBaseline { .. })
}
