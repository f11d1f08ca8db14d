//! The normal profile: watched while nothing is released, on record before the first step.

use crate::world::{World, id, version};
use taxiway_model::event::Event;
use taxiway_model::evidence::total;
use taxiway_model::normal::Normal;

fn recorded(world: &World) -> Option<Normal> {
    let events = world.lock().records.clone();
    let mut events =
        events.iter().map(|stored| serde_json::from_slice::<Event>(&stored.record.payload).unwrap());
    events.find_map(|event| match event {
        Event::NormalRecorded { normal } => Some(*normal),
        _ => None,
    })
}

#[test]
fn what_was_answered_before_is_on_record_before_the_first_step() {
    let world = World::default();
    let engine = world.engine();
    world.release(&engine, "v1").unwrap();
    world.pass(&engine, 132);
    let seen = engine.normal(&id()).unwrap();
    let requests = total(&seen.classes).requests;
    assert!((110_000..=132_000).contains(&seen.span_ms), "{}", seen.span_ms);
    assert_eq!(requests, seen.span_ms * 90 / 1_000);
    world.release(&engine, "v2").unwrap();
    world.pass(&engine, 2);
    let noted = recorded(&world).unwrap_or_else(|| panic!("{:?}", world.kinds()));
    let requests = total(&noted.classes).requests;
    assert!((seen.span_ms..=seen.span_ms + 2_000).contains(&noted.span_ms), "up to the start: {noted:?}");
    assert_eq!(requests, noted.span_ms * 90 / 1_000);
    let kinds = world.kinds();
    let place = |kind: &str| kinds.iter().rposition(|one| one == kind);
    assert!(place("normal_recorded") < place("step_entered"), "{kinds:?}");
    assert!(engine.state(&id()).flight.unwrap().normal.is_some());
    // What is answered while a canary is out is no part of what is normal.
    world.pass(&engine, 60);
    assert_eq!(total(&engine.normal(&id()).unwrap().classes).requests, requests);
}

#[test]
fn a_new_engine_takes_over_what_the_router_still_holds() {
    let world = World::default();
    let engine = world.engine();
    world.release(&engine, "v1").unwrap();
    world.pass(&engine, 90);
    drop(engine);
    let engine = world.engine();
    world.pass(&engine, 1);
    let seen = engine.normal(&id()).unwrap();
    assert!(seen.span_ms >= 85_000 && total(&seen.classes).requests >= 85 * 90, "{seen:?}");
    world.release(&engine, "v2").unwrap();
    world.pass(&engine, 2);
    assert!(recorded(&world).is_some(), "{:?}", world.kinds());
}

#[test]
fn a_version_that_has_just_taken_over_has_no_profile_yet() {
    let world = World::default();
    let engine = world.engine();
    world.release(&engine, "v1").unwrap();
    world.pass(&engine, 100);
    assert!(engine.normal(&id()).is_some());
    world.release(&engine, "v2").unwrap();
    while engine.state(&id()).stable != Some(version("v2")) {
        world.pass(&engine, 1);
        if engine.state(&id()).flight.is_some_and(|flight| flight.step.is_some()) {
            // What matters here is the change, not the way to it.
            let _ = world.ask(&engine, &taxiway_model::command::Command::Promote { full: true });
        }
    }
    assert_eq!(engine.normal(&id()), None);
}

#[test]
fn a_clock_set_ahead_an_hour_ends_no_wait_for_instances() {
    let world = World::default();
    let engine = world.engine();
    world.release(&engine, "v1").unwrap();
    world.pass(&engine, 2);
    world.lock().never_ready = Some(version("v2"));
    world.release(&engine, "v2").unwrap();
    world.pass(&engine, 3);
    world.lock().wall_ms += 3_600_000;
    world.pass(&engine, 3);
    assert!(engine.state(&id()).flight.unwrap().returning.is_none(), "{:?}", world.kinds());
    world.pass(&engine, 300);
    assert!(world.kinds().iter().any(|kind| kind == "return_decided"), "{:?}", world.kinds());
}
