//! Everything that can have happened. Past-tense facts, decisions and intents; no derived status
//! and no floating point. An intent is appended before its effect, an observation after it.

use crate::evidence::Window;
use crate::feedback::Feedback;
use crate::ids::{Digest, Generation, ReleaseId, VersionName};
use crate::normal::Normal;
use crate::plan::Plan;
use crate::verdict::Judgement;
use crate::weight::WeightBp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the events' format as written today.
pub const FORMAT: u16 = 1;

/// A fact of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event", deny_unknown_fields)]
pub enum Event {
    /// A release was asked for and accepted; it starts when nothing else is in flight.
    ReleaseAccepted {
        /// Its id.
        release: ReleaseId,
        /// The frozen plan.
        plan: Box<Plan>,
        /// Its digest.
        plan_digest: Digest,
    },
    /// A release that waited its turn never starts: a newer one takes its place.
    ReleaseWithdrawn {
        /// Its id.
        release: ReleaseId,
        /// Why.
        sentence: String,
    },
    /// The release is in flight from now on.
    ReleaseStarted {
        /// Its id.
        release: ReleaseId,
    },
    /// How the running version answers while nothing is released; recorded before the first step.
    NormalRecorded {
        /// The profile.
        normal: Box<Normal>,
    },
    /// What should be known of this release, and holds nothing.
    Warned {
        /// A sentence each.
        warnings: Vec<String>,
    },
    /// These versions shall run, and no others.
    WorkloadIntended {
        /// The intent.
        generation: Generation,
        /// Instances wanted by version.
        replicas: BTreeMap<VersionName, u32>,
    },
    /// All instances wanted are ready, but for those of a fresh baseline, which have no say in it.
    WorkloadReady {
        /// The intent that is met.
        generation: Generation,
    },
    /// A release entered a step.
    StepEntered {
        /// Its place in the plan.
        step: u16,
    },
    /// The router shall split like this.
    SplitIntended {
        /// The intent.
        generation: Generation,
        /// The split.
        split: Split,
    },
    /// The router has confirmed a split.
    SplitObserved {
        /// The intent that is in force.
        generation: Generation,
    },
    /// What was seen of the traffic in a window.
    EvidenceRecorded {
        /// The window.
        window: Box<Window>,
    },
    /// A check was begun; it runs at least once.
    CheckStarted {
        /// Its stable id: release, step, place and name.
        effect: String,
        /// The attempt, from 1.
        attempt: u32,
    },
    /// A check ended.
    CheckEnded {
        /// Its id.
        effect: String,
        /// The attempt.
        attempt: u32,
        /// Whether it passed.
        passed: bool,
        /// What it said, one line.
        said: String,
    },
    /// A judgement that differs from the one before it.
    Judged {
        /// The step.
        step: u16,
        /// The judgement.
        judgement: Box<Judgement>,
    },
    /// There was too little evidence in time: the step was given its time once more.
    StepExtended {
        /// The step.
        step: u16,
    },
    /// The release goes on without its fresh baseline: a person said so. From then on the canary is
    /// compared with the instances that ran before.
    FreshBaselineLeft,
    /// There still was too little evidence; the harm budget allows to go on with more traffic.
    EvidenceWaived {
        /// The step.
        step: u16,
        /// The harm that may come of it, in words and numbers.
        sentence: String,
    },
    /// A source of evidence does not answer.
    SourceFailed {
        /// Which source.
        source: String,
        /// Why.
        why: String,
    },
    /// It answers again.
    SourceRecovered {
        /// Which source.
        source: String,
    },
    /// The release waits for a person.
    HoldBegan {
        /// Why.
        why: Hold,
        /// One sentence.
        sentence: String,
    },
    /// It no longer does.
    HoldEnded {
        /// The hold that ended.
        why: Hold,
    },
    /// All conditions of a step were met, or a person promoted it.
    StepPassed {
        /// The step.
        step: u16,
        /// Whether a person promoted it before its conditions were met.
        by_hand: bool,
    },
    /// A person asked for all the traffic at once.
    FullPromotionAsked,
    /// A person or a system reported harm that rolls back at once (R4.5).
    SignalReceived {
        /// The kind of harm.
        signal: Signal,
        /// What was said.
        detail: String,
        /// The sender's key: the same one sent twice is one report.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// A user said something about the service (R4.5).
    FeedbackReceived {
        /// What, and of which release and step.
        feedback: Box<Feedback>,
    },
    /// Back to the baseline.
    ReturnDecided {
        /// What caused it.
        cause: ReturnCause,
        /// One sentence.
        sentence: String,
    },
    /// The canary gets nothing any more: seen at the router, not assumed.
    ReturnVerified {
        /// From the first canary request to the decision; none when it never got one.
        detect_ms: Option<u64>,
        /// From the decision to the last request routed to the canary.
        shift_ms: u64,
        /// Requests the canary had.
        canary_requests: u64,
        /// Of those, failed ones.
        canary_failed: u64,
    },
    /// The release is over.
    ReleaseEnded {
        /// How.
        outcome: Outcome,
        /// One sentence.
        sentence: String,
    },
    /// The old version, kept running after the release for a quick way back, shall go.
    RetireDue {
        /// The version.
        version: VersionName,
    },
    /// Nothing automatic may happen on this stream until a person frees it.
    AutomationHeld {
        /// Why.
        why: String,
    },
    /// A person freed it.
    AutomationFreed,
    /// An instance died or was found unwell and is being replaced.
    InstanceFailed {
        /// Its version.
        version: VersionName,
        /// Its number within the version.
        instance: u32,
        /// How often it has been restarted.
        restarts: u32,
        /// Why.
        why: String,
    },
}

/// How the router splits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The version that serves what is not given away.
    pub baseline: Option<VersionName>,
    /// The version under test.
    pub canary: Option<VersionName>,
    /// The canary's share.
    pub weight: WeightBp,
    /// The step whose header rule and mirror are in force; none when the canary gets nothing.
    pub step: Option<u16>,
    /// The share of fresh instances of the baseline's version; zero where there are none.
    #[serde(default, skip_serializing_if = "WeightBp::is_zero")]
    pub fresh: WeightBp,
}

/// Why a release waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// A person paused it.
    Paused,
    /// The step asks for a person's promotion.
    Approval,
    /// The verdict is HOLD.
    Verdict,
    /// The verdict is HOLD because the baseline fails too; it ends by itself when that recovers.
    Baseline,
    /// The fresh baseline has no ready instance; it ends by itself when it has.
    FreshBaseline,
    /// Too little evidence after all extensions.
    Evidence,
    /// A check failed that holds.
    Check,
}

/// Reports of harm that roll back at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// Data are damaged or lost.
    DataIntegrity,
    /// A security finding.
    Security,
    /// A critical bug.
    CriticalBug,
    /// A spike of user reports.
    UserReports,
}

/// What sends a release back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnCause {
    /// The verdict is ROLLBACK.
    Verdict,
    /// A person aborted it.
    Aborted,
    /// A person rolled it back.
    RolledBack,
    /// A newer version takes its place.
    Superseded,
    /// The instances never became ready.
    NotReady,
    /// The router never confirmed.
    NotRouted,
    /// A check failed that rolls back.
    Check,
    /// A source failed for longer than allowed.
    Source,
    /// A signal.
    Signal,
    /// A decision of our own failed its second opinion.
    Invariant,
}

/// How a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything is on the new version, and it is sealed as last known good.
    Released,
    /// It went back by itself or by `rollback`.
    RolledBack,
    /// A person stopped it.
    Aborted,
    /// It could not be carried out, and nothing is left of it.
    Failed,
}

impl Event {
    /// The kind as it stands in the log.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ReleaseAccepted { .. } => "release_accepted",
            Self::ReleaseWithdrawn { .. } => "release_withdrawn",
            Self::ReleaseStarted { .. } => "release_started",
            Self::NormalRecorded { .. } => "normal_recorded",
            Self::Warned { .. } => "warned",
            Self::WorkloadIntended { .. } => "workload_intended",
            Self::WorkloadReady { .. } => "workload_ready",
            Self::StepEntered { .. } => "step_entered",
            Self::SplitIntended { .. } => "split_intended",
            Self::SplitObserved { .. } => "split_observed",
            Self::EvidenceRecorded { .. } => "evidence_recorded",
            Self::CheckStarted { .. } => "check_started",
            Self::CheckEnded { .. } => "check_ended",
            Self::Judged { .. } => "judged",
            Self::StepExtended { .. } => "step_extended",
            Self::FreshBaselineLeft => "fresh_baseline_left",
            Self::EvidenceWaived { .. } => "evidence_waived",
            Self::SourceFailed { .. } => "source_failed",
            Self::SourceRecovered { .. } => "source_recovered",
            Self::HoldBegan { .. } => "hold_began",
            Self::HoldEnded { .. } => "hold_ended",
            Self::StepPassed { .. } => "step_passed",
            Self::FullPromotionAsked => "full_promotion_asked",
            Self::SignalReceived { .. } => "signal_received",
            Self::FeedbackReceived { .. } => "feedback_received",
            Self::ReturnDecided { .. } => "return_decided",
            Self::ReturnVerified { .. } => "return_verified",
            Self::ReleaseEnded { .. } => "release_ended",
            Self::RetireDue { .. } => "retire_due",
            Self::AutomationHeld { .. } => "automation_held",
            Self::AutomationFreed => "automation_freed",
            Self::InstanceFailed { .. } => "instance_failed",
        }
    }

    /// The bytes that are stored and hashed.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an event is plain data with string keys")
    }

    /// Reads stored bytes; fails on kinds and fields it does not understand.
    pub fn from_bytes(format: u16, bytes: &[u8]) -> Result<Self, NotUnderstood> {
        if format > FORMAT {
            return Err(NotUnderstood(format!("format {format} is newer than {FORMAT}")));
        }
        serde_json::from_slice(bytes).map_err(|error| NotUnderstood(error.to_string()))
    }
}

/// An event this program does not understand: its stream is quarantined, the baseline serves on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an event cannot be understood: {0}")]
pub struct NotUnderstood(pub String);
