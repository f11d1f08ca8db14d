//! What the next record is chained to.

use taxiway_engine::ports::log::Error;
use taxiway_model::ids::{Digest, StreamId};
use taxiway_model::record::{NewRecord, StoredRecord, chain_hash};
use taxiway_model::time::Timestamp;

use crate::tree::Tree;

/// The end of the log: the last record's place, hash and time, and the tree over all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) global: u64,
    pub(crate) hash: Digest,
    pub(crate) at: Option<Timestamp>,
    pub(crate) tree: Tree,
}

impl Head {
    /// The head of a log without records.
    pub(crate) fn empty() -> Self {
        Self { global: 0, hash: Digest([0; 32]), at: None, tree: Tree::default() }
    }

    /// Takes one record in: gives it its place, its log time and its hash.
    pub(crate) fn extend(
        &mut self,
        stream: &StreamId,
        seq: u64,
        mut record: NewRecord,
    ) -> Result<StoredRecord, Error> {
        record.at = self.log_time(record.at)?;
        let payload_digest = Digest::of(&record.payload);
        let (global, prev_hash) = (self.global + 1, self.hash);
        let hash = chain_hash(prev_hash, global, stream, seq, &record, payload_digest);
        let stored =
            StoredRecord { global, stream: stream.clone(), seq, record, payload_digest, prev_hash, hash };
        self.follow(&stored);
        Ok(stored)
    }

    /// Moves past a record that is already stored.
    pub(crate) fn follow(&mut self, stored: &StoredRecord) {
        self.global = stored.global;
        self.hash = stored.hash;
        self.at = Some(stored.record.at);
        self.tree.push(stored.hash);
    }

    /// Wall-clock time, or a microsecond after the last record where the clock went back or stood still.
    fn log_time(&self, wall: Timestamp) -> Result<Timestamp, Error> {
        let Some(last) = self.at else { return Ok(wall) };
        let next = last.0.checked_add(1).map(Timestamp);
        let next =
            next.ok_or_else(|| Error::Unavailable("log time has reached its last microsecond".to_owned()))?;
        Ok(wall.max(next))
    }
}

/// Whether an append may go on: its writer has seen the stream's end, or it brings nothing new
/// because its answer was lost the first time.
pub(crate) fn admit(
    stream: &StreamId,
    expected: u64,
    actual: u64,
    brings_nothing_new: bool,
) -> Result<(), Error> {
    if expected == actual || brings_nothing_new {
        return Ok(());
    }
    Err(Error::Conflict { stream: stream.clone(), expected, actual })
}

/// Refuses an epoch that is not the one in force.
pub(crate) fn admit_epoch(held: u64, current: u64) -> Result<(), Error> {
    if held == current { Ok(()) } else { Err(Error::Fenced { held, current }) }
}

/// An empty dedup key is no key: it is hashed like none, so it must not be stored as one.
pub(crate) fn normal(mut record: NewRecord) -> NewRecord {
    record.dedup = record.dedup.filter(|key| !key.is_empty());
    record
}
