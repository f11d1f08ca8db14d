//! A changed byte anywhere in the files: it is found, or it changed nothing.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use taxiway_engine::ports::log::Log;
use taxiway_model::ids::{Digest, StreamId};
use taxiway_model::record::StoredRecord;
use taxiway_store::sqlite::{Options, Store};

use crate::samples::{all, fill, folder, keyed, open, stream};

/// Everything a caller can see of a log.
type Seen = (Vec<StoredRecord>, Vec<(StreamId, u64)>, Option<(u64, Vec<u8>)>);

fn seen(log: &dyn Log) -> Seen {
    let snapshot = log.snapshot(&stream("shop"), 1).expect("asked");
    (all(log), log.streams().expect("listed"), snapshot)
}

fn write(log: &Store) {
    fill(log, "shop", 0, 20);
    log.redact(Digest::of(b"{\"number\":7}"), "a name").expect("redacted");
    fill(log, "cart", 20, 30);
    log.append(&stream("cart"), 10, 0, (30..45).map(|n| keyed(n, &format!("k{n}"))).collect())
        .expect("appended");
    fill(log, "late", 45, 60);
    log.keep_snapshot(&stream("shop"), 1, 15, &[b's'; 6_000]).expect("kept");
    log.take_lead("first").expect("taken");
}

/// What became of a log whose files were changed.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Found,
    Unchanged,
    Missed(String),
}

fn outcome(dir: &Path, before: &Seen) -> Outcome {
    let Ok(log) = Store::open(dir, Options::default()) else { return Outcome::Found };
    match log.verify(None) {
        Ok(verified) if verified.damages.is_empty() => {}
        _ => return Outcome::Found,
    }
    // It was not found, so everything has to be as it was.
    let after = catch_unwind(AssertUnwindSafe(|| seen(&log)));
    match after {
        // A snapshot may be gone: none is always a correct answer.
        Ok((records, streams, snapshot))
            if (&records, &streams) == (&before.0, &before.1)
                && (snapshot.is_none() || snapshot == before.2) =>
        {
            Outcome::Unchanged
        }
        Ok(_) => Outcome::Missed("other contents".to_owned()),
        Err(_) => Outcome::Missed("not readable".to_owned()),
    }
}

/// Numbers that are the same in every run (Steele and others' SplitMix64).
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    (1_u64..).map(move |step| {
        let mut z = seed.wrapping_add(step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// Copies the files of `from`, one byte of `file` changed.
fn copy_changed(from: &Path, to: &Path, file: &str, at: usize, bit: u8) {
    for entry in fs::read_dir(from).expect("listed").flatten() {
        let name = entry.file_name();
        if name == "log.db-shm" || name == "lock" {
            continue;
        }
        let mut bytes = fs::read(entry.path()).expect("read");
        if name == file {
            bytes[at] ^= 1 << bit;
        }
        let target = to.join(&name);
        fs::write(&target, bytes).expect("written");
        fs::set_permissions(target, entry.metadata().expect("there").permissions()).expect("allowed");
    }
}

fn flip(from: &Path, file: &str, seed: u64, times: usize, before: &Seen) -> [usize; 2] {
    let len = fs::metadata(from.join(file)).expect("there").len();
    let (mut found, mut unchanged) = (0, 0);
    for number in numbers(seed).take(times) {
        let (at, bit) = ((number % len) as usize, (number >> 56) as u8 % 8);
        let to = folder();
        copy_changed(from, to.path(), file, at, bit);
        match outcome(to.path(), before) {
            Outcome::Found => found += 1,
            Outcome::Unchanged => unchanged += 1,
            Outcome::Missed(what) => panic!("{file}, byte {at}, bit {bit} (seed {seed}): {what}"),
        }
    }
    [found, unchanged]
}

#[test]
fn a_flipped_bit_in_the_database_is_found_or_harmless() {
    let dir = folder();
    let log = open(dir.path());
    write(&log);
    let before = seen(&log);
    drop(log);
    let [found, unchanged] = flip(dir.path(), "log.db", 1, 600, &before);
    // Free space within pages is the rest.
    assert!(found > 120 && found + unchanged == 600, "{found} found, {unchanged} harmless");
}

/// A frame that does not check out ends the write-ahead log for SQLite: what it held is gone, and
/// only the checkpoint beside it can tell.
#[test]
fn a_flipped_bit_in_the_write_ahead_log_is_found_or_harmless() {
    let dir = folder();
    let log = open(dir.path());
    write(&log);
    log.checkpoint().expect("signed");
    let before = seen(&log);
    let copy = folder();
    copy_changed(dir.path(), copy.path(), "", 0, 0);
    assert_eq!(outcome_of_copy(copy.path(), &before), Outcome::Unchanged);
    let [found, unchanged] = flip(copy.path(), "log.db-wal", 2, 300, &before);
    assert!(found > 150 && found + unchanged == 300, "{found} found, {unchanged} harmless");
}

fn outcome_of_copy(dir: &Path, before: &Seen) -> Outcome {
    let again = folder();
    copy_changed(dir, again.path(), "", 0, 0);
    outcome(again.path(), before)
}

/// Whole pages that cannot be read: told with their place, and never a panic.
#[test]
fn unreadable_pages_are_told() {
    let dir = folder();
    let log = open(dir.path());
    write(&log);
    drop(log);
    let bytes = fs::read(dir.path().join("log.db")).expect("read");
    for page in 1..bytes.len() / 4_096 {
        let to = folder();
        copy_changed(dir.path(), to.path(), "", 0, 0);
        let mut bytes = bytes.clone();
        bytes[page * 4_096..(page + 1) * 4_096].fill(0xa5);
        fs::write(to.path().join("log.db"), bytes).expect("written");
        let Ok(log) = Store::open(to.path(), Options::default()) else { continue };
        let damages = log.verify(None).map(|verified| verified.damages);
        assert!(damages.as_ref().map_or(true, |lines| !lines.is_empty()), "page {page}");
    }
}
