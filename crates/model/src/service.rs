//! A service as its owner describes it, resolved: no field here means "default".
//!
//! The written form (`taxiway.yaml`) is read in [`crate::document`].

use crate::ids::{Digest, EnvironmentName, ServiceName, VersionName};
use crate::plan::{Check, Step};
use crate::policy::AnalysisPolicy;
use crate::route::{HeaderRule, Listen, UpstreamProtocol};
use crate::signals::SignalPolicy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything a release needs to know of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// The service.
    pub name: ServiceName,
    /// Who answers for it: a person or a team.
    pub owner: String,
    /// How much harm a bad release does (R1.4).
    pub tier: RiskTier,
    /// The environment this description is for.
    pub environment: EnvironmentName,
    /// What kind of environment that is; production rules apply to production.
    pub stage: Stage,
    /// What runs, and how.
    pub target: ProcessTarget,
    /// Where clients connect.
    pub listen: Listen,
    /// Requests of internal users, for header-only steps.
    pub internal_users: Option<HeaderRule>,
    /// How exposure grows.
    pub strategy: Strategy,
    /// How the canary is judged.
    pub analysis: AnalysisPolicy,
    /// Smoke tests and hooks at fixed places of every release.
    pub checks: Vec<Check>,
    /// Time limits.
    pub deadlines: Deadlines,
    /// What happens to a newer version while a release is in flight.
    pub concurrency: Concurrency,
    /// Which alerts are signals, and where they are taken.
    #[serde(default, skip_serializing_if = "SignalPolicy::is_empty")]
    pub signals: SignalPolicy,
}

/// How much harm a bad release of the service does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RiskTier {
    /// Internal tool, batch.
    Low,
    /// Internal API.
    Medium,
    /// Customer-facing.
    High,
    /// Payment, authentication.
    Critical,
}

/// The kind of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// A developer's.
    Development,
    /// Automated tests.
    Test,
    /// A rehearsal of production.
    Staging,
    /// Real users.
    Production,
}

/// Local processes under the supervisor. `{version}`, `{port}` and `{artifact}` in the command,
/// the environment and the paths are replaced for each instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessTarget {
    /// Program and arguments; no shell unless it names one.
    pub command: Vec<String>,
    /// Working directory, absolute.
    pub directory: String,
    /// The artifact: path or URL, and the digest it must have.
    pub artifact: Option<ArtifactRef>,
    /// First port tried for instances; zero takes any free one.
    pub port_from: u16,
    /// What the instances speak.
    pub protocol: UpstreamProtocol,
    /// Whether an instance may get its first request.
    pub readiness: Probe,
    /// Whether a running instance is still well.
    pub health: Probe,
    /// Environment variables beside those the supervisor sets (`PORT`, `TAXIWAY_VERSION`,
    /// `TAXIWAY_RELEASE`, `TAXIWAY_SERVICE`, `TAXIWAY_ENVIRONMENT`, `TAXIWAY_INSTANCE`).
    pub env: BTreeMap<String, String>,
    /// Instances at full exposure.
    pub replicas: u32,
    /// Time between SIGTERM and SIGKILL.
    pub stop_grace_ms: u64,
    /// Bounds on one instance.
    pub limits: ProcessLimits,
}

/// An artifact by place and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactRef {
    /// Absolute path, or an http(s) URL; may contain `{version}`.
    pub from: String,
    /// What it must be. Where none is declared it is computed at the start and frozen.
    pub digest: Option<Digest>,
}

/// A question put to an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// What is asked.
    pub ask: ProbeAsk,
    /// Time between two probes.
    pub interval_ms: u64,
    /// Time limit of one.
    pub timeout_ms: u64,
    /// Successes in a row needed.
    pub success_after: u32,
    /// Failures in a row needed.
    pub failure_after: u32,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum ProbeAsk {
    /// GET this path; 2xx is yes.
    Http {
        /// The path, with a leading slash.
        path: String,
    },
    /// The port accepts a connection.
    Tcp,
    /// The command exits with zero.
    Command {
        /// Program and arguments.
        command: Vec<String>,
    },
}

/// Bounds on one instance; none means no bound.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessLimits {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// CPU in thousandths of a core.
    pub cpu_milli: Option<u32>,
    /// Open files.
    pub open_files: Option<u64>,
}

/// How exposure grows; resolved to steps when a plan is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strategy {
    /// The family.
    pub kind: StrategyKind,
    /// The preset's name, or `custom`.
    pub preset: String,
    /// The steps, already expanded from the preset where one is named.
    pub steps: Vec<Step>,
    /// How long the old version keeps running after the release is sealed.
    pub retire_after_ms: u64,
}

/// The families of strategies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrategyKind {
    /// A share of the traffic, growing.
    Canary,
    /// Everything at once, between two full sets.
    BlueGreen,
    /// Instance by instance.
    Rolling,
    /// Stop the old, start the new: an outage, refused in production.
    Recreate,
}

/// Time limits of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    /// Until the instances of a step are ready; past it the release goes back.
    pub ready_ms: u64,
    /// Until the router has confirmed a split.
    pub routed_ms: u64,
    /// Beyond a step's own time, until there is enough evidence; past it a person is asked.
    pub samples_ms: u64,
    /// How long a source may fail before the release goes back (it holds meanwhile).
    pub source_ms: u64,
    /// How long open requests may go on when instances are drained.
    pub drain_ms: u64,
    /// The shortest time on any exposed step, in which a person can abort.
    pub abort_window_ms: u64,
    /// How long the same artifact is not tried again by itself after a rollback (R5.2).
    pub suppression_ms: u64,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            ready_ms: 300_000,
            routed_ms: 300_000,
            samples_ms: 300_000,
            source_ms: 300_000,
            drain_ms: 10_000,
            abort_window_ms: 0,
            suppression_ms: 3_600_000,
        }
    }
}

/// What happens to a newer version while a release is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Concurrency {
    /// It waits.
    #[default]
    Queue,
    /// The one in flight returns to the baseline first, then the newer one starts.
    Supersede,
    /// It is refused.
    Refuse,
}

/// What is released: an artifact by digest with its resolved configuration, frozen at the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// What people call it.
    pub name: VersionName,
    /// Digest over the artifact's digest and the resolved configuration. A known name with
    /// another digest is refused.
    pub digest: Digest,
    /// What runs, with `{version}` already replaced.
    pub target: ProcessTarget,
    /// Where it came from.
    pub provenance: Provenance,
}

/// What is known of a version's origin; each part may be unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provenance {
    /// The commit it was built from.
    pub commit: Option<String>,
    /// When that was committed, microseconds since the epoch.
    pub commit_at: Option<i64>,
    /// The build that made it.
    pub build_id: Option<String>,
}
