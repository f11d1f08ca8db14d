//! What a tick decides: facts to append, effects to carry out, when to look again, and why.

use crate::event::Event;
use crate::ids::{Digest, Generation, ReleaseId, StreamId, VersionName};
use crate::plan::CheckRun;
use crate::route::RouteTable;
use crate::service::Version;
use crate::time::{ForPeople, Timestamp};
use crate::weight::WeightBp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The whole outcome of looking at a situation once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a decision that is not carried out helps nobody"]
pub struct Decision {
    /// Facts and intents, appended before any action (but for the way back).
    pub events: Vec<Event>,
    /// Effects, in this order.
    pub actions: Vec<Action>,
    /// When to look again; none: only when something happens.
    pub wake: Option<Wake>,
    /// What it is waiting for.
    pub report: Report,
}

/// An effect: complete, idempotent, and dated by its generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make exactly these instances run.
    ApplyWorkload(Box<DesiredWorkload>),
    /// Put this table in force, or renew its lease.
    ApplyRoutes(Box<RouteTable>),
    /// Give everything to the baseline: goes first, whatever the log says.
    ToBaseline {
        /// The stream.
        stream: StreamId,
        /// The intent.
        generation: Generation,
    },
    /// Begin a check; at least once.
    StartCheck(Box<CheckOrder>),
}

/// Everything that shall run for a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredWorkload {
    /// The stream.
    pub stream: StreamId,
    /// The intent.
    pub generation: Generation,
    /// The versions; any other instance of the stream shall stop.
    pub versions: Vec<DesiredVersion>,
}

/// How many instances of a version shall run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredVersion {
    /// The version with what it runs.
    pub version: Version,
    /// How many.
    pub replicas: u32,
    /// The release that brought it.
    pub release: ReleaseId,
}

/// A check to be run, every placeholder already replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOrder {
    /// Stable id.
    pub effect: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// What to do.
    pub run: CheckRun,
    /// Time limit.
    pub timeout_ms: u64,
}

/// When to look again, and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// The time.
    pub at: Timestamp,
    /// The reason.
    pub why: &'static str,
}

/// What a release waits for, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[must_use = "an unread report is not actionable"]
pub struct Report {
    /// Everything that has to happen before it goes on; empty when nothing is in flight.
    pub waiting: Vec<WaitingOn>,
}

impl Report {
    /// One sentence.
    pub fn sentence(&self) -> String {
        match self.waiting.as_slice() {
            [] => "nothing to do".to_owned(),
            all => all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        }
    }
}

/// Why a release does not move, as a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "on")]
pub enum WaitingOn {
    /// Instances to become ready.
    Instances {
        /// Of which version.
        version: VersionName,
        /// Ready ones.
        ready: u32,
        /// Needed ones.
        need: u32,
        /// Why the others are not, where known.
        why: String,
        /// Until the deadline.
        left_ms: u64,
    },
    /// The router's confirmation.
    Router {
        /// The share it was asked for.
        weight: WeightBp,
        /// Until the deadline.
        left_ms: u64,
    },
    /// Time with fresh evidence.
    Bake {
        /// What is there.
        have_ms: u64,
        /// What is needed.
        need_ms: u64,
    },
    /// More evidence before the judge can exclude what must be excluded.
    Evidence {
        /// The judge's sentence.
        sentence: String,
        /// At this traffic, how long.
        left_ms: Option<u64>,
    },
    /// Requests at all.
    Traffic {
        /// Which side has none.
        side: String,
    },
    /// A check.
    Check {
        /// Its name.
        name: String,
        /// The attempt.
        attempt: u32,
    },
    /// The shortest time on the step in which a person can abort.
    AbortWindow {
        /// What is left.
        left_ms: u64,
    },
    /// A person.
    Person {
        /// What for.
        sentence: String,
        /// The command that answers.
        command: String,
    },
    /// A source of evidence that does not answer.
    Source {
        /// Which.
        source: String,
        /// Why.
        why: String,
        /// Until the release goes back.
        left_ms: u64,
    },
    /// Open requests on instances that shall stop.
    Drain {
        /// The version.
        version: VersionName,
        /// Open requests.
        open: u64,
    },
    /// The way back to be confirmed by the router.
    Return,
    /// Another release of the stream.
    InFlight {
        /// Which.
        release: ReleaseId,
    },
    /// The stream is closed to automation.
    Held {
        /// Why.
        why: String,
    },
}

impl fmt::Display for WaitingOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instances { version, ready, need, why, left_ms } => {
                let version = version.for_people();
                write!(f, "waiting for instances of {version}: {ready} of {need} ready")?;
                if !why.is_empty() {
                    write!(f, " ({why})")?;
                }
                if *left_ms > 0 { write!(f, ", {} left", ForPeople(*left_ms)) } else { Ok(()) }
            }
            Self::Router { weight, left_ms } => {
                write!(f, "waiting for the router to confirm {weight}, {} left", ForPeople(*left_ms))
            }
            Self::Bake { have_ms, need_ms } => {
                write!(f, "baking: {} of {} with fresh evidence", ForPeople(*have_ms), ForPeople(*need_ms))
            }
            Self::Evidence { sentence, left_ms: Some(left) } => {
                write!(f, "{sentence} (about {} at this traffic)", ForPeople(*left))
            }
            Self::Evidence { sentence, left_ms: None } => f.write_str(sentence),
            Self::Traffic { side } => write!(f, "waiting for traffic: the {side} has had no request"),
            Self::Check { name, attempt: 1 } => write!(f, "waiting for check {name}"),
            Self::Check { name, attempt } => write!(f, "waiting for check {name} (attempt {attempt})"),
            Self::AbortWindow { left_ms } => {
                write!(f, "abort window: {} left", ForPeople(*left_ms))
            }
            Self::Person { sentence, command } => write!(f, "waiting for a person: {sentence} ({command})"),
            Self::Source { source, why, left_ms } => {
                write!(f, "no evidence from {source}: {why}; going back in {}", ForPeople(*left_ms))
            }
            Self::Drain { version, open } => write!(f, "draining {version}: {open} requests open"),
            Self::Return => f.write_str("waiting for the router to confirm that the baseline has everything"),
            Self::InFlight { release } => write!(f, "waiting for release {release} to end"),
            Self::Held { why } => write!(f, "held: {why}"),
        }
    }
}

/// A rule that a decision would break; such a decision is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule's name, as ARCHITECTURE.md has it.
    pub rule: &'static str,
    /// What would break it.
    pub detail: String,
}

/// Digest of a routing table without its lease, to tell whether it has changed.
pub fn table_digest(table: &RouteTable) -> Digest {
    Digest::of(&serde_json::to_vec(table).expect("a table is plain data with string keys"))
}
