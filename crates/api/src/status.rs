//! Where a stream is, complete: every view is drawn from this and nothing else.

use serde::{Deserialize, Serialize};
use taxiway_model::counts::{Counts, quantile_us};
use taxiway_model::decision::WaitingOn;
use taxiway_model::event::{Hold, ReturnCause};
use taxiway_model::ids::{
    Digest, EnvironmentName, MetricName, ReleaseId, ServiceName, StepName, VersionName,
};
use taxiway_model::observation::Instance;
use taxiway_model::plan::Purpose;
use taxiway_model::service::StrategyKind;
use taxiway_model::time::Timestamp;
use taxiway_model::verdict::Judgement;
use taxiway_model::weight::WeightBp;

use crate::explain::Coming;
use crate::feedback::FeedbackView;
use crate::record::HistoryEntry;

/// One service in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
    /// Who answers for it.
    pub owner: String,
    /// When this was read.
    pub at: Timestamp,
    /// Addresses clients connect to.
    pub listen: Vec<String>,
    /// The last known good version; none before the first release is sealed.
    pub stable: Option<VersionName>,
    /// Since when it has been stable.
    pub stable_since: Option<Timestamp>,
    /// The release in flight.
    pub release: Option<Flight>,
    /// Releases that wait for it to end, in order.
    pub queued: Vec<Queued>,
    /// Why nothing automatic may happen on this stream; none when it may.
    pub held: Option<String>,
    /// Why the stream cannot be folded (an event that is not understood); the baseline serves on.
    pub quarantined: Option<String>,
    /// Ports that do not answer, each in one line (`proxy: connection refused since 12s`).
    pub unreachable: Vec<String>,
    /// All instances of the stream.
    pub instances: Vec<Instance>,
    /// The release that ended last.
    pub last: Option<HistoryEntry>,
}

/// The release in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// Its id.
    pub id: ReleaseId,
    /// What is released.
    pub version: VersionName,
    /// What ran there; none is a first release.
    pub baseline: Option<VersionName>,
    /// Forward, or back to an earlier version.
    pub purpose: Purpose,
    /// The family of its steps.
    pub strategy: StrategyKind,
    /// The preset, or `custom`.
    pub preset: String,
    /// Digest of the frozen plan.
    pub plan_digest: Digest,
    /// Where it is, in a word.
    pub state: State,
    /// Place of the current step in `steps`.
    pub step: u16,
    /// All steps.
    pub steps: Vec<StepView>,
    /// The canary's share in force, as the router reports it; none while the router is silent.
    pub weight: Option<WeightBp>,
    /// The share that was last asked for.
    pub weight_intended: WeightBp,
    /// The share of a fresh baseline in force beside the canary; zero where there is none.
    #[serde(default, skip_serializing_if = "WeightBp::is_zero")]
    pub fresh: WeightBp,
    /// What is left of the canary's lease.
    pub lease_left_ms: u64,
    /// What has to happen before it goes on.
    pub waiting: Vec<WaitingOn>,
    /// What happens by itself, soonest first.
    #[serde(default)]
    pub coming: Vec<Coming>,
    /// Why it waits for a person; several can hold at once.
    pub holds: Vec<HoldView>,
    /// The latest judgement.
    pub judgement: Option<Judgement>,
    /// Metrics that are shown only and decide nothing.
    #[serde(default)]
    pub advisory: Vec<MetricName>,
    /// The canary's totals over all judged windows.
    pub canary: Option<Side>,
    /// The baseline's totals over the same seconds.
    pub side_baseline: Option<Side>,
    /// Requests of the canary and of the baseline that the judge compares, where they are not all of
    /// them: only those from times in which both sides had some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<[u64; 2]>,
    /// Why and how far it goes back; none while it goes forward.
    pub returning: Option<Return>,
    /// What users said.
    #[serde(default)]
    pub feedback: FeedbackView,
    /// Measured times.
    pub timings: Timings,
}

/// Where a release is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Instances are starting.
    Preparing,
    /// The router is being told.
    Shifting,
    /// The exposure stands, evidence is gathered.
    Watching,
    /// A smoke test or hook runs.
    Checking,
    /// A person paused it.
    Paused,
    /// It waits for a person.
    Held,
    /// It goes back to the baseline.
    Returning,
    /// Everything is on the new version, the end is being sealed.
    Finishing,
}

/// One step of the rail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// Its name.
    pub name: StepName,
    /// The canary's share.
    pub weight: WeightBp,
    /// Whether it lies behind, is current, or ahead.
    pub state: StepState,
    /// Whether only requests matching a header rule are exposed beyond the weight.
    pub header: bool,
    /// Share of requests mirrored.
    pub mirror: WeightBp,
    /// The share of a fresh baseline beside the canary; zero where there is none.
    #[serde(default, skip_serializing_if = "WeightBp::is_zero")]
    pub fresh: WeightBp,
    /// Whether a person has to promote it.
    pub approval: bool,
    /// Time with evidence it needs.
    pub bake_ms: u64,
    /// Time with evidence it has.
    pub baked_ms: u64,
    /// When it was entered.
    pub entered_at: Option<Timestamp>,
}

/// Where a step lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Passed.
    Done,
    /// Left out: a person asked for all of the traffic at once.
    Skipped,
    /// In force.
    Current,
    /// To come.
    Ahead,
}

/// Why a release waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldView {
    /// The kind.
    pub why: Hold,
    /// One sentence.
    pub sentence: String,
    /// Since when.
    pub since: Timestamp,
}

/// A return to the baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    /// What caused it.
    pub cause: ReturnCause,
    /// One sentence.
    pub sentence: String,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// Whether the router has confirmed that the canary gets nothing.
    pub verified: bool,
}

/// One side's totals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The version.
    pub version: VersionName,
    /// Requests that ended.
    pub requests: u64,
    /// Failed ones: 5xx, timeouts, connection errors.
    pub errors: u64,
    /// Failed ones per million; none without requests.
    pub error_ppm: Option<u64>,
    /// Median latency.
    pub p50_us: Option<u64>,
    /// 95th percentile.
    pub p95_us: Option<u64>,
    /// 99th percentile.
    pub p99_us: Option<u64>,
    /// Ready instances.
    pub ready: u32,
    /// Wanted instances.
    pub wanted: u32,
}

impl Side {
    /// A side's totals from its counts and its number of instances.
    pub fn of(version: VersionName, counts: &Counts, ready: u32, wanted: u32) -> Self {
        let errors = counts.errors();
        Self {
            version,
            requests: counts.requests,
            errors,
            error_ppm: errors.saturating_mul(1_000_000).checked_div(counts.requests),
            p50_us: quantile_us(&counts.latency, 5_000),
            p95_us: quantile_us(&counts.latency, 9_500),
            p99_us: quantile_us(&counts.latency, 9_900),
            ready,
            wanted,
        }
    }
}

/// When what happened, and how long what took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timings {
    /// When it was asked for.
    pub accepted_at: Timestamp,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When the current step was entered.
    pub step_at: Option<Timestamp>,
    /// When the canary got its first request.
    pub exposed_at: Option<Timestamp>,
    /// From the first canary request to the decision to go back.
    pub detect_ms: Option<u64>,
    /// From the decision to the last request routed to the canary.
    pub shift_ms: Option<u64>,
}

/// A release that waits for the one in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// Its id.
    pub id: ReleaseId,
    /// Its version.
    pub version: VersionName,
    /// When it was asked for.
    pub accepted_at: Timestamp,
}
