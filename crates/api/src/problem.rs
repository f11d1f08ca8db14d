//! Why something was not done, in the shape of RFC 9457 (`application/problem+json`).

use serde::{Deserialize, Serialize};
use std::fmt;
use taxiway_model::command::{Refusal, RefusalCode};

/// An error or a refusal: what, where, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable code (`bad_yaml`, `already_released`); each has a page in the reference.
    pub code: String,
    /// Which kind of failure: decides HTTP status and exit code.
    pub class: Class,
    /// What was not done, a few words.
    pub title: String,
    /// Why, one sentence.
    pub why: String,
    /// What to do next, one sentence or a command; empty when nothing can be said.
    pub next: String,
    /// Where, when it is about a file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The request or a file it names is wrong.
    BadInput,
    /// A rule or the state of the stream forbids it.
    Refused,
    /// It does not exist.
    NotFound,
    /// It is well-formed, and does not say what it means.
    NotUnderstood,
    /// Something this process needs does not answer or is full; trying again can help.
    Unavailable,
    /// A defect of Taxiway.
    Defect,
}

impl Class {
    /// The HTTP status that carries it.
    pub fn status(self) -> u16 {
        match self {
            Self::BadInput => 400,
            Self::Refused => 409,
            Self::NotFound => 404,
            Self::NotUnderstood => 422,
            Self::Unavailable => 503,
            Self::Defect => 500,
        }
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file as the user named it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// The key (`traffic.sticky.by`).
    pub path: String,
    /// What is wrong there.
    pub message: String,
    /// How to mend it; empty when nothing can be said.
    pub hint: String,
    /// The line.
    pub excerpt: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title, self.why)
    }
}

impl std::error::Error for Problem {}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let class = match refusal.code {
            RefusalCode::NoSuchVersion => Class::NotFound,
            RefusalCode::BadPlan => Class::BadInput,
            _ => Class::Refused,
        };
        Self {
            code: refusal_word(refusal.code).to_owned(),
            class,
            title: "refused".to_owned(),
            why: refusal.why,
            next: refusal.next,
            places: Vec::new(),
        }
    }
}

/// The code as it is written in JSON and in the reference.
fn refusal_word(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::VersionChanged => "version_changed",
        RefusalCode::AlreadyReleased => "already_released",
        RefusalCode::InFlight => "in_flight",
        RefusalCode::Suppressed => "suppressed",
        RefusalCode::Held => "held",
        RefusalCode::StrategyNotAllowed => "strategy_not_allowed",
        RefusalCode::BadPlan => "bad_plan",
        RefusalCode::Preflight => "preflight",
        RefusalCode::NothingInFlight => "nothing_in_flight",
        RefusalCode::NoSuchVersion => "no_such_version",
        RefusalCode::AlreadyReturning => "already_returning",
        RefusalCode::NotWaiting => "not_waiting",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_refusals_are_those_of_their_serialised_form() {
        for code in [
            RefusalCode::VersionChanged,
            RefusalCode::AlreadyReleased,
            RefusalCode::InFlight,
            RefusalCode::Suppressed,
            RefusalCode::Held,
            RefusalCode::StrategyNotAllowed,
            RefusalCode::BadPlan,
            RefusalCode::Preflight,
            RefusalCode::NothingInFlight,
            RefusalCode::NoSuchVersion,
            RefusalCode::AlreadyReturning,
            RefusalCode::NotWaiting,
        ] {
            assert_eq!(serde_json::to_value(code).unwrap(), refusal_word(code));
        }
    }
}
