//! Opening, closing and opening again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rusqlite::Connection;
use taxiway_engine::ports::log::Log as _;
use taxiway_store::sqlite::open::Error;
use taxiway_store::sqlite::{Options, Store};

use crate::samples::{all, damages, fill, open, record, stream};

fn refused(dir: &std::path::Path) -> Error {
    match Store::open(dir, Options::default()) {
        Ok(_) => panic!("the log opened"),
        Err(error) => error,
    }
}

#[test]
fn everything_is_there_after_reopening() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = open(dir.path());
    fill(&log, "shop", 0, 10);
    log.keep_snapshot(&stream("shop"), 1, 5, b"five").expect("kept");
    let epoch = log.take_lead("first").expect("taken");
    let (before, checkpoint) = (all(&log), log.checkpoint().expect("signed"));
    drop(log);
    let log = open(dir.path());
    assert_eq!(all(&log), before);
    assert_eq!(log.checkpoint().expect("signed"), checkpoint);
    assert_eq!(log.snapshot(&stream("shop"), 1).expect("asked"), Some((5, b"five".to_vec())));
    assert!(log.append(&stream("shop"), 10, 0, vec![record(1)]).is_err());
    log.append(&stream("shop"), 10, epoch, vec![record(1)]).expect("the epoch is still in force");
    assert_eq!(damages(&log, Some(&checkpoint.note)), Vec::<String>::new());
}

#[test]
fn closing_leaves_one_whole_database() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = open(dir.path());
    fill(&log, "shop", 0, 3);
    drop(log);
    assert!(!dir.path().join("log.db-wal").exists());
}

#[test]
fn a_directory_has_one_process() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = open(dir.path());
    let error = refused(dir.path());
    assert!(matches!(error, Error::Held { pid: Some(pid), .. } if pid == std::process::id()), "{error:?}");
    let told = error.to_string();
    assert!(told.contains(&std::process::id().to_string()) && told.contains("stop that process"), "{told}");
    drop(log);
    open(dir.path());
}

#[test]
fn the_key_is_its_owners_only() {
    let dir = tempfile::tempdir().expect("a folder");
    drop(open(dir.path()));
    let key = dir.path().join("log.key");
    let mode = |path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&key), 0o600);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("changed");
    let told = refused(dir.path()).to_string();
    assert!(told.contains("others may read it") && told.contains("600"), "{told}");
}

#[test]
fn another_programs_database_is_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("log.db");
    Connection::open(&path).expect("opened").execute_batch("CREATE TABLE cats (name)").expect("made");
    let before = fs::read(&path).expect("read");
    assert!(matches!(refused(dir.path()), Error::Foreign { .. }));
    let after = Connection::open(&path).expect("opened");
    let cats: i64 = after.query_row("SELECT count(*) FROM cats", [], |row| row.get(0)).expect("asked");
    assert_eq!((cats, before.len() as u64), (0, fs::metadata(&path).expect("there").len()));
}

#[test]
fn a_newer_log_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    drop(open(dir.path()));
    let db = Connection::open(dir.path().join("log.db")).expect("opened");
    db.pragma_update(None, "user_version", 99).expect("changed");
    drop(db);
    let error = refused(dir.path());
    assert!(matches!(error, Error::Newer { found: 99, .. }), "{error:?}");
}

#[test]
fn what_is_no_database_is_damaged() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("log.db"), vec![b'x'; 8_192]).expect("written");
    let told = refused(dir.path()).to_string();
    assert!(told.contains("damaged") && told.contains(&dir.path().display().to_string()), "{told}");
}
