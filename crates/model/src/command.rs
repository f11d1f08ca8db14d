//! What may be asked of a stream, by a person or a machine.

use crate::event::Signal;
use crate::feedback::Feedback;
use crate::ids::VersionName;
use crate::plan::Plan;
use serde::{Deserialize, Serialize};

/// A request to change something. Answered with events or a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command", deny_unknown_fields)]
pub enum Command {
    /// Release a version under a plan.
    Start {
        /// The plan.
        plan: Box<Plan>,
        /// A person insists although the artifact was rolled back a short while ago.
        again: bool,
    },
    /// Go to the next step now, or (`full`) to all of the traffic.
    Promote {
        /// All the remaining steps at once.
        full: bool,
    },
    /// Stay where it is.
    Pause,
    /// Go on after a pause or a hold; frees held automation when nothing is in flight.
    Resume,
    /// Back to the baseline, and the release is over.
    Abort,
    /// Back to the baseline, or, when nothing is in flight, back to an earlier version.
    Rollback {
        /// The version to go to; none is the one before.
        to: Option<VersionName>,
    },
    /// Harm was reported: back at once.
    Signal {
        /// The kind.
        signal: Signal,
        /// What was said.
        detail: String,
        /// The sender's key: the same one sent twice is one report.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// A user said something.
    Feedback {
        /// What; its release and step are filled in.
        feedback: Box<Feedback>,
    },
}

/// Why a command was not accepted: a typed answer with a code, not an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// Stable code.
    pub code: RefusalCode,
    /// What and why, one sentence.
    pub why: String,
    /// What to do next.
    pub next: String,
}

/// The kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// A known version name came with another digest.
    VersionChanged,
    /// This version already serves everything.
    AlreadyReleased,
    /// A release is in flight and concurrency is `refuse`, or the same version is in flight.
    InFlight,
    /// The artifact was rolled back a short while ago.
    Suppressed,
    /// Nothing automatic may happen here until a person resumes.
    Held,
    /// The strategy is not allowed in this kind of environment.
    StrategyNotAllowed,
    /// The plan does not hold together.
    BadPlan,
    /// These steps would not see enough with this traffic, and the policy refuses that.
    Preflight,
    /// Nothing is in flight.
    NothingInFlight,
    /// There is no earlier version to go to.
    NoSuchVersion,
    /// It is already going back.
    AlreadyReturning,
    /// The release is not waiting.
    NotWaiting,
}
