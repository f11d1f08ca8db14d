//! Versions that do not start, eat too much, or cannot be seen.

use crate::world::{Life, World, version};
use taxiway_model::ids::MetricName;
use taxiway_model::policy::{Measure, MetricPolicy};

fn released(life: Life, seconds: u64) -> String {
    let mut world = World::serving();
    world.lives.insert(version("v2"), life);
    world.release("v2").unwrap();
    world.wait(seconds);
    assert_eq!((world.weight(), world.state.stable.clone()), (0, Some(version("v1"))));
    world.told()
}

#[test]
fn a_crash_loop_goes_back_before_any_traffic() {
    insta::assert_snapshot!(released(Life::Crashing, 5), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    back (NotReady): v2 crashes in a loop: instance 0 was restarted 3 times (exited with status 1)
    split v1 | - 0%
    ended Failed: v2 crashes in a loop: instance 0 was restarted 3 times (exited with status 1)
    instances v1x2
    -> nothing to do
    ");
}

#[test]
fn never_ready_goes_back_at_the_deadline() {
    insta::assert_snapshot!(released(Life::NeverReady, 310), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    back (NotReady): instances were not ready within 5m
    split v1 | - 0%
    ended Failed: instances were not ready within 5m
    instances v1x2
    -> nothing to do
    ");
}

#[test]
fn a_missing_program_is_said_at_once() {
    insta::assert_snapshot!(released(Life::Missing, 5), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    back (NotReady): v2 cannot be started: no such file
    split v1 | - 0%
    ended Failed: v2 cannot be started: no such file
    instances v1x2
    -> nothing to do
    ");
}

#[test]
fn memory_near_its_limit_is_red() {
    insta::assert_snapshot!(released(Life::Hungry, 5), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    back (Verdict): v2 instance 0 uses 95 MiB, more than 90% of its limit of 100 MiB
    split v1 | - 0%
    ended RolledBack: v2 instance 0 uses 95 MiB, more than 90% of its limit of 100 MiB
    instances v1x2
    -> nothing to do
    ");
}

/// Whoever names `memory` says where its bands are.
#[test]
fn a_metric_of_memory_has_its_own_bands() {
    let mut world = World::serving();
    world.lives.insert(version("v2"), Life::Hungry);
    let like = world.spec.analysis.metrics[0].clone();
    let name = MetricName::new("memory").unwrap();
    let (hold_above, rollback_above) = (None, None);
    world.spec.analysis.metrics.push(MetricPolicy {
        name,
        measure: Measure::Memory,
        hold_above,
        rollback_above,
        required: false,
        ..like
    });
    world.release("v2").unwrap();
    world.wait(20);
    assert_eq!(world.weight(), 1_000, "{}", world.told());
}

#[test]
fn a_silent_router_holds_and_is_forgiven_when_it_speaks_again() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(5);
    world.told();
    world.router_silent = true;
    world.wait(60);
    insta::assert_snapshot!(world.told(), @"
    router silent
    -> no evidence from router: connection refused; going back in 4m01s
    ");
    world.router_silent = false;
    world.wait(2);
    insta::assert_snapshot!(world.told(), @"
    router heard again
    verdict PROCEED
    -> baking: 21s of 30s with fresh evidence
    ");
}

#[test]
fn a_router_silent_for_too_long_goes_back() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(5);
    world.told();
    world.router_silent = true;
    world.wait(310);
    insta::assert_snapshot!(world.told(), @"
    router silent
    back (Source): no evidence from router for 5m: connection refused
    split v1 | - 0%
    -> waiting for the router to confirm that the baseline has everything
    ");
    world.router_silent = false;
    world.wait(2);
    insta::assert_snapshot!(world.told(), @"
    ended RolledBack: no evidence from router for 5m: connection refused
    instances v1x2
    -> nothing to do
    ");
    assert_eq!(world.weight(), 0);
}
