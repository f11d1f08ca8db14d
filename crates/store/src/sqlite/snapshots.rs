//! Snapshots: one per stream, believed only as far as their own digest and the stream's end agree.

use rusqlite::{Connection, OptionalExtension as _, params};
use taxiway_engine::ports::log::Error;
use taxiway_model::ids::{Digest, StreamId};

use super::failure::at;
use super::rows;
use crate::points::{SNAPSHOT_AFTER_WRITE, SNAPSHOT_BEFORE_WRITE, reach};

/// An older snapshot never takes the place of a newer one in the same format.
const PUT: &str = "INSERT INTO snapshots (stream, format, seq, bytes, digest) VALUES (?1, ?2, ?3, ?4, ?5) \
     ON CONFLICT (stream) DO UPDATE SET format = excluded.format, seq = excluded.seq, \
     bytes = excluded.bytes, digest = excluded.digest WHERE NOT (format = excluded.format AND seq > excluded.seq)";

const GET: &str = "SELECT seq, bytes, digest FROM snapshots WHERE stream = ?1 AND format = ?2";

/// Digest of everything a snapshot consists of.
pub(super) fn digest(stream: &str, format: u32, seq: i64, bytes: &[u8]) -> Digest {
    let mut all = format!("taxiway-snapshot-v1\n{stream}\n{format}\n{seq}\n").into_bytes();
    all.extend_from_slice(bytes);
    Digest::of(&all)
}

/// Keeps a snapshot.
pub(super) fn put(
    db: &Connection,
    stream: &StreamId,
    format: u32,
    seq: u64,
    bytes: &[u8],
) -> Result<(), Error> {
    reach(SNAPSHOT_BEFORE_WRITE)?;
    let (stream, seq) = (stream.to_string(), rows::sql(seq));
    let digest = digest(&stream, format, seq, bytes);
    let mut statement = db.prepare_cached(PUT).map_err(at("keeping a snapshot"))?;
    statement.execute(params![stream, format, seq, bytes, digest.0]).map_err(at("keeping a snapshot"))?;
    reach(SNAPSHOT_AFTER_WRITE)
}

/// The snapshot of a stream in this format; none when it is damaged, since it is disposable.
pub(super) fn get(db: &Connection, stream: &StreamId, format: u32) -> Result<Option<(u64, Vec<u8>)>, Error> {
    let mut statement = db.prepare_cached(GET).map_err(at("reading a snapshot"))?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let found = statement.query_row(params![stream.to_string(), format], read).optional();
    let (seq, bytes, kept): (i64, Vec<u8>, [u8; 32]) = match found {
        Ok(None) => return Ok(None),
        Ok(Some(found)) => found,
        Err(error) => {
            tracing::warn!(%stream, %error, "a snapshot cannot be read and is left aside");
            return Ok(None);
        }
    };
    if digest(&stream.to_string(), format, seq, &bytes).0 != kept {
        tracing::warn!(%stream, "a snapshot is damaged and is left aside");
        return Ok(None);
    }
    let seq = u64::try_from(seq).unwrap_or(u64::MAX);
    Ok((seq <= rows::seq(db, stream)?).then_some((seq, bytes)))
}
