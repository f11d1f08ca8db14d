//! Reading records: nothing leaves the store before its hashes were found right.

use rusqlite::types::{FromSql, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Row, Rows, params};
use taxiway_engine::ports::log::Error;
use taxiway_model::ids::{Digest, StreamId};
use taxiway_model::record::{Actor, NewRecord, StoredRecord};
use taxiway_model::time::Timestamp;

use super::failure::{at, told};
use crate::tree::Tree;
use crate::walk::{self, Payload};

/// The columns of a record, in the order every selection below has them.
const COLUMNS: [&str; 17] = [
    "global",
    "stream",
    "seq",
    "at",
    "actor_kind",
    "actor_name",
    "origin",
    "reason",
    "dedup",
    "kind",
    "format",
    "payload_digest",
    "prev_hash",
    "hash",
    "bytes",
    "withheld_why",
    "payload",
];

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT r.global, r.stream, r.seq, r.at, r.actor_kind, r.actor_name, r.origin, r.reason, r.dedup, ",
            "r.kind, r.format, r.payload_digest, r.prev_hash, r.hash, p.bytes, p.withheld_why, p.global ",
            "FROM records r LEFT JOIN payloads p ON p.global = r.global ",
            $rest
        )
    };
}

pub(super) const AFTER_GLOBAL: &str = select!("WHERE r.global > ?1 ORDER BY r.global LIMIT ?2");
const AFTER_SEQ: &str = select!("WHERE r.stream = ?1 AND r.seq > ?2 ORDER BY r.seq LIMIT ?3");
const LAST: &str = select!("ORDER BY r.global DESC LIMIT 1");
const BY_DEDUP: &str = select!("WHERE r.stream = ?1 AND r.dedup = ?2");

/// A record out of a row of one of the selections above, and whether its payload was withheld; what
/// is wrong with it, in words, when a column does not hold what the store writes there.
pub(super) fn decode(row: &Row<'_>) -> Result<(StoredRecord, Payload), String> {
    let actor = match (text(row, 4)?, optional_text(row, 5)?) {
        ("engine", None) => Actor::Engine,
        ("person", Some(name)) => Actor::Person(name.to_owned()),
        (kind, _) => return Err(format!("column actor_kind: there is no actor {kind:?} with that name")),
    };
    let (payload, found) = payload(row)?;
    let record = NewRecord {
        at: Timestamp(value(row, 3)?),
        actor,
        origin: text(row, 6)?.to_owned(),
        reason: text(row, 7)?.to_owned(),
        dedup: optional_text(row, 8)?.map(str::to_owned),
        kind: text(row, 9)?.to_owned(),
        format: number(row, 10)?,
        payload,
    };
    let stored = StoredRecord {
        global: number(row, 0)?,
        stream: text(row, 1)?.parse().map_err(|error| format!("column stream: {error}"))?,
        seq: number(row, 2)?,
        record,
        payload_digest: digest(row, 11)?,
        prev_hash: digest(row, 12)?,
        hash: digest(row, 13)?,
    };
    Ok((stored, found))
}

/// The place of a record in a row that makes no sense otherwise.
pub(super) fn place(row: &Row<'_>) -> Option<u64> {
    number(row, 0).ok()
}

fn payload(row: &Row<'_>) -> Result<(Vec<u8>, Payload), String> {
    if value::<Option<i64>>(row, 16)?.is_none() {
        return Err("its payload is missing".to_owned());
    }
    match (value::<Option<Vec<u8>>>(row, 14)?, optional_text(row, 15)?) {
        (Some(bytes), None) => Ok((bytes, Payload::Present)),
        (None, Some(_)) => Ok((Vec::new(), Payload::Withheld)),
        (None, None) => Err("its payload is gone without a reason".to_owned()),
        (Some(_), Some(_)) => Err("its payload is said to be withheld, but is there".to_owned()),
    }
}

fn name(column: usize) -> &'static str {
    COLUMNS.get(column).copied().unwrap_or("?")
}

fn value<T: FromSql>(row: &Row<'_>, column: usize) -> Result<T, String> {
    row.get(column).map_err(|error| format!("column {}: {error}", name(column)))
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, String> {
    optional_text(row, column)?.ok_or_else(|| format!("column {}: it is empty", name(column)))
}

fn optional_text<'a>(row: &'a Row<'_>, column: usize) -> Result<Option<&'a str>, String> {
    let fault = |why: String| format!("column {}: {why}", name(column));
    match row.get_ref(column).map_err(|error| fault(error.to_string()))? {
        ValueRef::Null => Ok(None),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => Err(fault(error.to_string())),
        },
        other => Err(fault(format!("{} where text belongs", other.data_type()))),
    }
}

fn number<T: TryFrom<i64>>(row: &Row<'_>, column: usize) -> Result<T, String> {
    let number: i64 = value(row, column)?;
    T::try_from(number).map_err(|_| format!("column {}: {number} is out of range", name(column)))
}

fn digest(row: &Row<'_>, column: usize) -> Result<Digest, String> {
    Ok(Digest(value(row, column)?))
}

/// A place or a sequence as SQLite takes it; none is ever beyond.
pub(super) fn sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The next record of a selection, checked by itself.
fn next(rows: &mut Rows<'_>, place: &str) -> Result<Option<StoredRecord>, Error> {
    let Some(row) = rows.next().map_err(at(place))? else { return Ok(None) };
    let (stored, payload) = decode(row).map_err(|why| Error::Damaged(format!("{place}: {why}")))?;
    walk::check(&stored, payload).map_err(Error::Damaged)?;
    Ok(Some(stored))
}

/// Records of a stream after `after`, without a gap up to the stream's end or to `limit`.
pub(super) fn of_stream(
    db: &Connection,
    stream: &StreamId,
    after: u64,
    limit: usize,
) -> Result<Vec<StoredRecord>, Error> {
    let what = format!("reading {stream}");
    let end = seq(db, stream)?;
    let mut statement = db.prepare_cached(AFTER_SEQ).map_err(at(&what))?;
    let mut rows =
        statement.query(params![stream.to_string(), sql(after), limited(limit)]).map_err(at(&what))?;
    let (mut found, mut last) = (Vec::new(), after);
    while let Some(stored) = next(&mut rows, &format!("{stream} after #{last}"))? {
        if stored.seq != last + 1 {
            return Err(Error::Damaged(format!("{stream}: after #{last} comes #{}", stored.seq)));
        }
        last = stored.seq;
        found.push(stored);
    }
    if last > end.max(after) || (found.len() < limit && last < end) {
        return Err(Error::Damaged(format!("{stream} ends at #{last} but should end at #{end}")));
    }
    Ok(found)
}

/// Records of the whole log after `after`: those before the first damage, which is the next
/// call's error, so that a follower gets as far as there is something to follow.
pub(super) fn of_all(db: &Connection, after: u64, limit: usize) -> Result<Vec<StoredRecord>, Error> {
    let end = tree(db)?.size();
    let mut statement = db.prepare_cached(AFTER_GLOBAL).map_err(at("reading the log"))?;
    let mut rows = statement.query(params![sql(after), limited(limit)]).map_err(at("reading the log"))?;
    let mut found: Vec<StoredRecord> = Vec::new();
    loop {
        let last = found.last().map_or(after, |stored| stored.global);
        let before = found.last().map(|stored| stored.hash);
        let next = next(&mut rows, &format!("the log after record {last}"));
        match next.and_then(|next| follows(next, last, before)) {
            Ok(Some(stored)) => found.push(stored),
            Ok(None) if found.len() < limit && last < end => {
                return Err(Error::Damaged(format!("the log ends at record {last} but should end at {end}")));
            }
            Err(error) if found.is_empty() => return Err(error),
            Ok(None) | Err(_) => return Ok(found),
        }
    }
}

fn follows(
    next: Option<StoredRecord>,
    last: u64,
    before: Option<Digest>,
) -> Result<Option<StoredRecord>, Error> {
    let Some(stored) = next else { return Ok(None) };
    let chained = before.is_none_or(|hash| hash == stored.prev_hash);
    if stored.global != last + 1 || !chained {
        return Err(Error::Damaged(format!("record {} does not follow record {last}", stored.global)));
    }
    Ok(Some(stored))
}

/// The last record of the log.
pub(super) fn last(db: &Connection) -> Result<Option<StoredRecord>, Error> {
    let mut statement = db.prepare_cached(LAST).map_err(at("reading the log's end"))?;
    let mut rows = statement.query([]).map_err(at("reading the log's end"))?;
    next(&mut rows, "the log's last record")
}

/// The record a stream has under a dedup key.
pub(super) fn by_dedup(db: &Connection, stream: &StreamId, key: &str) -> Result<Option<StoredRecord>, Error> {
    let what = format!("looking for {key:?} in {stream}");
    let mut statement = db.prepare_cached(BY_DEDUP).map_err(at(&what))?;
    let mut rows = statement.query(params![stream.to_string(), key]).map_err(at(&what))?;
    next(&mut rows, &what)
}

/// The sequence a stream is at; 0 for one that nothing was appended to.
pub(super) fn seq(db: &Connection, stream: &StreamId) -> Result<u64, Error> {
    let what = format!("reading the end of {stream}");
    let mut statement = db.prepare_cached("SELECT seq FROM streams WHERE stream = ?1").map_err(at(&what))?;
    let seq = statement.query_row([stream.to_string()], |row| row.get::<_, i64>(0)).optional();
    match seq {
        Ok(seq) => {
            u64::try_from(seq.unwrap_or(0)).map_err(|_| Error::Damaged(format!("{what}: it is negative")))
        }
        Err(error) => Err(told(&what, &error)),
    }
}

/// Every stream with its sequence. One whose row makes no sense is left out and told in the log of
/// the process: it must not keep the others from being operated, and reading it fails anyway.
pub(super) fn streams(db: &Connection) -> Result<Vec<(StreamId, u64)>, Error> {
    let mut statement = db
        .prepare_cached("SELECT stream, seq FROM streams ORDER BY stream")
        .map_err(at("listing the streams"))?;
    let mut rows = statement.query([]).map_err(at("listing the streams"))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(at("listing the streams"))? {
        match stream(row) {
            Ok(stream) => found.push(stream),
            Err(why) => tracing::error!(%why, "a stream of the log is damaged; run `taxiway log verify`"),
        }
    }
    Ok(found)
}

/// A row of the table of streams.
pub(super) fn stream(row: &Row<'_>) -> Result<(StreamId, u64), String> {
    let name: String = row.get(0).map_err(|error| format!("column stream: {error}"))?;
    let seq: i64 = row.get(1).map_err(|error| format!("column seq of {name}: {error}"))?;
    let stream = name.parse().map_err(|error| format!("column stream: {error}"))?;
    Ok((stream, u64::try_from(seq).map_err(|_| format!("column seq of {name}: {seq} is out of range"))?))
}

/// The Merkle tree as it is kept, as far as that agrees with the last record.
pub(super) fn tree(db: &Connection) -> Result<Tree, Error> {
    let what = "reading the log's tree";
    let mut statement = db
        .prepare_cached("SELECT size, frontier, (SELECT max(global) FROM records) FROM tree WHERE id = 1")
        .map_err(at(what))?;
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (size, frontier, last): (i64, Vec<u8>, Option<i64>) =
        statement.query_row([], read).map_err(|error| {
            if error == rusqlite::Error::QueryReturnedNoRows {
                return Error::Damaged("the log's tree is missing".to_owned());
            }
            told(what, &error)
        })?;
    if size != last.unwrap_or(0) {
        let last = last.unwrap_or(0);
        return Err(Error::Damaged(format!("the log's tree has {size} records, the log {last}")));
    }
    let tree = Tree::from_frontier(u64::try_from(size).unwrap_or(0), &frontier);
    tree.ok_or_else(|| Error::Damaged(format!("the log's tree of {size} records has another size")))
}
