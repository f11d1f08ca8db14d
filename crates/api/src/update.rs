//! The stream of what happens, one JSON object per line.

use serde::{Deserialize, Serialize};
use taxiway_model::time::Timestamp;

use crate::record::{HistoryEntry, LogEntry};
use crate::status::Status;

/// One line of a followed stream. `from` in the request is a place in the whole log, so that a
/// client that was cut off goes on without a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "update")]
pub enum Update {
    /// Something happened.
    Event {
        /// The record.
        entry: Box<LogEntry>,
    },
    /// Where the stream is now; sent at the start, after events, and while figures change.
    Status {
        /// The whole of it.
        status: Box<Status>,
    },
    /// A release ended.
    Ended {
        /// Its summary.
        entry: Box<HistoryEntry>,
    },
    /// Nothing new; the connection is alive.
    Alive {
        /// The time of the resident process.
        at: Timestamp,
    },
    /// The client read too slowly and has missed updates: ask again from this place.
    Lagged {
        /// Place in the whole log to go on from.
        from: u64,
    },
}
