//! What was seen of the world at a moment. A port that does not answer is a value too.

use crate::evidence::Classes;
use crate::ids::{Digest, Generation, MetricName, VersionName};
use crate::metrics::{Retry, Samples};
use crate::normal::Normal;
use crate::time::Timestamp;
use crate::weight::WeightBp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A reading, or since when there is none and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed<T> {
    /// Read just now.
    Known(T),
    /// No answer.
    Unknown {
        /// When the first of the failing readings was made.
        since: Timestamp,
        /// Why, one line.
        why: String,
    },
}

impl<T> Observed<T> {
    /// The reading, if there is one.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown { .. } => None,
        }
    }
}

/// The instances of a stream, as the target reports them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WorkloadStatus {
    /// The intent the target works on.
    pub generation: Generation,
    /// Every instance, also those that are stopping.
    pub instances: Vec<Instance>,
    /// Versions that cannot be started at all, with the reason (binary missing, digest differs).
    pub broken: BTreeMap<VersionName, String>,
}

impl WorkloadStatus {
    /// The ready instances of a version.
    pub fn ready<'a>(&'a self, version: &'a VersionName) -> impl Iterator<Item = &'a Instance> + 'a {
        self.instances.iter().filter(move |i| &i.version == version && i.phase == InstancePhase::Ready)
    }
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its version.
    pub version: VersionName,
    /// Its number within the version, from 0.
    pub number: u32,
    /// `host:port`.
    pub address: String,
    /// Where it is in its life.
    pub phase: InstancePhase,
    /// How often it was restarted.
    pub restarts: u32,
    /// Why it is not ready, or why it was last restarted; empty when all is well.
    pub why: String,
    /// When it became ready for the first time.
    pub ready_since: Option<Timestamp>,
    /// Resident memory.
    pub memory_bytes: u64,
    /// CPU used over the last seconds, in thousandths of a core.
    pub cpu_milli: u32,
    /// Process id, where there is one.
    pub pid: Option<u32>,
    /// Where its output goes.
    pub output: String,
}

/// Where an instance is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstancePhase {
    /// Started, not ready yet.
    Starting,
    /// May get requests.
    Ready,
    /// Runs, but its health check fails.
    Unhealthy,
    /// Died; waits for its restart.
    Backoff,
    /// Asked to stop.
    Stopping,
}

/// What the router reports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrafficStatus {
    /// The intent in force.
    pub generation: Generation,
    /// Digest of the table it last confirmed to us; none after a restart of either side.
    pub table: Option<Digest>,
    /// The canary's share in force.
    pub weight: WeightBp,
    /// What is left of the canary's lease.
    pub lease_left_ms: u64,
    /// What was seen since the last recorded window or split, by version and class.
    pub since_window: BTreeMap<VersionName, Classes>,
    /// Mirrored answers in the same time.
    pub mirrored_since_window: BTreeMap<VersionName, Classes>,
    /// How long that is, on a monotonic clock.
    pub since_window_ms: u64,
    /// Requests still open, by instance address.
    pub open_at: BTreeMap<String, u64>,
    /// How long the confirmed table has been in force, on a monotonic clock.
    pub table_for_ms: u64,
    /// Requests and failed requests of each version since the release began.
    pub totals: BTreeMap<VersionName, (u64, u64)>,
    /// When each version got its first request since the split to it began.
    pub first_routed: BTreeMap<VersionName, Timestamp>,
    /// When each version got its last request.
    pub last_routed: BTreeMap<VersionName, Timestamp>,
}

/// Where a check is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum CheckStatus {
    /// It runs.
    Running,
    /// It ended.
    Ended {
        /// Whether it passed.
        passed: bool,
        /// What it said, one line.
        said: String,
    },
}

/// Everything observed for one tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observations {
    /// The instances.
    pub workload: Observed<WorkloadStatus>,
    /// The router.
    pub traffic: Observed<TrafficStatus>,
    /// Checks by `(effect, attempt)`; a missing one is unknown to the runner.
    pub checks: BTreeMap<(String, u32), CheckStatus>,
    /// Metrics by query; none where none are wanted.
    pub metrics: Option<Observed<MetricsStatus>>,
    /// How the running version has answered lately; none while that is not known.
    pub normal: Option<Normal>,
    /// How long this process itself has watched the newest intents.
    pub watched: Watched,
}

/// Times on the monotonic clock of the process that looks: neither a wall clock that was set nor
/// time in which nobody looked is in them. Zero right after a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Watched {
    /// Since the newest intent for the instances.
    pub workload_ms: u64,
    /// Since the newest intent for the split.
    pub routes_ms: u64,
    /// Since the exposure of the step was confirmed; zero before.
    pub exposed_ms: u64,
    /// Since a source of evidence was put on record as silent; zero while none is.
    pub source_ms: u64,
}

/// What the sources of metrics by query have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetricsStatus {
    /// What was counted since the last window of evidence, and the newest values.
    pub since_window: Samples,
    /// What was measured before the exposure changed and has come since, with the step that was on.
    pub late: Option<(u16, Samples)>,
    /// Metrics the source has nothing of, and of which side.
    pub nothing: BTreeMap<MetricName, String>,
    /// Metrics whose source gives no answer now, and why.
    pub trouble: BTreeMap<MetricName, String>,
    /// Of those, since when and until when.
    pub retries: BTreeMap<MetricName, Retry>,
}
