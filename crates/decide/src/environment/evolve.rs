//! Folding: an event changes the state. Total, and with no clock but the record's own time.

use super::{
    Environment, Flight, HISTORY_MAX, KEYS_MAX, Known, Past, Retiring, Returning, RoutesIntent, Waiting,
};
use super::{WorkloadIntent, flight};
use crate::holding::{Holding, holding};
use crate::judge;
use taxiway_model::event::{Event, Hold, Outcome, ReturnCause};
use taxiway_model::evidence::Window;
use taxiway_model::ids::ReleaseId;
use taxiway_model::record::{Actor, Recorded};
use taxiway_model::time::Timestamp;
use taxiway_model::verdict::Verdict;

/// The state after an event.
pub fn evolve(mut state: Environment, recorded: &Recorded<Event>) -> Environment {
    state.seq = recorded.seq;
    state.at = recorded.at;
    apply(&mut state, &recorded.event, recorded.at);
    if let Actor::Person(name) = &recorded.actor {
        tell_who(&mut state, &recorded.event, name, &recorded.reason);
    }
    state
}

/// Who asks next wants to know whom to ask: a pause and an abort bear the name and the reason.
fn tell_who(state: &mut Environment, event: &Event, name: &str, reason: &str) {
    let Some(flight) = &mut state.flight else { return };
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    match event {
        Event::HoldBegan { why: Hold::Paused, .. } => {
            flight.hold_sentences.insert(Hold::Paused, format!("paused by {name}{reason}"));
        }
        Event::ReturnDecided { cause: ReturnCause::Aborted, .. } => {
            if let Some(returning) = &mut flight.returning {
                returning.sentence = format!("aborted by {name}{reason}");
            }
        }
        _ => {}
    }
}

fn apply(state: &mut Environment, event: &Event, at: Timestamp) {
    match event {
        Event::ReleaseAccepted { release, plan, plan_digest } => {
            state.releases += 1;
            let version = plan.version.clone();
            let known = Known { version, release: release.clone(), sealed: false };
            state.versions.entry(plan.version.name.clone()).or_insert(known);
            state.queue.push(Waiting {
                release: release.clone(),
                plan: (**plan).clone(),
                plan_digest: *plan_digest,
                accepted_at: at,
            });
        }
        Event::ReleaseWithdrawn { release, sentence } => withdraw(state, release, sentence, at),
        Event::ReleaseStarted { release } => start(state, release, at),
        Event::WorkloadIntended { generation, replicas } => {
            state.generation = state.generation.max(*generation);
            state.workload =
                WorkloadIntent { generation: *generation, replicas: replicas.clone(), at, ready: false };
        }
        Event::WorkloadReady { generation } => {
            if state.workload.generation == *generation {
                state.workload.ready = true;
            }
        }
        Event::SplitIntended { generation, split } => {
            state.generation = state.generation.max(*generation);
            state.routes =
                RoutesIntent { generation: *generation, split: split.clone(), at, observed: false };
        }
        Event::SplitObserved { generation } => observed(state, *generation, at),
        Event::RetireDue { version } => {
            if state.retiring.as_ref().is_some_and(|retiring| &retiring.version == version) {
                state.retiring = None;
            }
        }
        Event::AutomationHeld { why } => state.held = Some(why.clone()),
        Event::AutomationFreed => state.held = None,
        Event::ReleaseEnded { outcome, sentence } => end(state, *outcome, sentence, at),
        Event::InstanceFailed { .. } => {}
        Event::SignalReceived { key, .. } => remember(state, key.as_ref()),
        Event::FeedbackReceived { feedback } => {
            remember(state, feedback.key.as_ref());
            match &mut state.flight {
                Some(flight) if feedback.release.as_ref() == Some(&flight.release) => {
                    flight.heard.take(feedback, flight.plan.version.name.as_str(), at);
                }
                _ => state.at_rest.take(feedback, at),
            }
        }
        of_the_flight => {
            if let Some(flight) = &mut state.flight {
                advance(flight, of_the_flight, at);
            }
        }
    }
}

/// A release that never started is over without anything having happened.
fn withdraw(state: &mut Environment, release: &ReleaseId, sentence: &str, at: Timestamp) {
    let Some(place) = state.queue.iter().position(|waiting| &waiting.release == release) else { return };
    let waiting = state.queue.remove(place);
    state.history.push(Past {
        release: waiting.release,
        version: waiting.plan.version.name,
        baseline: waiting.plan.baseline,
        outcome: Outcome::Aborted,
        cause: Some(ReturnCause::Superseded),
        sentence: sentence.to_owned(),
        started_at: waiting.accepted_at,
        ended_at: at,
        detect_ms: None,
        shift_ms: None,
        canary_requests: 0,
        canary_failed: 0,
        feedback: crate::feedback::Tally::default(),
    });
    if state.history.len() > HISTORY_MAX {
        state.history.remove(0);
    }
}

fn start(state: &mut Environment, release: &ReleaseId, at: Timestamp) {
    let Some(place) = state.queue.iter().position(|waiting| &waiting.release == release) else { return };
    let waiting = state.queue.remove(place);
    state.plan = Some(waiting.plan.clone());
    let flight = Flight::new(waiting.release, waiting.plan, waiting.plan_digest, at);
    state.flight = Some(Flight { stable: state.stable.clone(), ..flight });
}

fn observed(state: &mut Environment, generation: taxiway_model::ids::Generation, at: Timestamp) {
    if state.routes.generation != generation {
        return;
    }
    state.routes.observed = true;
    if let Some(flight) = &mut state.flight
        && flight.exposed_at.is_none()
        && state.routes.split.step == flight.step
    {
        flight.exposed_at = Some(at);
        flight.heard.exposed(at);
    }
}

fn remember(state: &mut Environment, key: Option<&String>) {
    let Some(key) = key else { return };
    if state.keys.len() >= KEYS_MAX {
        state.keys.remove(0);
    }
    state.keys.push(key.clone());
}

/// What happens to the release in flight itself.
fn advance(flight: &mut Flight, event: &Event, at: Timestamp) {
    match event {
        Event::StepEntered { step } => {
            flight.skipped.extend(flight.step.map_or(0, |before| before.saturating_add(1))..*step);
            flight.step = Some(*step);
            flight.step_at = at;
            flight.exposed_at = None;
            flight.bake_ms = 0;
            flight.extended = 0;
            flight.passed = false;
            flight.waived = false;
            // What held on the step before holds on this one, from its beginning.
            flight.hold_since_bake_ms = flight.hold_since_bake_ms.map(|_| 0);
            flight.shown_since_bake_ms = flight.shown_since_bake_ms.map(|_| 0);
        }
        Event::NormalRecorded { normal } => {
            flight.evidence = judge::State::of(&flight.plan, Some(normal));
            flight.normal = Some((**normal).clone());
        }
        Event::Warned { warnings } => flight.warnings.extend(warnings.iter().cloned()),
        Event::EvidenceRecorded { window } => take_evidence(flight, window),
        Event::CheckStarted { effect, attempt } => {
            let record = flight::CheckRecord { attempt: *attempt, passed: None, said: String::new() };
            flight.checks.insert(effect.clone(), record);
        }
        Event::CheckEnded { effect, attempt, passed, said } => {
            let record = flight::CheckRecord { attempt: *attempt, passed: Some(*passed), said: said.clone() };
            flight.checks.insert(effect.clone(), record);
        }
        Event::Judged { judgement, .. } => {
            let holding = holding(&flight.plan.analysis, judgement);
            let since = |old: Option<u64>, on: bool| on.then(|| old.unwrap_or(flight.bake_ms));
            let hold = since(flight.hold_since_bake_ms, holding.is_some());
            let shown = since(flight.shown_since_bake_ms, holding == Some(Holding::Shown));
            (flight.hold_since_bake_ms, flight.shown_since_bake_ms) = (hold, shown);
            flight.judgement = Some((**judgement).clone());
        }
        Event::StepExtended { .. } => flight.extended += 1,
        Event::FreshBaselineLeft => flight.fresh_left = true,
        Event::EvidenceWaived { .. } => flight.waived = true,
        Event::SourceFailed { source, why } => flight.source = Some((source.clone(), at, why.clone())),
        Event::SourceRecovered { .. } => flight.source = None,
        Event::HoldBegan { why, sentence } => {
            flight.holds.insert(*why);
            flight.hold_sentences.insert(*why, sentence.clone());
            flight.hold_since.insert(*why, at);
        }
        Event::HoldEnded { why } => end_hold(flight, *why),
        Event::StepPassed { by_hand, .. } => {
            flight.passed = true;
            flight.holds.retain(|hold| *hold == Hold::Paused && !by_hand);
        }
        Event::ReturnDecided { cause, sentence } => {
            flight.holds.clear();
            flight.returning =
                Some(Returning { cause: *cause, sentence: sentence.clone(), at, verified: None });
        }
        Event::ReturnVerified { detect_ms, shift_ms, canary_requests, canary_failed } => {
            if let Some(returning) = &mut flight.returning {
                returning.verified = Some(flight::Verified {
                    detect_ms: *detect_ms,
                    shift_ms: *shift_ms,
                    canary_requests: *canary_requests,
                    canary_failed: *canary_failed,
                });
            }
        }
        _ => {}
    }
}

/// A person said to go on: what held is remembered as taken, and time starts anew where time ran out.
fn end_hold(flight: &mut Flight, why: Hold) {
    flight.holds.remove(&why);
    flight.hold_sentences.remove(&why);
    flight.hold_since.remove(&why);
    let step = flight.step.unwrap_or(0);
    match why {
        Hold::Verdict => flight.accepted = Some(flight::Taken { verdict: Verdict::Hold, step }),
        // It ends by itself when nothing holds any more; else a person has said to go on.
        Hold::Baseline if flight.judgement.as_ref().is_some_and(|last| last.verdict == Verdict::Hold) => {
            flight.accepted = Some(flight::Taken { verdict: Verdict::Hold, step });
        }
        // The evidence has come; else a person gives the step its time anew.
        Hold::Evidence if flight.judgement.as_ref().is_some_and(|last| last.verdict == Verdict::Proceed) => {}
        Hold::Evidence => {
            flight.extended = 0;
            flight.bake_ms = 0;
            flight.hold_since_bake_ms = flight.hold_since_bake_ms.map(|_| 0);
            flight.shown_since_bake_ms = flight.shown_since_bake_ms.map(|_| 0);
        }
        Hold::Check => flight.checks.retain(|_, record| record.passed != Some(false)),
        Hold::Paused | Hold::Approval | Hold::Baseline | Hold::FreshBaseline => {}
    }
}

fn take_evidence(flight: &mut Flight, window: &Window) {
    let weight = flight.plan.step(window.step).map(|step| step.weight).unwrap_or_default();
    flight.evidence.fold(&flight.plan.analysis, window, weight);
    if flight.step == Some(window.step) && judge::is_fresh(&flight.plan, window) {
        flight.bake_ms += window.span_ms.min(judge::WINDOW_MS_MAX);
    }
}

fn end(state: &mut Environment, outcome: Outcome, sentence: &str, at: Timestamp) {
    let Some(flight) = state.flight.take() else { return };
    let version = flight.plan.version.name.clone();
    let totals = flight.evidence.canary_totals();
    let verified = flight.returning.as_ref().and_then(|returning| returning.verified);
    if outcome == Outcome::Released {
        seal(state, &flight, at);
    } else if flight.returning.as_ref().is_some_and(|r| suppresses(r.cause)) {
        let until = at.plus_ms(flight.plan.deadlines.suppression_ms);
        state.suppressed.insert(flight.plan.version.digest, until);
    }
    state.suppressed.retain(|_, until| *until > at);
    state.history.push(Past {
        release: flight.release,
        version,
        baseline: flight.plan.baseline,
        outcome,
        cause: flight.returning.as_ref().map(|returning| returning.cause),
        sentence: sentence.to_owned(),
        started_at: flight.started_at,
        ended_at: at,
        detect_ms: verified.and_then(|verified| verified.detect_ms),
        shift_ms: verified.map(|verified| verified.shift_ms),
        canary_requests: verified.map_or(totals.0, |verified| verified.canary_requests),
        canary_failed: verified.map_or(totals.1, |verified| verified.canary_failed),
        feedback: flight.heard.tally,
    });
    state.at_rest.begin_anew();
    if state.history.len() > HISTORY_MAX {
        state.history.remove(0);
    }
}

/// The version becomes last known good; the old one may stay for a while.
fn seal(state: &mut Environment, flight: &Flight, at: Timestamp) {
    let version = &flight.plan.version.name;
    if let Some(known) = state.versions.get_mut(version) {
        known.sealed = true;
    }
    let old = state.stable.replace(version.clone());
    state.retiring = old
        .filter(|old| old != version && flight.plan.retire_after_ms > 0)
        .map(|version| Retiring { version, until: at.plus_ms(flight.plan.retire_after_ms) });
}

/// Which returns say something bad of the artifact itself.
fn suppresses(cause: ReturnCause) -> bool {
    !matches!(cause, ReturnCause::Superseded | ReturnCause::Aborted | ReturnCause::Invariant)
}
