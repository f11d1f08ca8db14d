//! The main road: a canary under the judge.

use crate::world::{World, share, step, version};
use taxiway_model::command::Command;

#[test]
fn a_good_version_reaches_everything() {
    let mut world = World::serving();
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
    passed 2
    split v2 | - 0%
    ended Released: v2 has all the traffic and takes the place of v1
    instances v2x2
    -> nothing to do
    ");
    assert_eq!(world.state.stable, Some(version("v2")));
}

#[test]
fn the_first_release_has_nobody_to_be_compared_with() {
    let mut world = World::empty();
    world.release("v1").unwrap();
    world.wait(3);
    insta::assert_snapshot!(world.told(), @"
    accepted v1
    started shop-live-1
    step 0
    instances v1x2
    split v1 | - 0%
    passed 0
    split v1 | - 0%
    ended Released: v1 has all the traffic; it is the first version here
    -> nothing to do
    ");
}

#[test]
fn errors_go_back_on_a_small_share() {
    let mut world = World::serving();
    world.failing.insert(version("v2"), 200);
    world.release("v2").unwrap();
    world.wait(60);
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    verdict HOLD
    verdict ROLLBACK
    back (Verdict): error_rate: shown to be worse, beyond 2x: canary 20% (40 of 200) against baseline 0.06% (1 of 1,800)
    split v1 | - 0%
    ended RolledBack: error_rate: shown to be worse, beyond 2x: canary 20% (40 of 200) against baseline 0.06% (1 of 1,800)
    instances v1x2
    -> nothing to do
    ");
    assert_eq!((world.weight(), world.state.stable.clone()), (0, Some(version("v1"))));
}

#[test]
fn a_slow_version_goes_back() {
    let mut world = World::serving();
    world.slower.insert(version("v2"), 101);
    world.release("v2").unwrap();
    world.wait(90);
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    verdict INSUFFICIENT_DATA
    verdict ROLLBACK
    back (Verdict): latency_p95: shown to be slower, beyond 1.5x: p95 canary 69 ms against baseline 23 ms
    split v1 | - 0%
    ended RolledBack: latency_p95: shown to be slower, beyond 1.5x: p95 canary 69 ms against baseline 23 ms
    instances v1x2
    -> nothing to do
    ");
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
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    verdict INSUFFICIENT_DATA
    verdict INSUFFICIENT_DATA
    verdict HOLD
    hold Verdict: error_rate: shown to be worse than 1.1x but not beyond 2x: canary 6.39% (345 of 5,400) against baseline 4.00% (1,944 of 48,600)
    back (Verdict): error_rate: shown to be worse than 1.1x but not beyond 2x: canary 6.40% (550 of 8,600) against baseline 4.00% (3,096 of 77,400) for the whole step again
    split v1 | - 0%
    ended RolledBack: error_rate: shown to be worse than 1.1x but not beyond 2x: canary 6.40% (550 of 8,600) against baseline 4.00% (3,096 of 77,400) for the whole step again
    instances v1x2
    -> nothing to do
    ");
}

#[test]
fn an_outage_of_both_sides_holds_for_a_person() {
    let mut world = World::serving();
    world.failing.insert(version("v1"), 300);
    world.failing.insert(version("v2"), 300);
    world.release("v2").unwrap();
    world.wait(200);
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    verdict HOLD
    verdict HOLD
    hold Baseline: error_rate: the baseline fails too, both above 1.00%: canary 30% (480 of 1,600) against baseline 30% (4,320 of 14,400)
    -> waiting for a person: error_rate: the baseline fails too, both above 1.00%: canary 30% (480 of 1,600) against baseline 30% (4,320 of 14,400) (it goes on by itself when the baseline recovers; taxiway resume, promote or abort)
    ");
    world.ask(&Command::Abort).unwrap();
    world.wait(2);
    insta::assert_snapshot!(world.told(), @"
    back (Aborted): a person aborted it
    split v1 | - 0%
    ended Aborted: aborted by ada
    instances v1x2
    -> nothing to do
    ");
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
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    verdict INSUFFICIENT_DATA
    step extended
    hold Evidence: latency_p95: 2x as many slow requests are not excluded yet: p95 canary none against baseline none
    -> waiting for a person: latency_p95: 2x as many slow requests are not excluded yet: p95 canary none against baseline none (it goes on by itself once there is enough; taxiway resume, promote or abort)
    ");
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
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    verdict INSUFFICIENT_DATA
    step extended
    evidence waived
    passed 0
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
fn a_question_for_lack_of_evidence_answers_itself_when_the_evidence_comes() {
    let mut world = World::serving();
    world.rps = 0;
    world.spec.strategy.steps = vec![step("canary-10", 10, 30), step("full", 100, 0)];
    world.release("v2").unwrap();
    world.wait(130);
    assert!(world.told().contains("hold Evidence"), "{}", world.told());
    world.rps = 1_000;
    world.wait(90);
    insta::assert_snapshot!(world.told(), @"
    verdict INSUFFICIENT_DATA
    verdict INSUFFICIENT_DATA
    verdict PROCEED
    hold Evidence ended
    passed 0
    step 1
    instances v1x2 v2x2
    split v1 | v2 100%
    passed 1
    split v2 | - 0%
    ended Released: v2 has all the traffic and takes the place of v1
    instances v2x2
    -> nothing to do
    ");
}

#[test]
fn without_traffic_nothing_ages() {
    let mut world = World::serving();
    world.rps = 0;
    world.release("v2").unwrap();
    world.wait(130);
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    hold Evidence: after 2m01s on this step there are only 0ms with fresh evidence of the 30s it needs
    -> waiting for a person: after 2m01s on this step there are only 0ms with fresh evidence of the 30s it needs (it goes on by itself once there is enough; taxiway resume, promote or abort)
    ");
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
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 0%
    passed 0
    step 1
    split v1 | v2 0%
    passed 1
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
