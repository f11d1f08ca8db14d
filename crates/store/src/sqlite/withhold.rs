//! Taking payloads out of the log while what surrounds them stays.

use rusqlite::{Connection, ToSql, params};
use taxiway_engine::ports::log::Error;
use taxiway_model::ids::Digest;
use taxiway_model::time::Timestamp;

use super::failure::at;
use crate::note::Key;

/// What the seal of a withheld payload is for.
const PURPOSE: &str = "withheld payload";

/// Payloads that one call expires at most: the writer does nothing else meanwhile.
pub(super) const EXPIRE_MAX: usize = 10_000;

const WITHHOLD: &str = "UPDATE payloads SET bytes = NULL, withheld_why = ?2, withheld_seal = ?3 WHERE global = ?1 AND bytes IS NOT NULL";

/// Reads the whole log: there is no index on digests, since it would cost every append for what
/// happens once a year.
const OF_DIGEST: &str = "SELECT global, payload_digest FROM records WHERE payload_digest = ?1";

const EXPIRED: &str = "SELECT r.global, r.payload_digest FROM records r JOIN payloads p ON p.global = r.global \
     WHERE r.kind = ?1 AND r.at < ?2 AND p.bytes IS NOT NULL LIMIT ?3";

/// Withholds a payload in every record that has it; returns how many those are.
pub(super) fn redact(db: &Connection, key: &Key, digest: Digest, why: &str) -> Result<u64, Error> {
    withhold(db, key, OF_DIGEST, params![digest.0], why)
}

/// Withholds the payloads of records of this kind that are older than `before`; returns how many.
pub(super) fn expire(db: &Connection, key: &Key, kind: &str, before: Timestamp) -> Result<u64, Error> {
    withhold(db, key, EXPIRED, params![kind, before.0, EXPIRE_MAX as i64], "expired")
}

fn withhold(db: &Connection, key: &Key, which: &str, given: &[&dyn ToSql], why: &str) -> Result<u64, Error> {
    let what = "withholding payloads";
    let mut statement = db.prepare_cached(which).map_err(at(what))?;
    let found = statement.query_map(given, |row| Ok((row.get(0)?, row.get(1)?))).map_err(at(what))?;
    let found: Vec<(i64, [u8; 32])> = found.collect::<Result<_, _>>().map_err(at(what))?;
    // Otherwise the bytes would stay readable in the free pages of the file.
    db.pragma_update(None, "secure_delete", true).map_err(at(what))?;
    let mut statement = db.prepare_cached(WITHHOLD).map_err(at(what))?;
    for (global, digest) in &found {
        let seal = key.seal(PURPOSE, &sealed(*global, digest, why));
        statement.execute(params![global, why, seal]).map_err(at(what))?;
    }
    Ok(found.len() as u64)
}

fn sealed(global: i64, digest: &[u8], why: &str) -> Vec<u8> {
    [&global.to_be_bytes(), digest, why.as_bytes()].concat()
}

/// Whether each payload that is not there was taken out by this log; what is wrong, a line each.
pub(super) fn damages(db: &Connection, key: &Key) -> rusqlite::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut statement = db.prepare(
        "SELECT p.global, p.bytes IS NULL, p.withheld_why, p.withheld_seal, r.payload_digest \
         FROM payloads p LEFT JOIN records r ON r.global = p.global \
         WHERE p.bytes IS NULL OR p.withheld_why IS NOT NULL OR p.withheld_seal IS NOT NULL OR r.global IS NULL",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let global: i64 = row.get(0)?;
        let withheld: bool = row.get(1)?;
        let why: Option<String> = row.get(2)?;
        let seal: Option<Vec<u8>> = row.get(3)?;
        let digest: Option<Vec<u8>> = row.get(4)?;
        let sound = match (digest, why, seal) {
            (Some(digest), Some(why), Some(seal)) if withheld => {
                key.is_sealed(PURPOSE, &sealed(global, &digest, &why), &seal)
            }
            _ => false,
        };
        if !sound {
            found.push(format!("the payload of record {global} was not withheld by this log"));
        }
    }
    Ok(found)
}

/// Moves what the write-ahead log still holds into the database and empties it, so that a redacted
/// payload is nowhere on the disk; a reader at work can prevent it until the next time.
pub(super) fn flush(db: &Connection) {
    let flushed = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    if !matches!(flushed, Ok(0)) {
        tracing::warn!(?flushed, "withheld payloads stay in the write-ahead log until it is next emptied");
    }
}
