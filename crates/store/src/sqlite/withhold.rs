//! Taking payloads out of the log while what surrounds them stays.

use rusqlite::{Connection, params};
use taxiway_engine::ports::log::Error;
use taxiway_model::ids::Digest;
use taxiway_model::time::Timestamp;

use super::failure::at;
use crate::note::Key;

/// What the seal of a withheld payload is for.
const PURPOSE: &str = "withheld payload";

/// Payloads that one call expires at most: the writer does nothing else meanwhile.
pub(super) const EXPIRE_MAX: usize = 10_000;

const WITHHOLD: &str = "UPDATE payloads SET bytes = NULL, withheld_why = ?2, withheld_seal = ?3 WHERE digest = ?1 AND bytes IS NOT NULL";

const EXPIRED: &str = "SELECT p.digest FROM payloads p JOIN records r ON r.global = p.last_global \
     WHERE r.kind = ?1 AND r.at < ?2 AND p.bytes IS NOT NULL LIMIT ?3";

/// Withholds one payload; 0 when the log has none with this digest, 1 otherwise.
pub(super) fn redact(db: &Connection, key: &Key, digest: Digest, why: &str) -> Result<u64, Error> {
    let what = "redacting a payload";
    let mut statement =
        db.prepare_cached("SELECT count(*) FROM payloads WHERE digest = ?1").map_err(at(what))?;
    let there: i64 = statement.query_row([digest.0], |row| row.get(0)).map_err(at(what))?;
    withhold(db, key, digest, why)?;
    Ok(u64::from(there > 0))
}

/// Withholds the payloads whose latest record is of this kind and older than `before`; how many.
pub(super) fn expire(db: &Connection, key: &Key, kind: &str, before: Timestamp) -> Result<u64, Error> {
    let what = "expiring payloads";
    let mut statement = db.prepare_cached(EXPIRED).map_err(at(what))?;
    let found = statement.query_map(params![kind, before.0, EXPIRE_MAX as i64], |row| row.get(0));
    let found: Result<Vec<[u8; 32]>, rusqlite::Error> = found.map_err(at(what))?.collect();
    let found = found.map_err(at(what))?;
    for digest in &found {
        withhold(db, key, Digest(*digest), "expired")?;
    }
    Ok(found.len() as u64)
}

fn withhold(db: &Connection, key: &Key, digest: Digest, why: &str) -> Result<(), Error> {
    let what = "withholding a payload";
    // Otherwise the bytes would stay readable in the free pages of the file.
    db.pragma_update(None, "secure_delete", true).map_err(at(what))?;
    let mut statement = db.prepare_cached(WITHHOLD).map_err(at(what))?;
    let seal = key.seal(PURPOSE, &sealed(digest, why));
    statement.execute(params![digest.0, why, seal]).map_err(at(what))?;
    Ok(())
}

fn sealed(digest: Digest, why: &str) -> Vec<u8> {
    [&digest.0, why.as_bytes()].concat()
}

/// What is wrong with the table of payloads, a line each.
pub(super) fn damages(db: &Connection, key: &Key) -> rusqlite::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut statement = db.prepare(
        "SELECT p.digest, p.bytes IS NULL, p.withheld_why, p.withheld_seal, r.payload_digest, p.last_global \
         FROM payloads p LEFT JOIN records r ON r.global = p.last_global",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let last: i64 = row.get(5)?;
        let digest: Vec<u8> = row.get(0)?;
        let place = format!("the payload {} of record {last}", short(&digest));
        if row.get::<_, Option<Vec<u8>>>(4)?.is_none_or(|of_record| of_record != digest) {
            found.push(format!("{place} is not that record's"));
        }
        let why: Option<String> = row.get(2)?;
        let seal: Option<Vec<u8>> = row.get(3)?;
        let withheld: bool = row.get(1)?;
        let sound = match (&why, &seal) {
            (None, None) => !withheld,
            (Some(why), Some(seal)) => {
                let digest = <[u8; 32]>::try_from(digest).map(Digest);
                withheld && digest.is_ok_and(|digest| key.is_sealed(PURPOSE, &sealed(digest, why), seal))
            }
            _ => false,
        };
        if !sound {
            found.push(format!("{place} was not withheld by this log"));
        }
    }
    Ok(found)
}

fn short(digest: &[u8]) -> String {
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Moves what the write-ahead log still holds into the database and empties it, so that a redacted
/// payload is nowhere on the disk; a reader at work can prevent it until the next time.
pub(super) fn flush(db: &Connection) {
    let flushed = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    if !matches!(flushed, Ok(0)) {
        tracing::warn!(?flushed, "withheld payloads stay in the write-ahead log until it is next emptied");
    }
}
