//! The way back acts first, and nothing that fails can stop it.

use crate::world::{Fails, World, id};
use taxiway_engine::ports::log::Log;
use taxiway_model::command::Command;
use taxiway_model::event::Event;

#[test]
fn it_acts_before_it_is_recorded() {
    let (world, engine) = World::with_a_canary();
    world.calls();
    world.ask(&engine, &Command::Abort).unwrap();
    assert_eq!(world.calls(), ["to_baseline", "append return_decided split_intended"]);
    assert_eq!(world.weight(), 0);
}

#[test]
fn a_full_disk_does_not_stop_it_and_the_record_follows() {
    let (world, engine) = World::with_a_canary();
    world.lock().fails = Some(Fails::Full);
    let events = world.ask(&engine, &Command::Abort).unwrap();
    assert!(matches!(events[0], Event::ReturnDecided { .. }));
    assert_eq!(world.weight(), 0);
    assert!(!world.kinds().contains(&"return_decided".to_owned()));
    world.pass(&engine, 3);
    assert_eq!(world.weight(), 0);
    assert!(engine.view(&id()).unwrap().troubles[0].contains("no space left"));
    world.lock().fails = None;
    world.pass(&engine, 2);
    let kinds = world.kinds();
    let tail = ["return_decided", "split_intended", "split_observed", "return_verified", "release_ended"];
    let at = kinds.iter().position(|kind| kind == "return_decided").unwrap();
    assert_eq!(kinds[at..at + tail.len()], tail);
    assert!(engine.view(&id()).unwrap().troubles.is_empty());
}

#[test]
fn an_answer_that_was_lost_is_found_on_record_and_not_written_twice() {
    let (world, engine) = World::with_a_canary();
    world.lock().fails = Some(Fails::AnswerLost);
    world.ask(&engine, &Command::Abort).unwrap();
    assert_eq!(world.weight(), 0);
    world.lock().fails = None;
    world.pass(&engine, 2);
    let kinds = world.kinds();
    assert_eq!(kinds.iter().filter(|kind| *kind == "return_decided").count(), 1);
    assert_eq!(kinds.iter().filter(|kind| *kind == "release_ended").count(), 2);
}

#[test]
fn an_old_lost_append_does_not_swallow_a_way_back() {
    let (world, engine) = World::with_a_canary();
    world.lock().fails = Some(Fails::AnswerLost);
    world.ask(&engine, &Command::Pause).unwrap_err();
    world.lock().fails = Some(Fails::Full);
    world.ask(&engine, &Command::Abort).unwrap();
    world.lock().fails = None;
    world.pass(&engine, 2);
    assert_eq!(world.weight(), 0);
    assert!(world.kinds().contains(&"return_decided".to_owned()));
    assert!(engine.state(&id()).flight.is_none());
}

#[test]
fn a_way_back_whose_record_died_with_its_engine_is_not_undone() {
    let (world, engine) = World::with_a_canary();
    world.lock().fails = Some(Fails::Full);
    world.ask(&engine, &Command::Abort).unwrap();
    drop(engine);
    world.lock().fails = None;
    let engine = world.engine();
    world.pass(&engine, 3);
    assert_eq!(world.weight(), 0);
    assert!(engine.state(&id()).flight.is_none(), "the release ended");
}

#[test]
fn a_canary_nobody_can_record_anything_of_gets_no_lease_and_goes_back() {
    let (world, engine) = World::with_a_canary();
    world.lock().fails = Some(Fails::Full);
    world.calls();
    world.pass(&engine, 8);
    let calls = world.calls();
    assert!(calls.iter().any(|call| call.starts_with("append")), "{calls:?}");
    assert!(!calls.iter().any(|call| call.starts_with("routes")), "{calls:?}");
    assert_eq!(world.weight(), 1_000, "a moment of silence is forgiven");
    world.pass(&engine, 8);
    assert_eq!(world.weight(), 0);
    world.lock().fails = None;
    world.pass(&engine, 2);
    let past = engine.state(&id()).history.last().unwrap().clone();
    assert!(past.sentence.contains("nothing could be recorded for 10 s"), "{}", past.sentence);
}

#[test]
fn a_fenced_engine_does_nothing_more() {
    let (world, old) = World::with_a_canary();
    let new = world.engine();
    world.pass(&new, 1);
    world.ask(&old, &Command::Pause).unwrap_err();
    world.calls();
    assert_eq!(old.tick(&id()), None);
    assert!(world.calls().is_empty());
    assert!(old.view(&id()).unwrap().troubles.iter().any(|why| why.contains("lease epoch")));
    assert_eq!(Log::streams(&world).unwrap().len(), 1);
}
