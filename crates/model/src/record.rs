//! The envelope of the log: what surrounds an event's bytes, and how they are chained.

use crate::ids::{Digest, StreamId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "name")]
pub enum Actor {
    /// A person or a machine account, by the name it gave or was authenticated as.
    Person(String),
    /// The engine by itself.
    Engine,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(name) => f.pad(name),
            Self::Engine => f.pad("taxiway"),
        }
    }
}

/// A fact with what the log knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded<T> {
    /// Place in the whole log, from 1.
    pub global: u64,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Place in the stream, from 1.
    pub seq: u64,
    /// Log time: never before the record ahead of it. The only clock `evolve` may read.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// Through which door it came: `cli`, `api`, `engine`.
    pub origin: String,
    /// The reason given by the actor, empty when none was.
    pub reason: String,
    /// The event.
    pub event: T,
}

/// A record to be appended: the event already in its stored bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// Wall-clock time at which it happened; the log may move it forward, never back.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// Through which door it came.
    pub origin: String,
    /// The reason given.
    pub reason: String,
    /// The same key appended twice to a stream is one record.
    pub dedup: Option<String>,
    /// The event's kind, such as `step_entered`.
    pub kind: String,
    /// Version of the kind's format.
    pub format: u16,
    /// The event as stored (JSON).
    pub payload: Vec<u8>,
}

/// A record as the log holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Place in the whole log, from 1.
    pub global: u64,
    /// The stream.
    pub stream: StreamId,
    /// Place in the stream, from 1.
    pub seq: u64,
    /// What was appended, with its time as the log took it.
    pub record: NewRecord,
    /// Digest of the payload's bytes.
    pub payload_digest: Digest,
    /// Hash of the record before this one in the whole log (zeros before the first).
    pub prev_hash: Digest,
    /// Hash of this record: see [`chain_hash`].
    pub hash: Digest,
}

impl StoredRecord {
    /// Whether its payload was redacted or has expired: then it reads as empty, though its digest is
    /// that of something else.
    pub fn is_withheld(&self) -> bool {
        self.record.payload.is_empty() && self.payload_digest != Digest::of(b"")
    }
}

/// The hash that chains a record to the one before it: SHA-256 over the stored fields, each
/// preceded by its length, the payload by its digest only, so that a payload can expire without
/// breaking the chain.
pub fn chain_hash(
    prev: Digest,
    global: u64,
    stream: &StreamId,
    seq: u64,
    record: &NewRecord,
    payload: Digest,
) -> Digest {
    let mut bytes = Vec::with_capacity(256);
    let mut field = |part: &[u8]| {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    };
    field(b"taxiway-record-v1");
    field(&prev.0);
    field(&global.to_be_bytes());
    field(stream.to_string().as_bytes());
    field(&seq.to_be_bytes());
    field(&record.at.0.to_be_bytes());
    match &record.actor {
        Actor::Person(name) => {
            field(b"person");
            field(name.as_bytes());
        }
        Actor::Engine => field(b"engine"),
    }
    field(record.origin.as_bytes());
    field(record.reason.as_bytes());
    field(record.dedup.as_deref().unwrap_or_default().as_bytes());
    field(record.kind.as_bytes());
    field(&record.format.to_be_bytes());
    field(&payload.0);
    Digest::of(&bytes)
}
