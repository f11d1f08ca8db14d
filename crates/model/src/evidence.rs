//! Evidence: what both sides answered over the same seconds.

use crate::counts::Counts;
use crate::metrics::Samples;
use crate::weight::WeightBp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts by endpoint class.
pub type Classes = BTreeMap<String, Counts>;

/// What was seen between two readings, both sides over the same seconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Its number within the release, from 1.
    pub number: u32,
    /// The step it belongs to.
    pub step: u16,
    /// How long it was, on a monotonic clock.
    pub span_ms: u64,
    /// Seen within the warm-up: shown, not judged.
    pub warm_up: bool,
    /// The version under test (mirrored answers on a mirror step).
    pub canary: Classes,
    /// The version it is compared with; empty where there is no live baseline.
    pub baseline: Classes,
    /// The share of fresh instances of the baseline's version, which `baseline` is then of alone; zero
    /// where it is of all that ran before.
    #[serde(default, skip_serializing_if = "WeightBp::is_zero")]
    pub fresh: WeightBp,
    /// What metrics by query have shown of both.
    #[serde(default, skip_serializing_if = "Samples::is_empty")]
    pub metrics: Samples,
    /// What the instances of both used, where a metric reads it.
    #[serde(default, skip_serializing_if = "Gauges::is_empty")]
    pub gauges: Gauges,
}

/// What the instances of both sides used at the end of a window.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gauges {
    /// The canary's instances.
    pub canary: Vec<Gauge>,
    /// The baseline's instances.
    pub baseline: Vec<Gauge>,
}

impl Gauges {
    /// Whether nothing was seen of either side.
    pub fn is_empty(&self) -> bool {
        self.canary.is_empty() && self.baseline.is_empty()
    }
}

/// What one instance used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gauge {
    /// Its number within the version.
    pub instance: u32,
    /// Resident memory.
    pub memory_bytes: u64,
    /// CPU over the last seconds, in thousandths of a core.
    pub cpu_milli: u32,
    /// How often it was restarted, ever.
    pub restarts: u32,
}

impl Window {
    /// Whether it is what sources had measured of a step and told only after it: no time of its own.
    pub fn is_late(&self) -> bool {
        self.span_ms == 0 && self.canary.is_empty() && self.baseline.is_empty()
    }

    /// The canary's share of the requests of both sides together, where `weight` is its share of all.
    pub fn share(&self, weight: WeightBp) -> WeightBp {
        weight.among(self.fresh)
    }

    /// All of the canary's requests together.
    pub fn canary_total(&self) -> Counts {
        total(&self.canary)
    }

    /// All of the baseline's requests together.
    pub fn baseline_total(&self) -> Counts {
        total(&self.baseline)
    }
}

/// The sum over the endpoint classes.
pub fn total(classes: &Classes) -> Counts {
    let mut sum = Counts::default();
    for counts in classes.values() {
        sum.merge(counts);
    }
    sum
}

/// Adds counts by class.
pub fn merge(into: &mut Classes, more: &Classes) {
    for (class, counts) in more {
        into.entry(class.clone()).or_default().merge(counts);
    }
}
