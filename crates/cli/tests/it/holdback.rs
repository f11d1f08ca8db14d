//! `strategy: {holdback: …}` through the binary: the last step keeps a live baseline, and is judged against it.

use std::sync::Arc;

use crate::bed::{Bed, Traffic, ended, eventually};

/// A short step, then all but a tenth for as long as this.
fn bed(bake: &str, analysis: &str) -> Arc<Bed> {
    let bed = Bed::new(&format!(
        "
strategy:
  holdback: 10%
  steps:
    - {{name: half, weight: 50%, bake: 500ms, analysis: false}}
    - {{name: all, weight: 100%, bake: {bake}}}
{analysis}"
    ));
    Arc::new(bed.with_v1())
}

/// Whether a version answers one of so many requests.
fn answers(bed: &Bed, version: &str, requests: u32) -> bool {
    (0..requests).any(|_| bed.ask().is_ok_and(|(_, by)| by == version))
}

#[test]
fn the_old_version_answers_a_little_until_the_new_one_is_sealed() {
    let shown = "analysis:\n  metrics:\n    error_rate: {required: false}\n    latency_p95: {required: false}\n    memory: {rollback_above: 4GiB}\n";
    let bed = bed("6s", shown);
    bed.version("v2", "healthy");
    let traffic = Traffic::on(&bed);
    let release = bed.start(&["release", "--version", "v2", "--timeout", "60s"]);
    eventually("the last step has all but a tenth", || {
        bed.ok(&["log", "--last", "60"]).out.contains("to route: 90% to v2")
    });
    // A tenth of 200 requests does not come to none by chance.
    assert!(answers(&bed, "v1", 200) && answers(&bed, "v2", 20), "{}", bed.output());
    let said = ended(release);
    assert_eq!(said.code, 0, "{said:?}\n{}", bed.output());
    assert!(!answers(&bed, "v1", 100), "everything is v2's once it is sealed");
    let counted = traffic.end();
    assert!(counted.failed.is_empty(), "{counted:?}");
    bed.ok(&["replay"]);
}

#[test]
fn a_fault_that_comes_on_the_last_step_is_shown_against_what_is_held_back() {
    let bed = bed("60s", "");
    bed.version("v2", "late --late-after-s 6");
    let traffic: Vec<Traffic> = (0..4).map(|_| Traffic::on(&bed)).collect();
    let said = bed.run(&["release", "--version", "v2", "--timeout", "90s"]);
    assert_eq!(said.code, 5, "{said:?}\n{}", bed.output());
    let last = bed.ok(&["history", "--json"]).json()[0].clone();
    let sentence = last["sentence"].as_str().unwrap();
    // Without a live baseline there would be nothing to show it against: its absolute band asks a person.
    assert!(
        sentence.contains("error_rate: shown to be worse") && sentence.contains("against baseline"),
        "{last:#}"
    );
    assert!(bed.ok(&["log", "--last", "200"]).out.contains("to route: 90% to v2"));
    bed.ok(&["replay"]);
    for traffic in traffic {
        traffic.end();
    }
}
