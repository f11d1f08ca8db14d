//! Why a release is where it is.

use serde::{Deserialize, Serialize};
use taxiway_model::plan::Step;
use taxiway_model::service::Deadlines;

use crate::record::LogEntry;
use crate::status::Status;

/// The answer of `explain`: state, inputs, and what could happen next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// Where it is.
    pub status: Status,
    /// Why it is there and not further, one sentence.
    pub sentence: String,
    /// The current step as planned; none when nothing is in flight.
    pub step: Option<Step>,
    /// The time limits in force; none when nothing is in flight.
    pub deadlines: Option<Deadlines>,
    /// What the decision rests on.
    pub inputs: Vec<Input>,
    /// The last events that led here, oldest first.
    pub trail: Vec<LogEntry>,
    /// What a person can do.
    pub next: Vec<NextStep>,
}

/// One input of the decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// What it is (`time with evidence`, `weight in force`).
    pub name: String,
    /// Its value for people.
    pub value: String,
    /// What the step asks for; empty where nothing is asked.
    pub needed: String,
    /// Whether that is met; none where nothing is asked.
    pub met: Option<bool>,
    /// Where it comes from (`log 812`, `proxy`, `plan`).
    pub source: String,
}

/// A command and what it would do now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextStep {
    /// The command to type.
    pub command: String,
    /// What it would do.
    pub effect: String,
}
