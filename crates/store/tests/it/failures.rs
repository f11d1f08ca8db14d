//! A disk that is full, fails or cannot be written: typed errors, nothing pretended, and on again
//! once it is mended.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use taxiway_engine::ports::log::{Error, Log as _};
use taxiway_model::record::NewRecord;
use taxiway_store::points;
use taxiway_store::sqlite::{Options, Store, open};

use crate::samples::{all, append_one, damages, fill, keyed, open, record, stream};

const ALONE: &str = "TAXIWAY_STORE_ALONE";

/// Runs a test in a process of its own, because it changes what the whole process sees. Signals of a
/// file that grows too large are ignored there, so that the write fails instead.
fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().expect("this test"))
        .args([&format!("failures::{name}"), "--exact", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .expect("started");
    let told = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}{stderr}");
}

fn large(number: u64) -> NewRecord {
    NewRecord { payload: vec![b'x'; 8_000 + number as usize], ..record(number) }
}

/// Appends until it fails; returns how many were acknowledged, and the failure.
fn until_refused(log: &Store, from: u64) -> (u64, Error) {
    for number in from..from + 5_000 {
        if let Err(error) = log.append(&stream("shop"), number, 0, vec![large(number)]) {
            return (number, error);
        }
    }
    panic!("the disk never filled up");
}

/// After a failure: what was acknowledged is there and intact, and can be read.
fn holds(log: &Store, records: u64) {
    assert_eq!(all(log).len() as u64, records);
    assert_eq!(damages(log, None), Vec::<String>::new());
}

#[test]
fn a_full_database_is_told_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let log =
        Store::open(dir.path(), Options { pages_max: Some(150), ..Options::default() }).expect("opened");
    let (records, error) = until_refused(&log, 0);
    assert!(matches!(error, Error::Full(_)) && records > 20, "{error:?} after {records}");
    holds(&log, records);
    let again = log.append(&stream("shop"), records, 0, vec![large(records)]);
    assert!(matches!(again, Err(Error::Full(_))), "{again:?}");
    assert!(matches!(log.keep_snapshot(&stream("shop"), 1, 1, &vec![0; 80_000]), Err(Error::Full(_))));
    // What still fits is taken: the failure is of a write, not of the log.
    log.append(&stream("shop"), records, 0, vec![record(records)]).expect("a small record fits");
    drop(log);
    let log = open(dir.path());
    holds(&log, records + 1);
    log.append(&stream("shop"), records + 1, 0, vec![large(records)]).expect("there is room again");
}

/// Says to `cargo xtask test` what this machine did not allow; the tests beside it stand for it.
fn skip(test: &str, why: &str) {
    let Some(list) = std::env::var_os("TAXIWAY_SKIPS") else { return };
    let mut list = std::fs::OpenOptions::new().append(true).open(list).expect("the list of skips is there");
    writeln!(list, "taxiway-store::{test}: {why}").expect("the list of skips can be written");
}

/// A file system of its own size, which only root can mount.
struct Small<'a>(&'a Path);

impl Small<'_> {
    fn mount(dir: &Path, options: &str) -> bool {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir).output();
        mounted.is_ok_and(|output| output.status.success())
    }

    fn remount(&self, options: &str) {
        let output = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(self.0).output();
        assert!(output.expect("started").status.success());
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).output();
    }
}

#[test]
fn a_full_disk_is_told_and_the_log_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().expect("a folder");
    if !Small::mount(dir.path(), "size=1m") {
        skip("a_full_disk_is_told_and_the_log_goes_on_when_there_is_room", "no file system can be mounted");
        return;
    }
    let small = Small(dir.path());
    let log = open(dir.path());
    let (records, error) = until_refused(&log, 0);
    assert!(matches!(error, Error::Full(_)) && records > 10, "{error:?} after {records}");
    holds(&log, records);
    assert!(matches!(log.checkpoint(), Ok(_) | Err(Error::Full(_))));
    small.remount("size=8m");
    for number in records..records + 50 {
        log.append(&stream("shop"), number, 0, vec![large(number)]).expect("there is room again");
    }
    holds(&log, records + 50);
    drop(log);
    holds(&open(dir.path()), records + 50);
    opens_or_tells(dir.path(), records + 50);
}

/// A log on a disk without a single free block: it opens to be read, or says what is missing.
fn opens_or_tells(dir: &Path, records: u64) {
    let filler = dir.join("filler");
    let mut rest = std::fs::File::create(&filler).expect("created");
    while std::io::Write::write_all(&mut rest, &[0; 4_096]).is_ok() {}
    drop(rest);
    match Store::open(dir, Options::default()) {
        Ok(log) => {
            holds(&log, records);
            assert!(matches!(log.append(&stream("shop"), records, 0, vec![large(1)]), Err(Error::Full(_))));
        }
        Err(error) => assert!(matches!(&error, open::Error::Log { source: Error::Full(_), .. }), "{error}"),
    }
    std::fs::remove_file(filler).expect("removed");
    holds(&open(dir), records);
}

/// The file system refuses every write beyond a size, with another error than that it is full.
#[test]
fn a_failing_disk_is_told_and_the_log_goes_on_when_it_works_again() {
    alone("a_failing_disk_is_told_and_the_log_goes_on_when_it_works_again", || {
        let dir = tempfile::tempdir().expect("a folder");
        let log = open(dir.path());
        fill(&log, "shop", 0, 3);
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).expect("asked");
        setrlimit(Resource::RLIMIT_FSIZE, 600_000, hard).expect("limited");
        let (records, error) = until_refused(&log, 3);
        assert!(matches!(error, Error::Unavailable(_) | Error::Full(_)), "{error:?} after {records}");
        holds(&log, records);
        let again = log.append(&stream("shop"), records, 0, vec![large(records)]);
        assert!(again.is_err(), "{again:?}");
        setrlimit(Resource::RLIMIT_FSIZE, hard, hard).expect("unlimited");
        log.append(&stream("shop"), records, 0, vec![large(records)]).expect("the disk works again");
        holds(&log, records + 1);
        drop(log);
        holds(&open(dir.path()), records + 1);
    });
}

#[test]
fn a_read_only_log_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = open(dir.path());
    fill(&log, "shop", 0, 3);
    drop(log);
    if Small::mount(dir.path(), "size=1m") {
        // Root writes past permissions, so the file system itself has to refuse.
        let small = Small(dir.path());
        drop(open(dir.path()));
        small.remount("ro");
        let refused = Store::open(dir.path(), Options::default()).err().expect("refused").to_string();
        assert!(refused.contains("Read-only file system"), "{refused}");
        return;
    }
    let database = dir.path().join("log.db");
    std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o400)).expect("changed");
    // What is there can be read; nothing more can be added, and nobody is told otherwise.
    let log = open(dir.path());
    holds(&log, 3);
    for _ in 0..2 {
        assert!(matches!(append_one(&log, "shop", 3), Err(Error::ReadOnly(_))));
    }
    holds(&log, 3);
}

#[test]
fn a_commit_that_fails_is_never_acknowledged() {
    alone("a_commit_that_fails_is_never_acknowledged", || {
        let scenario = fail::FailScenario::setup();
        for what in ["full", "read_only", "io"] {
            for point in
                [points::APPEND_BEFORE_BEGIN, points::APPEND_AFTER_INSERT, points::APPEND_BEFORE_COMMIT]
            {
                let dir = tempfile::tempdir().expect("a folder");
                let log = open(dir.path());
                fill(&log, "shop", 0, 3);
                fail::cfg(point, &format!("1*return({what})")).expect("set");
                let refused = append_one(&log, "shop", 3).expect_err("refused");
                let typed = match what {
                    "full" => matches!(refused, Error::Full(_)),
                    "read_only" => matches!(refused, Error::ReadOnly(_)),
                    _ => matches!(refused, Error::Unavailable(_)),
                };
                assert!(typed, "{point} {what}: {refused:?}");
                holds(&log, 3);
                append_one(&log, "shop", 3).expect("the next one is taken");
                holds(&log, 4);
            }
        }
        scenario.teardown();
    });
}

/// The answer gets lost after the commit: the caller cannot know, repeats, and gets what is there.
#[test]
fn a_lost_answer_is_repeated_without_harm() {
    alone("a_lost_answer_is_repeated_without_harm", || {
        let scenario = fail::FailScenario::setup();
        for point in [points::APPEND_AFTER_COMMIT, points::APPEND_BEFORE_REPLY] {
            let dir = tempfile::tempdir().expect("a folder");
            let log = open(dir.path());
            fill(&log, "shop", 0, 3);
            fail::cfg(point, "1*return(io)").expect("set");
            let append = || log.append(&stream("shop"), 3, 0, vec![keyed(3, "once")]);
            assert!(matches!(append(), Err(Error::Unavailable(_))), "{point}");
            assert_eq!(append().expect("answered").seq, 4, "{point}");
            holds(&log, 4);
        }
        scenario.teardown();
    });
}

/// One caller's refusal leaves the others of its group alone.
#[test]
fn a_group_fails_one_by_one() {
    alone("a_group_fails_one_by_one", || {
        let scenario = fail::FailScenario::setup();
        let dir = tempfile::tempdir().expect("a folder");
        let log = open(dir.path());
        fail::cfg(points::APPEND_BEFORE_BEGIN, "1*sleep(300)").expect("set");
        let outcomes: Vec<bool> = std::thread::scope(|scope| {
            let log = &log;
            let ask = |writer: u64| {
                // Every third expects what is not so; its record must not get into the chain of the others.
                let expected = if writer.is_multiple_of(3) { 7 } else { 0 };
                move || log.append(&stream(&format!("s{writer}")), expected, 0, vec![record(writer)]).is_ok()
            };
            let writers: Vec<_> = (0..30).map(|writer| scope.spawn(ask(writer))).collect();
            writers.into_iter().map(|writer| writer.join().expect("no panic")).collect()
        });
        assert_eq!(outcomes, (0..30_u64).map(|writer| !writer.is_multiple_of(3)).collect::<Vec<bool>>());
        holds(&log, 20);
        scenario.teardown();
    });
}

#[test]
fn a_writer_that_panics_leaves_the_log_readable() {
    alone("a_writer_that_panics_leaves_the_log_readable", || {
        let scenario = fail::FailScenario::setup();
        let dir = tempfile::tempdir().expect("a folder");
        let log = open(dir.path());
        fill(&log, "shop", 0, 3);
        fail::cfg(points::APPEND_BEFORE_COMMIT, "1*panic").expect("set");
        assert!(matches!(append_one(&log, "shop", 3), Err(Error::Unavailable(_))));
        assert!(matches!(append_one(&log, "shop", 3), Err(Error::Unavailable(_))));
        holds(&log, 3);
        drop(log);
        let log = open(dir.path());
        append_one(&log, "shop", 3).expect("appended");
        holds(&log, 4);
        scenario.teardown();
    });
}
