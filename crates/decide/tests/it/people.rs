//! People: they may go on, stay, stop, go back, and ask for another version meanwhile.

use crate::world::{World, step, version};
use taxiway_model::command::{Command, Refusal};
use taxiway_model::event::Signal;
use taxiway_model::service::Concurrency;

fn said(refusal: &Refusal) -> String {
    format!("{:?}: {refusal} | {}", refusal.code, refusal.next)
}

#[test]
fn pause_resume_and_promote() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(5);
    world.ask(&Command::Pause).unwrap();
    world.wait(60);
    insta::assert_snapshot!(world.told(), @"");
    world.ask(&Command::Resume).unwrap();
    world.ask(&Command::Promote { full: false }).unwrap();
    world.wait(1);
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn promote_full_goes_to_the_last_step() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(2);
    world.ask(&Command::Promote { full: true }).unwrap();
    world.wait(40);
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn abort_is_over_and_suppresses_nothing() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(5);
    world.ask(&Command::Abort).unwrap();
    assert_eq!(world.weight(), 0);
    world.wait(3);
    world.release("v2").unwrap();
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn rollback_in_flight_holds_automation_until_somebody_frees_it() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(5);
    world.ask(&Command::Rollback { to: None }).unwrap();
    assert_eq!(world.weight(), 0);
    world.wait(3);
    insta::assert_snapshot!(world.told(), @"");
    insta::assert_snapshot!(said(&world.release("v3").unwrap_err()), @"");
    world.ask(&Command::Resume).unwrap();
    insta::assert_snapshot!(said(&world.release("v2").unwrap_err()), @"");
    world.start("v2", "v2", true).unwrap();
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn rollback_after_the_end_goes_to_the_version_before() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(150);
    world.told();
    world.ask(&Command::Rollback { to: None }).unwrap();
    world.wait(3);
    insta::assert_snapshot!(world.told(), @"");
    assert_eq!(world.state.stable, Some(version("v1")));
    insta::assert_snapshot!(said(&world.ask(&Command::Rollback { to: Some(version("v9")) }).unwrap_err()), @"");
}

#[test]
fn a_report_of_harm_goes_back_at_once() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(5);
    let detail = "orders lost".to_owned();
    world.ask(&Command::Signal { signal: Signal::DataIntegrity, detail }).unwrap();
    world.wait(2);
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn a_newer_version_queues_supersedes_or_is_refused() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(5);
    world.told();
    world.spec.concurrency = Concurrency::Refuse;
    insta::assert_snapshot!(said(&world.release("v3").unwrap_err()), @"");
    world.spec.concurrency = Concurrency::Queue;
    world.release("v3").unwrap();
    world.spec.concurrency = Concurrency::Supersede;
    world.release("v4").unwrap();
    world.wait(3);
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn a_version_never_changes_its_content() {
    let mut world = World::serving();
    insta::assert_snapshot!(said(&world.start("v1", "other bytes", false).unwrap_err()), @"");
}

#[test]
fn a_step_with_approval_waits_for_a_promotion() {
    let mut world = World::serving();
    let mut first = step("canary-10", 10, 5);
    first.approval = true;
    world.spec.strategy.steps = vec![first, step("full", 100, 0)];
    world.release("v2").unwrap();
    world.wait(40);
    insta::assert_snapshot!(world.told(), @"");
    world.ask(&Command::Promote { full: false }).unwrap();
    world.wait(20);
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn the_abort_window_is_the_shortest_time_on_an_exposed_step() {
    let mut world = World::serving();
    world.spec.deadlines.abort_window_ms = 60_000;
    world.spec.strategy.steps = vec![step("full", 100, 5)];
    world.release("v2").unwrap();
    world.wait(30);
    insta::assert_snapshot!(world.told(), @"");
    world.wait(32);
    insta::assert_snapshot!(world.told(), @"");
}
