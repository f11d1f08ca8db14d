//! What a situation asks for. One transition a call: the engine appends, carries out, looks again
//! and calls again until nothing is left to decide, so that every fact rests on what was seen
//! after the fact before it.

mod begin;
mod checks;
mod evidence;
mod exposure;
mod fresh;
mod returning;
mod step;

pub use evidence::affordable_harm;
pub use step::HOLD_SETTLES_MS;

use crate::environment::{Environment, to_baseline};
use std::collections::BTreeMap;
use taxiway_model::decision::{Action, Decision, Report, WaitingOn, Wake};
use taxiway_model::event::{Event, Outcome};
use taxiway_model::ids::VersionName;
use taxiway_model::observation::Observations;
use taxiway_model::plan::Purpose;
use taxiway_model::time::Timestamp;

/// Everything `next` may look at.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The folded log.
    pub state: &'a Environment,
    /// What was just seen.
    pub seen: &'a Observations,
    /// Wall-clock time.
    pub now: Timestamp,
}

/// Time between looks while something is in flight.
pub const LOOK_MS: u64 = 1_000;

/// Time between looks while something is about to change: instances starting, a way back.
pub const LOOK_SOON_MS: u64 = 100;

/// Time between looks at a stream that rests: instances may die, routers may restart.
pub const LOOK_RESTING_MS: u64 = 2_000;

/// What is being put together.
#[derive(Debug, Default)]
struct Draft {
    events: Vec<Event>,
    actions: Vec<Action>,
    waiting: Vec<WaitingOn>,
    look_ms: Option<u64>,
}

impl Draft {
    fn wait(&mut self, on: WaitingOn) {
        self.waiting.push(on);
    }

    fn look_within(&mut self, ms: u64) {
        self.look_ms = Some(self.look_ms.map_or(ms, |old| old.min(ms)));
    }

    /// Whether something was decided: the rest waits until that is on record.
    fn decided(&self) -> bool {
        !self.events.is_empty()
    }

    /// An effect of an intent that a newer one of this same decision replaces is not carried out
    /// any more (a table sent again after a restart, in the moment in which the release ends).
    fn keep_to_newest_intents(&mut self) {
        for event in &self.events {
            match event {
                Event::SplitIntended { generation, .. } => self.actions.retain(
                    |action| !matches!(action, Action::ApplyRoutes(table) if table.generation < *generation),
                ),
                Event::WorkloadIntended { generation, .. } => self.actions.retain(
                    |action| !matches!(action, Action::ApplyWorkload(desired) if desired.generation < *generation),
                ),
                _ => {}
            }
        }
    }

    fn finish(self, now: Timestamp) -> Decision {
        let wake = self.look_ms.map(|ms| Wake { at: now.plus_ms(ms), why: "look again" });
        Decision {
            events: self.events,
            actions: self.actions,
            wake,
            report: Report { waiting: self.waiting },
        }
    }
}

/// Decides. Cannot fail: what is missing is a wait with a reason.
pub fn next(situation: &Situation<'_>) -> Decision {
    let mut draft = Draft::default();
    let state = situation.state;
    match &state.flight {
        Some(flight) if flight.returning.is_some() => returning::go(situation, flight, &mut draft),
        Some(flight) => step::go(situation, flight, &mut draft),
        None => rest(situation, &mut draft),
    }
    if draft.decided() {
        draft.keep_to_newest_intents();
        // The next look follows at once.
        draft.look_ms = Some(0);
    }
    draft.finish(situation.now)
}

/// Nothing is in flight: start what waits, or keep things as they are.
fn rest(situation: &Situation<'_>, draft: &mut Draft) {
    let state = situation.state;
    if let Some(waiting) = state.queue.first() {
        let allowed = state.held.is_none() || waiting.plan.purpose == Purpose::Rollback;
        match &state.held {
            _ if allowed => {
                draft.events.push(Event::ReleaseStarted { release: waiting.release.clone() });
                return;
            }
            Some(why) => draft.wait(WaitingOn::Held { why: why.clone() }),
            None => {}
        }
    }
    if let Some(retiring) = &state.retiring
        && retiring.until <= situation.now
    {
        draft.events.push(Event::RetireDue { version: retiring.version.clone() });
        return;
    }
    if state.stable.is_none() && state.workload.replicas.is_empty() {
        return;
    }
    draft.look_within(LOOK_RESTING_MS);
    let want = resting_replicas(situation);
    let place = exposure::Place { want: &want, serve: to_baseline(state.stable.clone()) };
    exposure::reach(situation, &place, draft);
}

/// The instances a stream has when nothing is in flight.
fn resting_replicas(situation: &Situation<'_>) -> BTreeMap<VersionName, u32> {
    let state = situation.state;
    let mut want = BTreeMap::new();
    if let Some(stable) = &state.stable {
        want.insert(stable.clone(), state.full_replicas(stable));
    }
    if let Some(retiring) = &state.retiring {
        want.entry(retiring.version.clone()).or_insert_with(|| state.full_replicas(&retiring.version));
    }
    want
}

/// The last words on a release.
fn ended(outcome: Outcome, sentence: impl Into<String>) -> Event {
    Event::ReleaseEnded { outcome, sentence: sentence.into() }
}
