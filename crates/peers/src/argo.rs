//! Argo Rollouts' analysis: measurements of each metric, their counters, the worst metric's phase.
//!
//! Read in its sources at 9f8d111 (`analysis/analysis.go`, `utils/evaluate`). A template plays as one run for the whole
//! release, as a background analysis does. Reproduced as they are: `failureLimit: 3` needs a fourth failure, a metric
//! that errs is asked again after a fixed 10 s, and no traffic passes a `failureCondition` that stands alone (NaN is
//! above nothing).

pub mod condition;
pub mod run;
pub mod template;
pub mod value;

use std::collections::BTreeMap;

pub use condition::Condition;
pub use run::Run;
pub use template::{Metric, Template};
pub use value::{Fault, Value};

use crate::signal::{Signal, range_ms};

/// A template with what its metrics are on a recording.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// The template.
    pub template: Template,
    /// What each metric is, with its window in milliseconds; a metric without one is not measured.
    pub signals: BTreeMap<String, (Signal, u64)>,
}

impl Analysis {
    /// A template with the signals its queries are recognised as, changed by `named`. The names of metrics that nothing
    /// is known of are answered beside it.
    pub fn new(template: Template, named: &BTreeMap<String, Signal>) -> (Self, Vec<String>) {
        let mut signals = BTreeMap::new();
        let mut unknown = Vec::new();
        for metric in &template.metrics {
            let query = metric.query.as_deref().unwrap_or_default();
            let window_ms = range_ms(query).or(metric.interval_ms).unwrap_or(60_000);
            match named.get(&metric.name).cloned().or_else(|| Signal::of_query(query)) {
                Some(signal) => _ = signals.insert(metric.name.clone(), (signal, window_ms)),
                None => unknown.push(metric.name.clone()),
            }
        }
        (Self { template, signals }, unknown)
    }

    /// The run before a release.
    pub fn start(&self) -> Run<'_> {
        Run::new(self)
    }
}
