//! What tests of the store append, and where.

use std::path::Path;

use taxiway_engine::ports::log::{Appended, Error, Log};
use taxiway_model::ids::StreamId;
use taxiway_model::record::{Actor, NewRecord, StoredRecord};
use taxiway_model::time::Timestamp;
use taxiway_store::sqlite::{Options, Store};

/// A log under test, with whatever has to live as long.
pub(crate) struct Opened {
    pub(crate) log: Box<dyn Log>,
    _dir: Option<tempfile::TempDir>,
}

/// A temporary folder, in memory where the system has room for that: hundreds of logs are opened and
/// closed, and what a disk adds to that is looked at elsewhere.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}

pub(crate) fn memory() -> Opened {
    Opened { log: Box::new(taxiway_store::memory::Store::new()), _dir: None }
}

pub(crate) fn sqlite() -> Opened {
    let dir = folder();
    Opened { log: Box::new(open(dir.path())), _dir: Some(dir) }
}

pub(crate) fn open(dir: &Path) -> Store {
    Store::open(dir, Options::default()).expect("the log opens")
}

pub(crate) fn stream(name: &str) -> StreamId {
    format!("{name}/production").parse().expect("a stream's name")
}

/// A record whose every field follows from `number`.
pub(crate) fn record(number: u64) -> NewRecord {
    NewRecord {
        at: Timestamp(1_700_000_000_000_000 + number as i64),
        actor: if number.is_multiple_of(2) { Actor::Engine } else { Actor::Person(format!("ada{number}")) },
        origin: "cli".to_owned(),
        reason: format!("because of {number}"),
        dedup: None,
        kind: "step_entered".to_owned(),
        format: 1,
        payload: format!("{{\"number\":{number}}}").into_bytes(),
    }
}

pub(crate) fn keyed(number: u64, key: &str) -> NewRecord {
    NewRecord { dedup: Some(key.to_owned()), ..record(number) }
}

/// Appends records `from..to` to the end of a stream, one append each.
pub(crate) fn fill(log: &dyn Log, name: &str, from: u64, to: u64) -> Vec<StoredRecord> {
    let append = |number| append_one(log, name, number).expect("appended").records.remove(0);
    (from..to).map(append).collect()
}

/// Appends one record to the end of a stream.
pub(crate) fn append_one(log: &dyn Log, name: &str, number: u64) -> Result<Appended, Error> {
    let seq = log.streams()?.into_iter().find(|(found, _)| *found == stream(name)).map_or(0, |(_, seq)| seq);
    log.append(&stream(name), seq, 0, vec![record(number)])
}

/// Everything a log holds.
pub(crate) fn all(log: &dyn Log) -> Vec<StoredRecord> {
    log.read_all(0, usize::MAX).expect("readable")
}

/// The damages of a verification, empty when the log is intact.
pub(crate) fn damages(log: &dyn Log, kept: Option<&str>) -> Vec<String> {
    log.verify(kept).expect("verified").damages
}
