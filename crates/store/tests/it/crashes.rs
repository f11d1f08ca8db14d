//! A crash at each named place, in a process of its own: nothing acknowledged is lost.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output};

use taxiway_engine::ports::log::Log as _;
use taxiway_store::points;

use crate::samples::{all, damages, folder, keyed, open, record, stream};

const DIR: &str = "TAXIWAY_STORE_CRASH_DIR";
const ROUNDS: u64 = 12;

/// Appends, keeps snapshots and checkpoints, and says what was acknowledged, until it dies.
fn work(dir: &Path) {
    let _scenario = fail::FailScenario::setup();
    let log = open(dir);
    let epoch = log.take_lead("worker").expect("taken");
    println!("lead {epoch}");
    for number in 0..ROUNDS {
        let records = vec![keyed(number, &format!("k{number}")), record(number)];
        let appended = log.append(&stream("shop"), 2 * number, epoch, records).expect("appended");
        println!("seq {}", appended.seq);
        log.keep_snapshot(&stream("shop"), 1, appended.seq, b"snapshot").expect("kept");
        println!("snapshot {}", appended.seq);
        println!("checkpoint {}", log.checkpoint().expect("signed").size);
    }
}

fn run_worker(dir: &Path, failpoints: &str) -> Output {
    Command::new(std::env::current_exe().expect("this test"))
        .args(["crashes::a_crash_at_any_place_loses_nothing_acknowledged", "--exact", "--nocapture"])
        .env(DIR, dir)
        .env("FAILPOINTS", failpoints)
        .output()
        .expect("started")
}

#[test]
fn a_crash_at_any_place_loses_nothing_acknowledged() {
    if let Some(dir) = std::env::var_os(DIR) {
        return work(Path::new(&dir));
    }
    for point in points::ALL {
        let first_only = point.starts_with("store.open.");
        for passed in if first_only { vec![0] } else { vec![0, 1, 7] } {
            crash(&format!("{point}={passed}*off->return(abort)"));
        }
    }
}

fn crash(failpoints: &str) {
    let dir = folder();
    let output = run_worker(dir.path(), failpoints);
    let told = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(6), "{failpoints} was not reached: {told}{stderr}");
    let last = |word: &str| -> u64 {
        let lines = told.lines().filter_map(|line| line.strip_prefix(word)?.trim().parse().ok());
        lines.max().unwrap_or(0)
    };
    let log = open(dir.path());
    assert_eq!(damages(&log, None), Vec::<String>::new(), "{failpoints}");
    let found = all(&log).len() as u64;
    assert!(found >= last("seq").max(last("checkpoint")), "{failpoints}: {found} records\n{told}");
    assert!(found.is_multiple_of(2), "{failpoints}: half of an append is there");
    let snapshot = log.snapshot(&stream("shop"), 1).expect("asked").map_or(0, |(seq, _)| seq);
    assert!(snapshot >= last("snapshot"), "{failpoints}");
    let epoch = log.take_lead("next").expect("taken");
    assert!(epoch > last("lead"), "{failpoints}");
    // The append that may or may not have come through is repeated, and is there once.
    let number = last("seq") / 2;
    let again = vec![keyed(number, &format!("k{number}"))];
    let expected = if found == 2 * number { 2 * number } else { found };
    let appended = log.append(&stream("shop"), expected, epoch, again).expect("answered");
    assert_eq!(appended.records[0].seq, 2 * number + 1, "{failpoints}");
}

/// The places drills visit are all there are, each under a name of its own.
#[test]
fn places_have_names_of_their_own() {
    let names: std::collections::BTreeSet<&str> = points::ALL.iter().copied().collect();
    assert!(names.len() == points::ALL.len() && names.len() >= 8);
    assert!(names.iter().all(|name| name.starts_with("store.")));
}
