//! The demo, played without a terminal.

use serde_json::Value;

use crate::bed::{Bed, shop};

/// Plays a scenario; gives back the only release of its closing object.
fn play(scenario: &str, rate: &str) -> Value {
    shop();
    let bed = Bed::new("");
    let said = bed.ok(&["demo", "--scenario", scenario, "--rate", rate, "--json", "--dir", "played"]);
    let mut lines = said.out.lines();
    let last: Value = serde_json::from_str(lines.next_back().unwrap()).unwrap();
    for line in lines {
        let update: Value = serde_json::from_str(line).unwrap();
        assert!(update["entry"]["kind"].is_string(), "an object per event: {line}");
    }
    let releases = last["releases"].as_array().unwrap();
    assert_eq!(releases.len(), 1, "{last}");
    let keys: Vec<&str> = releases[0].as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted =
        ["version", "outcome", "detect_ms", "shift_ms", "canary_requests", "failed_requests"].to_vec();
    wanted.sort_unstable();
    assert_eq!(keys, wanted);
    assert_eq!(releases[0]["version"], "v2");

    // Nothing is left but the folder with its log.
    assert!(bed.processes().is_empty(), "{:?}", bed.processes());
    let history = bed.ok(&["history", "--json", "--data", "played/.taxiway"]).json();
    assert_eq!(history.as_array().unwrap().len(), 2, "v1 and v2");
    bed.ok(&["replay", "--data", "played/.taxiway"]);
    bed.ok(&["stop", "--data", "played/.taxiway"]);
    releases[0].clone()
}

#[test]
fn errors_are_caught_and_undone() {
    let release = play("errors", "600");
    assert_eq!(release["outcome"], "rolled_back");
    assert!(release["detect_ms"].is_u64() && release["shift_ms"].is_u64(), "{release}");
    assert!(release["failed_requests"].as_u64() >= Some(5), "{release}");
}

#[test]
fn a_version_that_cannot_start_gets_no_request() {
    let release = play("crash", "50");
    assert!(release["outcome"] == "rolled_back" || release["outcome"] == "failed", "{release}");
    assert!(release["detect_ms"].is_null(), "{release}");
    assert_eq!(release["canary_requests"], 0);
}
