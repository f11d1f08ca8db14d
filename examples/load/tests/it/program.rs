//! The program around the generator.

use std::process::Command;

use crate::server::{response, serve};

#[test]
fn json_is_a_line_per_second_and_a_summary() {
    let url = serve(|_, _| Some(response(200, "x-version: v1\r\n")));
    let arguments = [&url, "--rate", "100", "--requests", "150", "--json"];
    let output = Command::new(env!("CARGO_BIN_EXE_load")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, seconds) = lines.split_last().unwrap();
    assert!(seconds.len() >= 2 && seconds[0]["second"] == 1, "{text}");
    assert_eq!(summary["summary"]["ok"], 150, "{text}");
    assert_eq!(summary["summary"]["by_version"]["v1"]["requests"], 150, "{text}");
}

#[test]
fn another_machine_and_a_run_without_end_are_refused() {
    for arguments in [&["http://192.0.2.1", "--seconds", "1"][..], &["http://127.0.0.1:1"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_load")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(!output.stderr.is_empty());
    }
}
