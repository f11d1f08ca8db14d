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
    insta::assert_snapshot!(world.told(), @"");
    world.wait(60);
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn rolling_goes_instance_by_instance() {
    let mut world = with("rolling");
    world.release("v2").unwrap();
    world.wait(10);
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn rolling_stops_at_an_instance_that_is_never_ready() {
    let mut world = with("rolling");
    world.lives.insert(version("v2"), Life::NeverReady);
    world.release("v2").unwrap();
    world.wait(310);
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn recreate_is_an_outage_and_refused_in_production() {
    let mut world = with("recreate");
    let refusal = world.release("v2").unwrap_err();
    insta::assert_snapshot!(format!("{refusal} | {}", refusal.next), @"");
    world.spec.stage = Stage::Test;
    assert_eq!(world.spec.strategy.kind, StrategyKind::Recreate);
    world.release("v2").unwrap();
    world.wait(10);
    insta::assert_snapshot!(world.told(), @"");
}
