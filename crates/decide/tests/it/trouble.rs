//! Versions that do not start, eat too much, or cannot be seen.

use crate::world::{Life, World, version};

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
    insta::assert_snapshot!(released(Life::Crashing, 5), @"");
}

#[test]
fn never_ready_goes_back_at_the_deadline() {
    insta::assert_snapshot!(released(Life::NeverReady, 310), @"");
}

#[test]
fn a_missing_program_is_said_at_once() {
    insta::assert_snapshot!(released(Life::Missing, 5), @"");
}

#[test]
fn memory_near_its_limit_is_red() {
    insta::assert_snapshot!(released(Life::Hungry, 5), @"");
}

#[test]
fn a_silent_router_holds_and_is_forgiven_when_it_speaks_again() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(5);
    world.told();
    world.router_silent = true;
    world.wait(60);
    insta::assert_snapshot!(world.told(), @"");
    world.router_silent = false;
    world.wait(2);
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn a_router_silent_for_too_long_goes_back() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(5);
    world.told();
    world.router_silent = true;
    world.wait(310);
    insta::assert_snapshot!(world.told(), @"");
    world.router_silent = false;
    world.wait(2);
    insta::assert_snapshot!(world.told(), @"");
    assert_eq!(world.weight(), 0);
}
