//! Every strategy is a list of steps.

use crate::world::{Life, World, version};
use taxiway_model::presets;
use taxiway_model::service::{Stage, StrategyKind};

fn with(preset: &str) -> World {
    let mut world = World::serving();
    world.spec.strategy = presets::expand(preset, 2, None).unwrap();
    for step in &mut world.spec.strategy.steps {
        step.bake_ms = step.bake_ms.min(20_000);
    }
    world.spec.strategy.retire_after_ms = world.spec.strategy.retire_after_ms.min(30_000);
    world
}

#[test]
fn blue_green_flips_and_keeps_the_old_set_for_a_while() {
    let mut world = with("blue-green");
    world.release("v2").unwrap();
    world.wait(40);
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x2
    split v1 | v2 0%
    passed 0
    step 1
    split v1 | v2 100%
    verdict PROCEED
    passed 1
    split v2 | - 0%
    ended Released: v2 has all the traffic and takes the place of v1
    -> nothing to do
    ");
    world.wait(60);
    insta::assert_snapshot!(world.told(), @"
    retire due
    instances v2x2
    -> nothing to do
    ");
}

#[test]
fn rolling_goes_instance_by_instance() {
    let mut world = with("rolling");
    world.release("v2").unwrap();
    world.wait(10);
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 50%
    instances v1x1 v2x1
    passed 0
    step 1
    instances v1x1 v2x2
    split v1 | v2 100%
    passed 1
    split v2 | - 0%
    ended Released: v2 has all the traffic and takes the place of v1
    instances v2x2
    -> nothing to do
    ");
}

#[test]
fn rolling_stops_at_an_instance_that_is_never_ready() {
    let mut world = with("rolling");
    world.lives.insert(version("v2"), Life::NeverReady);
    world.release("v2").unwrap();
    world.wait(310);
    insta::assert_snapshot!(world.told(), @"
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
fn recreate_is_an_outage_and_refused_in_production() {
    let mut world = with("recreate");
    let refusal = world.release("v2").unwrap_err();
    insta::assert_snapshot!(format!("{refusal} | {}", refusal.next), @"recreate stops the old version before the new one runs: an outage, not allowed in production | use canary, blue-green or rolling, or release to another environment");
    world.spec.stage = Stage::Test;
    assert_eq!(world.spec.strategy.kind, StrategyKind::Recreate);
    world.release("v2").unwrap();
    world.wait(10);
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    split v1 | v2 0%
    instances 
    passed 0
    step 1
    instances v2x2
    split v1 | v2 100%
    passed 1
    split v2 | - 0%
    ended Released: v2 has all the traffic and takes the place of v1
    -> nothing to do
    ");
}
