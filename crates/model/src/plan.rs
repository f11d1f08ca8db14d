//! A plan: the resolved list of steps of one release, frozen at its start, with a digest.

use crate::ids::{Digest, StepName, StreamId, VersionName};
use crate::policy::{AnalysisPolicy, Baseline};
use crate::route::{HeaderRule, Listen};
use crate::service::{Concurrency, Deadlines, RiskTier, Stage, StrategyKind, Version};
use crate::signals::SignalPolicy;
use crate::weight::WeightBp;
use serde::{Deserialize, Serialize};

/// Everything that was decided before a release began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Where it goes.
    pub stream: StreamId,
    /// What kind of environment that is.
    pub stage: Stage,
    /// How much harm it could do.
    pub tier: RiskTier,
    /// Who answers for the service.
    pub owner: String,
    /// What is released.
    pub version: Version,
    /// What ran there when the plan was made; none is a first release, which has no live baseline.
    pub baseline: Option<VersionName>,
    /// Forward, or back to an earlier version.
    pub purpose: Purpose,
    /// The family its steps come from.
    pub strategy: StrategyKind,
    /// The preset its steps come from, or `custom`.
    pub preset: String,
    /// The steps, in order; never empty, the last one has all the traffic.
    pub steps: Vec<Step>,
    /// How it is judged.
    pub analysis: AnalysisPolicy,
    /// Where clients connect.
    pub listen: Listen,
    /// Time limits.
    pub deadlines: Deadlines,
    /// What happens to a newer version meanwhile.
    pub concurrency: Concurrency,
    /// How long the old version keeps running after the release is sealed.
    pub retire_after_ms: u64,
    /// Which alerts are signals, and where they are taken.
    #[serde(default, skip_serializing_if = "SignalPolicy::is_empty")]
    pub signals: SignalPolicy,
}

impl Plan {
    /// The digest people approve and logs name: over the plan's canonical JSON.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).expect("a plan is plain data with string keys"))
    }

    /// A step by its place.
    pub fn step(&self, index: u16) -> Option<&Step> {
        self.steps.get(usize::from(index))
    }

    /// Whether the canary is compared with fresh instances of the running version.
    pub fn wants_fresh(&self) -> bool {
        self.analysis.baseline == Baseline::Fresh
            && self.purpose == Purpose::Forward
            && self.strategy == StrategyKind::Canary
            && self.baseline.is_some()
    }

    /// The share that fresh instances of the running version have on a step: as much as the canary up
    /// to a half, then all that remains. Zero where the canary has no share, or everything.
    pub fn fresh_weight(&self, step: &Step) -> WeightBp {
        if self.wants_fresh() { step.weight.min(step.weight.rest()) } else { WeightBp::ZERO }
    }

    /// How many fresh instances of the running version a step has: as many as the canary; above a half
    /// so many fewer as their share is smaller. They start with the canary's also where it has no
    /// share yet, so that both are as old when they are compared.
    pub fn fresh_instances(&self, step: &Step) -> u32 {
        if !self.wants_fresh() || step.weight == WeightBp::ALL {
            return 0;
        }
        let canary = step.canary_instances(self.version.target.replicas);
        let (share, all) = (u64::from(self.fresh_weight(step).bp()), u64::from(step.weight.bp()));
        if all == 0 { canary } else { (u64::from(canary) * share).div_ceil(all) as u32 }
    }
}

/// Why a release is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A new version.
    Forward,
    /// Back to an earlier one, at once.
    Rollback,
}

/// An exposure and what must hold before leaving it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name, unique in the plan (`canary-5`).
    pub name: StepName,
    /// The canary's share of the traffic.
    pub weight: WeightBp,
    /// Canary instances; none: `ceil(weight × replicas)`, at least one.
    pub instances: Option<u32>,
    /// Baseline instances; none: all of them, so that it can take everything back. Rolling and
    /// recreate set it.
    pub baseline_instances: Option<u32>,
    /// Requests that go to the canary whatever the weight.
    pub header: Option<HeaderRule>,
    /// Share of the baseline's requests copied to the canary.
    pub mirror: WeightBp,
    /// Time with fresh evidence that the step needs.
    pub bake_ms: u64,
    /// Whether the canary is judged on this step.
    pub analysis: bool,
    /// Whether a person has to promote it.
    pub approval: bool,
    /// Run in order once the exposure stands (`before` means before its time counts).
    pub before: Vec<Check>,
    /// Run in order when its time is up and the verdict is PROCEED.
    pub after: Vec<Check>,
}

impl Step {
    /// Canary instances of this step for a service with `replicas` at full exposure.
    pub fn canary_instances(&self, replicas: u32) -> u32 {
        self.instances.unwrap_or_else(|| self.weight.of_replicas(replicas).max(1))
    }

    /// Baseline instances of this step.
    pub fn baseline_instances(&self, replicas: u32) -> u32 {
        self.baseline_instances.unwrap_or(replicas)
    }
}

/// A smoke test or a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Its name, unique in its list.
    pub name: String,
    /// When it runs, for checks of the service rather than of a step.
    pub at: CheckAt,
    /// What is done.
    pub run: CheckRun,
    /// Time limit of one attempt.
    pub timeout_ms: u64,
    /// Further attempts after a failure.
    pub retries: u32,
    /// What a failure means.
    pub on_failure: OnFailure,
}

/// Where in a release a check of the service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckAt {
    /// When the first canary instances are ready, before any traffic.
    Start,
    /// After every step.
    EachStep,
    /// When everything is on the new version, before the release is sealed.
    End,
    /// Where the step that holds it says.
    Step,
}

/// What a check does. `{canary}` is replaced by the address of a canary instance, `{version}`,
/// `{release}`, `{step}` and `{service}` by their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum CheckRun {
    /// An HTTP request.
    Http {
        /// GET, POST, …
        method: String,
        /// The URL.
        url: String,
        /// Request headers.
        headers: Vec<(String, String)>,
        /// Request body.
        body: Option<String>,
        /// Statuses that pass; empty means any 2xx.
        expect_status: Vec<u16>,
        /// Text the answer must contain.
        expect_body: Option<String>,
    },
    /// A command; zero passes.
    Command {
        /// Program and arguments.
        command: Vec<String>,
        /// Working directory.
        directory: String,
    },
}

/// What the failure of a check means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is noted, nothing else.
    Continue,
    /// The release waits for a person.
    Hold,
    /// The release goes back.
    Rollback,
}
