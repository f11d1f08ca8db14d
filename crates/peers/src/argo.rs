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
    /// Of metrics whose result is an object: what each member of it is, by metric and path (`data.ok`).
    pub members: BTreeMap<String, BTreeMap<String, Signal>>,
}

impl Analysis {
    /// A template with the signals its queries are recognised as, changed by `named`. The names of metrics that nothing
    /// is known of are answered beside it.
    pub fn new(template: Template, named: &BTreeMap<String, Signal>) -> (Self, Vec<String>) {
        let mut signals = BTreeMap::new();
        let mut members = BTreeMap::new();
        let mut unknown = Vec::new();
        for metric in &template.metrics {
            let query = metric.query.as_deref().unwrap_or_default();
            let window_ms = range_ms(query).or(metric.interval_ms).unwrap_or(60_000);
            let parts = metric.members();
            if !parts.is_empty() {
                let prefix = format!("{}.", metric.name);
                if !named.keys().any(|key| key.starts_with(&prefix)) {
                    let wanted: Vec<String> = parts.iter().map(|part| format!("{prefix}{part}")).collect();
                    unknown.push(wanted.join("`, `"));
                    continue;
                }
                let of_part = |part: &String| {
                    let signal = named.get(&format!("{prefix}{part}")).cloned();
                    let last = part.rsplit('.').next().unwrap_or_default();
                    (part.clone(), signal.unwrap_or_else(|| Signal::of_words(last)))
                };
                members.insert(metric.name.clone(), parts.iter().map(of_part).collect());
                // What is read of it stands in its members.
                signals.insert(metric.name.clone(), (Signal::Named(metric.name.clone()), window_ms));
                continue;
            }
            let recognised = || Signal::of_query(query).filter(|_| !metric.is_range);
            match named.get(&metric.name).cloned().or_else(recognised) {
                Some(signal) => _ = signals.insert(metric.name.clone(), (signal, window_ms)),
                None => unknown.push(metric.name.clone()),
            }
        }
        (Self { template, signals, members }, unknown)
    }

    /// The run before a release.
    pub fn start(&self) -> Run<'_> {
        Run::new(self)
    }
}
