//! Smoke tests and hooks: before, after, again, and what their failure means.

use crate::world::World;
use taxiway_model::command::Command;
use taxiway_model::plan::{Check, CheckAt, CheckRun, OnFailure};

fn with(at: CheckAt, retries: u32, on_failure: OnFailure) -> World {
    let mut world = World::serving();
    world.spec.checks = vec![Check {
        name: "smoke".into(),
        at,
        run: CheckRun::Command { command: vec!["smoke".into()], directory: "/".into() },
        timeout_ms: 1_000,
        retries,
        on_failure,
    }];
    world
}

#[test]
fn a_failing_check_before_the_first_traffic_is_retried_and_goes_back() {
    let mut world = with(CheckAt::Start, 1, OnFailure::Rollback);
    world.failing_checks = vec!["/before/smoke"];
    world.release("v2").unwrap();
    world.wait(3);
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn a_failing_check_after_a_step_holds_and_runs_again_when_resumed() {
    let mut world = with(CheckAt::EachStep, 0, OnFailure::Hold);
    world.failing_checks = vec!["canary-10/after/smoke"];
    world.release("v2").unwrap();
    world.wait(40);
    insta::assert_snapshot!(world.told(), @"");
    world.failing_checks.clear();
    world.ask(&Command::Resume).unwrap();
    world.wait(1);
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn a_failing_check_that_only_notes_stops_nothing() {
    let mut world = with(CheckAt::End, 0, OnFailure::Continue);
    world.failing_checks = vec!["smoke"];
    world.release("v2").unwrap();
    world.wait(150);
    insta::assert_snapshot!(world.told(), @"");
}
