//! Commands: exit codes, time limits, what they leave behind, what is kept of them.

use std::time::{Duration, Instant};

use taxiway_adapters::checks::{Config, Runner};
use taxiway_engine::ports::checks::Checks;
use taxiway_model::decision::CheckOrder;
use taxiway_model::observation::CheckStatus;
use taxiway_model::plan::CheckRun;

use super::room::Room;
use crate::process::role::{self, ROLE};
use crate::process::supervised::{eventually, kill_hard, runs};

#[test]
fn zero_passes_and_anything_else_is_said_with_its_last_line() {
    let room = Room::new();
    let good = room.play("good", 10_000, room.shell("echo one; echo all 17 tests passed; echo 1>&2"));
    assert!(good.passed);
    assert_eq!(good.said, "/bin/sh exited with code 0: all 17 tests passed");
    assert!(good.output.contains("one\n"), "{good:?}");
    let bad = room.play("bad", 10_000, room.shell("echo no such table >&2; exit 3"));
    assert!(!bad.passed);
    assert_eq!(bad.said, "/bin/sh exited with code 3: no such table");
    let killed = room.play("killed", 10_000, room.shell("kill -9 $$"));
    assert_eq!((killed.passed, killed.said.as_str()), (false, "/bin/sh was killed by signal 9 (SIGKILL)"));
}

#[test]
fn a_command_knows_its_effect_and_nothing_of_our_environment() {
    let room = Room::new();
    let evidence = room.play("shop-production-7/step/canary-5/smoke", 10_000, room.shell("env"));
    assert!(
        evidence.output.contains("TAXIWAY_EFFECT=shop-production-7/step/canary-5/smoke\n"),
        "{evidence:?}"
    );
    assert!(
        evidence.output.contains("TAXIWAY_ATTEMPT=1\n") && !evidence.output.contains("CARGO_"),
        "{evidence:?}"
    );
}

#[test]
fn a_command_that_cannot_be_run_fails_with_the_reason() {
    let room = Room::new();
    let directory = room.directory.path().display().to_string();
    let missing =
        CheckRun::Command { command: vec!["no-such-tool".to_owned()], directory: directory.clone() };
    assert!(room.play("missing", 1_000, missing).said.starts_with("no-such-tool could not be run: "));
    let nowhere =
        CheckRun::Command { command: vec!["true".to_owned()], directory: "/no/such/place".to_owned() };
    assert!(room.play("nowhere", 1_000, nowhere).said.contains("the check's directory /no/such/place"));
    let empty = CheckRun::Command { command: vec![], directory };
    assert!(!room.play("empty", 1_000, empty).passed);
}

#[test]
fn a_command_over_its_time_is_killed_with_everything_it_has_started() {
    let room = Room::new();
    let script = "sleep 1000 & echo $! > child; setsid sh -c 'echo $$ > left; exec sleep 1000' & echo started; sleep 1000";
    let began = Instant::now();
    let evidence = room.play("slow", 700, room.shell(script));
    assert!(!evidence.passed);
    assert!(evidence.said.contains("was still running after 700ms and was killed"), "{}", evidence.said);
    assert!(evidence.said.ends_with("started") || evidence.output.contains("held open"), "{evidence:?}");
    assert!(began.elapsed() < Duration::from_secs(20));
    for name in ["child", "left"] {
        let pid: u32 = room.read(name).trim().parse().unwrap();
        eventually(name, || !runs(pid));
    }
}

#[test]
fn what_a_command_leaves_behind_is_ended_with_it() {
    let room = Room::new();
    let script =
        "setsid sh -c 'echo $$ > left; exec sleep 1000' & while ! test -s left; do sleep 0.01; done; exit 0";
    assert!(room.play("daemon", 10_000, room.shell(script)).passed);
    let pid: u32 = room.read("left").trim().parse().unwrap();
    eventually("its end", || !runs(pid));
}

#[test]
fn output_is_bounded_and_never_blocks_the_command() {
    let room = Room::new();
    let script = "head -c 300000 /dev/zero | tr '\\0' x >&2; head -c 300000 /dev/zero | tr '\\0' y; exit 0";
    let evidence = room.play("loud", 20_000, room.shell(script));
    assert!(evidence.passed, "{}", evidence.said);
    assert_eq!((evidence.output.len(), evidence.cut_bytes), (64 * 1024, 600_000 - 64 * 1024));
    assert!(evidence.said.chars().count() < 300);
}

#[test]
fn an_attempt_runs_once_and_the_next_one_again() {
    let mut room = Room::new();
    for _ in 0..3 {
        room.start("hook", 1, 10_000, room.shell("echo ran >> ran; sleep 0.2"));
    }
    assert_eq!(room.runner().status("hook", 1), Some(CheckStatus::Running));
    assert_eq!(room.runner().status("hook", 2), None);
    assert!(room.end("hook", 1).passed);
    room.start("hook", 1, 10_000, room.shell("echo ran >> ran"));
    assert_eq!(room.read("ran"), "ran\n");
    room.start("hook", 2, 10_000, room.shell("echo ran >> ran"));
    room.end("hook", 2);
    assert_eq!(room.read("ran"), "ran\nran\n");
    room.close();
    room.open();
    assert!(matches!(room.runner().status("hook", 2), Some(CheckStatus::Ended { passed: true, .. })));
    room.start("hook", 2, 10_000, room.shell("echo ran >> ran"));
    room.end("hook", 2);
    assert_eq!(room.read("ran"), "ran\nran\n", "what has ended is not run again after a restart");
}

/// A runner in a process of its own that can be killed in the middle of a check.
pub(crate) fn check_for_ever() {
    let runner =
        Runner::open(Config { data_dir: std::env::var("TEST_DATA").unwrap().into(), on_end: None }).unwrap();
    let script = "echo $$ > pid; exec sleep 1000";
    let run = CheckRun::Command {
        command: ["/bin/sh", "-c", script].map(str::to_owned).into(),
        directory: std::env::var("TEST_CONTROL").unwrap(),
    };
    runner.start(&CheckOrder { effect: "hook".to_owned(), attempt: 1, run, timeout_ms: 60_000 });
    loop {
        std::thread::park();
    }
}

#[test]
fn a_check_of_a_runner_that_was_killed_is_ended_and_can_be_run_again() {
    let mut room = Room::new();
    room.close();
    let words = role::command();
    let mut command = std::process::Command::new(&words[0]);
    command.args(&words[1..]).env(ROLE, "checker").env("TEST_CONTROL", room.directory.path());
    command.env("TEST_DATA", room.directory.path().join("data")).stdout(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    eventually("the check", || room.read("pid").trim().parse::<u32>().is_ok());
    let pid: u32 = room.read("pid").trim().parse().unwrap();
    kill_hard(child.id());
    child.wait().unwrap();
    assert!(runs(pid));
    room.open();
    eventually("the end of what was left", || !runs(pid));
    assert_eq!(room.runner().status("hook", 1), None, "unknown, so that it is asked for again");
    assert!(room.play("hook", 10_000, room.shell("true")).passed);
}

#[test]
fn checks_beyond_the_bound_wait_their_turn() {
    let room = Room::new();
    for number in 0..80 {
        room.start(&format!("hook-{number}"), 1, 20_000, room.shell("sleep 0.05"));
    }
    for number in 0..80 {
        assert!(room.end(&format!("hook-{number}"), 1).passed);
    }
}
