//! What sources answer, in one of two forms: counters and values as they stand now, or sums and
//! values by time bucket.

use std::collections::BTreeMap;

use taxiway_model::metrics::{Sample, Side};

/// The label that says which part of the question a series answers: `canary.0`.
pub const PART: &str = "taxiway";

/// An answer to the question of one metric, both sides in one.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Counters and values as they stand now.
    Now(Vector),
    /// Sums and values by time bucket.
    Buckets(Points),
    /// How many values lie up to each edge, in microseconds, and not below, on both sides, since
    /// the source was begun; and which sides it knows.
    Histograms {
        /// The canary, then the baseline.
        found: [bool; 2],
        /// The canary's, then the baseline's.
        buckets: [BTreeMap<u64, u64>; 2],
        /// Now, in seconds since the epoch.
        at_s: f64,
    },
}

/// A vector: labels and value of each series, and the moment it was evaluated for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vector {
    /// Seconds since the epoch, on the source's clock; none in an empty answer.
    pub at_s: Option<f64>,
    /// Labels, [`PART`] among them, and values.
    pub series: Vec<(BTreeMap<String, String>, f64)>,
}

/// Sums or values by time bucket.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Points {
    /// Now, on the source's clock, in seconds since the epoch.
    pub now_s: f64,
    /// The width of a bucket.
    pub bucket_s: f64,
    /// The series.
    pub series: Vec<Series>,
}

/// One series: what a part of the question gave of a side.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Of which side.
    pub side: Side,
    /// Which part of the question it answers.
    pub part: usize,
    /// When each bucket begins, in seconds since the epoch, and its sum or value.
    pub points: Vec<(f64, f64)>,
}

/// What an answer was worth.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// Both sides are there; when its newest samples were made, in seconds since the epoch.
    Sample(Sample, Option<f64>),
    /// The source has nothing about a side.
    Nothing(String),
    /// The answer cannot be used.
    Unusable(String),
}

/// The mark of a part in a [`Vector`].
pub fn part(side: Side, part: usize) -> String {
    format!("{}.{part}", side.word())
}
