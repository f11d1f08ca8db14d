//! Readings of the log.

use crate::feedback::FeedbackView;
use serde::{Deserialize, Serialize};
use taxiway_model::event::Outcome;
use taxiway_model::ids::{Digest, ReleaseId, StreamId, VersionName};
use taxiway_model::plan::Purpose;
use taxiway_model::record::Actor;
use taxiway_model::time::Timestamp;

/// A release of the past, or the one in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The stream.
    pub stream: StreamId,
    /// Its id.
    pub release: ReleaseId,
    /// Its version.
    pub version: VersionName,
    /// The version before it.
    pub baseline: Option<VersionName>,
    /// Forward, or back to an earlier version.
    pub purpose: Purpose,
    /// How it ended; none while it is in flight.
    pub outcome: Option<Outcome>,
    /// One sentence.
    pub sentence: String,
    /// Who asked for it.
    pub actor: Actor,
    /// Why, as given.
    pub reason: String,
    /// The commit, where known.
    pub commit: Option<String>,
    /// When it was asked for.
    pub accepted_at: Timestamp,
    /// When it started; none when it never did.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// From the first canary request to the decision to go back.
    pub detect_ms: Option<u64>,
    /// From that decision to the last request routed to the canary.
    pub shift_ms: Option<u64>,
    /// Requests the canary had.
    pub canary_requests: u64,
    /// Of those, failed ones.
    pub canary_failed: u64,
    /// What users said meanwhile.
    #[serde(default)]
    pub feedback: FeedbackView,
}

/// A record of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Place in the whole log, from 1.
    pub global: u64,
    /// The stream.
    pub stream: StreamId,
    /// Place in the stream, from 1.
    pub seq: u64,
    /// Log time.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// Through which door it came.
    pub origin: String,
    /// The reason given.
    pub reason: String,
    /// The event's kind.
    pub kind: String,
    /// One line for people.
    pub sentence: String,
    /// The event as stored.
    pub event: serde_json::Value,
    /// The record's hash.
    pub hash: Digest,
}

/// The answer of `log verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Whether every record and checkpoint holds.
    pub ok: bool,
    /// Records looked at.
    pub records: u64,
    /// Hash of the last record.
    pub head: Digest,
    /// Place of the last checkpoint that was compared; none when there was none.
    pub checkpoint: Option<u64>,
    /// What is wrong, with the record's place; empty when all is well.
    pub problems: Vec<String>,
}

/// The answer of `replay`: the judgements on record, made again from the evidence on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// The release.
    pub release: ReleaseId,
    /// Events read.
    pub events: u64,
    /// Judgements made again.
    pub judgements: u64,
    /// Of those, byte for byte the same.
    pub same: u64,
    /// The others: where, and what differs, a line each.
    pub different: Vec<String>,
}
