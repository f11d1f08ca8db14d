//! The rules of a step, as the annex "Verdicts" has them, and what goes before the first step.

use crate::world::{Life, World, step, version};
use taxiway_decide::{judge, preflight};
use taxiway_model::command::Command;
use taxiway_model::counts::Counts;
use taxiway_model::evidence::Classes;
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Sample, Samples, Tally};
use taxiway_model::normal::Normal;
use taxiway_model::observation::{MetricsStatus, Observed};
use taxiway_model::policy::{Measure, MetricPolicy, Missing, NOT_COMPARED_BP, Preflight};
use taxiway_model::time::Timestamp;
use taxiway_model::weight::WeightBp;

/// Ten minutes of `rps` requests a second, of which one in a thousand fails.
fn profile(rps: u64) -> Normal {
    let requests = rps * 600;
    let mut counts = Counts { requests, ..Counts::default() };
    counts.status = [0, requests - requests / 1_000, 0, 0, requests / 1_000];
    for (bucket, percent) in [(848, 50), (864, 40), (928, 8), (1_000, 2)] {
        counts.latency.buckets.insert(bucket, requests * percent / 100);
    }
    Normal { span_ms: 600_000, classes: Classes::from([("other".into(), counts)]), ..Normal::default() }
}

#[test]
fn a_release_goes_on_by_itself_when_the_baseline_has_recovered() {
    let mut world = World::serving();
    for name in ["v1", "v2"] {
        world.failing.insert(version(name), 300);
    }
    world.release("v2").unwrap();
    world.wait(40);
    assert!(world.told().contains("hold Baseline: error_rate: the baseline fails too"));
    for name in ["v1", "v2"] {
        world.failing.insert(version(name), 0);
    }
    world.wait(300);
    let told = world.told();
    assert!(told.contains("hold Baseline ended"), "{told}");
    assert!(told.contains("ended Released"), "{told}");
}

#[test]
fn a_person_may_go_on_although_the_baseline_fails_too() {
    let mut world = World::serving();
    for name in ["v1", "v2"] {
        world.failing.insert(version(name), 300);
    }
    world.release("v2").unwrap();
    world.wait(60);
    world.told();
    world.ask(&Command::Resume).unwrap();
    world.wait(5);
    let told = world.told();
    assert!(told.contains("hold Baseline ended") && told.contains("passed 0"), "{told}");
}

#[test]
fn a_metric_that_must_not_go_back_holds_for_a_person() {
    let mut world = World::serving();
    world.failing.insert(version("v1"), 4);
    world.failing.insert(version("v2"), 300);
    for metric in &mut world.spec.analysis.metrics {
        // What `rollback_on_failure: false` is resolved to.
        metric.red_bp = NOT_COMPARED_BP;
        metric.hold_above = None;
    }
    world.release("v2").unwrap();
    world.wait(300);
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    verdict INSUFFICIENT_DATA
    verdict HOLD
    verdict HOLD
    hold Verdict: error_rate: shown to be worse than 1.1x, for a person to decide since it is not to go back by itself: canary 30% (510 of 1,700) against baseline 0.40% (61 of 15,300)
    -> waiting for a person: error_rate: shown to be worse than 1.1x, for a person to decide since it is not to go back by itself: canary 30% (510 of 1,700) against baseline 0.40% (61 of 15,300) (taxiway resume, promote or abort)
    ");
}

#[test]
fn an_absolute_band_of_the_canary_holds_for_a_person_and_stays() {
    let mut world = World::serving();
    world.failing.insert(version("v1"), 9);
    world.failing.insert(version("v2"), 25);
    for metric in &mut world.spec.analysis.metrics {
        metric.tolerance_bp = 30_000;
        metric.red_bp = 50_000;
    }
    world.release("v2").unwrap();
    world.wait(200);
    let told = world.told();
    assert!(told.contains("hold Verdict: error_rate: canary above 1.00%"), "{told}");
    assert!(told.contains("-> waiting for a person"), "{told}");
    world.failing.insert(version("v2"), 1);
    world.wait(200);
    let told = world.told();
    assert!(!told.contains("hold Verdict ended") && told.contains("-> waiting for a person"), "{told}");
}

#[test]
fn what_held_on_one_step_holds_on_the_next_from_its_beginning() {
    let mut world = World::serving();
    world.rps = 2_000;
    world.failing.insert(version("v1"), 40);
    world.failing.insert(version("v2"), 64);
    for metric in &mut world.spec.analysis.metrics {
        metric.hold_above = None;
    }
    world.release("v2").unwrap();
    while world.state.flight.as_ref().unwrap().holds.is_empty() {
        world.wait(1);
    }
    world.ask(&Command::Promote { full: false }).unwrap();
    world.wait(20);
    assert!(world.told().contains("hold Verdict: error_rate: shown to be worse"));
    world.wait(20);
    assert!(world.told().contains("for the whole step again"));
}

#[test]
fn approval_is_given_by_promoting_not_by_resuming() {
    let mut world = World::serving();
    let mut first = step("canary-10", 10, 5);
    (first.approval, first.analysis) = (true, false);
    world.spec.strategy.steps = vec![first, step("full", 100, 0)];
    world.release("v2").unwrap();
    world.wait(10);
    let refusal = world.ask(&Command::Resume).unwrap_err();
    assert!(refusal.next.contains("taxiway promote"), "{refusal:?}");
    world.ask(&Command::Pause).unwrap();
    world.ask(&Command::Resume).unwrap();
    world.wait(2);
    assert!(world.told().ends_with("asks for a person (taxiway promote)"));
    world.ask(&Command::Promote { full: false }).unwrap();
    world.wait(5);
    assert!(world.told().contains("ended Released"));
}

/// A world whose releases also want a metric by query.
fn by_query() -> World {
    let mut world = World::serving();
    let name = MetricName::new("checkout").unwrap();
    let like = world.spec.analysis.metrics[0].clone();
    world.spec.analysis.metrics.push(MetricPolicy { name, measure: Measure::QueryCounts, ..like });
    world
}

fn answering(requests: u64) -> Observed<MetricsStatus> {
    let tally = |total| Tally { total, bad: 0 };
    let sample = Sample::Counts { canary: tally(requests), baseline: tally(9 * requests) };
    let since_window = Samples::from([(MetricName::new("checkout").unwrap(), sample)]);
    Observed::Known(MetricsStatus { since_window, ..MetricsStatus::default() })
}

#[test]
fn a_silent_source_is_not_health_it_holds_and_then_goes_back() {
    let mut world = by_query();
    world.metrics = Some(answering(100));
    world.release("v2").unwrap();
    world.wait(10);
    let before = world.state.flight.as_ref().unwrap().bake_ms;
    world.metrics = Some(Observed::Unknown { since: Timestamp(0), why: "connection refused".into() });
    world.wait(60);
    let told = world.told();
    assert!(told.contains("source of metrics silent"), "{told}");
    assert!(told.contains("no evidence from source of metrics: connection refused; going back in"), "{told}");
    let flight = world.state.flight.as_ref().unwrap();
    assert!(flight.bake_ms <= before + 2_000, "silence does not age a canary: {}", flight.bake_ms);
    world.wait(300);
    let told = world.told();
    assert!(told.contains("back (Source): no evidence from source of metrics for 5m"), "{told}");
}

#[test]
fn a_source_that_answers_again_lets_the_release_go_on() {
    let mut world = by_query();
    world.metrics = Some(Observed::Unknown { since: Timestamp(0), why: "500".into() });
    world.release("v2").unwrap();
    world.wait(30);
    assert!(world.told().contains("source of metrics silent"));
    world.metrics = Some(answering(100));
    world.wait(300);
    let told = world.told();
    assert!(told.contains("source of metrics heard again") && told.contains("ended Released"), "{told}");
}

#[test]
fn a_source_that_answers_garbage_is_a_source_that_fails() {
    let mut world = by_query();
    let name = MetricName::new("checkout").unwrap();
    let garbage = MetricsStatus {
        trouble: [(name, "not JSON: `<html>`".to_owned())].into(),
        ..MetricsStatus::default()
    };
    world.metrics = Some(Observed::Known(garbage));
    world.release("v2").unwrap();
    world.wait(330);
    let told = world.told();
    assert!(!told.contains("passed"), "{told}");
    assert!(told.contains("back (Source)") && told.contains("checkout: not JSON: `<html>`"), "{told}");
}

#[test]
fn a_source_that_answers_again_after_its_time_is_forgiven_and_no_clock_ends_that_time() {
    let silent = || Some(Observed::Unknown { since: Timestamp(0), why: "503".into() });
    let mut world = by_query();
    world.spec.analysis.metrics.last_mut().unwrap().on_error = Missing::Hold;
    world.metrics = silent();
    world.release("v2").unwrap();
    world.wait(900);
    world.metrics = Some(answering(100));
    world.wait(300);
    let told = world.told();
    assert!(!told.contains("back (") && told.contains("ended Released"), "{told}");

    let mut world = by_query();
    world.metrics = silent();
    world.release("v2").unwrap();
    world.wait(20);
    // The wall clock is set ahead: this process has seen but seconds of silence.
    world.now = world.now.plus_ms(3_600_000);
    world.watched_ms = 20_000;
    world.wait(5);
    assert!(!world.told().contains("back ("));
}

#[test]
fn where_a_metric_has_no_say_its_source_may_be_silent() {
    let told = |change: fn(&mut World)| {
        let mut world = by_query();
        change(&mut world);
        world.metrics = Some(Observed::Unknown { since: Timestamp(0), why: "503".into() });
        world.release("v2").unwrap();
        world.wait(400);
        world.told()
    };
    let last = |world: &mut World| {
        let steps = world.spec.strategy.steps.len() as u16;
        world.spec.analysis.metrics.last_mut().unwrap().from_step = steps - 1;
    };
    let later = told(last);
    let (before, after) = later.split_once("source of metrics silent").unwrap();
    assert!(before.contains("passed"), "{later}");
    assert!(after.contains("back (Source)"), "{later}");
    let unjudged = told(|world| world.spec.strategy.steps.iter_mut().for_each(|step| step.analysis = false));
    assert!(unjudged.contains("ended Released"), "{unjudged}");
}

#[test]
fn a_process_that_has_just_begun_waits_for_the_first_answer_and_forgives_nothing_before() {
    let mut world = by_query();
    world.metrics = Some(answering(100));
    world.release("v2").unwrap();
    world.wait(10);
    let passed = world.told().matches("passed").count();
    world.metrics = Some(Observed::Known(MetricsStatus::default()));
    world.wait(100);
    let told = world.told();
    assert_eq!(told.matches("passed").count(), passed, "{told}");
    assert!(told.contains("checkout: waiting for the first answer of its source"), "{told}");
    world.metrics = Some(Observed::Unknown { since: Timestamp(0), why: "503".into() });
    world.wait(20);
    world.metrics = Some(Observed::Known(MetricsStatus::default()));
    world.wait(20);
    assert!(!world.told().contains("heard again"), "an engine that was restarted has heard nothing");
}

#[test]
fn what_a_silent_metric_means_is_its_owners_to_say() {
    let told = |change: fn(&mut MetricPolicy)| {
        let mut world = by_query();
        change(world.spec.analysis.metrics.last_mut().unwrap());
        let name = MetricName::new("checkout").unwrap();
        let silent = MetricsStatus { trouble: [(name, "429".to_owned())].into(), ..MetricsStatus::default() };
        world.metrics = Some(Observed::Known(silent));
        world.release("v2").unwrap();
        world.wait(900);
        world.told()
    };
    assert!(told(|_| {}).contains("back (Source)"));
    let waits = told(|metric| metric.on_error = Missing::Hold);
    assert!(!waits.contains("back (") && waits.contains("hold Evidence"), "{waits}");
    let without = told(|metric| metric.on_error = Missing::Ignore);
    assert!(without.contains("ended Released"), "{without}");
    let advisory = told(|metric| metric.required = false);
    assert!(advisory.contains("ended Released"), "{advisory}");
}

#[test]
fn what_is_held_back_keeps_a_live_baseline_until_the_release_is_sealed() {
    let held_back = || {
        let mut world = World::serving();
        let last = world.spec.strategy.steps.last_mut().unwrap();
        last.weight = WeightBp::new(9_900).unwrap();
        world
    };
    let mut world = held_back();
    world.release("v2").unwrap();
    world.wait(150);
    let told = world.told();
    assert!(told.contains("split v1 | v2 99%") && told.contains("split v2 | - 0%"), "{told}");
    assert!(told.contains("ended Released"), "{told}");
    // A fault that begins on the last step is still seen against the baseline.
    let mut world = held_back();
    world.release("v2").unwrap();
    while world.weight() < 9_900 {
        world.wait(1);
    }
    world.told();
    world.failing.insert(version("v2"), 200);
    world.wait(30);
    let told = world.told();
    assert!(told.contains("back (Verdict)") && told.contains("against baseline"), "{told}");
}

#[test]
fn a_clock_set_ahead_and_a_dead_engine_end_no_wait_early() {
    let mut world = World::serving();
    world.lives.insert(version("v2"), Life::NeverReady);
    world.release("v2").unwrap();
    world.told();
    // The clock jumps by an hour, or nobody looked for an hour.
    world.watched_ms = 2_000;
    world.now = world.now.plus_ms(3_600_000);
    world.tick();
    assert!(world.told().starts_with("-> waiting for instances of v2: 0 of 1 ready, 4m58s left"));
    world.watched_ms = 301_000;
    world.tick();
    assert!(world.told().contains("back (NotReady): instances were not ready within 5m"));
}

#[test]
fn time_in_which_nobody_looked_is_not_held_against_the_evidence() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(5);
    world.told();
    world.watched_ms = 1_000;
    world.now = world.now.plus_ms(3_600_000);
    world.wait(5);
    assert!(!world.told().contains("hold Evidence"));
}

#[test]
fn the_normal_profile_is_on_record_before_the_first_step() {
    let mut world = World::serving();
    world.spec.analysis.preflight = Preflight::Warn;
    world.normal = Some(profile(10_000));
    world.release("v2").unwrap();
    let told = world.told();
    assert!(told.contains("started shop-live-2\nnormal profile of 600 s\nstep 0"), "{told}");
    assert_eq!(world.state.flight.as_ref().unwrap().normal, world.normal);
}

#[test]
fn without_a_profile_the_start_warns_and_the_warning_is_on_record() {
    let mut world = World::serving();
    world.spec.analysis.preflight = Preflight::Warn;
    world.release("v2").unwrap();
    assert!(
        world.told().contains("warned: no normal profile: nothing was seen yet of how v1 answers\nstep 0")
    );
    let mut world = World::serving();
    world.spec.analysis.preflight = Preflight::Warn;
    world.normal = Some(Normal { span_ms: 20_000, ..profile(5) });
    world.release("v2").unwrap();
    let warnings = &world.state.flight.as_ref().unwrap().warnings;
    assert!(
        warnings[0].contains("v1 was seen for 20s with 3000 requests, 1m and 200 or 5s and 5000 are needed")
    );
    assert_eq!(world.state.flight.as_ref().unwrap().normal, None);
}

#[test]
fn steps_that_see_nothing_are_warned_of_or_refused_with_what_to_change() {
    let mut world = World::serving();
    world.spec.analysis.preflight = Preflight::Warn;
    world.normal = Some(profile(1));
    world.release("v2").unwrap();
    insta::assert_snapshot!(world.told(), @"
    accepted v2
    started shop-live-2
    normal profile of 600 s
    warned: step canary-10 (10%) is blind: its 3 canary requests are too few to be sure of finding even total failure; step canary-10 (10%) may have to ask a person: at 1.0 requests/s a healthy canary needs about 12h47m to exclude what it must, and has 1m30s; give it more weight, bake it longer, or ask less of it (`analysis.exclude`); step canary-50 (50%) is blind: its 15 canary requests are too few to be sure of finding even total failure
    step 0
    instances v1x2 v2x1
    split v1 | v2 10%
    -> baking: 0ms of 30s with fresh evidence
    ");
    let mut plan = world.state.flight.as_ref().unwrap().plan.clone();
    assert_eq!(preflight::permitted(&plan, world.normal.as_ref()), Ok(()));
    plan.analysis.preflight = Preflight::Refuse;
    let refusal = preflight::permitted(&plan, world.normal.as_ref()).unwrap_err();
    assert!(refusal.why.contains("step canary-10 (10%)") && refusal.next.contains("preflight: warn"));
    assert_eq!(preflight::permitted(&plan, Some(&profile(100_000))), Ok(()));
}

#[test]
fn the_pre_flight_promises_what_the_judge_keeps() {
    let mut world = World::serving();
    world.rps = 200;
    world.spec.strategy.steps =
        vec![step("canary-10", 10, 300), step("canary-50", 50, 60), step("full", 100, 0)];
    world.release("v2").unwrap();
    let plan = world.state.flight.as_ref().unwrap().plan.clone();
    let forecast = preflight::forecast(&plan, &profile(200), None).unwrap();
    let exclude_ms = forecast.steps[0].exclude_ms.unwrap();
    while world
        .state
        .flight
        .as_ref()
        .unwrap()
        .judgement
        .as_ref()
        .is_none_or(|judgement| judgement.verdict != taxiway_model::verdict::Verdict::Proceed)
    {
        world.wait(1);
    }
    let took_ms = world.state.flight.as_ref().unwrap().bake_ms;
    assert!(took_ms <= exclude_ms + judge::WINDOW_MS_MAX, "{took_ms} of {exclude_ms}");
    assert!(exclude_ms < 10 * took_ms.max(1_000), "{took_ms} of {exclude_ms}");
}
