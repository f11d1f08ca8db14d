//! `kill -9` at each named place: every release goes on, nothing is lost, nothing is left.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::bed::{Bed, Traffic};

/// The places, each with how often it is passed before the process dies there. They lie in every
/// part: the log, the engine, the supervisor, the checks, the proxy and around them.
const PLACES: &[&str] = &[
    "checks.keep.after",
    "checks.keep.before",
    "checks.run.before",
    "checks.start.before",
    "engine.append.after:1",
    "engine.append.after:9",
    "engine.append.after:17",
    "engine.append.before:1",
    "engine.append.before:8",
    "engine.append.before:16",
    "engine.execute.after_check",
    "engine.execute.after_routes:1",
    "engine.execute.after_routes:2",
    "engine.execute.after_to_baseline",
    "engine.execute.after_workload:1",
    "engine.execute.after_workload:2",
    "engine.execute.before_check",
    "engine.execute.before_routes:1",
    "engine.execute.before_routes:2",
    "engine.execute.before_to_baseline",
    "engine.execute.before_workload:1",
    "engine.execute.before_workload:2",
    "family.spawn.after",
    "family.spawn.before",
    "proxy.after-accept:40",
    "proxy.after-table-persist:2",
    "proxy.after-upstream-connect:40",
    "proxy.before-counts-snapshot:5",
    "proxy.before-route:40",
    "proxy.before-table-persist:2",
    "resident.start.after_open",
    "resident.start.before_open",
    "resident.start.listening",
    "resident.stop.after_instances",
    "resident.stop.before_instances",
    "resident.stop.before_keeper",
    "resident.stop.before_proxy",
    "resident.wake.after_runner",
    "resident.wake.before_runner",
    "store.append.after_commit:1",
    "store.append.after_commit:12",
    "store.append.after_insert:1",
    "store.append.after_insert:12",
    "store.append.before_begin:1",
    "store.append.before_begin:12",
    "store.append.before_commit:1",
    "store.append.before_commit:12",
    "store.append.before_reply:1",
    "store.append.before_reply:12",
    "store.open.after_lock",
    "store.open.before_key",
    "store.open.before_writer",
    "traffic.apply.after:1",
    "traffic.apply.after:2",
    "traffic.apply.before:1",
    "traffic.apply.before:2",
    "traffic.connect",
    "traffic.to_baseline.after",
    "traffic.to_baseline.before",
    "workload.adopt.after",
    "workload.adopt.before",
    "workload.apply.after_keep:2",
    "workload.apply.before_keep:2",
    "workload.gone.after_forget",
    "workload.gone.before_forget",
    "workload.ready.before_record:3",
    "workload.start.after_record:3",
    "workload.start.after_spawn:3",
    "workload.start.before_record:3",
    "workload.start.before_spawn:3",
    "workload.stop.after_term",
    "workload.stop.before_term",
];

/// Fewest places that have to be reached: more are listed than any one scenario passes.
const REACHED_MIN: usize = 40;

/// Runs at once: they mostly wait.
const AT_ONCE: usize = 6;

/// A step with a check that leaves a line for each time it runs, then everything.
const STRATEGY: &str = "
strategy:
  steps:
    - name: tenth
      weight: 10%
      bake: 200ms
      analysis: false
      after:
        - {name: note, command: [sh, -c, 'echo {release} {step} >> noted'], on_failure: hold}
    - {name: half, weight: 50%, bake: 200ms, analysis: false, approval: true}
    - {name: all, weight: 100%, bake: 0s, analysis: false}
";

#[test]
fn every_release_goes_on_after_a_crash_anywhere() {
    let wanted = std::env::var("TAXIWAY_CRASH_PLACES").unwrap_or_default();
    let chosen = PLACES.iter().filter(|place| wanted.is_empty() || place.contains(&wanted));
    let queue: Mutex<VecDeque<&str>> = Mutex::new(chosen.copied().collect());
    let all = queue.lock().unwrap().len();
    let (missed, failed) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(place) = queue.lock().unwrap().pop_front() else { return };
                    // The other places are still tried: one failure seldom comes alone.
                    match std::panic::catch_unwind(|| run(place)) {
                        Ok(true) => {}
                        Ok(false) => missed.lock().unwrap().push(place),
                        Err(_) => failed.lock().unwrap().push(place),
                    }
                }
            });
        }
    });
    let (missed, failed) = (missed.into_inner().unwrap(), failed.into_inner().unwrap());
    assert!(failed.is_empty(), "of {all} places these failed: {failed:?}");
    let reached = all - missed.len();
    assert!(reached >= REACHED_MIN.min(all), "only {reached} places were reached; not {missed:?}");
}

/// One life with a crash in it; says whether the place was reached.
fn run(place: &str) -> bool {
    let bed = Arc::new(Bed::new(STRATEGY).with_env("TAXIWAY_CRASH_AT", place));
    for version in ["v1", "v2", "v3"] {
        bed.version(version, "healthy");
    }
    again(&bed, place, &["release", "--version", "v1", "--timeout", "40s"]);
    let traffic = Traffic::on(&bed);
    let kept = bed.folder().join("kept");
    std::fs::write(&kept, bed.ok(&["log", "checkpoint"]).out).unwrap();

    // v2 goes to the step that asks a person, and from there on to the end.
    again(&bed, place, &["release", "--version", "v2", "--until", "step:half", "--timeout", "40s"]);
    again(&bed, place, &["promote"]);
    bed.until(&format!("{place}: v2 is sealed"), |status| status["stable"] == "v2");
    // v3 is taken back.
    again(&bed, place, &["release", "--version", "v3", "--until", "step:half", "--timeout", "40s"]);
    again(&bed, place, &["abort"]);
    bed.until(&format!("{place}: v3 is gone"), |status| status["release"].is_null());
    let (_, version) = bed.ask().unwrap_or_else(|error| panic!("{place}: {error}"));
    assert_eq!(version, "v2", "{place}: all traffic is back on the baseline");

    let counted = traffic.end();
    assert!(counted.silence_ms_max < 5_000, "{place}: nothing was served for {} ms", counted.silence_ms_max);
    if !place.starts_with("proxy.") {
        assert!(counted.failed.is_empty(), "{place}: {:?}\n{}", counted.failed, bed.output());
    }
    proven(&bed, place);
    again(&bed, place, &["stop"]);
    assert!(bed.processes().is_empty(), "{place}: left behind: {:?}", bed.processes());
    bed.data().join("crashed").exists()
}

/// Nothing acknowledged is lost, no event is doubled, the verdicts come out again.
fn proven(bed: &Bed, place: &str) {
    bed.ok(&["log", "verify", "--checkpoint", "kept"]);
    bed.ok(&["replay"]);
    let history = bed.ok(&["history", "--json"]).json();
    let outcomes: Vec<(&str, &str)> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["version"].as_str().unwrap(), entry["outcome"].as_str().unwrap_or_default()))
        .collect();
    // A way back acts before it is recorded; one whose record was lost is known by what it did.
    let back = outcomes
        .first()
        .is_some_and(|(v3, outcome)| *v3 == "v3" && ["aborted", "rolled_back"].contains(outcome));
    assert!(back && outcomes[1..] == [("v2", "released"), ("v1", "released")], "{place}: {outcomes:?}");
    // A check runs at least once for each release that passes its step; once is what is recorded.
    let log = bed.ok(&["log", "--json"]).out;
    let ended = log.lines().filter(|line| line.contains("\"kind\":\"check_ended\"")).count();
    assert_eq!(ended, 2, "{place}: one end for each check");
    let noted = std::fs::read_to_string(bed.folder().join("noted")).unwrap();
    assert!(noted.lines().count() >= 2, "{place}: {noted}");
}

/// Runs a verb; one whose answer was lost with the process is typed again, as a person would.
fn again(bed: &Bed, place: &str, arguments: &[&str]) {
    let mut last = None;
    for _ in 0..10 {
        let said = bed.run(arguments);
        let done_already = [
            "[already_released]",
            "[already_returning]",
            "[in_flight]",
            "[nothing_in_flight]",
            "[not_waiting]",
        ];
        if said.code == 0 || (last.is_some() && done_already.iter().any(|code| said.err.contains(code))) {
            return;
        }
        let lost = said.code == 8;
        // Promoting or aborting may come before the step is ready for it.
        assert!(lost || said.code == 1, "{place}: {arguments:?}: {said:?}\n{}", bed.output());
        println!("{place}: {arguments:?} is typed again after {said:?}");
        last = Some(said);
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    panic!("{place}: {arguments:?}: {last:?}\n{}", bed.output());
}
