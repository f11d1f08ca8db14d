//! `verify` finds whatever was changed in the database's tables.

use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, params};
use taxiway_engine::ports::log::Log as _;
use taxiway_model::ids::Digest;
use taxiway_store::sqlite::Store;

use crate::samples::{damages, fill, folder, keyed, open, stream};

const TABLES: &[&str] = &["records", "payloads", "streams", "tree", "leases", "snapshots"];

struct Scene {
    dir: tempfile::TempDir,
    log: Store,
    /// A connection past the store, as an intruder has it.
    intruder: Connection,
}

/// A small log with one of everything.
fn scene() -> Scene {
    let dir = folder();
    let log = open(dir.path());
    fill(&log, "shop", 0, 2);
    log.append(&stream("cart"), 0, 0, vec![keyed(2, "k1"), keyed(3, "k2")]).expect("appended");
    log.redact(Digest::of(b"{\"number\":1}"), "a name").expect("redacted");
    log.keep_snapshot(&stream("shop"), 1, 2, b"snap").expect("kept");
    log.take_lead("first").expect("taken");
    assert_eq!(damages(&log, None), Vec::<String>::new());
    let intruder = intrude(dir.path());
    Scene { dir, log, intruder }
}

fn intrude(dir: &Path) -> Connection {
    Connection::open(dir.join("log.db")).expect("opened")
}

fn columns(db: &Connection, table: &str) -> Vec<String> {
    let mut statement =
        db.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).expect("prepared");
    statement.query_map([], |row| row.get(0)).expect("asked").collect::<Result<_, _>>().expect("read")
}

/// Every value of a table: the primary key of its row, its column, itself.
fn values(db: &Connection, table: &str) -> Vec<(String, String, Value)> {
    let key = columns(db, table).remove(0);
    let mut found = Vec::new();
    for column in columns(db, table) {
        let mut statement =
            db.prepare(&format!("SELECT quote({key}), {column} FROM {table}")).expect("prepared");
        let mut rows = statement.query([]).expect("asked");
        while let Some(row) = rows.next().expect("read") {
            found.push((row.get(0).expect("a key"), column.clone(), row.get(1).expect("a value")));
        }
    }
    found
}

/// The value with one byte changed, once for each of its bytes.
fn flipped(value: &Value) -> Vec<(Value, bool)> {
    let each = |bytes: &[u8]| -> Vec<Vec<u8>> {
        (0..bytes.len())
            .map(|at| {
                let mut changed = bytes.to_vec();
                changed[at] ^= 1 << (at % 8);
                changed
            })
            .collect()
    };
    match value {
        Value::Null => vec![(Value::Text(String::new()), false), (Value::Blob(vec![0; 64]), false)],
        Value::Integer(number) => {
            (0..8).map(|byte| (Value::Integer(number ^ (1 << (byte * 8))), false)).collect()
        }
        // Changed bytes need not be text any more, so they go through a cast.
        Value::Text(text) => each(text.as_bytes()).into_iter().map(|b| (Value::Blob(b), true)).collect(),
        Value::Blob(bytes) => each(bytes).into_iter().map(|b| (Value::Blob(b), false)).collect(),
        Value::Real(_) => panic!("the log has no floats"),
    }
}

#[test]
fn a_flipped_byte_of_any_value_is_found() {
    let Scene { dir: _dir, log, intruder } = scene();
    let (mut tried, mut refused) = (0, 0);
    for table in TABLES {
        let key = columns(&intruder, table).remove(0);
        for (row, column, value) in values(&intruder, table) {
            for (changed, as_text) in flipped(&value) {
                let given = if as_text { "CAST(?1 AS TEXT)" } else { "?1" };
                let update = format!("UPDATE {table} SET {column} = {given} WHERE {key} = {row}");
                // What SQLite itself refuses (a type, a constraint) cannot get there.
                let Ok(1) = intruder.execute(&update, params![changed]) else {
                    refused += 1;
                    continue;
                };
                tried += 1;
                let found = damages(&log, None);
                assert!(!found.is_empty(), "{table}.{column} of {row}: {value:?} became {changed:?}");
                restore(&intruder, table, &key, &row, &column, &value, &changed);
            }
        }
    }
    assert_eq!(damages(&log, None), Vec::<String>::new(), "everything was put back");
    assert!(tried > 1_000 && refused < tried / 10, "{tried} tried, {refused} refused");
}

fn restore(db: &Connection, table: &str, key: &str, row: &str, column: &str, value: &Value, changed: &Value) {
    if column == key {
        let as_text = matches!(value, Value::Text(_));
        let given = if as_text { "CAST(?2 AS TEXT)" } else { "?2" };
        let update = format!("UPDATE {table} SET {key} = ?1 WHERE {key} = {given}");
        assert_eq!(db.execute(&update, params![value, changed]).expect("put back"), 1);
    } else {
        let update = format!("UPDATE {table} SET {column} = ?1 WHERE {key} = {row}");
        assert_eq!(db.execute(&update, params![value]).expect("put back"), 1);
    }
}

/// Applies a change and expects `verify` to tell of it in these words.
fn is_found(sql: &str, told: &str) {
    let Scene { dir: _dir, log, intruder } = scene();
    intruder.execute_batch(sql).expect("changed");
    let found = damages(&log, None);
    assert!(found.iter().any(|line| line.contains(told)), "{sql}: {found:?}");
}

#[test]
fn rows_that_are_gone_moved_or_added_are_found() {
    is_found("DELETE FROM records WHERE global = 2", "what stood between them is gone");
    is_found("DELETE FROM records WHERE global = 4", "the tree of 4 records is not that of the records");
    is_found("DELETE FROM payloads WHERE global = 1", "its payload is missing");
    is_found("INSERT INTO payloads (global, bytes) VALUES (9, x'00')", "record 9 was not withheld");
    is_found("DELETE FROM streams WHERE stream LIKE 'cart%'", "is not listed");
    is_found("INSERT INTO streams VALUES ('ghost/production', 1)", "has no record");
    is_found("DELETE FROM tree", "the tree cannot be read");
    is_found("INSERT INTO leases VALUES (9, 'me', zeroblob(32))", "lease of epoch 9");
    is_found(
        "UPDATE records SET global = 9 WHERE global = 1; UPDATE records SET global = 1 WHERE global = 2; \
         UPDATE records SET global = 2 WHERE global = 9;",
        "not chained",
    );
    is_found(
        "UPDATE payloads SET bytes = NULL, withheld_why = 'x' WHERE global = 1",
        "not withheld by this log",
    );
}

#[test]
fn changed_tables_are_found() {
    for sql in [
        "DROP INDEX records_by_dedup",
        "CREATE TRIGGER lie AFTER INSERT ON records BEGIN DELETE FROM records; END",
        "ALTER TABLE streams ADD COLUMN more TEXT",
        "PRAGMA user_version = 7",
        "PRAGMA application_id = 7",
    ] {
        is_found(sql, "tables are not those of a log");
    }
}

#[test]
fn an_index_that_lacks_a_key_is_found() {
    is_found(
        "PRAGMA writable_schema = ON; \
         UPDATE sqlite_schema SET sql = replace(sql, 'IS NOT NULL', 'IS NULL') WHERE name = 'records_by_dedup'; \
         PRAGMA writable_schema = RESET; REINDEX records_by_dedup; PRAGMA writable_schema = ON; \
         UPDATE sqlite_schema SET sql = replace(sql, 'dedup IS NULL', 'dedup IS NOT NULL') \
         WHERE name = 'records_by_dedup';",
        "SQLite: ",
    );
}

/// Cuts off the last record so that everything left agrees with itself.
const CUT: &str = "DELETE FROM payloads WHERE global = 4; DELETE FROM records WHERE global = 4; \
     UPDATE streams SET seq = 1 WHERE stream = 'cart/production';";

/// The frontier as it was when the log had `size` records, from a log that never had more.
fn frontier_of_three() -> Vec<u8> {
    let dir = folder();
    let log = open(dir.path());
    fill(&log, "shop", 0, 2);
    log.append(&stream("cart"), 0, 0, vec![keyed(2, "k1")]).expect("appended");
    let read = |row: &rusqlite::Row<'_>| row.get(0);
    intrude(dir.path()).query_row("SELECT frontier FROM tree", [], read).expect("read")
}

fn cut(intruder: &Connection) {
    intruder.execute_batch(CUT).expect("cut");
    intruder.execute("UPDATE tree SET size = 3, frontier = ?1", params![frontier_of_three()]).expect("cut");
}

#[test]
fn a_missing_end_is_found_with_a_kept_checkpoint_only() {
    let Scene { dir, log, intruder } = scene();
    let kept = log.verify(None).expect("verified");
    assert_eq!(kept.records, 4);
    let full = {
        let note = log.checkpoint().expect("signed").note;
        // The one beside the log goes with the disk; the one elsewhere is what counts.
        std::fs::remove_file(dir.path().join("log.checkpoint")).expect("removed");
        note
    };
    cut(&intruder);
    assert_eq!(damages(&log, None), Vec::<String>::new(), "nothing in the log itself can tell");
    let found = damages(&log, Some(&full));
    assert!(found.len() == 1 && found[0].contains("covers 4 records, the log has 3"), "{found:?}");
}

#[test]
fn a_missing_end_is_found_at_the_next_opening() {
    let Scene { dir, log, intruder } = scene();
    drop(log);
    cut(&intruder);
    drop(intruder);
    let log = open(dir.path());
    let found = damages(&log, None);
    assert!(found.iter().any(|line| line.contains("the end is missing")), "{found:?}");
    let refused = log.append(&stream("shop"), 2, 1, vec![keyed(9, "k9")]).expect_err("refused").to_string();
    assert!(refused.contains("log.checkpoint"), "{refused}");
    assert!(log.checkpoint().is_err(), "the proof of the loss is not overwritten");
    assert_eq!(log.read(&stream("shop"), 0, 9).map(|records| records.len()).expect("still readable"), 2);
}

/// The log of somebody who has the key and writes another history of the same length.
#[test]
fn a_rewritten_history_is_found_with_a_kept_checkpoint() {
    let (ours, theirs) = (folder(), folder());
    let log = open(ours.path());
    fill(&log, "shop", 0, 5);
    let note = log.checkpoint().expect("signed").note;
    drop(log);
    let from: PathBuf = ours.path().join("log.key");
    std::fs::copy(from, theirs.path().join("log.key")).expect("copied");
    let other = open(theirs.path());
    fill(&other, "shop", 1, 7);
    assert_eq!(damages(&other, None), Vec::<String>::new());
    let found = damages(&other, Some(&note));
    assert!(found.len() == 1 && found[0].contains("history was rewritten"), "{found:?}");
}
