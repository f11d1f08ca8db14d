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
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    check shop-live-2/canary-10/before/smoke attempt 1 failed
    check shop-live-2/canary-10/before/smoke attempt 2 failed
    back (Check): check smoke failed: exit 1
    split v1 | - 0%
    ended Failed: check smoke failed: exit 1
    instances v1x2
    -> nothing to do
    ");
}

#[test]
fn a_failing_check_after_a_step_holds_and_runs_again_when_resumed() {
    let mut world = with(CheckAt::EachStep, 0, OnFailure::Hold);
    world.failing_checks = vec!["canary-10/after/smoke"];
    world.release("v2").unwrap();
    world.wait(40);
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    verdict INSUFFICIENT_DATA
    verdict INSUFFICIENT_DATA
    step extended
    verdict PROCEED
    check shop-live-2/canary-10/after/smoke attempt 1 failed
    hold Check: check smoke failed: exit 1
    verdict INSUFFICIENT_DATA
    -> waiting for a person: check smoke failed: exit 1 (taxiway resume, promote or abort)
    ");
    world.failing_checks.clear();
    world.ask(&Command::Resume).unwrap();
    world.wait(1);
    insta::assert_snapshot!(world.told(), @"
    hold Check ended
    -> error_rate: 2x worse is not excluded yet: canary 0.10% (4 of 4,100) against baseline 0.10% (36 of 36,900) (about 7s at this traffic)
    ");
}

#[test]
fn a_failing_check_that_only_notes_stops_nothing() {
    let mut world = with(CheckAt::End, 0, OnFailure::Continue);
    world.failing_checks = vec!["smoke"];
    world.release("v2").unwrap();
    world.wait(150);
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    verdict INSUFFICIENT_DATA
    verdict INSUFFICIENT_DATA
    step extended
    verdict PROCEED
    passed 0
    step 1
    split v1 | v2 50%
    verdict INSUFFICIENT_DATA
    verdict PROCEED
    passed 1
    step 2
    instances v1x2 v2x2
    split v1 | v2 100%
    check shop-live-2/full/after/smoke attempt 1 failed
    passed 2
    split v2 | - 0%
    ended Released: v2 has all the traffic and takes the place of v1
    instances v2x2
    -> nothing to do
    ");
}
