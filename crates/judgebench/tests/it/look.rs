use std::process::Command;

use taxiway_judgebench::look::cases;

/// What the state of one metric may take, histograms included (R4.4).
const METRIC_BYTES_MAX: usize = 16 * 1_024;

/// One metric more than any release has in use beside its metrics: what both sides answered.
const RELEASE_BYTES_MAX: usize = 3 * METRIC_BYTES_MAX;

/// Weighs states in a process of its own, where nothing else takes memory.
#[test]
#[ignore = "a role that other tests start, not a test"]
fn weighing() {
    for case in cases() {
        let ((classes, metrics), weight) = (case.size(), case.weight());
        println!("weighed {classes} {metrics} {} {} {}", weight.release, weight.errors, weight.latency);
    }
}

#[test]
fn the_state_of_a_metric_is_bounded() {
    let role = ["--exact", "look::weighing", "--ignored", "--nocapture"];
    let output = Command::new(std::env::current_exe().unwrap()).args(role).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    // The test's name stands before the first line.
    let lines: Vec<&str> =
        printed.lines().filter_map(|line| line.split_once("weighed ")).map(|of| of.1).collect();
    assert_eq!(lines.len(), 4, "{printed}");
    for line in lines {
        let figures: Vec<usize> = line.split(' ').map(|figure| figure.parse().unwrap()).collect();
        let [_, metrics, release, errors, latency] = figures[..] else { panic!("{line}") };
        assert!(errors > 500 && latency > 2_000, "less than a state can be: {line}");
        assert!(errors <= METRIC_BYTES_MAX && latency <= METRIC_BYTES_MAX, "{line}");
        assert!(release <= RELEASE_BYTES_MAX.max(metrics * METRIC_BYTES_MAX / 2), "{line}");
    }
}
