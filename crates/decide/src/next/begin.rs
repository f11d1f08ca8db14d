//! Before the first step: what is normal goes on record, and what should be known of the release.

use super::{Draft, Situation};
use crate::environment::Flight;
use crate::{normal, preflight};
use taxiway_model::event::Event;
use taxiway_model::plan::Purpose;

pub(super) fn go(situation: &Situation<'_>, flight: &Flight, draft: &mut Draft) {
    let compares = flight.plan.purpose == Purpose::Forward && flight.plan.baseline.is_some();
    if !compares {
        draft.events.push(Event::StepEntered { step: 0 });
        return;
    }
    let seen = situation.seen.normal.as_ref();
    if let (None, Some(normal)) = (&flight.normal, seen.filter(|normal| normal::suffices(normal))) {
        draft.events.push(Event::NormalRecorded { normal: Box::new(normal.clone()) });
        return;
    }
    let known = flight.normal.as_ref().or(seen);
    let warnings =
        if flight.warnings.is_empty() { preflight::start_warnings(&flight.plan, known) } else { Vec::new() };
    if warnings.is_empty() {
        draft.events.push(Event::StepEntered { step: 0 });
    } else {
        draft.events.push(Event::Warned { warnings });
    }
}
