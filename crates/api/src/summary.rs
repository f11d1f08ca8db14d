//! What `release --json` and `demo --json` close with.

use serde::{Deserialize, Serialize};
use std::fmt;
use taxiway_model::event::Outcome;
use taxiway_model::ids::VersionName;

use crate::record::HistoryEntry;

/// The closing object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// The releases that were made, in order.
    pub releases: Vec<ReleaseSummary>,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseSummary {
    /// Its version.
    pub version: VersionName,
    /// How it ended, or where it was left.
    pub outcome: OutcomeWord,
    /// From the first canary request to the verdict; null when there was none.
    pub detect_ms: Option<u64>,
    /// From the verdict to the last request routed to the canary.
    pub shift_ms: Option<u64>,
    /// Requests the canary had.
    pub canary_requests: u64,
    /// Of those, failed ones.
    pub failed_requests: u64,
}

/// How a release ended, or where it was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeWord {
    /// Sealed at all of the traffic.
    Released,
    /// Back on the baseline.
    RolledBack,
    /// A person stopped it.
    Aborted,
    /// Never started.
    Refused,
    /// It waits for a person.
    Held,
    /// It could not be carried out.
    Failed,
}

impl From<Outcome> for OutcomeWord {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Released => Self::Released,
            Outcome::RolledBack => Self::RolledBack,
            Outcome::Aborted => Self::Aborted,
            Outcome::Failed => Self::Failed,
        }
    }
}

impl fmt::Display for OutcomeWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Released => "released",
            Self::RolledBack => "rolled back",
            Self::Aborted => "aborted",
            Self::Refused => "refused",
            Self::Held => "held",
            Self::Failed => "failed",
        })
    }
}

impl From<&HistoryEntry> for ReleaseSummary {
    /// An entry without an outcome is one that was left waiting.
    fn from(entry: &HistoryEntry) -> Self {
        Self {
            version: entry.version.clone(),
            outcome: entry.outcome.map_or(OutcomeWord::Held, OutcomeWord::from),
            detect_ms: entry.detect_ms,
            shift_ms: entry.shift_ms,
            canary_requests: entry.canary_requests,
            failed_requests: entry.canary_failed,
        }
    }
}
