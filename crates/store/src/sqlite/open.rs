//! Opening a log: lock, key, connection, migrations, and what may stand in the way.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use taxiway_engine::ports::log;

use super::data_dir::DataDir;
use super::failure::at;
use super::readers::Readers;
use super::writer::Writer;
use super::{Options, Store, schema};
use crate::key;
use crate::points::{OPEN_AFTER_LOCK, OPEN_BEFORE_KEY, OPEN_BEFORE_WRITER, reach};

/// Nothing but our own threads uses the database; they wait for each other this long at most.
const BUSY: Duration = Duration::from_secs(10);

/// Why a log was not opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error(
        "{} is in use by {}: stop that process, or name another data directory",
        path.display(),
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Held {
        /// The data directory.
        path: PathBuf,
        /// The process that has it locked, when it could be read.
        pid: Option<u32>,
    },
    /// The file system refuses.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// A file is in the place of the log that is not one.
    #[error("{} is an SQLite database, but not a log of Taxiway: name another data directory", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The log was written by a newer program.
    #[error("{} has version {found}, this program knows {newest}: use the newer program", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// The version it has.
        found: u32,
        /// The newest version this program knows.
        newest: u32,
    },
    /// The database does not open.
    #[error("cannot open the log in {}: {source}", path.display())]
    Log {
        /// The data directory.
        path: PathBuf,
        /// What the log says.
        source: log::Error,
    },
}

pub(super) fn open(dir: &Path, options: Options) -> Result<Store, Error> {
    let told = |source| Error::Log { path: dir.to_owned(), source };
    let data_dir = DataDir::lock(dir)?;
    reach(OPEN_AFTER_LOCK).map_err(told)?;
    let before_key = || reach(OPEN_BEFORE_KEY).map_err(io::Error::other);
    let key = key::load_or_make(&data_dir.key(), before_key).map_err(|source| Error::Io {
        what: "read the signing key",
        path: data_dir.key(),
        source,
    })?;
    let key = Arc::new(key);
    let path = data_dir.database();
    let mut db = connect(&path, &options).map_err(told)?;
    bring_up_to_date(&mut db, &path, dir)?;
    reach(OPEN_BEFORE_WRITER).map_err(told)?;
    let readers = Readers::open(&path, options.readers_max).map_err(told)?;
    let kept = data_dir.stated(&key);
    let writer = Writer::start(db, path, options, Arc::clone(&key), kept).map_err(told)?;
    Ok(Store { readers, writer, key, data_dir })
}

fn bring_up_to_date(db: &mut Connection, path: &Path, dir: &Path) -> Result<(), Error> {
    let told = |source| Error::Log { path: dir.to_owned(), source };
    let (found, newest) = (schema::version(db).map_err(told)?, schema::newest());
    let owner = schema::application_id(db).map_err(told)?;
    let is_new = owner == 0 && found == 0 && schema::is_empty(db).map_err(told)?;
    if owner != schema::APPLICATION_ID && !is_new {
        return Err(Error::Foreign { path: path.to_owned() });
    }
    if found > newest {
        return Err(Error::Newer { path: path.to_owned(), found, newest });
    }
    schema::migrate(db, found).map_err(told)
}

/// A connection that may write: every commit is on the disk before it returns.
pub(super) fn connect(path: &Path, options: &Options) -> Result<Connection, log::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let db = Connection::open_with_flags(path, flags).map_err(at("opening the log"))?;
    let set = |name: &str, value: &dyn rusqlite::ToSql| {
        db.pragma_update(None, name, value).map_err(at("setting up the log"))
    };
    db.busy_timeout(BUSY).map_err(at("setting up the log"))?;
    // The form of a page is looked at before it is believed, and so is the schema.
    set("cell_size_check", &true)?;
    set("trusted_schema", &false)?;
    let journal: String = db
        .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
        .map_err(at("setting up the log"))?;
    set("synchronous", &"full")?;
    let synchronous: i64 =
        db.pragma_query_value(None, "synchronous", |row| row.get(0)).map_err(at("setting up the log"))?;
    if (journal.as_str(), synchronous) != ("wal", 2) {
        return Err(log::Error::Unavailable(format!(
            "the file system of {} does not keep a write-ahead log (SQLite offers {journal}): use a local disk",
            path.display()
        )));
    }
    // On macOS fsync alone leaves the bytes in the disk's cache.
    set("fullfsync", &true)?;
    set("wal_autocheckpoint", &options.wal_pages_max)?;
    if let Some(pages) = options.pages_max {
        set("max_page_count", &pages)?;
    }
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// A connection that reads, and only that.
pub(super) fn connect_to_read(path: &Path) -> Result<Connection, log::Error> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let db = Connection::open_with_flags(path, flags).map_err(at("opening the log to read"))?;
    db.busy_timeout(BUSY).map_err(at("setting up a reader"))?;
    db.pragma_update(None, "cell_size_check", true).map_err(at("setting up a reader"))?;
    db.pragma_update(None, "trusted_schema", false).map_err(at("setting up a reader"))?;
    Ok(db)
}
