//! The main road: a canary under the judge.

use crate::world::{World, share, step, version};
use taxiway_model::command::Command;

#[test]
fn a_good_version_reaches_everything() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(150);
    insta::assert_snapshot!(world.told(), @"");
    assert_eq!(world.state.stable, Some(version("v2")));
}

#[test]
fn the_first_release_has_nobody_to_be_compared_with() {
    let mut world = World::empty();
    world.release("v1").unwrap();
    world.wait(3);
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn errors_go_back_on_a_small_share() {
    let mut world = World::serving();
    world.failing.insert(version("v2"), 200);
    world.release("v2").unwrap();
    world.wait(60);
    insta::assert_snapshot!(world.told(), @"");
    assert_eq!((world.weight(), world.state.stable.clone()), (0, Some(version("v1"))));
}

#[test]
fn a_slow_version_goes_back() {
    let mut world = World::serving();
    world.slower.insert(version("v2"), 101);
    world.release("v2").unwrap();
    world.wait(90);
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn worse_than_tolerated_but_not_red_holds_and_then_goes_back() {
    let mut world = World::serving();
    world.rps = 2_000;
    world.failing.insert(version("v1"), 40);
    world.failing.insert(version("v2"), 64);
    for metric in &mut world.spec.analysis.metrics {
        metric.hold_above = None;
    }
    world.release("v2").unwrap();
    world.wait(140);
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn an_outage_of_both_sides_holds_for_a_person() {
    let mut world = World::serving();
    world.failing.insert(version("v1"), 300);
    world.failing.insert(version("v2"), 300);
    world.release("v2").unwrap();
    world.wait(200);
    insta::assert_snapshot!(world.told(), @"");
    world.ask(&Command::Abort).unwrap();
    world.wait(2);
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn too_little_evidence_extends_and_then_asks() {
    let mut world = World::serving();
    world.rps = 10;
    world.failing.insert(version("v1"), 20);
    world.failing.insert(version("v2"), 20);
    for metric in &mut world.spec.analysis.metrics {
        metric.hold_above = None;
    }
    world.release("v2").unwrap();
    world.wait(140);
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn the_harm_budget_lets_a_quiet_service_go_on() {
    let mut world = World::serving();
    world.rps = 10;
    world.failing.insert(version("v1"), 20);
    world.failing.insert(version("v2"), 20);
    for metric in &mut world.spec.analysis.metrics {
        metric.hold_above = None;
    }
    world.spec.analysis.harm_budget_requests = Some(500);
    world.spec.strategy.steps = vec![step("canary-10", 10, 30), step("full", 100, 0)];
    world.release("v2").unwrap();
    world.wait(140);
    insta::assert_snapshot!(world.told(), @"");
}

#[test]
fn without_traffic_nothing_ages() {
    let mut world = World::serving();
    world.rps = 0;
    world.release("v2").unwrap();
    world.wait(130);
    insta::assert_snapshot!(world.told(), @"");
    assert_eq!(world.state.flight.as_ref().unwrap().bake_ms, 0);
}

#[test]
fn a_header_step_and_a_mirror_step_cost_no_user_anything() {
    let mut world = World::serving();
    let rule = taxiway_model::route::HeaderRule {
        from: taxiway_model::route::HeaderSource::Header,
        name: "x-team".into(),
        values: vec!["1".into()],
    };
    let mut team = step("team", 0, 0);
    team.header = Some(rule);
    team.analysis = false;
    let mut mirror = step("mirror", 0, 0);
    mirror.mirror = share(50);
    mirror.analysis = false;
    world.spec.strategy.steps = vec![team, mirror, step("full", 100, 10)];
    world.release("v2").unwrap();
    world.wait(20);
    insta::assert_snapshot!(world.told(), @"");
}
