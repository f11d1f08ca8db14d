//! The way back. Nothing here can hold it: no check, no hold, no missing evidence.

use super::{Draft, LOOK_SOON_MS, Situation, ended, exposure, resting_replicas};
use crate::environment::{Flight, Returning};
use taxiway_model::decision::{Action, WaitingOn};
use taxiway_model::event::{Event, Outcome, ReturnCause};
use taxiway_model::observation::TrafficStatus;
use taxiway_model::weight::WeightBp;

pub(super) fn go(situation: &Situation<'_>, flight: &Flight, draft: &mut Draft) {
    let Some(returning) = &flight.returning else { return };
    draft.look_within(LOOK_SOON_MS);
    let state = situation.state;
    if let Some(verified) = returning.verified {
        let exposed = verified.canary_requests > 0 || verified.detect_ms.is_some();
        draft.events.push(ended(outcome(returning.cause, exposed), &*returning.sentence));
        return;
    }
    let mut want = resting_replicas(situation);
    // The canary's instances stay until its requests have been answered; the routes do not know them.
    for (version, count) in &state.workload.replicas {
        want.entry(version.clone()).or_insert(*count);
    }
    let in_force = situation.seen.traffic.known().filter(|traffic| back_in_force(situation, traffic));
    match in_force {
        Some(traffic) if state.routes.observed => draft.events.push(measured(flight, returning, traffic)),
        Some(_) => {
            draft.events.push(Event::SplitObserved { generation: state.routes.generation });
        }
        None if never_routed(situation) => {
            // The router has never heard of this stream: there is nothing to take back.
            draft.events.push(Event::ReturnVerified {
                detect_ms: None,
                shift_ms: 0,
                canary_requests: 0,
                canary_failed: 0,
            });
        }
        None => {
            let stream = state.stream.clone();
            draft.actions.push(Action::ToBaseline { stream, generation: state.routes.generation });
            exposure::keep_routes(situation, &want, draft);
            draft.wait(WaitingOn::Return);
        }
    }
}

/// Whether the router has confirmed an intent at least as new, with nothing for the canary.
fn back_in_force(situation: &Situation<'_>, traffic: &TrafficStatus) -> bool {
    traffic.generation >= situation.state.routes.generation && traffic.weight == WeightBp::ZERO
}

/// A first release that never got as far as the router.
fn never_routed(situation: &Situation<'_>) -> bool {
    let state = situation.state;
    let flight_exposed = state.flight.as_ref().is_some_and(|flight| flight.exposed_at.is_some());
    state.stable.is_none() && !flight_exposed
}

fn measured(flight: &Flight, returning: &Returning, traffic: &TrafficStatus) -> Event {
    let version = &flight.plan.version.name;
    let first = traffic.first_routed.get(version);
    let last = traffic.last_routed.get(version);
    let (requests, failed) = traffic.totals.get(version).copied().unwrap_or_default();
    let recorded = flight.evidence.canary_totals();
    Event::ReturnVerified {
        detect_ms: first.map(|first| returning.at.since_ms(*first)),
        shift_ms: last.map_or(0, |last| last.since_ms(returning.at)),
        canary_requests: requests.max(recorded.0),
        canary_failed: failed.max(recorded.1),
    }
}

fn outcome(cause: ReturnCause, exposed: bool) -> Outcome {
    match cause {
        ReturnCause::Aborted => Outcome::Aborted,
        ReturnCause::NotReady
        | ReturnCause::NotRouted
        | ReturnCause::Check
        | ReturnCause::Invariant
        | ReturnCause::Source
            if !exposed =>
        {
            Outcome::Failed
        }
        _ => Outcome::RolledBack,
    }
}
