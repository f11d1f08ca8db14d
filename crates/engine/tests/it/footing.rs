//! What the engine stands on: a log others write too, events it may not know, clocks that jump.

use crate::world::{World, id};
use taxiway_model::event::Event;
use taxiway_model::record::{Actor, NewRecord};
use taxiway_model::time::Timestamp;

fn record(event: &Event) -> NewRecord {
    NewRecord {
        at: Timestamp(0),
        actor: Actor::Engine,
        origin: "test".into(),
        reason: String::new(),
        dedup: None,
        kind: event.kind().into(),
        format: taxiway_model::event::FORMAT,
        payload: event.to_bytes(),
    }
}

#[test]
fn an_event_of_another_writer_is_read_before_going_on() {
    let (world, engine) = World::with_a_canary();
    let held = Event::AutomationHeld { why: "another writer".into() };
    world.lock().keep(record(&held));
    world.pass(&engine, 30);
    let state = engine.state(&id());
    assert_eq!(state.held.as_deref(), Some("another writer"));
    assert_eq!(state.seq, world.kinds().len() as u64);
    assert!(engine.view(&id()).unwrap().troubles.is_empty());
}

#[test]
fn an_event_nobody_knows_quarantines_the_stream_and_leaves_its_traffic_alone() {
    let (world, engine) = World::with_a_canary();
    drop(engine);
    let unknown =
        NewRecord { payload: b"{\"event\":\"beamed_up\"}".to_vec(), ..record(&Event::AutomationFreed) };
    world.lock().keep(unknown);
    let engine = world.engine();
    world.calls();
    assert_eq!(engine.tick(&id()), None);
    assert!(world.calls().is_empty());
    let troubles = engine.view(&id()).unwrap().troubles;
    assert!(troubles[0].contains("the baseline serves on"), "{troubles:?}");
}

#[test]
fn what_was_counted_before_an_engine_began_is_no_evidence_of_it() {
    let (world, engine) = World::with_a_canary();
    world.pass(&engine, 60);
    drop(engine);
    let engine = world.engine();
    world.pass(&engine, 60);
    let flight = engine.state(&id()).flight.unwrap();
    let (counted, _) = flight.evidence.canary_totals();
    let served = world.lock().counts[&crate::world::version("v2")];
    assert!(counted <= served && counted + 50 > served, "{counted} of {served}");
}

#[test]
fn a_clock_set_back_an_hour_makes_no_deadline_later() {
    let (world, engine) = World::with_a_canary();
    let before = engine.state(&id()).at;
    {
        let mut inner = world.lock();
        inner.wall_ms = 0;
        inner.now_ms += 60_000;
    }
    // With nothing for the canary the wait is by the clock; time has passed all the same.
    world.pass(&engine, 30);
    assert!(engine.state(&id()).at.since_ms(before) >= 60_000);
}
