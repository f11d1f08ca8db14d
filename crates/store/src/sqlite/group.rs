//! One group of writes: a transaction in which each of them succeeds or fails by itself, unless the
//! storage fails all of them.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior, params};
use taxiway_engine::ports::log::Error;
use taxiway_model::ids::Digest;

use super::data_dir::not_shorter;
use super::failure::at;
use super::writer::{Answer, Ask};
use super::{Options, append, open, rows, snapshots, withhold};
use crate::head::{Head, admit_epoch};
use crate::note::{Key, Stated};
use crate::points::{APPEND_AFTER_COMMIT, APPEND_BEFORE_BEGIN, APPEND_BEFORE_COMMIT, reach};

/// The writer's connection and what it knows of the log's end.
pub(super) struct Group {
    /// Dropped after any failure of the storage: what is true then is what a new one reads.
    db: Option<Connection>,
    end: Option<End>,
    path: PathBuf,
    options: Options,
    key: Arc<Key>,
    /// What the log must at least cover; as an error when that cannot be told.
    kept: Result<Option<Stated>, Error>,
}

/// The log's end, and the epoch in force.
#[derive(Clone)]
struct End {
    head: Head,
    epoch: u64,
}

impl Group {
    pub(super) fn new(
        db: Connection,
        path: PathBuf,
        options: Options,
        key: Arc<Key>,
        kept: Result<Option<Stated>, Error>,
    ) -> Self {
        Self { db: Some(db), end: None, path, options, key, kept }
    }

    /// Writes what is asked for, all in one transaction, and says what became of each. After a failure
    /// of the storage nobody is told more than that: the connection is closed, and the next group
    /// begins with what the disk really has.
    pub(super) fn write(&mut self, asks: Vec<Ask>) -> Vec<Result<Answer, Error>> {
        let count = asks.len();
        let withholds = asks.iter().any(|ask| matches!(ask, Ask::Redact { .. } | Ask::Expire { .. }));
        match self.try_write(asks) {
            Ok(answers) => {
                if withholds && let Some(db) = &self.db {
                    withhold::flush(db);
                }
                answers
            }
            Err(error) => {
                tracing::error!(%error, writes = count, "the log did not take a group of writes");
                self.db = None;
                self.end = None;
                (0..count).map(|_| Err(error.clone())).collect()
            }
        }
    }

    fn try_write(&mut self, asks: Vec<Ask>) -> Result<Vec<Result<Answer, Error>>, Error> {
        reach(APPEND_BEFORE_BEGIN)?;
        let (path, options, key) = (&self.path, &self.options, &self.key);
        let db = match &mut self.db {
            Some(db) => db,
            none => none.insert(open::connect(path, options)?),
        };
        let mut end = match &self.end {
            Some(end) => end.clone(),
            None => load(db, self.kept.clone()?)?,
        };
        let size = end.head.tree.size();
        let group =
            db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(at("beginning to write"))?;
        let mut answers = Vec::with_capacity(asks.len());
        for ask in asks {
            answers.push(apart(&group, &mut end, |end| apply(&group, key, end, ask))?);
        }
        if end.head.tree.size() > size {
            let mut statement = group
                .prepare_cached("UPDATE tree SET size = ?1, frontier = ?2 WHERE id = 1")
                .map_err(at("extending the tree"))?;
            let tree = &end.head.tree;
            statement
                .execute(params![rows::sql(tree.size()), tree.frontier()])
                .map_err(at("extending the tree"))?;
        }
        reach(APPEND_BEFORE_COMMIT)?;
        group.commit().map_err(at("committing"))?;
        self.end = Some(end);
        reach(APPEND_AFTER_COMMIT)?;
        Ok(answers)
    }
}

/// Does one write so that it can be undone without the others. The outer error is the storage's, which
/// fails the whole group; the inner one is about this write only.
fn apart<T>(
    group: &Connection,
    end: &mut End,
    write: impl FnOnce(&mut End) -> Result<T, Error>,
) -> Result<Result<T, Error>, Error> {
    let run = |sql| {
        let done = group.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        done.map(drop).map_err(at("keeping writes apart"))
    };
    run("SAVEPOINT one")?;
    let before = end.clone();
    let written = write(end);
    match &written {
        Ok(_) => run("RELEASE one")?,
        // SQLite gave up the whole transaction, or the next write would meet the same.
        Err(error) if group.is_autocommit() || is_of_storage(error) => return Err(error.clone()),
        Err(_) => {
            run("ROLLBACK TO one")?;
            run("RELEASE one")?;
            *end = before;
        }
    }
    Ok(written)
}

fn is_of_storage(error: &Error) -> bool {
    match error {
        Error::Full(_) | Error::ReadOnly(_) => true,
        Error::Conflict { .. } | Error::Fenced { .. } | Error::Damaged(_) | Error::Unavailable(_) => false,
    }
}

fn apply(db: &Connection, key: &Key, end: &mut End, ask: Ask) -> Result<Answer, Error> {
    match ask {
        Ask::Append { stream, expected_seq, epoch, records } => {
            admit_epoch(epoch, end.epoch)?;
            append::append(db, &mut end.head, &stream, expected_seq, records).map(Answer::Appended)
        }
        Ask::Snapshot { stream, format, seq, bytes } => {
            snapshots::put(db, &stream, format, seq, &bytes).map(|()| Answer::Count(1))
        }
        Ask::Lead { owner } => take_lead(db, end, &owner).map(Answer::Count),
        Ask::Redact { digest, why } => withhold::redact(db, key, digest, &why).map(Answer::Count),
        Ask::Expire { kind, before } => withhold::expire(db, key, &kind, before).map(Answer::Count),
    }
}

/// Digest of everything a lease consists of.
pub(super) fn lease_digest(epoch: i64, owner: &str) -> Digest {
    Digest::of(format!("taxiway-lease-v1\n{epoch}\n{owner}").as_bytes())
}

fn take_lead(db: &Connection, end: &mut End, owner: &str) -> Result<u64, Error> {
    let epoch = end.epoch + 1;
    let digest = lease_digest(rows::sql(epoch), owner);
    let mut statement = db
        .prepare_cached("INSERT INTO leases (epoch, owner, digest) VALUES (?1, ?2, ?3)")
        .map_err(at("taking the lead"))?;
    statement.execute(params![rows::sql(epoch), owner, digest.0]).map_err(at("taking the lead"))?;
    end.epoch = epoch;
    Ok(epoch)
}

/// What the disk has. Nothing is ever appended to an end that is in doubt.
fn load(db: &Connection, kept: Option<Stated>) -> Result<End, Error> {
    let tree = rows::tree(db)?;
    not_shorter(kept, tree.size())?;
    let mut head = Head::empty();
    if let Some(last) = rows::last(db)? {
        head = Head { global: last.global, hash: last.hash, at: Some(last.record.at), tree };
    }
    let mut statement = db
        .prepare_cached("SELECT count(*), coalesce(max(epoch), 0) FROM leases")
        .map_err(at("reading the leases"))?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let (count, epoch) = statement.query_row([], read).map_err(at("reading the leases"))?;
    if count != epoch {
        return Err(Error::Damaged(format!("the log has {count} leases, the last is epoch {epoch}")));
    }
    Ok(End { head, epoch: u64::try_from(epoch).unwrap_or(0) })
}
