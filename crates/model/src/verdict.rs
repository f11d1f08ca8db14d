//! A verdict with its evidence, in integers and in words.

use crate::ids::{Digest, MetricName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a look at the evidence says (R4.3). ROLLBACK wins over HOLD over the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// The step's conditions on the evidence hold.
    Proceed,
    /// The time is up, or not yet, and the evidence does not suffice.
    InsufficientData,
    /// Something is wrong that does not (yet) call for a rollback.
    Hold,
    /// Back to the baseline.
    Rollback,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Proceed => "PROCEED",
            Self::InsufficientData => "INSUFFICIENT_DATA",
            Self::Hold => "HOLD",
            Self::Rollback => "ROLLBACK",
        })
    }
}

/// A judgement of all the evidence of a release so far, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// The judge and its version: replay needs the same.
    pub judge: String,
    /// The verdict.
    pub verdict: Verdict,
    /// One sentence for a tired person.
    pub sentence: String,
    /// The windows it rests on: all up to this number.
    pub windows: u32,
    /// Digest over those windows, chained.
    pub evidence: Digest,
    /// What each metric says.
    pub findings: Vec<MetricFinding>,
}

/// What one metric says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricFinding {
    /// The metric.
    pub metric: MetricName,
    /// Its own verdict.
    pub verdict: Verdict,
    /// Why, in words and numbers.
    pub sentence: String,
    /// The canary's side.
    pub canary: SideFinding,
    /// The baseline's side; none without a live baseline.
    pub baseline: Option<SideFinding>,
    /// Estimated ratio canary to baseline, in basis points; none where it cannot be given.
    pub ratio_bp: Option<u64>,
    /// Confidence sequence of the ratio, in basis points, valid at every look.
    pub ratio_from_bp: Option<u64>,
    /// Its upper end; none is unbounded.
    pub ratio_to_bp: Option<u64>,
    /// Evidence against the canary: e-value in thousandths of its logarithm.
    pub against_milli: i64,
    /// The evidence at which a regression counts as shown, same unit.
    pub against_needed_milli: i64,
    /// Evidence that what the step must exclude is excluded, same unit; none where nothing must be.
    pub for_milli: Option<i64>,
    /// The evidence needed for that.
    pub for_needed_milli: Option<i64>,
    /// Whether a regression beyond tolerance is shown.
    pub shown: bool,
    /// At this traffic, further time with evidence until it can proceed; none: unknown or no need.
    pub wait_ms: Option<u64>,
    /// What the evidence is worth.
    #[serde(default, skip_serializing_if = "FindingState::is_judged")]
    pub state: FindingState,
}

/// What the evidence of a metric is worth: four things that are not each other, and of which only
/// the first can be green.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// It was judged.
    #[default]
    Judged,
    /// Its source answers, and has nothing.
    NoData,
    /// Its source does not answer, or not in a way that can be read.
    SourceError,
    /// The baseline fails too, so that nothing can be said of the canary.
    BaselineFails,
    /// There is evidence, and no method could tell from it: too few instances, unequal load.
    CannotKnow,
}

impl FindingState {
    /// Whether it was judged.
    pub fn is_judged(&self) -> bool {
        *self == Self::Judged
    }
}

/// One side's figures.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SideFinding {
    /// Requests seen.
    pub requests: u64,
    /// Bad ones: failed, or slower than the threshold in force.
    pub bad: u64,
    /// The value in the metric's unit: parts per million, or microseconds.
    pub value: Option<u64>,
}
