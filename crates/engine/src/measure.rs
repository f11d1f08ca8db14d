//! Metrics by query: what the source has counted since the last window of evidence.
//!
//! A source reads its instances one after the other, so that the two sides of a metric move at
//! different moments. What one side has counted is kept back until the other has moved too, or
//! the comparison would lose it.

use crate::Engine;
use crate::stream::Stream;
use std::collections::BTreeMap;
use taxiway_decide::environment::Flight;
use taxiway_model::ids::{MetricName, VersionName};
use taxiway_model::metrics::{Order, Outputs, Reading, Sample, Samples};
use taxiway_model::observation::{MetricsStatus, Observed, WorkloadStatus};
use taxiway_model::time::Timestamp;
use taxiway_model::weight::WeightBp;

/// How long one side waits for the other: two scrapes at the usual pace.
const PAIR_MS_MAX: u64 = 30_000;

/// What a stream has taken of its source's counts.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    count_from: u64,
    /// The counts that are evidence already.
    taken: Samples,
    /// Since when (monotonic) a metric has moved on one side only.
    moved: BTreeMap<MetricName, u64>,
    newest: Samples,
}

/// Asks for what the release in flight wants to know, and says what there is of it.
pub(crate) fn observe(
    engine: &Engine,
    stream: &mut Stream,
    workload: Option<&WorkloadStatus>,
    now: Timestamp,
) -> Option<Observed<MetricsStatus>> {
    let id = stream.state.stream.clone();
    let port = engine.metrics();
    let Some(order) = order(stream, workload) else {
        if let (Some(_), Some(port)) = (stream.measured.take(), port) {
            port.forget(&id);
        }
        return None;
    };
    let Some(port) = port else {
        let why = "this process asks no source of metrics".to_owned();
        return Some(stream.heard("metrics", now, Err(why)));
    };
    port.want(&id, &order);
    let monotonic_ms = engine.ports().clock.monotonic_ms();
    let one_sided = order.baseline.is_none();
    let measured = stream.measured.get_or_insert_with(Measured::default);
    let answer = match port.latest(&id) {
        None => Ok(MetricsStatus::default()),
        Some(reading) => Ok(measured.take_in(reading, one_sided, monotonic_ms)),
    };
    Some(stream.heard("metrics", now, answer))
}

/// The order for the release in flight; none where it wants no metrics by query.
fn order(stream: &Stream, workload: Option<&WorkloadStatus>) -> Option<Order> {
    let flight = stream.state.flight.as_ref()?;
    let sources = flight.plan.analysis.sources.clone();
    if sources.is_empty() {
        return None;
    }
    // With everything on the new version there is no live baseline any more.
    let all = flight.current().is_some_and(|step| step.weight == WeightBp::ALL);
    let baseline = flight.compared_with().filter(|_| !all).map(|version| version.to_string());
    let outputs = workload.map(|status| outputs(flight, status)).unwrap_or_default();
    Some(Order { sources, canary: flight.plan.version.name.to_string(), baseline, outputs })
}

/// The files that the instances of both sides write to, where errors may be counted in them.
fn outputs(flight: &Flight, status: &WorkloadStatus) -> Outputs {
    let of = |version: Option<&VersionName>| {
        let instances = status.instances.iter().filter(|instance| Some(&instance.version) == version);
        instances.map(|instance| instance.output.clone()).filter(|output| !output.is_empty()).collect()
    };
    let baseline = flight.compared_with();
    Outputs { canary: of(Some(&flight.plan.version.name)), baseline: of(baseline.as_ref()) }
}

impl Measured {
    fn take_in(&mut self, reading: Reading, one_sided: bool, monotonic_ms: u64) -> MetricsStatus {
        if self.count_from != reading.count_from {
            *self = Self { count_from: reading.count_from, ..Self::default() };
        }
        let mut since_window = Samples::new();
        for (metric, sample) in &reading.samples {
            // Without an answer now it is silent, whatever it has counted before: that comes later.
            if reading.trouble.contains_key(metric) {
                continue;
            }
            let more = sample.since(self.taken.get(metric));
            let ready = match (&more, more.totals()) {
                (Sample::Scalar { .. }, _) => true,
                (_, (canary, baseline)) => {
                    canary > 0 && (baseline > 0 || one_sided) || {
                        let moved = *self.moved.entry(metric.clone()).or_insert(monotonic_ms);
                        (canary, baseline) != (0, 0) && monotonic_ms.saturating_sub(moved) >= PAIR_MS_MAX
                    }
                }
            };
            if ready || more.totals() == (0, 0) {
                self.moved.remove(metric);
            }
            // An empty sample says that the source is well and nothing happened.
            since_window.insert(metric.clone(), if ready { more } else { more.emptied() });
        }
        self.newest = reading.samples;
        MetricsStatus {
            since_window,
            nothing: reading.nothing,
            trouble: reading.trouble,
            retries: reading.retries,
        }
    }

    /// What was evidence in the window just recorded is not evidence again.
    pub(crate) fn recorded(&mut self, window: &Samples) {
        for (metric, _) in window.iter().filter(|(_, sample)| sample.totals() != (0, 0)) {
            if let Some(newest) = self.newest.get(metric) {
                self.taken.insert(metric.clone(), newest.clone());
            }
        }
    }

    /// From now on everything is counted anew: the exposure has changed.
    pub(crate) fn begin_anew(&mut self) {
        let before = std::mem::replace(&mut self.taken, self.newest.clone());
        for (metric, sample) in &mut self.taken {
            let Sample::Types { baseline, .. } = sample else { continue };
            // A type of the baseline that is not on record yet still has to come on it: it is known.
            let Some(Sample::Types { baseline: told, .. }) = before.get(metric) else {
                baseline.by_type.clear();
                continue;
            };
            baseline.by_type.retain(|name, _| told.by_type.contains_key(name));
        }
        self.moved.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taxiway_model::metrics::Tally;

    fn reading(count_from: u64, canary: u64, baseline: u64) -> Reading {
        let tally = |total| Tally { total, bad: 0 };
        let sample = Sample::Counts { canary: tally(canary), baseline: tally(baseline) };
        let samples = Samples::from([(MetricName::new("m").expect("a name"), sample)]);
        Reading {
            count_from,
            as_of_us: 0,
            samples,
            nothing: BTreeMap::new(),
            trouble: BTreeMap::new(),
            retries: BTreeMap::new(),
        }
    }

    fn seen(measured: &mut Measured, reading: Reading, at_ms: u64) -> (u64, u64) {
        let status = measured.take_in(reading, false, at_ms);
        let (_, sample) = status.since_window.iter().next().expect("the metric is there");
        let totals = sample.totals();
        measured.recorded(&status.since_window);
        totals
    }

    #[test]
    fn one_side_waits_for_the_other_but_not_for_ever() {
        let mut measured = Measured::default();
        assert_eq!(seen(&mut measured, reading(1, 10, 0), 0), (0, 0));
        assert_eq!(seen(&mut measured, reading(1, 10, 100), 5_000), (10, 100));
        assert_eq!(seen(&mut measured, reading(1, 10, 100), 6_000), (0, 0), "it is evidence once");
        assert_eq!(seen(&mut measured, reading(1, 10, 200), 10_000), (0, 0));
        assert_eq!(seen(&mut measured, reading(1, 10, 300), 39_000), (0, 0));
        assert_eq!(seen(&mut measured, reading(1, 10, 300), 40_000), (0, 200));
    }

    #[test]
    fn counting_anew_and_another_exposure_leave_the_past_behind() {
        let mut measured = Measured::default();
        assert_eq!(seen(&mut measured, reading(1, 10, 100), 0), (10, 100));
        assert_eq!(seen(&mut measured, reading(2, 3, 4), 0), (3, 4));
        drop(measured.take_in(reading(2, 50, 60), false, 0));
        measured.begin_anew();
        assert_eq!(seen(&mut measured, reading(2, 51, 62), 0), (1, 2));
    }
}
