//! The engine dies once at every boundary between two effects, one run for each; nothing else is
//! wrong, so every run must end as the one without a crash does, or rarely with a question to a person.

use taxiway_model::event::Outcome;
use taxiway_model::service::StrategyKind;
use taxiway_sim::behaviour::Behaviour;
use taxiway_sim::run::run;
use taxiway_sim::scenario::{Deed, Scenario};

/// Boundaries that a run must at least have for this test to mean something.
const BOUNDARIES_MIN: u32 = 40;

fn ends(scenario: &Scenario, dies_in: Option<u32>) -> (Vec<Outcome>, u32) {
    let outcome = run(scenario, dies_in);
    let at = dies_in.map_or_else(String::new, |at| format!("dead at boundary {at}: "));
    if let Some(broken) = &outcome.broken {
        panic!("{at}{broken}\n{}", outcome.trace.join("\n"));
    }
    (outcome.history.iter().map(|past| past.outcome).collect(), outcome.boundaries)
}

/// `every`: a stride for runs with many boundaries of the same kind.
fn dies_everywhere(behaviour: Behaviour, kind: StrategyKind, expected: Outcome, every: usize) {
    dies_everywhere_in(&Scenario::calm(behaviour, kind), expected, every);
}

fn dies_everywhere_in(scenario: &Scenario, expected: Outcome, every: usize) {
    let (calm, boundaries) = ends(scenario, None);
    assert_eq!(calm, [Outcome::Released, expected]);
    assert!(boundaries >= BOUNDARIES_MIN, "only {boundaries} boundaries");
    let (mut runs, mut asked) = (0, 0);
    for at in (0..boundaries).step_by(every) {
        let (crashed, _) = ends(scenario, Some(at));
        runs += 1;
        // Seconds of evidence are lost with the engine, so that now and then a person is asked.
        asked += u32::from(crashed == [Outcome::Released]);
        let fine = crashed == calm || crashed == [Outcome::Released];
        assert!(fine, "dead at boundary {at} of {boundaries}: {crashed:?}");
    }
    assert!(asked * 20 <= runs, "{asked} of {runs} crashes end with a question to a person");
}

#[test]
fn a_good_release_survives_a_crash_anywhere() {
    dies_everywhere(Behaviour::Healthy, StrategyKind::Canary, Outcome::Released, 8);
}

#[test]
fn a_bad_release_goes_back_despite_a_crash_anywhere() {
    dies_everywhere(Behaviour::Errors, StrategyKind::Canary, Outcome::RolledBack, 1);
}

#[test]
fn rolling_survives_a_crash_anywhere() {
    dies_everywhere(Behaviour::Healthy, StrategyKind::Rolling, Outcome::Released, 1);
}

#[test]
fn a_good_release_beside_a_fresh_baseline_survives_a_crash_anywhere() {
    let scenario = Scenario::calm(Behaviour::Healthy, StrategyKind::Canary).beside_fresh();
    dies_everywhere_in(&scenario, Outcome::Released, 8);
}

#[test]
fn a_bad_release_beside_a_fresh_baseline_goes_back_despite_a_crash_anywhere() {
    let scenario = Scenario::calm(Behaviour::Errors, StrategyKind::Canary).beside_fresh();
    dies_everywhere_in(&scenario, Outcome::RolledBack, 2);
}

#[test]
fn a_fresh_baseline_that_never_starts_asks_a_person_and_sends_nothing_back() {
    for trouble in [Behaviour::NeverReady, Behaviour::Crash, Behaviour::Broken] {
        let mut scenario = Scenario::calm(Behaviour::Healthy, StrategyKind::Canary).beside_fresh();
        scenario.fresh = Some(trouble);
        let (ended, _) = ends(&scenario, None);
        assert_eq!(ended, [Outcome::Released], "{trouble:?}: v1 is there, v2 waits for a person");
        // Whoever goes on without them gets the release judged against what ran before.
        scenario.deeds.push((180_000, Deed::Resume));
        let (ended, _) = ends(&scenario, None);
        assert_eq!(ended, [Outcome::Released, Outcome::Released], "{trouble:?}");
    }
}
