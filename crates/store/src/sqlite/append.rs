//! One append within the writer's transaction.

use rusqlite::{Connection, params};
use taxiway_engine::ports::log::{Appended, Error};
use taxiway_model::ids::StreamId;
use taxiway_model::record::{Actor, NewRecord, StoredRecord};

use super::failure::at;
use super::rows;
use crate::head::{Head, admit, normal};
use crate::points::{APPEND_AFTER_INSERT, reach};

const INSERT_RECORD: &str = "INSERT INTO records (global, stream, seq, at, actor_kind, actor_name, origin, \
     reason, dedup, kind, format, payload_digest, prev_hash, hash) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

const INSERT_PAYLOAD: &str = "INSERT INTO payloads (global, bytes) VALUES (?1, ?2)";

const SET_SEQ: &str = "INSERT INTO streams (stream, seq) VALUES (?1, ?2) \
     ON CONFLICT (stream) DO UPDATE SET seq = excluded.seq";

/// Appends `records` to a stream and moves the head past them; on an error the caller undoes both.
pub(super) fn append(
    db: &Connection,
    head: &mut Head,
    stream: &StreamId,
    expected_seq: u64,
    records: Vec<NewRecord>,
) -> Result<Appended, Error> {
    let before = end(db, stream)?;
    let mut known = Vec::with_capacity(records.len());
    for record in records.into_iter().map(normal) {
        let earlier = match &record.dedup {
            Some(key) => rows::by_dedup(db, stream, key)?,
            None => None,
        };
        known.push((record, earlier));
    }
    admit(stream, expected_seq, before, known.iter().all(|(_, earlier)| earlier.is_some()))?;
    let mut seq = before;
    let mut stored: Vec<StoredRecord> = Vec::with_capacity(known.len());
    for (record, earlier) in known {
        let same_key = |other: &&StoredRecord| record.dedup.is_some() && other.record.dedup == record.dedup;
        if let Some(earlier) = earlier.or_else(|| stored.iter().find(same_key).cloned()) {
            stored.push(earlier);
            continue;
        }
        let new = head.extend(stream, seq + 1, record)?;
        insert(db, &new)?;
        seq += 1;
        stored.push(new);
    }
    if seq > before {
        let mut statement = db.prepare_cached(SET_SEQ).map_err(at("appending"))?;
        statement.execute(params![stream.to_string(), rows::sql(seq)]).map_err(at("appending"))?;
    }
    Ok(Appended { seq, records: stored })
}

/// The stream's sequence, on which the table of streams and its records have to agree: nothing is
/// appended to a stream whose end is in doubt.
fn end(db: &Connection, stream: &StreamId) -> Result<u64, Error> {
    let seq = rows::seq(db, stream)?;
    let what = format!("reading the end of {stream}");
    let mut statement =
        db.prepare_cached("SELECT max(seq) FROM records WHERE stream = ?1").map_err(at(&what))?;
    let last: Option<i64> = statement.query_row([stream.to_string()], |row| row.get(0)).map_err(at(&what))?;
    let last = last.unwrap_or(0);
    if rows::sql(seq) == last {
        return Ok(seq);
    }
    Err(Error::Damaged(format!("{stream} should end at #{seq}, its last record is #{last}")))
}

fn insert(db: &Connection, stored: &StoredRecord) -> Result<(), Error> {
    let StoredRecord { global, stream, seq, record, payload_digest, prev_hash, hash } = stored;
    let (actor_kind, actor_name) = match &record.actor {
        Actor::Engine => ("engine", None),
        Actor::Person(name) => ("person", Some(name)),
    };
    let mut statement = db.prepare_cached(INSERT_RECORD).map_err(at("appending"))?;
    let inserted = statement.execute(params![
        rows::sql(*global),
        stream.to_string(),
        rows::sql(*seq),
        record.at.0,
        actor_kind,
        actor_name,
        record.origin,
        record.reason,
        record.dedup,
        record.kind,
        record.format,
        payload_digest.0,
        prev_hash.0,
        hash.0,
    ]);
    inserted.map_err(at("appending a record"))?;
    let mut statement = db.prepare_cached(INSERT_PAYLOAD).map_err(at("appending"))?;
    let inserted = statement.execute(params![rows::sql(*global), record.payload]);
    inserted.map_err(at("appending a payload"))?;
    reach(APPEND_AFTER_INSERT)
}
