//! Releases from the command line: to the end, and back.

use std::sync::Arc;

use crate::bed::{Bed, Traffic, ended, kill};

#[test]
fn a_version_goes_all_the_way_and_back_by_hand() {
    let bed = Arc::new(Bed::new(Bed::QUICK).with_v1());
    let traffic = Traffic::on(&bed);
    bed.version("v2", "healthy");
    let said = bed.ok(&[
        "release",
        "--version",
        "v2",
        "--timeout",
        "40s",
        "--json",
        "--commit",
        "abc",
        "--reason",
        "why not",
    ]);
    let last: serde_json::Value = serde_json::from_str(said.out.lines().last().unwrap()).unwrap();
    let release = &last["releases"][0];
    assert_eq!((release["version"].as_str(), release["outcome"].as_str()), (Some("v2"), Some("released")));
    assert!(release["canary_requests"].as_u64() > Some(0), "{last}");
    assert_eq!(bed.ask().unwrap(), (200, "v2".to_owned()));

    let history = bed.ok(&["history", "--json"]).json();
    assert_eq!(
        (history[0]["commit"].as_str(), history[0]["reason"].as_str()),
        (Some("abc"), Some("why not"))
    );

    // The same version again, and the same name with other content.
    assert_eq!(bed.run(&["release", "--version", "v2"]).code, 3);
    bed.version("v1", "slow");
    let said = bed.run(&["release", "--version", "v1"]);
    assert!(said.code == 3 && said.err.contains("[version_changed]"), "{said:?}");

    bed.ok(&["rollback", "--reason", "for the test", "--wait", "40s"]);
    assert_eq!(bed.ask().unwrap(), (200, "v1".to_owned()));
    assert!(bed.status()["held"].is_string(), "a rollback by hand leaves a hold");
    bed.version("v3", "healthy");
    assert_eq!(bed.run(&["release", "--version", "v3"]).code, 3, "held");
    bed.ok(&["resume"]);
    bed.ok(&["release", "--version", "v3", "--timeout", "40s"]);
    bed.ok(&["rollback", "--to", "v2", "--wait", "40s"]);
    assert_eq!(bed.ask().unwrap(), (200, "v2".to_owned()));

    let counted = traffic.end();
    assert!(counted.failed.is_empty(), "of {} requests {:?} failed", counted.requests, counted.failed);
    proven(&bed);
}

/// The log is whole, and its verdicts come out again.
fn proven(bed: &Bed) {
    std::fs::write(bed.folder().join("kept"), bed.ok(&["log", "checkpoint"]).out).unwrap();
    bed.ok(&["log", "verify", "--checkpoint", "kept"]);
    bed.ok(&["replay"]);
}

#[test]
fn a_person_is_waited_for_and_answers() {
    let bed = Arc::new(Bed::new(Bed::ASKS).with_v1());
    let traffic = Traffic::on(&bed);
    bed.version("v2", "healthy");
    let said = bed.run(&["release", "--version", "v2", "--timeout", "40s"]);
    assert_eq!(said.code, 4, "{said:?}");
    let explained = bed.ok(&["explain", "--json"]).json();
    assert!(
        explained["next"].as_array().unwrap().iter().any(|next| next["command"] == "taxiway promote"),
        "{explained:#}"
    );
    bed.ok(&["pause", "--reason", "the pager is silent"]);
    let paused = bed.until("it is paused", |status| status["release"]["state"] == "paused");
    let hold = |why: &str| {
        let holds = paused["release"]["holds"].as_array().unwrap();
        holds.iter().find(|hold| hold["why"] == why).unwrap_or_else(|| panic!("{paused:#}")).clone()
    };
    let said = hold("paused")["sentence"].as_str().unwrap().to_owned();
    assert!(said.starts_with("paused by ") && said.ends_with(": the pager is silent"), "{said}");
    assert!(hold("paused")["since"].as_i64() > hold("approval")["since"].as_i64(), "{paused:#}");
    let explained = bed.ok(&["explain"]).out;
    assert!(explained.contains("paused by "), "{explained}");
    bed.ok(&["resume"]);
    bed.ok(&["promote"]);
    bed.until("v2 is sealed", |status| status["stable"] == "v2");

    // Abort another one.
    bed.version("v3", "healthy");
    assert_eq!(bed.run(&["release", "--version", "v3", "--until", "step:tenth", "--timeout", "40s"]).code, 0);
    bed.ok(&["abort", "--reason", "wrong build"]);
    bed.until("v3 is gone", |status| status["release"].is_null());
    let aborted = bed.ok(&["history", "--json"]).json()[0].clone();
    assert_eq!(aborted["outcome"], "aborted");
    let said = aborted["sentence"].as_str().unwrap();
    assert!(said.starts_with("aborted by ") && said.ends_with(": wrong build"), "{said}");

    // And report harm of a third.
    bed.version("v4", "healthy");
    bed.ok(&["release", "--version", "v4", "--until", "step:tenth", "--timeout", "40s"]);
    bed.ok(&["signal", "security", "--reason", "it leaks tokens"]);
    bed.until("v4 is gone", |status| status["release"].is_null());
    assert_eq!(bed.ok(&["history", "--json"]).json()[0]["outcome"], "rolled_back");
    let counted = traffic.end();
    assert!(counted.failed.is_empty(), "{:?}", counted.failed);
    proven(&bed);
}

#[test]
fn a_failing_version_goes_back_by_itself() {
    // The judge as shipped, on more traffic than one connection at a time makes.
    let judged = "
strategy:
  steps:
    - {name: half, weight: 50%, bake: 3s}
    - {name: all, weight: 100%, bake: 0s}
";
    let bed = Arc::new(Bed::new(judged).with_v1());
    let traffic: Vec<Traffic> = (0..6).map(|_| Traffic::on(&bed)).collect();
    bed.version("v2", "errors --error-percent 30");
    let said = bed.run(&["release", "--version", "v2", "--timeout", "60s"]);
    assert_eq!(said.code, 5, "{said:?}");
    assert_eq!(bed.ask().unwrap(), (200, "v1".to_owned()));
    let last = bed.ok(&["history", "--json"]).json()[0].clone();
    assert!(last["detect_ms"].is_u64() && last["shift_ms"].is_u64(), "{last:#}");
    let again = bed.run(&["release", "--version", "v2"]);
    assert!(again.code == 3 && again.err.contains("[suppressed]"), "{again:?}");
    drop(traffic);
    proven(&bed);
}

#[test]
fn a_version_that_does_not_come_up_goes_back() {
    let bed = Bed::new(Bed::QUICK).with_v1();
    let yaml = std::fs::read_to_string(bed.file()).unwrap().replace("ready: 20s", "ready: 2s");
    std::fs::write(bed.file(), yaml).unwrap();
    bed.version("v2", "crash");
    let said = bed.run(&["release", "--version", "v2", "--timeout", "40s"]);
    assert!([5, 10].contains(&said.code), "{said:?}");
    assert_eq!(bed.ask().unwrap(), (200, "v1".to_owned()));
}

#[test]
fn ctrl_c_only_stops_watching() {
    let bed = Bed::new(Bed::ASKS).with_v1();
    bed.version("v2", "healthy");
    let child = bed.start(&["release", "--version", "v2", "--json"]);
    bed.until("it is in flight", |status| status["release"]["version"] == "v2");
    // Without a person the verb ends by itself with 4; before that it is interrupted.
    kill(i32::try_from(child.id()).unwrap(), "INT");
    let said = ended(child);
    assert!([130, 4].contains(&said.code), "{said:?}");
    assert_eq!(bed.status()["release"]["version"], "v2", "the release goes on");
    bed.ok(&["promote", "--full"]);
    bed.until("v2 is sealed", |status| status["stable"] == "v2");
}

#[test]
fn steps_left_out_on_the_way_to_everything_are_not_shown_as_passed() {
    let steps = "
strategy:
  steps:
    - {name: tenth, weight: 10%, bake: 10m, analysis: false}
    - {name: half, weight: 50%, bake: 10m, analysis: false}
    - {name: all, weight: 100%, bake: 10m, analysis: false}
";
    let bed = Bed::new(steps).with_v1();
    bed.version("v2", "healthy");
    bed.ok(&["release", "--version", "v2", "--until", "step:tenth", "--timeout", "40s"]);
    bed.ok(&["promote", "--full"]);
    let status = bed.until("it is on its last step", |status| status["release"]["step"] == 2);
    let states: Vec<&str> = status["release"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["done", "skipped", "current"]);
}

#[test]
fn who_watches_does_not_wake_what_was_stopped() {
    let long = "
strategy:
  steps:
    - {name: tenth, weight: 10%, bake: 10m, analysis: false}
    - {name: all, weight: 100%, bake: 0s, analysis: false}
";
    let bed = Bed::new(long).with_v1();
    bed.version("v2", "healthy");
    let watchers = [bed.start(&["release", "--version", "v2", "--json"]), bed.start(&["status", "--watch"])];
    bed.until("it is on its step", |status| status["release"]["state"] == "watching");
    bed.ok(&["stop"]);
    for watcher in watchers {
        let said = ended(watcher);
        assert_eq!(said.code, 8, "{said:?}");
        assert!(said.err.contains("taxiway stop") && said.err.contains("taxiway start"), "{said:?}");
    }
    assert!(bed.processes().is_empty(), "{:?}", bed.processes());
    bed.ok(&["start"]);
    bed.until("the release goes on", |status| status["release"]["version"] == "v2");
}

#[test]
fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let bed = Bed::new(Bed::QUICK).with_v1();
    bed.version("v2", "healthy");
    let plan = bed.ok(&["release", "--version", "v2", "--dry-run", "--json"]).json();
    assert!(plan["release"].is_null() && plan["plan_digest"].as_str().unwrap().starts_with("sha256:"));
    let shown = bed.ok(&["release", "--version", "v2", "--dry-run"]).out;
    assert!(shown.contains("tenth") && shown.contains(plan["plan_digest"].as_str().unwrap()), "{shown}");
    assert!(bed.status()["release"].is_null());
    assert_eq!(
        bed.ok(&["history", "--json"]).json().as_array().unwrap().len(),
        1,
        "only v1 was ever released"
    );
}
