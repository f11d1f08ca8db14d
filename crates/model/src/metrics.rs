//! Metrics by query: what is asked of a source, and what it answers, as integers.
//!
//! A query is taken apart once, when a release is planned: a ratio of rates into the two counters
//! beneath it, a quantile into its buckets. So the judge gets counts instead of a smoothed rate.
//! What cannot be taken apart stays a series of values, for which only a weaker test is valid.

mod moments;
mod path;
mod selector;
mod source;

pub use moments::{Moments, OTHERS, TYPES_MAX, Types};
pub use path::Path;
pub use selector::Selector;
pub use source::{Api, Credentials, Influx, Secret, Side, Source};

use crate::ids::MetricName;
use crate::policy::Measure;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Stands in every selector of a shape where the labels of the side asked for belong.
pub const SIDE: &str = "__side__=\"\"";

/// A metric's query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The metric.
    pub metric: MetricName,
    /// The query as its owner wrote it.
    pub text: String,
    /// How it is asked and judged.
    pub shape: Shape,
}

/// How a query is asked. Selectors carry [`SIDE`] for the labels of a side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "of", deny_unknown_fields)]
pub enum Shape {
    /// A share of one counter in another, times a constant.
    Counts {
        /// Selector of the counters that count as bad.
        bad: String,
        /// Selector of the counters of all.
        total: String,
        /// The query's value if everything were bad, in millionths.
        scale_micro: u64,
    },
    /// A quantile of a histogram with cumulative buckets, times a constant.
    Buckets {
        /// Selector of the bucket counters, which have a label `le`.
        buckets: String,
        /// The quantile, in basis points.
        quantile_bp: u16,
        /// Microseconds in one unit of `le`.
        unit_us: u64,
        /// What the quantile is multiplied with, in millionths.
        scale_micro: u64,
    },
    /// A value, whatever it is made of.
    Scalar {
        /// The expression.
        expression: String,
        /// Values closer together than this rest on the same seconds.
        every_ms: u64,
        /// Why it could not be taken apart, one clause.
        why: String,
    },
    /// Count, sum and, where there is one, sum of squares of values; counters all.
    Moments {
        /// How many values.
        count: String,
        /// Their sum.
        sum: String,
        /// The sum of their squares.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        squares: Option<String>,
    },
    /// Single values, of which we make count, sum and sum of squares.
    Values {
        /// What gives them: a column, a pattern with a group, a histogram.
        values: String,
    },
    /// Errors by their type, among all sessions.
    Types {
        /// What counts the errors.
        bad: String,
        /// What counts all sessions.
        total: String,
        /// The label, field, group or attribute that names the type.
        by: String,
    },
}

/// What a metric's query gave on both sides. Counts are cumulative in a [`Reading`] and what was
/// added in a window of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sample {
    /// Counts on both sides.
    Counts {
        /// The canary's.
        canary: Tally,
        /// The baseline's.
        baseline: Tally,
    },
    /// Values by bucket on both sides: upper edge in microseconds (`u64::MAX` is unbounded) and
    /// how many values lie in it and not below, ordered by edge; empty buckets too, since the one
    /// before says where a bucket begins.
    Buckets {
        /// The canary's.
        canary: Vec<(u64, u64)>,
        /// The baseline's.
        baseline: Vec<(u64, u64)>,
    },
    /// A value on either side, in millionths of the query's unit; none where there was none.
    Scalar {
        /// The canary's.
        canary: Option<i64>,
        /// The baseline's.
        baseline: Option<i64>,
    },
    /// Count, sum and sum of squares of values on both sides.
    Moments {
        /// The canary's.
        canary: Moments,
        /// The baseline's.
        baseline: Moments,
    },
    /// Errors by type on both sides.
    Types {
        /// The canary's.
        canary: Types,
        /// The baseline's.
        baseline: Types,
    },
}

/// How many, and how many of them bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// All.
    pub total: u64,
    /// Bad ones among them.
    pub bad: u64,
}

/// Samples by metric.
pub type Samples = BTreeMap<MetricName, Sample>;

/// What is asked for a release in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The sources, with their queries.
    pub sources: Vec<Source>,
    /// The canary's version.
    pub canary: String,
    /// The baseline's version; none where nothing ran before.
    pub baseline: Option<String>,
    /// Where the instances of each side write their output.
    pub outputs: Outputs,
    /// Sides that have answered nothing yet: whatever is counted of them from now on is new. Of others a
    /// counter that comes up late holds what was counted before.
    pub unheard: BTreeSet<Side>,
}

/// Files of the canary's and the baseline's instances.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outputs {
    /// The canary's.
    pub canary: BTreeSet<String>,
    /// The baseline's.
    pub baseline: BTreeSet<String>,
}

impl Order {
    /// Whether it is the same question: instances come and go, and counting goes on.
    pub fn asks_as(&self, other: &Self) -> bool {
        (&self.sources, &self.canary, &self.baseline) == (&other.sources, &other.canary, &other.baseline)
    }

    /// The version of a side; none where nothing ran before.
    pub fn version(&self, side: Side) -> Option<&str> {
        match side {
            Side::Canary => Some(&self.canary),
            Side::Baseline => self.baseline.as_deref(),
        }
    }
}

/// What is wrong with a metric's query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The metric.
    pub metric: MetricName,
    /// What is wrong, one clause.
    pub message: String,
    /// How to mend it; empty when nothing can be said.
    pub hint: String,
}

/// Takes PromQL apart, which needs its parser: metrics with their queries, and the labels by which
/// canary and baseline are told apart.
pub type TakeApart<'a> =
    dyn Fn(&[(MetricName, String)], &BTreeSet<String>) -> Result<Vec<Query>, Vec<Trouble>> + 'a;

/// What the sources have answered so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Another number says that counting began anew.
    pub count_from: u64,
    /// When the newest samples were made, on the source's clock, microseconds since the epoch.
    pub as_of_us: i64,
    /// Counts since counting began, and the newest values.
    pub samples: Samples,
    /// Up to when each of them is complete, on our clock: what comes later was measured later.
    pub measured: BTreeMap<MetricName, Timestamp>,
    /// Metrics for which the source answered that there is nothing, and on which side.
    pub nothing: BTreeMap<MetricName, String>,
    /// Metrics whose source gives no answer now, and why.
    pub trouble: BTreeMap<MetricName, String>,
    /// Of those in trouble, since when and until when.
    pub retries: BTreeMap<MetricName, Retry>,
}

/// Since when a metric has no answer, and when its source is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The first question that was not answered.
    pub since: Timestamp,
    /// The next one.
    pub next: Timestamp,
}

impl Shape {
    /// What is asked about one side, with the labels in their places.
    pub fn selectors(&self, labels: &str) -> Vec<String> {
        let with = |text: &String| text.replace(SIDE, labels);
        match self {
            Self::Counts { bad, total, .. } | Self::Types { bad, total, .. } => vec![with(bad), with(total)],
            Self::Buckets { buckets, .. } => vec![with(buckets)],
            Self::Scalar { expression, .. } => vec![with(expression)],
            Self::Moments { count, sum, squares } => {
                [count, sum].into_iter().chain(squares).map(with).collect()
            }
            Self::Values { values } => vec![with(values)],
        }
    }

    /// What a metric of this shape measures.
    pub fn measure(&self) -> Measure {
        match self {
            Self::Counts { .. } => Measure::QueryCounts,
            Self::Buckets { quantile_bp, .. } => Measure::QueryBuckets { quantile_bp: *quantile_bp },
            Self::Scalar { every_ms, .. } => Measure::QueryValues { every_ms: *every_ms },
            Self::Moments { .. } | Self::Values { .. } => Measure::QueryMoments,
            Self::Types { .. } => Measure::QueryTypes,
        }
    }

    /// How it is judged, one sentence for people.
    pub fn words(&self) -> String {
        match self {
            Self::Counts { .. } => "judged by counts of bad and all".to_owned(),
            Self::Buckets { quantile_bp, .. } => {
                format!("judged by the counts in its buckets, shown at p{}", f64::from(*quantile_bp) / 100.0)
            }
            Self::Scalar { why, .. } => format!("judged by its values, with a weaker test: {why}"),
            Self::Moments { squares: Some(_), .. } => {
                "judged by its mean: count, sum and sum of squares".to_owned()
            }
            Self::Moments { squares: None, .. } => {
                "judged by its mean: count and sum; how much it varies shows from window to window".to_owned()
            }
            Self::Values { .. } => "judged by its mean, over single values".to_owned(),
            Self::Types { by, .. } => format!("judged by the types of `{by}` that are new"),
        }
    }
}

impl Sample {
    /// What this (cumulative) sample has more than an earlier one; values stay as they are.
    #[must_use]
    pub fn since(&self, earlier: Option<&Self>) -> Self {
        match (self, earlier) {
            (
                Self::Counts { canary, baseline },
                Some(Self::Counts { canary: old_canary, baseline: old_baseline }),
            ) => Self::Counts { canary: canary.since(*old_canary), baseline: baseline.since(*old_baseline) },
            (
                Self::Buckets { canary, baseline },
                Some(Self::Buckets { canary: old_canary, baseline: old_baseline }),
            ) => Self::Buckets {
                canary: buckets_since(canary, old_canary),
                baseline: buckets_since(baseline, old_baseline),
            },
            (
                Self::Moments { canary, baseline },
                Some(Self::Moments { canary: old_canary, baseline: old_baseline }),
            ) => Self::Moments { canary: canary.since(*old_canary), baseline: baseline.since(*old_baseline) },
            (
                Self::Types { canary, baseline },
                Some(Self::Types { canary: old_canary, baseline: old_baseline }),
            ) => Self::Types { canary: canary.since(old_canary), baseline: baseline.since(old_baseline) },
            (same, _) => same.clone(),
        }
    }

    /// How many values each side has; a value counts as one.
    pub fn totals(&self) -> (u64, u64) {
        let sum = |buckets: &[(u64, u64)]| buckets.iter().map(|(_, count)| count).sum();
        match self {
            Self::Counts { canary, baseline } => (canary.total, baseline.total),
            Self::Buckets { canary, baseline } => (sum(canary), sum(baseline)),
            Self::Scalar { canary, baseline } => (u64::from(canary.is_some()), u64::from(baseline.is_some())),
            Self::Moments { canary, baseline } => (canary.count, baseline.count),
            Self::Types { canary, baseline } => (canary.total, baseline.total),
        }
    }

    /// The same kind of sample with nothing in it.
    #[must_use]
    pub fn emptied(&self) -> Self {
        match self {
            Self::Counts { .. } => Self::Counts { canary: Tally::default(), baseline: Tally::default() },
            Self::Buckets { .. } => Self::Buckets { canary: Vec::new(), baseline: Vec::new() },
            Self::Scalar { .. } => Self::Scalar { canary: None, baseline: None },
            Self::Moments { .. } => {
                Self::Moments { canary: Moments::default(), baseline: Moments::default() }
            }
            Self::Types { .. } => Self::Types { canary: Types::default(), baseline: Types::default() },
        }
    }
}

impl Tally {
    fn since(self, earlier: Self) -> Self {
        Self { total: self.total.saturating_sub(earlier.total), bad: self.bad.saturating_sub(earlier.bad) }
    }
}

fn buckets_since(now: &[(u64, u64)], earlier: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let old: BTreeMap<u64, u64> = earlier.iter().copied().collect();
    now.iter()
        .map(|(edge, count)| (*edge, count.saturating_sub(old.get(edge).copied().unwrap_or(0))))
        .collect()
}

/// Label matchers of a side as they stand in a selector: `version="v2"`.
pub fn matchers(labels: &BTreeMap<String, String>) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let matchers: Vec<String> =
        labels.iter().map(|(label, value)| format!("{label}=\"{}\"", quoted(value))).collect();
    matchers.join(",")
}
