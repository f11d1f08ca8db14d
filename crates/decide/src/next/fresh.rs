//! A fresh baseline: instances of the running version that are started beside the canary. What
//! becomes of them is never the canary's fault: without them the release waits, then holds.

use super::{Draft, LOOK_SOON_MS, Situation, exposure, step};
use crate::environment::Flight;
use std::collections::BTreeMap;
use taxiway_model::event::{Event, Hold};
use taxiway_model::ids::VersionName;
use taxiway_model::time::ForPeople;

/// Whether the release waits for its fresh baseline: before a step's split until all its instances are
/// ready, and for a person once that takes too long. A step that has begun goes on without those that
/// fail: what the canary answers is judged on, and time without a baseline does not count.
pub(super) fn missing(
    situation: &Situation<'_>,
    flight: &Flight,
    want: &BTreeMap<VersionName, u32>,
    draft: &mut Draft,
) -> bool {
    let held = flight.holds.contains(&Hold::FreshBaseline);
    let wanted = want.iter().find(|(version, count)| version.is_fresh() && **count > 0);
    let (Some((version, need)), Some(status)) = (wanted, situation.seen.workload.known()) else {
        // Left, or the step has none.
        return held && ends(draft);
    };
    // A person has promoted the step: it is left, whatever there is to compare with.
    if flight.passed {
        return false;
    }
    let begun = flight.exposed_at.is_some();
    let enough = if begun { 1.min(*need) } else { *need };
    if exposure::waiting_for(situation, status, version, enough, draft) {
        return held && ends(draft);
    }
    if held && !begun {
        draft.wait(step::person(flight, Hold::FreshBaseline));
    } else if !begun {
        draft.look_within(LOOK_SOON_MS);
    }
    let waited_ms = situation
        .now
        .since_ms(situation.state.workload.at.max(flight.step_at))
        .min(situation.seen.watched.workload_ms);
    let ready_ms = flight.plan.deadlines.ready_ms;
    if !held && !begun && waited_ms > ready_ms {
        let sentence = format!(
            "the instances of the {} were not ready within {}: there is nothing to compare the canary with",
            version.for_people(),
            ForPeople(ready_ms)
        );
        draft.events.push(Event::HoldBegan { why: Hold::FreshBaseline, sentence });
        return true;
    }
    !begun
}

fn ends(draft: &mut Draft) -> bool {
    draft.events.push(Event::HoldEnded { why: Hold::FreshBaseline });
    true
}

/// Whether no instance of the fresh baseline of this step can take a request.
pub(super) fn is_down(situation: &Situation<'_>, flight: &Flight) -> bool {
    let fresh = flight.compared_with().filter(VersionName::is_fresh);
    let status = situation.seen.workload.known();
    fresh.zip(status).is_some_and(|(version, status)| status.ready(&version).next().is_none())
}
