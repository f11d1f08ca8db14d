//! What was seen of the traffic, as integers: counts and an exponential histogram.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Buckets per doubling of the histogram are `2^SCALE`: base `2^(1/64)`, error at most 0.54 %.
/// A regression of 20 % is 17 buckets. This is OpenTelemetry's exponential histogram at scale 6.
pub const SCALE: u32 = 6;

/// Latencies in microseconds by bucket; bucket `i` holds values in `(2^(i/64), 2^((i+1)/64)]`.
/// Sparse, ordered, and exact under merge and subtraction.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram {
    /// Bucket index to the number of values in it; a missing one is zero.
    pub buckets: BTreeMap<i16, u64>,
}

impl Histogram {
    /// How many values were recorded.
    pub fn total(&self) -> u64 {
        self.buckets.values().sum()
    }

    /// Adds another histogram's values.
    pub fn merge(&mut self, other: &Self) {
        for (index, count) in &other.buckets {
            *self.buckets.entry(*index).or_default() += count;
        }
    }

    /// What this (cumulative) histogram has more than an earlier reading of the same one.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let buckets = self.buckets.iter().filter_map(|(index, count)| {
            let more = count.saturating_sub(earlier.buckets.get(index).copied().unwrap_or(0));
            (more > 0).then_some((*index, more))
        });
        Self { buckets: buckets.collect() }
    }
}

/// What one version answered: how many requests, how they ended, how long they took.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Counts {
    /// Requests that were routed here and have ended, however they ended.
    pub requests: u64,
    /// Answers by status class: 1xx (101 only), 2xx, 3xx, 4xx, 5xx.
    pub status: [u64; 5],
    /// No answer within the time limit.
    pub timeouts: u64,
    /// The instance refused, reset or broke the connection before an answer.
    pub connect_errors: u64,
    /// Time to the last byte of the answer's head, in microseconds.
    pub latency: Histogram,
}

impl Counts {
    /// Requests that count as failed: 5xx answers, timeouts and connection errors (R4.2).
    pub fn errors(&self) -> u64 {
        self.status[4] + self.timeouts + self.connect_errors
    }

    /// Adds what another count saw.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        for (mine, theirs) in self.status.iter_mut().zip(other.status) {
            *mine += theirs;
        }
        self.timeouts += other.timeouts;
        self.connect_errors += other.connect_errors;
        self.latency.merge(&other.latency);
    }

    /// What this cumulative count has more than an earlier reading of it. A counter that went
    /// backwards was reset: everything it now holds is new.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        if self.requests < earlier.requests {
            return self.clone();
        }
        let mut status = [0; 5];
        for (i, slot) in status.iter_mut().enumerate() {
            *slot = self.status[i].saturating_sub(earlier.status[i]);
        }
        Self {
            requests: self.requests - earlier.requests,
            status,
            timeouts: self.timeouts.saturating_sub(earlier.timeouts),
            connect_errors: self.connect_errors.saturating_sub(earlier.connect_errors),
            latency: self.latency.since(&earlier.latency),
        }
    }
}
