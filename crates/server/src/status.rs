//! From the engine's view of a stream to the status every client draws.

use taxiway_api::{Flight, HoldView, Queued, Return, Side, State, Status, StepState, StepView, Timings};
use taxiway_decide::environment::{self, Environment};
use taxiway_engine::View;
use taxiway_model::counts::Counts;
use taxiway_model::decision::WaitingOn;
use taxiway_model::event::Hold;
use taxiway_model::ids::{MetricName, VersionName};
use taxiway_model::observation::{Instance, InstancePhase, Observed};
use taxiway_model::plan::Plan;
use taxiway_model::policy::{Measure, MetricPolicy};
use taxiway_model::time::{ForPeople, Timestamp};
use taxiway_model::verdict::{Judgement, Verdict};
use taxiway_model::weight::WeightBp;

use crate::explain::{coming, judged_now};
use crate::{feedback, history};

/// The status of a stream.
pub(crate) fn of(view: &View, now: Timestamp) -> Status {
    let state = &view.state;
    let plan = state.plan.as_ref().or_else(|| state.queue.first().map(|waiting| &waiting.plan));
    Status {
        service: state.stream.service.clone(),
        environment: state.stream.environment.clone(),
        owner: plan.map_or_else(String::new, |plan| plan.owner.clone()),
        at: now,
        listen: plan.map_or_else(Vec::new, |plan| plan.listen.addresses.clone()),
        stable: state.stable.clone(),
        stable_since: stable_since(state),
        release: state.flight.as_ref().map(|flight| of_flight(view, flight, now)),
        queued: state
            .queue
            .iter()
            .map(|waiting| Queued {
                id: waiting.release.clone(),
                version: waiting.plan.version.name.clone(),
                accepted_at: waiting.accepted_at,
            })
            .collect(),
        held: state.held.clone(),
        quarantined: view.troubles.iter().find(|trouble| trouble.contains("baseline serves on")).cloned(),
        unreachable: unreachable(view, now),
        instances: instances(view),
        last: state.history.last().map(|past| history::of_past(state, past)),
    }
}

fn stable_since(state: &Environment) -> Option<Timestamp> {
    let stable = state.stable.as_ref()?;
    let sealed = |past: &&environment::Past| {
        &past.version == stable && past.outcome == taxiway_model::event::Outcome::Released
    };
    state.history.iter().rev().find(sealed).map(|past| past.ended_at)
}

fn unreachable(view: &View, now: Timestamp) -> Vec<String> {
    let mut lines: Vec<String> =
        view.troubles.iter().filter(|trouble| !trouble.contains("baseline serves on")).cloned().collect();
    let Some(seen) = &view.seen else { return lines };
    let mut silent = |name: &str, since: Timestamp, why: &str| {
        lines.push(format!("{name}: {why} (since {})", ForPeople(now.since_ms(since))));
    };
    if let Observed::Unknown { since, why } = &seen.workload {
        silent("instances", *since, why);
    }
    if let Observed::Unknown { since, why } = &seen.traffic {
        silent("proxy", *since, why);
    }
    lines
}

fn instances(view: &View) -> Vec<Instance> {
    let seen = view.seen.as_ref().and_then(|seen| seen.workload.known());
    seen.map_or_else(Vec::new, |workload| workload.instances.clone())
}

fn of_flight(view: &View, flight: &environment::Flight, now: Timestamp) -> Flight {
    let state = &view.state;
    let judgement = judged_now(flight);
    let plan = &flight.plan;
    let current = flight.step.unwrap_or(0);
    let seen = view.seen.as_ref().and_then(|seen| seen.traffic.known());
    let sides = flight.evidence.sides();
    let side = |version: &VersionName, counts: Counts| {
        let ready = ready(view, version);
        let wanted = state.workload.replicas.get(version).copied().unwrap_or(0);
        Side::of(version.clone(), &counts, ready, wanted)
    };
    Flight {
        id: flight.release.clone(),
        version: plan.version.name.clone(),
        baseline: plan.baseline.clone(),
        purpose: plan.purpose,
        strategy: plan.strategy,
        preset: plan.preset.clone(),
        plan_digest: flight.plan_digest,
        state: word(state, flight, &view.report.waiting),
        step: current,
        steps: steps(flight),
        weight: seen.map(|seen| seen.weight),
        weight_intended: state.routes.split.weight,
        // It is given and taken together with the canary's.
        fresh: match seen {
            Some(seen) if !seen.weight.is_zero() => state.routes.split.fresh,
            _ => WeightBp::ZERO,
        },
        lease_left_ms: seen.map_or(0, |seen| seen.lease_left_ms),
        waiting: waiting(view, flight, judgement.as_ref()),
        holds: holds(flight, judgement.as_ref()),
        coming: coming::of(view, flight, judgement.as_ref(), now),
        advisory: advisory(plan),
        compared: compared(plan, judgement.as_ref(), [sides.canary().requests, sides.baseline().requests]),
        canary: Some(side(&plan.version.name, sides.canary())),
        side_baseline: flight.compared_with().map(|version| side(&version, sides.baseline())),
        judgement,
        returning: flight.returning.as_ref().map(|returning| Return {
            cause: returning.cause,
            sentence: returning.sentence.clone(),
            decided_at: returning.at,
            verified: returning.verified.is_some(),
        }),
        feedback: feedback::of_flight(state, flight),
        timings: timings(view, flight),
    }
}

/// Metrics that decide nothing.
fn advisory(plan: &Plan) -> Vec<MetricName> {
    let shown = plan.analysis.metrics.iter().filter(|metric| !metric.required);
    shown.map(|metric| metric.name.clone()).collect()
}

fn ready(view: &View, version: &VersionName) -> u32 {
    let ready = |instance: &&Instance| &instance.version == version && instance.phase == InstancePhase::Ready;
    u32::try_from(instances(view).iter().filter(ready).count()).unwrap_or(u32::MAX)
}

fn steps(flight: &environment::Flight) -> Vec<StepView> {
    let place = |index: usize| match flight.step {
        _ if u16::try_from(index).is_ok_and(|index| flight.skipped.contains(&index)) => StepState::Skipped,
        Some(step) if index < usize::from(step) => StepState::Done,
        Some(step) if index == usize::from(step) => StepState::Current,
        _ => StepState::Ahead,
    };
    let view = |(index, step): (usize, &taxiway_model::plan::Step)| {
        let state = place(index);
        StepView {
            name: step.name.clone(),
            weight: step.weight,
            state,
            header: step.header.is_some(),
            mirror: step.mirror,
            fresh: flight.fresh_weight(step),
            approval: step.approval,
            bake_ms: step.bake_ms,
            baked_ms: match state {
                StepState::Done => step.bake_ms,
                StepState::Current => flight.bake_ms,
                StepState::Ahead | StepState::Skipped => 0,
            },
            entered_at: (state == StepState::Current).then_some(flight.step_at),
        }
    };
    flight.plan.steps.iter().enumerate().map(view).collect()
}

fn holds(flight: &environment::Flight, judgement: Option<&Judgement>) -> Vec<HoldView> {
    let view = |why: &Hold| HoldView {
        why: *why,
        sentence: said_now(flight, *why, judgement),
        since: flight.hold_since.get(why).copied().unwrap_or(flight.step_at),
    };
    flight.holds.iter().map(view).collect()
}

/// What a hold says with the figures of now. On record are those of when it began: beside the
/// verdict of now they would read as a contradiction.
fn said_now(flight: &environment::Flight, why: Hold, judgement: Option<&Judgement>) -> String {
    let recorded = flight.hold_sentences.get(&why).cloned().unwrap_or_default();
    let Some(judgement) = judgement.filter(|judgement| !judgement.sentence.is_empty()) else {
        return recorded;
    };
    let same = match why {
        Hold::Verdict | Hold::Baseline => judgement.verdict == Verdict::Hold,
        Hold::Evidence => without_figures(&recorded) == without_figures(&judgement.sentence),
        Hold::Paused | Hold::Approval | Hold::Check | Hold::FreshBaseline => false,
    };
    if same { judgement.sentence.clone() } else { recorded }
}

fn without_figures(sentence: &str) -> String {
    sentence.chars().filter(|c| !c.is_ascii_digit() && !matches!(c, '.' | ',')).collect()
}

/// What it waits for; a person is told what holds it with the figures of now.
pub(crate) fn waiting(
    view: &View,
    flight: &environment::Flight,
    judgement: Option<&Judgement>,
) -> Vec<WaitingOn> {
    let now = |on: &WaitingOn| match on {
        WaitingOn::Person { sentence, command } => {
            let hold = flight.hold_sentences.iter().find(|(_, recorded)| *recorded == sentence);
            let sentence =
                hold.map_or_else(|| sentence.clone(), |(why, _)| said_now(flight, *why, judgement));
            WaitingOn::Person { sentence, command: command.clone() }
        }
        other => other.clone(),
    };
    view.report.waiting.iter().map(now).collect()
}

/// How many requests of either side the judge compares, where they are not all of them: only those
/// from times in which both sides had some.
fn compared(plan: &Plan, judgement: Option<&Judgement>, all: [u64; 2]) -> Option<[u64; 2]> {
    let whole = |metric: &&MetricPolicy| metric.measure == Measure::ErrorRate && metric.endpoint.is_none();
    let metric = plan.analysis.metrics.iter().find(whole)?;
    let finding = judgement?.findings.iter().find(|finding| finding.metric == metric.name)?;
    let compared = [finding.canary.requests, finding.baseline.as_ref()?.requests];
    let fewer = compared.iter().zip(all).any(|(some, all)| *some < all);
    (fewer && compared.iter().all(|some| *some > 0)).then_some(compared)
}

fn word(state: &Environment, flight: &environment::Flight, waiting: &[WaitingOn]) -> State {
    if flight.returning.is_some() {
        return State::Returning;
    }
    if flight.holds.contains(&Hold::Paused) {
        return State::Paused;
    }
    if !flight.holds.is_empty() {
        return State::Held;
    }
    let waits = |wanted: fn(&WaitingOn) -> bool| waiting.iter().any(wanted);
    if waits(|on| matches!(on, WaitingOn::Instances { .. })) || !state.workload.ready {
        return State::Preparing;
    }
    if waits(|on| matches!(on, WaitingOn::Router { .. })) || !state.routes.observed {
        return State::Shifting;
    }
    if waits(|on| matches!(on, WaitingOn::Check { .. })) {
        return State::Checking;
    }
    if flight.passed && flight.on_last_step() { State::Finishing } else { State::Watching }
}

fn timings(view: &View, flight: &environment::Flight) -> Timings {
    let verified = flight.returning.as_ref().and_then(|returning| returning.verified);
    let first = view
        .seen
        .as_ref()
        .and_then(|seen| seen.traffic.known())
        .and_then(|traffic| traffic.first_routed.get(&flight.plan.version.name).copied());
    Timings {
        accepted_at: flight.started_at,
        started_at: Some(flight.started_at),
        step_at: flight.step.map(|_| flight.step_at),
        exposed_at: first.or(flight.exposed_at),
        detect_ms: verified.and_then(|verified| verified.detect_ms),
        shift_ms: verified.map(|verified| verified.shift_ms),
    }
}
