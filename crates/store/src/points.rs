//! Named places at which tests and drills make the store fail (`fail` crate, feature `failpoints`).
//!
//! Each place understands the actions of the crate (`sleep(5)`, `panic`, `pause`, …) and
//! `return(<what>)` with `abort` (the process dies there), `full`, `read_only`, `damaged`, or anything
//! else for an error that is worth another try.

use taxiway_engine::ports::log::Error;

/// Before the transaction of a group of writes begins.
pub const APPEND_BEFORE_BEGIN: &str = "store.append.before_begin";
/// A record is inserted, its transaction still open.
pub const APPEND_AFTER_INSERT: &str = "store.append.after_insert";
/// All writes of the group are done; nothing is durable yet.
pub const APPEND_BEFORE_COMMIT: &str = "store.append.before_commit";
/// The group is durable; nobody knows.
pub const APPEND_AFTER_COMMIT: &str = "store.append.after_commit";
/// The writer is about to answer the first caller of the group.
pub const APPEND_BEFORE_REPLY: &str = "store.append.before_reply";
/// Before a snapshot is written.
pub const SNAPSHOT_BEFORE_WRITE: &str = "store.snapshot.before_write";
/// A snapshot is written, its transaction still open.
pub const SNAPSHOT_AFTER_WRITE: &str = "store.snapshot.after_write";
/// A checkpoint is asked for.
pub const CHECKPOINT_BEFORE_SIGN: &str = "store.checkpoint.before_sign";
/// A checkpoint is signed but not kept in the data directory yet.
pub const CHECKPOINT_BEFORE_KEEP: &str = "store.checkpoint.before_keep";
/// The data directory is locked; nothing is read yet.
pub const OPEN_AFTER_LOCK: &str = "store.open.after_lock";
/// A new signing key is written but not under its name yet.
pub const OPEN_BEFORE_KEY: &str = "store.open.before_key";
/// A migration is applied, its transaction still open.
pub const OPEN_BEFORE_MIGRATED: &str = "store.open.before_migrated";
/// The database is open; the writer does not run yet.
pub const OPEN_BEFORE_WRITER: &str = "store.open.before_writer";

/// Every place, for drills that visit all of them.
pub const ALL: &[&str] = &[
    APPEND_BEFORE_BEGIN,
    APPEND_AFTER_INSERT,
    APPEND_BEFORE_COMMIT,
    APPEND_AFTER_COMMIT,
    APPEND_BEFORE_REPLY,
    SNAPSHOT_BEFORE_WRITE,
    SNAPSHOT_AFTER_WRITE,
    CHECKPOINT_BEFORE_SIGN,
    CHECKPOINT_BEFORE_KEEP,
    OPEN_AFTER_LOCK,
    OPEN_BEFORE_KEY,
    OPEN_BEFORE_MIGRATED,
    OPEN_BEFORE_WRITER,
];

/// Passes a place; fails there when a test or drill said so.
pub(crate) fn reach(point: &str) -> Result<(), Error> {
    fail::fail_point!(point, |what| act(point, what.as_deref().unwrap_or_default()));
    // Without the feature the line above is nothing at all.
    let _ = (point, act);
    Ok(())
}

fn act(point: &str, what: &str) -> Result<(), Error> {
    match what {
        "abort" => std::process::abort(),
        "full" => Err(Error::Full(format!("as asked for at {point}"))),
        "read_only" => Err(Error::ReadOnly(format!("as asked for at {point}"))),
        "damaged" => Err(Error::Damaged(format!("as asked for at {point}"))),
        _ => Err(Error::Unavailable(format!("as asked for at {point}"))),
    }
}
