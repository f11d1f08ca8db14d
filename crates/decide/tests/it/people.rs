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
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    verdict INSUFFICIENT_DATA
    hold Paused: a person paused it
    verdict INSUFFICIENT_DATA
    verdict PROCEED
    verdict INSUFFICIENT_DATA
    verdict PROCEED
    -> waiting for a person: paused by ada (taxiway resume)
    ");
    world.ask(&Command::Resume).unwrap();
    world.ask(&Command::Promote { full: false }).unwrap();
    world.wait(1);
    insta::assert_snapshot!(world.told(), @"
    hold Paused ended
    passed 0
    step 1
    split v1 | v2 50%
    passed 1 by hand
    step 2
    instances v1x2 v2x2
    split v1 | v2 100%
    -> baking: 1s of 30s with fresh evidence
    ");
}

#[test]
fn promote_full_goes_to_the_last_step() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(2);
    world.ask(&Command::Promote { full: true }).unwrap();
    world.wait(40);
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    verdict INSUFFICIENT_DATA
    full promotion asked
    passed 0 by hand
    step 2
    instances v1x2 v2x2
    split v1 | v2 100%
    verdict PROCEED
    passed 2
    split v2 | - 0%
    ended Released: v2 has all the traffic and takes the place of v1
    instances v2x2
    -> nothing to do
    ");
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
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    verdict INSUFFICIENT_DATA
    back (Aborted): a person aborted it
    split v1 | - 0%
    ended Aborted: aborted by ada
    instances v1x2
    accepted v2
    started shop-live-3
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    -> baking: 0ms of 30s with fresh evidence
    ");
}

#[test]
fn rollback_in_flight_holds_automation_until_somebody_frees_it() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(5);
    world.ask(&Command::Rollback { to: None }).unwrap();
    assert_eq!(world.weight(), 0);
    world.wait(3);
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    verdict INSUFFICIENT_DATA
    back (RolledBack): a person rolled it back
    split v1 | - 0%
    held: a person rolled back v2
    ended RolledBack: a person rolled it back
    instances v1x2
    -> nothing to do
    ");
    insta::assert_snapshot!(said(&world.release("v3").unwrap_err()), @"Held: shop/live is held: a person rolled back v2 | run `taxiway resume` to free it, then release again");
    world.ask(&Command::Resume).unwrap();
    insta::assert_snapshot!(said(&world.release("v2").unwrap_err()), @"Suppressed: v2 was rolled back; it is not tried again for 9m57s | release a fixed version, or insist with `taxiway retry`");
    world.start("v2", "v2", true).unwrap();
    insta::assert_snapshot!(world.told(), @"
    automation freed
    accepted v2
    started shop-live-3
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    -> baking: 0ms of 30s with fresh evidence
    ");
}

#[test]
fn rollback_after_the_end_goes_to_the_version_before() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(150);
    world.told();
    world.ask(&Command::Rollback { to: None }).unwrap();
    world.wait(3);
    insta::assert_snapshot!(world.told(), @"
    held: a person rolled back v2
    accepted v1
    started shop-live-3
    step 0
    instances v1x2 v2x2
    split v2 | v1 100%
    passed 0
    split v1 | - 0%
    ended Released: v1 has all the traffic and takes the place of v2
    instances v1x2
    -> nothing to do
    ");
    assert_eq!(world.state.stable, Some(version("v1")));
    insta::assert_snapshot!(said(&world.ask(&Command::Rollback { to: Some(version("v9")) }).unwrap_err()), @"NoSuchVersion: v9 was never fully released to shop/live | name one of the versions that `taxiway history` lists as released");
}

#[test]
fn a_report_of_harm_goes_back_at_once() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(5);
    let detail = "orders lost".to_owned();
    world.ask(&Command::Signal { signal: Signal::DataIntegrity, detail, key: None }).unwrap();
    world.wait(2);
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    verdict INSUFFICIENT_DATA
    signal received
    back (Signal): damaged data: orders lost
    split v1 | - 0%
    ended RolledBack: damaged data: orders lost
    instances v1x2
    -> nothing to do
    ");
}

#[test]
fn a_newer_version_queues_supersedes_or_is_refused() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(5);
    world.told();
    world.spec.concurrency = Concurrency::Refuse;
    insta::assert_snapshot!(said(&world.release("v3").unwrap_err()), @"InFlight: shop-live-2 is in flight and concurrency is `refuse` | wait for it to end, or abort it");
    world.spec.concurrency = Concurrency::Queue;
    world.release("v3").unwrap();
    world.spec.concurrency = Concurrency::Supersede;
    world.release("v4").unwrap();
    world.wait(3);
    insta::assert_snapshot!(world.told(), @"
    accepted v3
    back (Superseded): v4 takes its place
    split v1 | - 0%
    withdrawn shop-live-3: v4 takes its place before it began
    accepted v4
    ended RolledBack: v4 takes its place
    started shop-live-4
    step 0
    instances v1x2 v2x1 v4x1
    split v1 | v4 10%
    instances v1x2 v4x1
    verdict INSUFFICIENT_DATA
    -> baking: 3s of 30s with fresh evidence
    ");
}

#[test]
fn a_version_never_changes_its_content() {
    let mut world = World::serving();
    insta::assert_snapshot!(said(&world.start("v1", "other bytes", false).unwrap_err()), @"VersionChanged: v1 was 3bfc269594ef and is now a3ead5eedad5: a version never changes its content | give the new artifact or configuration a new version name");
}

#[test]
fn a_step_with_approval_waits_for_a_promotion() {
    let mut world = World::serving();
    let mut first = step("canary-10", 10, 5);
    first.approval = true;
    world.spec.strategy.steps = vec![first, step("full", 100, 0)];
    world.release("v2").unwrap();
    world.wait(40);
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    verdict INSUFFICIENT_DATA
    step extended
    verdict INSUFFICIENT_DATA
    verdict PROCEED
    hold Approval: step canary-10 asks for a person
    verdict INSUFFICIENT_DATA
    -> waiting for a person: step canary-10 asks for a person (taxiway promote)
    ");
    world.ask(&Command::Promote { full: false }).unwrap();
    world.wait(20);
    insta::assert_snapshot!(world.told(), @"
    passed 0 by hand
    step 1
    instances v1x2 v2x2
    split v1 | v2 100%
    verdict PROCEED
    passed 1
    split v2 | - 0%
    ended Released: v2 has all the traffic and takes the place of v1
    instances v2x2
    -> nothing to do
    ");
}

#[test]
fn the_abort_window_is_the_shortest_time_on_an_exposed_step() {
    let mut world = World::serving();
    world.spec.deadlines.abort_window_ms = 60_000;
    world.spec.strategy.steps = vec![step("full", 100, 5)];
    world.release("v2").unwrap();
    world.wait(30);
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x2
    split v1 | v2 100%
    verdict PROCEED
    -> abort window: 30s left
    ");
    world.wait(32);
    insta::assert_snapshot!(world.told(), @"
    passed 0
    split v2 | - 0%
    ended Released: v2 has all the traffic and takes the place of v1
    instances v2x2
    -> nothing to do
    ");
}
