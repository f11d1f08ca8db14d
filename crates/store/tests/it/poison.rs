//! A row that holds what nobody wrote there spoils its own stream and nothing else.

use rusqlite::Connection;
use taxiway_engine::ports::log::{Error, Log as _};

use crate::samples::{append_one, damages, fill, folder, open, stream};

/// Takes the types off the tables, so that a column can hold anything.
fn untyped(db: &Connection) {
    db.execute_batch(
        "PRAGMA writable_schema = ON; \
         UPDATE sqlite_schema SET sql = replace(replace(sql, 'STRICT', ''), ' NOT NULL', '') \
         WHERE name IN ('records', 'payloads', 'snapshots'); \
         UPDATE sqlite_schema SET sql = replace(sql, ')\n , WITHOUT', ') WITHOUT') WHERE type = 'table'; \
         PRAGMA writable_schema = RESET;",
    )
    .expect("untyped");
}

#[test]
fn a_poisoned_row_spoils_its_stream_only() {
    for poison in [
        "UPDATE records SET seq = 'two' WHERE global = 4",
        "UPDATE records SET at = x'00' WHERE global = 4",
        "UPDATE records SET at = NULL WHERE global = 4",
        "UPDATE records SET at = 1.5 WHERE global = 4",
        "UPDATE records SET actor_kind = 7 WHERE global = 4",
        "UPDATE records SET actor_name = CAST(x'ff' AS TEXT), actor_kind = 'person' WHERE global = 4",
        "UPDATE records SET format = -1 WHERE global = 4",
        "UPDATE records SET format = 70000 WHERE global = 4",
        "UPDATE records SET kind = NULL WHERE global = 4",
        "UPDATE records SET payload_digest = 'short' WHERE global = 4",
        "UPDATE records SET hash = x'00' WHERE global = 4",
        "UPDATE records SET prev_hash = NULL WHERE global = 4",
        "UPDATE payloads SET bytes = 12 WHERE global = 4",
        "UPDATE payloads SET bytes = 'text' WHERE global = 4",
        "UPDATE records SET stream = 'no stream at all' WHERE global = 4",
    ] {
        spoils_only_its_stream(poison);
    }
}

fn spoils_only_its_stream(poison: &str) {
    let dir = folder();
    let log = open(dir.path());
    fill(&log, "shop", 0, 3);
    fill(&log, "cart", 3, 4);
    fill(&log, "shop", 4, 5);
    drop(log);
    let db = Connection::open(dir.path().join("log.db")).expect("opened");
    untyped(&db);
    db.execute_batch(poison).expect(poison);
    drop(db);
    let log = open(dir.path());
    let spoiled = log.read(&stream("cart"), 0, 10);
    assert!(matches!(&spoiled, Err(Error::Damaged(why)) if why.contains("cart")), "{poison}: {spoiled:?}");
    assert_eq!(log.read(&stream("shop"), 0, 10).expect("readable").len(), 4, "{poison}");
    assert_eq!(log.read_all(0, 10).expect("what stands before it").len(), 3, "{poison}");
    assert!(matches!(log.read_all(3, 10), Err(Error::Damaged(_))), "{poison}");
    append_one(&log, "shop", 9).expect(poison);
    let found = damages(&log, None);
    assert!(
        found.iter().any(|line| line.contains("record 4") || line.contains("cart")),
        "{poison}: {found:?}"
    );
}

/// The last record is what the next is chained to: nothing is appended after one that is in doubt.
#[test]
fn nothing_is_appended_to_a_poisoned_end() {
    let dir = folder();
    let log = open(dir.path());
    fill(&log, "shop", 0, 3);
    drop(log);
    let db = Connection::open(dir.path().join("log.db")).expect("opened");
    db.execute("UPDATE records SET reason = 'another' WHERE global = 3", []).expect("changed");
    drop(db);
    let log = open(dir.path());
    let refused = append_one(&log, "cart", 9);
    assert!(matches!(&refused, Err(Error::Damaged(why)) if why.contains("record 3")), "{refused:?}");
    assert!(matches!(log.take_lead("me"), Err(Error::Damaged(_))));
    assert_eq!(log.read(&stream("shop"), 0, 2).expect("readable").len(), 2);
}

#[test]
fn a_damaged_snapshot_is_none() {
    for poison in ["seq = 1", "bytes = x'00'", "digest = x'00'", "seq = 'x'", "bytes = 5", "format = 2"] {
        let dir = folder();
        let log = open(dir.path());
        fill(&log, "shop", 0, 3);
        log.keep_snapshot(&stream("shop"), 1, 2, b"two").expect("kept");
        let db = Connection::open(dir.path().join("log.db")).expect("opened");
        untyped(&db);
        db.execute(&format!("UPDATE snapshots SET {poison}"), []).expect(poison);
        for format in [1, 2] {
            assert_eq!(log.snapshot(&stream("shop"), format).expect("asked"), None, "{poison}");
        }
        assert!(!damages(&log, None).is_empty(), "{poison}");
    }
}
