//! Sources of metrics that fail in every way there is, each in a world in which nothing else is wrong.

use taxiway_model::event::{Outcome, ReturnCause};
use taxiway_model::policy::Missing;
use taxiway_model::service::StrategyKind;
use taxiway_sim::behaviour::Behaviour;
use taxiway_sim::run::run;
use taxiway_sim::scenario::{Scenario, Wanted};
use taxiway_sim::source::{SourceFault, SourceSetup};

/// Faults in which nothing of the source can be used.
const SILENT: [SourceFault; 5] = [
    SourceFault::Hangs,
    SourceFault::Fails,
    SourceFault::Throttles,
    SourceFault::Garbage,
    SourceFault::Nothing,
];

/// How the second release ends under a fault, with its cause. Every invariant is watched meanwhile.
fn ends(
    behaviour: Behaviour,
    wanted: Wanted,
    fault: (u64, SourceFault, u64),
) -> Option<(Outcome, Option<ReturnCause>)> {
    let setup = SourceSetup { ahead_ms: 0, faults: vec![fault] };
    let outcome = run(&Scenario::calm(behaviour, StrategyKind::Canary).asking(wanted, setup), None);
    if let Some(broken) = &outcome.broken {
        panic!("{fault:?}: {broken}\n{}", outcome.trace.join("\n"));
    }
    outcome.history.get(1).map(|past| (past.outcome, past.cause))
}

fn kinds(on_missing: Missing) -> [Wanted; 2] {
    let counters = Wanted { on_error: on_missing, on_no_data: on_missing, ..Wanted::COUNTERS };
    [counters, Wanted { bucket_ms: 5_000, ..counters }]
}

#[test]
fn a_release_waits_for_its_source_and_goes_on_when_it_answers() {
    for wanted in kinds(Missing::Hold) {
        for fault in SILENT {
            // From before its first step on, far beyond the time after which others go back.
            let ended = ends(Behaviour::Healthy, wanted, (15_000, fault, 250_000));
            assert_eq!(ended, Some((Outcome::Released, None)), "{fault:?} {wanted:?}");
        }
    }
}

#[test]
fn a_release_goes_back_after_the_time_of_its_source_and_not_before() {
    for wanted in kinds(Missing::Rollback) {
        for fault in SILENT {
            let ended = ends(Behaviour::Healthy, wanted, (15_000, fault, 400_000));
            let expected = Some((Outcome::RolledBack, Some(ReturnCause::Source)));
            assert_eq!(ended, expected, "{fault:?} {wanted:?}");
            let ended = ends(Behaviour::Healthy, wanted, (30_000, fault, 20_000));
            assert_eq!(ended, Some((Outcome::Released, None)), "{fault:?} for a moment, {wanted:?}");
        }
    }
}

#[test]
fn what_a_source_tells_twice_late_or_anew_changes_no_verdict() {
    for wanted in kinds(Missing::Rollback) {
        for fault in [SourceFault::Late, SourceFault::Repeats, SourceFault::Resets, SourceFault::Flaps] {
            let fault = (30_000, fault, 40_000);
            let ended = ends(Behaviour::Healthy, wanted, fault);
            assert_eq!(ended, Some((Outcome::Released, None)), "{fault:?} {wanted:?}");
            let ended = ends(Behaviour::Errors, wanted, fault);
            let expected = Some((Outcome::RolledBack, Some(ReturnCause::Verdict)));
            assert_eq!(ended, expected, "{fault:?} {wanted:?}");
        }
    }
}
