//! Power that fails at any write: the log opens again, is intact, and has all that was acknowledged.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use taxiway_engine::ports::log::Log as _;
use taxiway_store::sqlite::{Options, Store};

use crate::samples::{damages, fill, folder, open};

const APPENDS: u64 = 200;
/// Bytes between two cuts: no multiple of a page or a frame, so that they fall everywhere in both.
const STEP: usize = 40_009;
const PAGE: usize = 4_096;

/// The files of a log whose 200 appends are all in the write-ahead log, and how long that was when
/// each was acknowledged.
struct Script {
    dir: tempfile::TempDir,
    log: Store,
    acknowledged: Vec<usize>,
}

fn script() -> Script {
    let dir = folder();
    let log = Store::open(dir.path(), Options { wal_pages_max: 0, ..Options::default() }).expect("opened");
    let mut acknowledged = Vec::new();
    for number in 0..APPENDS {
        fill(&log, if number % 3 == 0 { "cart" } else { "shop" }, number, number + 1);
        acknowledged.push(read(dir.path(), "log.db-wal").len());
    }
    Script { dir, log, acknowledged }
}

fn read(dir: &Path, name: &str) -> Vec<u8> {
    fs::read(dir.join(name)).expect("read")
}

/// Opens a log of these files and returns how many records it has, all of which must be intact.
fn records_of(script: &Script, db: &[u8], wal: &[u8]) -> u64 {
    let to = folder();
    fs::copy(script.dir.path().join("log.key"), to.path().join("log.key")).expect("copied");
    fs::write(to.path().join("log.db"), db).expect("written");
    fs::write(to.path().join("log.db-wal"), wal).expect("written");
    let log = open(to.path());
    assert_eq!(damages(&log, None), Vec::<String>::new());
    let checkpoint = log.checkpoint().expect("signed");
    fill(&log, "after", 1_000, 1_001);
    checkpoint.size
}

#[test]
fn a_cut_at_any_write_loses_nothing_acknowledged() {
    let script = script();
    let (db, wal) = (read(script.dir.path(), "log.db"), read(script.dir.path(), "log.db-wal"));
    for (index, cut) in (0..=wal.len()).step_by(STEP).enumerate() {
        let expected = script.acknowledged.iter().filter(|length| **length <= cut).count() as u64;
        let mut torn = wal[..cut].to_vec();
        // What was on its way: nothing of it, zeros where the file had grown, or only what came later.
        match index % 3 {
            0 => {}
            1 => torn.resize(wal.len().min(cut + 2 * PAGE), 0),
            _ => {
                torn.resize(wal.len().min(cut + PAGE), 0xa5);
                torn.extend_from_slice(&wal[torn.len()..]);
            }
        }
        let found = records_of(&script, &db, &torn);
        assert!(found >= expected, "cut at {cut}: {found} records, {expected} were acknowledged");
    }
    assert_eq!(records_of(&script, &db, &wal), APPENDS);
    drop(script.log);
}

#[test]
fn a_cut_while_the_write_ahead_log_is_moved_loses_nothing() {
    let script = script();
    let (before, wal) = (read(script.dir.path(), "log.db"), read(script.dir.path(), "log.db-wal"));
    let mover = Connection::open(script.dir.path().join("log.db")).expect("opened");
    let busy: i64 = mover.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get(0)).expect("moved");
    assert_eq!(busy, 0);
    let after = read(script.dir.path(), "log.db");
    assert!(after.len() > before.len());
    let pages = after.len() / PAGE;
    for moved in (0..=pages).step_by(pages / 12) {
        let cut = moved * PAGE;
        let mut torn = after[..cut].to_vec();
        torn.extend_from_slice(before.get(cut..).unwrap_or_default());
        assert_eq!(records_of(&script, &torn, &wal), APPENDS, "{moved} of {pages} pages moved");
        // The page under way is half there.
        let half = after.len().min(cut + PAGE / 2);
        torn.resize(torn.len().max(half), 0);
        torn[cut..half].copy_from_slice(&after[cut..half]);
        assert_eq!(records_of(&script, &torn, &wal), APPENDS, "{moved} and a half of {pages} pages moved");
    }
}
