//! The database's form: numbered migrations, applied in order, each in its own transaction.

use std::sync::OnceLock;

use rusqlite::{Connection, TransactionBehavior};
use taxiway_engine::ports::log::Error;

use super::failure::at;
use crate::points::{OPEN_BEFORE_MIGRATED, reach};

/// `TXWY`: tells a log apart from any other SQLite database.
pub(super) const APPLICATION_ID: i32 = 0x5458_5759;

/// Never changed once released; a new form is a new file.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001-log.sql")];

/// The version this program writes.
pub(super) fn newest() -> u32 {
    MIGRATIONS.len() as u32
}

/// The version of a database; 0 for a new one.
pub(super) fn version(db: &Connection) -> Result<u32, Error> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(at("reading the log's version"))
}

/// Whose database it is; 0 for a new one.
pub(super) fn application_id(db: &Connection) -> Result<i32, Error> {
    db.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(at("reading the log's kind"))
}

/// Brings a database from version `from` to the newest.
pub(super) fn migrate(db: &mut Connection, from: u32) -> Result<(), Error> {
    migrate_with(db, from, || reach(OPEN_BEFORE_MIGRATED))
}

fn migrate_with(
    db: &mut Connection,
    from: u32,
    before_commit: impl Fn() -> Result<(), Error>,
) -> Result<(), Error> {
    for (index, sql) in MIGRATIONS.iter().enumerate().skip(from as usize) {
        let number = index + 1;
        let told = format!("migrating the log to version {number}");
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(at(&told))?;
        transaction.execute_batch(sql).map_err(at(&told))?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(at(&told))?;
        transaction.pragma_update(None, "user_version", number as u32).map_err(at(&told))?;
        before_commit()?;
        transaction.commit().map_err(at(&told))?;
    }
    Ok(())
}

/// Every table and index as the database has it, to be compared with [`pristine`].
pub(super) fn described(db: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = db.prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Every table and index as a new database has it.
pub(super) fn pristine() -> &'static [(String, String)] {
    static PRISTINE: OnceLock<Vec<(String, String)>> = OnceLock::new();
    PRISTINE.get_or_init(|| {
        let mut db = Connection::open_in_memory().expect("SQLite opens a database in memory");
        migrate_with(&mut db, 0, || Ok(())).expect("the migrations apply to an empty database");
        described(&db).expect("a new database has tables")
    })
}

/// Whether nothing was ever made in this database.
pub(super) fn is_empty(db: &Connection) -> Result<bool, Error> {
    db.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
        .map_err(at("reading the log's tables"))
}
