//! The log, as the engine needs it.

use taxiway_model::ids::{Digest, StreamId};
use taxiway_model::record::{NewRecord, StoredRecord};

/// Why the log did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Somebody appended in between: load again and decide again.
    #[error("{stream} is at {actual}, not at {expected}: another writer was faster")]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// The sequence the caller had seen.
        expected: u64,
        /// The sequence the stream is at.
        actual: u64,
    },
    /// Another process has taken the lead of this log: stop acting.
    #[error("the lease epoch {held} is over; {current} is in force")]
    Fenced {
        /// The epoch the caller holds.
        held: u64,
        /// The epoch in force.
        current: u64,
    },
    /// The disk is full.
    #[error("no space left for the log: {0}")]
    Full(String),
    /// The database cannot be written.
    #[error("the log cannot be written: {0}")]
    ReadOnly(String),
    /// What was read is not what was written.
    #[error("the log is damaged: {0}")]
    Damaged(String),
    /// Anything else of the storage; worth another try.
    #[error("the log does not answer: {0}")]
    Unavailable(String),
}

/// The outcome of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The stream's sequence after the append.
    pub seq: u64,
    /// The records as stored, with log time and hash; those already there under the same dedup
    /// key are returned as they were stored then.
    pub records: Vec<StoredRecord>,
}

/// What a log is good for at a moment: its size and root, to be kept elsewhere and compared, since
/// a hash chain alone cannot see a missing tail (RFC 6962).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of records covered.
    pub size: u64,
    /// Merkle tree hash over the record hashes.
    pub root: Digest,
    /// The checkpoint as signed text (a signed note); the form to keep.
    pub note: String,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Records read.
    pub records: u64,
    /// Each damage found: place and what is wrong. Empty means intact.
    pub damages: Vec<String>,
    /// Size of the checkpoint compared with, when one was given.
    pub checkpoint: Option<u64>,
}

/// The log: chained, append-only streams.
pub trait Log: Send + Sync {
    /// Appends records to a stream that is at `expected_seq`, all or none; durable on return.
    /// Records whose dedup key the stream already has are not written again.
    fn append(
        &self,
        stream: &StreamId,
        expected_seq: u64,
        epoch: u64,
        records: Vec<NewRecord>,
    ) -> Result<Appended, Error>;

    /// Records of one stream after `after_seq`, oldest first, at most `limit`.
    fn read(&self, stream: &StreamId, after_seq: u64, limit: usize) -> Result<Vec<StoredRecord>, Error>;

    /// Records of all streams after `after_global`, oldest first, at most `limit`.
    fn read_all(&self, after_global: u64, limit: usize) -> Result<Vec<StoredRecord>, Error>;

    /// Every stream with its sequence.
    fn streams(&self) -> Result<Vec<(StreamId, u64)>, Error>;

    /// The latest snapshot of a stream in exactly this format, with the sequence it stands for.
    /// Snapshots are disposable: none is always a correct answer.
    fn snapshot(&self, stream: &StreamId, format: u32) -> Result<Option<(u64, Vec<u8>)>, Error>;

    /// Keeps a snapshot in place of the older one.
    fn keep_snapshot(&self, stream: &StreamId, format: u32, seq: u64, bytes: &[u8]) -> Result<(), Error>;

    /// Takes the lead of this log: every earlier epoch is fenced from now on.
    fn take_lead(&self, owner: &str) -> Result<u64, Error>;

    /// A signed statement of the log's size and root.
    fn checkpoint(&self) -> Result<Checkpoint, Error>;

    /// Reads everything and compares every digest, hash, sequence and link; with a kept checkpoint
    /// (its note) also that the log still contains what it covered.
    fn verify(&self, kept: Option<&str>) -> Result<Verified, Error>;
}
