//! The words between the proxy and whoever drives it: one JSON object per line, over a Unix
//! socket, each answered by one line. The proxy needs nobody on the other end to go on serving.

use crate::counts::Counts;
use crate::ids::{Generation, StreamId, VersionName};
use crate::route::{Applied, RouteTable};
use crate::time::Timestamp;
use crate::weight::WeightBp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What may be asked of the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub enum Ask {
    /// Who is there: answered with `Reply::Hello`.
    Hello,
    /// Put this table in force and keep a copy on disk.
    Apply {
        /// The complete table of one service.
        table: Box<RouteTable>,
    },
    /// Give everything back to the baseline at once, whatever else the table says.
    ToBaseline {
        /// The service and environment.
        stream: StreamId,
        /// The intent; an older one than the table's is refused.
        generation: Generation,
    },
    /// Extend the canary's lease without changing the table.
    RenewLease {
        /// The service and environment.
        stream: StreamId,
        /// The generation the caller believes to be in force.
        generation: Generation,
        /// New span from receipt.
        lease_ms: u64,
    },
    /// Cumulative counts of one service.
    Counts {
        /// The service and environment.
        stream: StreamId,
    },
    /// Forget a service and close its listeners.
    Remove {
        /// The service and environment.
        stream: StreamId,
    },
    /// Finish open requests and leave.
    Shutdown {
        /// How long open requests may take.
        drain_ms: u64,
    },
}

/// What the proxy answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reply")]
pub enum Reply {
    /// The proxy's identity.
    Hello {
        /// Its process id.
        pid: u32,
        /// Increases with every start: counts of another start begin at zero.
        start: Timestamp,
        /// Tables in force.
        tables: BTreeMap<String, Applied>,
        /// The version of the program.
        program: String,
    },
    /// The table, return or renewal is in force from the next request on.
    Applied(Applied),
    /// Refused, with the reason and what to do.
    Refused {
        /// One sentence.
        why: String,
        /// The generation in force, where there is one.
        generation: Option<Generation>,
    },
    /// Cumulative counts since `start`.
    Counts(Box<Snapshot>),
    /// Done, nothing to tell.
    Done,
}

/// What one instance has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Answered {
    /// Requests that ended by its doing.
    pub requests: u64,
    /// Of those, 5xx answers, timeouts and connection errors.
    pub failed: u64,
}

/// Everything counted for one service since the proxy started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Start of the proxy process: a changed one means that counters began again.
    pub start: Timestamp,
    /// When this was read, on the proxy's clock.
    pub at: Timestamp,
    /// What is in force.
    pub generation: Generation,
    /// The canary's weight in force.
    pub weight: WeightBp,
    /// Whether the canary's lease has ended.
    pub lease_ended: bool,
    /// Counts by version and endpoint class (`other` for the rest).
    pub versions: BTreeMap<VersionName, BTreeMap<String, Counts>>,
    /// Answers to mirrored requests, by version; never part of `versions`.
    pub mirrored: BTreeMap<VersionName, Counts>,
    /// Requests and streams still open, by version.
    pub open: BTreeMap<VersionName, u64>,
    /// Requests and streams still open, by instance address: what draining waits for.
    #[serde(default)]
    pub open_at: BTreeMap<String, u64>,
    /// What each instance has answered, by version and address, while it is in the table.
    #[serde(default)]
    pub answered_at: BTreeMap<VersionName, BTreeMap<String, Answered>>,
    /// When the last request was routed to each version.
    pub last_routed: BTreeMap<VersionName, Timestamp>,
    /// When the first request was routed to each version.
    pub first_routed: BTreeMap<VersionName, Timestamp>,
    /// Requests the proxy itself refused or could not route, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Instances that get nothing at the moment because they fail, by address, with the reason.
    pub unhealthy: BTreeMap<String, String>,
}
