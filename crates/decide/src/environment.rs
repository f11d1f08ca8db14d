//! The state of one stream: the log, folded.

mod evolve;
mod flight;

pub use evolve::evolve;
pub use flight::{CheckRecord, Flight, Returning, Taken};

use crate::feedback::{AtRest, Tally};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use taxiway_model::event::{Outcome, ReturnCause, Split};
use taxiway_model::ids::{Digest, Generation, ReleaseId, StreamId, VersionName};
use taxiway_model::plan::Plan;
use taxiway_model::service::{Deadlines, Version};
use taxiway_model::time::Timestamp;
use taxiway_model::weight::WeightBp;

/// Format of a serialised [`Environment`]; a snapshot of another format is ignored.
pub const SNAPSHOT_FORMAT: u32 = 3;

/// One service in one environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Which one.
    pub stream: StreamId,
    /// Sequence of the last event folded in; zero before the first.
    pub seq: u64,
    /// Log time of the last event.
    pub at: Timestamp,
    /// The newest intent.
    pub generation: Generation,
    /// The version that is sealed as last known good.
    pub stable: Option<VersionName>,
    /// Every version ever accepted here.
    pub versions: BTreeMap<VersionName, Known>,
    /// The plan that was started last: how clients reach the service, and its time limits.
    pub plan: Option<Plan>,
    /// The release in flight. Not part of a snapshot: those are taken when nothing is in flight,
    /// and the judge's state is a fold of the log.
    #[serde(skip)]
    pub flight: Option<Flight>,
    /// Accepted releases that wait for it.
    pub queue: Vec<Waiting>,
    /// The version kept running for a quick way back.
    pub retiring: Option<Retiring>,
    /// The instances that shall run.
    pub workload: WorkloadIntent,
    /// The split that shall be in force.
    pub routes: RoutesIntent,
    /// Why nothing automatic may happen.
    pub held: Option<String>,
    /// Artifacts rolled back a short while ago, and until when they are not tried again.
    pub suppressed: BTreeMap<Digest, Timestamp>,
    /// Releases that have ended, oldest first, at most [`HISTORY_MAX`].
    pub history: Vec<Past>,
    /// How many releases were ever accepted.
    pub releases: u32,
    /// The newest keys of signals and feedback, oldest first, at most [`KEYS_MAX`]: what is sent
    /// twice is taken once.
    #[serde(default)]
    pub keys: Vec<String>,
    /// What users said while nothing was in flight.
    #[serde(default)]
    pub at_rest: AtRest,
}

/// Keys of senders that are remembered.
pub const KEYS_MAX: usize = 500;

/// Ended releases kept in the state; older ones are in the log.
pub const HISTORY_MAX: usize = 100;

/// A version with the release that brought it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// The version.
    pub version: Version,
    /// The release that brought it first.
    pub release: ReleaseId,
    /// Whether it was ever sealed.
    pub sealed: bool,
}

/// A release that waits its turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its id.
    pub release: ReleaseId,
    /// Its plan.
    pub plan: Plan,
    /// The plan's digest.
    pub plan_digest: Digest,
    /// When it was accepted.
    pub accepted_at: Timestamp,
}

/// A version that is kept running after its release was superseded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retiring {
    /// The version.
    pub version: VersionName,
    /// Until when.
    pub until: Timestamp,
}

/// The newest intent for the instances.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WorkloadIntent {
    /// Its generation.
    pub generation: Generation,
    /// Instances by version.
    pub replicas: BTreeMap<VersionName, u32>,
    /// When it was made.
    pub at: Timestamp,
    /// Whether all of them have been seen ready.
    pub ready: bool,
}

/// The newest intent for the split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoutesIntent {
    /// Its generation.
    pub generation: Generation,
    /// The split.
    pub split: Split,
    /// When it was made.
    pub at: Timestamp,
    /// Whether the router has confirmed it.
    pub observed: bool,
}

/// A release that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// Its id.
    pub release: ReleaseId,
    /// Its version.
    pub version: VersionName,
    /// The version it was to replace.
    pub baseline: Option<VersionName>,
    /// How it ended.
    pub outcome: Outcome,
    /// What sent it back, if anything did.
    pub cause: Option<ReturnCause>,
    /// Why, one sentence.
    pub sentence: String,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// From the first canary request to the verdict.
    pub detect_ms: Option<u64>,
    /// From the verdict to the last request routed to the canary.
    pub shift_ms: Option<u64>,
    /// Requests the canary had.
    pub canary_requests: u64,
    /// Of those, failed ones.
    pub canary_failed: u64,
    /// What users said meanwhile.
    #[serde(default)]
    pub feedback: Tally,
}

impl Environment {
    /// A stream nothing has happened on.
    pub fn new(stream: StreamId) -> Self {
        Self {
            stream,
            seq: 0,
            at: Timestamp::default(),
            generation: Generation::default(),
            stable: None,
            versions: BTreeMap::new(),
            plan: None,
            flight: None,
            queue: Vec::new(),
            retiring: None,
            workload: WorkloadIntent::default(),
            routes: RoutesIntent {
                generation: Generation::default(),
                split: to_baseline(None),
                at: Timestamp::default(),
                observed: true,
            },
            held: None,
            suppressed: BTreeMap::new(),
            history: Vec::new(),
            releases: 0,
            keys: Vec::new(),
            at_rest: AtRest::default(),
        }
    }

    /// Whether something with this key was taken before.
    pub fn knows(&self, key: Option<&String>) -> bool {
        key.is_some_and(|key| self.keys.contains(key))
    }

    /// The id of the next release accepted.
    pub fn next_release(&self) -> ReleaseId {
        let StreamId { service, environment } = &self.stream;
        let id = format!("{service}-{environment}-{}", self.releases + 1);
        ReleaseId::new(id.clone()).unwrap_or_else(|_| {
            ReleaseId::new(format!("release-{}", self.releases + 1)).expect("a short valid name")
        })
    }

    /// Instances the version has at full exposure.
    pub fn full_replicas(&self, version: &VersionName) -> u32 {
        self.versions.get(version).map_or(0, |known| known.version.target.replicas)
    }

    /// The time limits in force.
    pub fn deadlines(&self) -> Deadlines {
        self.plan.as_ref().map(|plan| plan.deadlines.clone()).unwrap_or_default()
    }
}

/// The split that gives the canary nothing.
pub fn to_baseline(baseline: Option<VersionName>) -> Split {
    Split { baseline, canary: None, weight: WeightBp::ZERO, step: None, fresh: WeightBp::ZERO }
}
