//! What may be asked for, and what comes back.

use serde::{Deserialize, Serialize};
use taxiway_model::command::Command;
use taxiway_model::forecast::Forecast;
use taxiway_model::ids::{Digest, ReleaseId, StreamId, VersionName};
use taxiway_model::normal::Normal;
use taxiway_model::plan::Plan;
use taxiway_model::service::{Provenance, ServiceSpec};

/// Release a version of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// The service as its file describes it, read and resolved by the client.
    pub service: Box<ServiceSpec>,
    /// The version.
    pub version: VersionName,
    /// Where it came from.
    #[serde(default)]
    pub provenance: Provenance,
    /// Release it although its artifact was rolled back a short while ago.
    #[serde(default)]
    pub again: bool,
    /// Answer with the plan and change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// The regression that the forecast is asked about, as a ratio in basis points (20,000 is
    /// twice the baseline's rate); none: where red begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detect_bp: Option<u32>,
    /// Who asks.
    pub actor: String,
    /// Why, as given; empty when not.
    #[serde(default)]
    pub reason: String,
    /// Through which door: `cli`, `api`.
    pub origin: String,
}

/// The answer to a start that was not refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartAnswer {
    /// The stream.
    pub stream: StreamId,
    /// The release; none for a dry run.
    pub release: Option<ReleaseId>,
    /// The frozen plan.
    pub plan: Box<Plan>,
    /// Its digest.
    pub plan_digest: Digest,
    /// The release it waits for, when another one is in flight.
    pub behind: Option<ReleaseId>,
    /// What is allowed but should be known, a sentence each.
    pub warnings: Vec<String>,
    /// What these steps can see with the recent traffic; none when hardly any was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Box<Forecast>>,
}

/// How the running version of a stream has answered lately: what a forecast is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NormalAnswer {
    /// The stream.
    pub stream: StreamId,
    /// The version that runs; none when nothing was ever released there.
    pub baseline: Option<VersionName>,
    /// The profile; none when nothing was seen.
    pub normal: Option<Box<Normal>>,
}

/// Change something on a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandRequest {
    /// The stream.
    pub stream: StreamId,
    /// What.
    pub command: Command,
    /// Who asks.
    pub actor: String,
    /// Why, as given; empty when not.
    #[serde(default)]
    pub reason: String,
    /// Through which door: `cli`, `api`.
    pub origin: String,
    /// The same key sent twice to a stream is one command.
    #[serde(default)]
    pub dedup: Option<String>,
}

/// The answer to a command that was not refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandAnswer {
    /// The stream.
    pub stream: StreamId,
    /// The release it concerned, or that it began.
    pub release: Option<ReleaseId>,
    /// Place in the stream of the last event it caused; none when nothing had to change.
    pub seq: Option<u64>,
    /// What changed, a sentence.
    pub said: String,
}
