//! What holds for any history, also for one that no release could have written.

use crate::world::{World, share, version};
use proptest::prelude::*;
use taxiway_decide::environment::{Environment, evolve};
use taxiway_decide::handle;
use taxiway_model::command::Command;
use taxiway_model::event::{Event, Hold, Outcome, ReturnCause, Signal, Split};
use taxiway_model::evidence::Window;
use taxiway_model::ids::Generation;
use taxiway_model::record::{Actor, Recorded};

fn events() -> impl Strategy<Value = Event> {
    let plan = {
        let mut world = World::empty();
        world.release("v1").unwrap();
        world.state.plan.clone().unwrap()
    };
    let release = Environment::new(plan.stream.clone()).next_release();
    let generation = || (0_u64..9).prop_map(Generation);
    let split = Split {
        baseline: None,
        canary: Some(version("v1")),
        weight: share(10),
        step: Some(0),
        fresh: share(0),
    };
    let hold = prop_oneof![Just(Hold::Paused), Just(Hold::Verdict), Just(Hold::Evidence), Just(Hold::Check)];
    let plan_digest = plan.digest();
    prop_oneof![
        Just(Event::ReleaseAccepted { release: release.clone(), plan: Box::new(plan), plan_digest }),
        Just(Event::ReleaseStarted { release }),
        generation().prop_map(|generation| Event::WorkloadReady { generation }),
        generation().prop_map(|generation| Event::SplitObserved { generation }),
        generation().prop_map(move |generation| Event::SplitIntended { generation, split: split.clone() }),
        (0_u16..4).prop_map(|step| Event::StepEntered { step }),
        (0_u16..4, any::<bool>()).prop_map(|(step, by_hand)| Event::StepPassed { step, by_hand }),
        (0_u16..4, 0_u64..100_000).prop_map(|(step, span_ms)| {
            Event::EvidenceRecorded { window: Box::new(Window { step, span_ms, ..Window::default() }) }
        }),
        hold.clone().prop_map(|why| Event::HoldBegan { why, sentence: "why".into() }),
        hold.prop_map(|why| Event::HoldEnded { why }),
        Just(Event::ReturnDecided { cause: ReturnCause::Verdict, sentence: "red".into() }),
        Just(Event::ReleaseEnded { outcome: Outcome::Released, sentence: "done".into() }),
        Just(Event::ReleaseEnded { outcome: Outcome::RolledBack, sentence: "back".into() }),
        Just(Event::AutomationHeld { why: "a person".into() }),
        Just(Event::AutomationFreed),
        Just(Event::FullPromotionAsked),
    ]
}

fn fold(events: Vec<Event>) -> Environment {
    let mut state = World::empty().state;
    for (seq, event) in (1..).zip(events) {
        let recorded = Recorded {
            global: seq,
            stream: state.stream.clone(),
            seq,
            at: taxiway_model::time::Timestamp(1_000_000 * seq as i64),
            actor: Actor::Engine,
            origin: String::new(),
            reason: String::new(),
            event,
        };
        state = evolve(state, &recorded);
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_folds_and_every_command_is_answered(events in prop::collection::vec(events(), 0..40)) {
        let state = fold(events);
        let commands = [
            Command::Promote { full: true },
            Command::Promote { full: false },
            Command::Pause,
            Command::Resume,
            Command::Abort,
            Command::Rollback { to: None },
            Command::Rollback { to: Some(version("v1")) },
            Command::Signal { signal: Signal::Security, detail: String::new(), key: None },
        ];
        for command in commands {
            let now = state.at;
            if let Err(refusal) = handle(&state, &command, now) {
                prop_assert!(!refusal.why.is_empty() && !refusal.next.is_empty());
            }
        }
    }

    #[test]
    fn the_way_back_is_open_while_something_is_in_flight(events in prop::collection::vec(events(), 0..40)) {
        let state = fold(events);
        let in_flight = state.flight.as_ref().is_some_and(|flight| flight.returning.is_none());
        for command in [Command::Abort, Command::Rollback { to: None }] {
            let answer = handle(&state, &command, state.at);
            if !in_flight {
                continue;
            }
            let events = answer.expect("nothing refuses a way back");
            let decided = events.iter().any(|event| matches!(event, Event::ReturnDecided { .. }));
            let all_back = events.iter().any(|event| {
                matches!(event, Event::SplitIntended { generation, split }
                    if split.weight == share(0) && split.canary.is_none() && *generation > state.generation)
            });
            prop_assert!(decided && all_back, "{command:?} gave {events:?}");
        }
    }
}
