//! Metrics by query: what the source has counted since the last window of evidence.
//!
//! A source reads its instances one after the other, so that the two sides of a metric move at
//! different moments. What one side has counted is kept back until the other has moved too, or
//! the comparison would lose it.

use crate::Engine;
use crate::stream::Stream;
use std::collections::{BTreeMap, BTreeSet};
use taxiway_decide::environment::{Environment, Flight};
use taxiway_model::event::Event;
use taxiway_model::ids::{MetricName, VersionName};
use taxiway_model::metrics::{Order, Outputs, Reading, Sample, Samples, Side};
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
    /// By step: one may be left before everything of the one before it has come.
    late: Vec<Late>,
}

/// What was measured before the exposure changed. Sources tell it later: sums by time after their delay,
/// others at their next answer. It belongs to the step that was on, and to no window of the next one.
#[derive(Debug)]
struct Late {
    step: u16,
    until: Timestamp,
    /// Whether the exposure of the step after it still has to change.
    is_open: bool,
    /// The newest counts of each metric that were measured until then.
    before: Samples,
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
        Some(mut reading) => {
            // Sources know the wall clock as it is; ours goes on where that one was set back.
            let behind_us = now.0.saturating_sub(engine.ports().clock.now().0).max(0);
            reading.measured.values_mut().for_each(|at| at.0 = at.0.saturating_add(behind_us).min(now.0));
            Ok(measured.take_in(reading, one_sided, monotonic_ms))
        }
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
    let canary = flight.plan.version.name.to_string();
    Some(Order { sources, canary, baseline, outputs, unheard: unheard(&stream.state, flight) })
}

/// The sides that have had no request ever. A version that was released before, or a process that begins
/// in the middle of a release, finds counters that are not new.
fn unheard(state: &Environment, flight: &Flight) -> BTreeSet<Side> {
    let version = &flight.plan.version.name;
    let split = &state.routes.split;
    let before = state.history.iter().any(|past| &past.version == version);
    let canary =
        !before && split.canary.as_ref() != Some(version) && split.baseline.as_ref() != Some(version);
    let baseline = split.fresh.is_zero() && flight.compared_with().is_some_and(|version| version.is_fresh());
    let sides = [(Side::Canary, canary), (Side::Baseline, baseline)];
    sides.into_iter().filter(|(_, is_unheard)| *is_unheard).map(|(side, _)| side).collect()
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

/// What of a metric belongs to the step before.
enum LateOf {
    /// Nothing any more.
    Nothing,
    /// Something may still come, or the other side has not come yet.
    Waits,
    /// This, which is not on record yet.
    Whole(Sample),
}

impl Late {
    fn is_of(&self, metric: &MetricName, reading: &Reading) -> bool {
        reading.measured.get(metric).is_some_and(|at| *at <= self.until)
    }

    fn of(&self, metric: &MetricName, reading: &Reading, taken: &Samples) -> LateOf {
        let is_before = self.is_of(metric, reading);
        let rest = if is_before { LateOf::Waits } else { LateOf::Nothing };
        let Some(more) = self.before.get(metric).map(|before| before.since(taken.get(metric))) else {
            return rest;
        };
        match more.totals() {
            (0, 0) => rest,
            (canary, baseline) if !is_before || canary > 0 && baseline > 0 => LateOf::Whole(more),
            _ => LateOf::Waits,
        }
    }

    /// Whether everything that was measured before has come.
    fn is_over(&self, reading: &Reading) -> bool {
        reading.samples.keys().all(|metric| reading.measured.get(metric).is_none_or(|at| *at > self.until))
    }
}

impl Measured {
    fn take_in(&mut self, reading: Reading, one_sided: bool, monotonic_ms: u64) -> MetricsStatus {
        if self.count_from != reading.count_from {
            *self = Self { count_from: reading.count_from, ..Self::default() };
        }
        let mut since_window = Samples::new();
        let mut late_samples: BTreeMap<u16, Samples> = BTreeMap::new();
        for (metric, sample) in &reading.samples {
            // Without an answer now it is silent, whatever it has counted before: that comes later.
            if reading.trouble.contains_key(metric) {
                continue;
            }
            if let Some((step, late)) = self.late_of(metric, sample, &reading) {
                if let LateOf::Whole(more) = late {
                    late_samples.entry(step).or_default().insert(metric.clone(), more);
                }
                since_window.insert(metric.clone(), sample.emptied());
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
        let late = late_samples.pop_first();
        if late.is_none() {
            self.late.retain(|late| late.is_open || !late.is_over(&reading));
        }
        self.newest = reading.samples;
        MetricsStatus {
            since_window,
            late,
            nothing: reading.nothing,
            trouble: reading.trouble,
            retries: reading.retries,
        }
    }

    /// What of a metric belongs to the first of the steps before of which something is to come.
    fn late_of(&mut self, metric: &MetricName, now: &Sample, reading: &Reading) -> Option<(u16, LateOf)> {
        if let Sample::Scalar { .. } = now {
            // A value is of now, however long it took: it is not counted.
            return None;
        }
        for late in self.late.iter_mut().filter(|late| late.is_of(metric, reading)) {
            late.before.insert(metric.clone(), now.clone());
        }
        let each = self.late.iter().map(|late| (late.step, late.of(metric, reading, &self.taken)));
        each.into_iter().find(|(_, late)| !matches!(late, LateOf::Nothing))
    }

    /// These events are on record.
    pub(crate) fn follow(&mut self, events: &[Event], now: Timestamp) {
        for event in events {
            match event {
                Event::EvidenceRecorded { window } if window.is_late() => {
                    self.recorded_late(window.step, &window.metrics);
                }
                Event::EvidenceRecorded { window } => self.recorded(&window.metrics),
                Event::SplitObserved { .. } => self.begin_anew(None, now),
                Event::StepEntered { step } => self.begin_anew(step.checked_sub(1), now),
                _ => {}
            }
        }
    }

    /// What became of the counts so far is not known: they are not taken, rather than taken twice.
    pub(crate) fn lose(&mut self) {
        self.taken = self.newest.clone();
        self.late.clear();
        self.moved.clear();
    }

    /// What was evidence of the step before, in the late window just recorded, is not evidence again.
    fn recorded_late(&mut self, step: u16, window: &Samples) {
        let Some(late) = self.late.iter().find(|late| late.step == step) else { return };
        for metric in window.keys() {
            if let Some(before) = late.before.get(metric) {
                self.taken.insert(metric.clone(), before.clone());
            }
        }
    }

    /// What was evidence in the window just recorded is not evidence again.
    fn recorded(&mut self, window: &Samples) {
        for (metric, _) in window.iter().filter(|(_, sample)| sample.totals() != (0, 0)) {
            if let Some(newest) = self.newest.get(metric) {
                self.taken.insert(metric.clone(), newest.clone());
            }
        }
    }

    /// From now on everything is counted anew: the exposure has changed. `left` is the step that was
    /// left for it: what was measured of it and is not on record yet still belongs to it.
    fn begin_anew(&mut self, left: Option<u16>, now: Timestamp) {
        if let Some(step) = left {
            let before = self.newest.clone();
            self.late.push(Late { step, until: now, is_open: true, before });
            self.moved.clear();
            return;
        }
        if let Some(late) = self.late.last_mut() {
            // Until then it had the share of the step that was left. When the same exposure is confirmed
            // again, what comes late is no less late.
            if std::mem::take(&mut late.is_open) {
                (late.until, late.before) = (now, self.newest.clone());
                self.moved.clear();
            }
            return;
        }
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
    use taxiway_model::metrics::{Tally, Types};

    fn reading(count_from: u64, canary: u64, baseline: u64) -> Reading {
        let tally = |total| Tally { total, bad: 0 };
        let sample = Sample::Counts { canary: tally(canary), baseline: tally(baseline) };
        let samples = Samples::from([(MetricName::new("m").expect("a name"), sample)]);
        Reading {
            count_from,
            as_of_us: 0,
            samples,
            measured: BTreeMap::new(),
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

    fn recorded_late(measured: &mut Measured, status: MetricsStatus) {
        let (step, samples) = status.late.expect("late");
        measured.recorded_late(step, &samples);
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
    fn a_type_of_the_baseline_is_told_also_when_the_exposure_changes_before_it_is_on_record() {
        let types = |total: u64, names: &[&str]| {
            let mut types = Types { total, ..Types::default() };
            for name in names {
                types.add(name, 1);
            }
            types
        };
        let of = |total: u64, names: &[&str]| {
            let sample = Sample::Types { canary: types(total, &[]), baseline: types(total, names) };
            Reading {
                samples: Samples::from([(MetricName::new("m").expect("a name"), sample)]),
                ..reading(1, 0, 0)
            }
        };
        let told = |status: &MetricsStatus| match status.since_window.values().next() {
            Some(Sample::Types { baseline, .. }) => baseline.by_type.keys().cloned().collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        let mut measured = Measured::default();
        let status = measured.take_in(of(10, &["a"]), false, 0);
        assert_eq!(told(&status), ["a"]);
        measured.recorded(&status.since_window);
        drop(measured.take_in(of(20, &["a", "b"]), false, 1_000));
        measured.begin_anew(None, Timestamp(0));
        assert_eq!(told(&measured.take_in(of(30, &["a", "b"]), false, 2_000)), ["b"]);
    }

    /// Of step 0, which is left at 100 s; the source tells everything a minute late.
    #[test]
    fn what_comes_after_the_step_belongs_to_the_step_in_which_it_was_measured() {
        let name = MetricName::new("m").expect("a name");
        let of = |at_s: i64, canary: u64, baseline: u64| {
            let measured = BTreeMap::from([(name.clone(), Timestamp(at_s * 1_000_000))]);
            Reading { measured, ..reading(1, canary, baseline) }
        };
        let totals = |status: &MetricsStatus| {
            let late = status.late.as_ref().map(|(step, samples)| (*step, samples[&name].totals()));
            (late, status.since_window[&name].totals())
        };
        let mut measured = Measured::default();
        assert_eq!(seen(&mut measured, of(30, 10, 100), 0), (10, 100));
        drop(measured.take_in(of(40, 12, 120), false, 10_000));
        measured.begin_anew(Some(0), Timestamp(100_000_000));
        measured.begin_anew(None, Timestamp(101_000_000));
        let status = measured.take_in(of(60, 15, 150), false, 20_000);
        assert_eq!(totals(&status), (Some((0, (5, 50))), (0, 0)));
        recorded_late(&mut measured, status);
        assert_eq!(totals(&measured.take_in(of(60, 15, 150), false, 20_000)), (None, (0, 0)));
        // One side has come: the other one is waited for, until it cannot come any more.
        assert_eq!(totals(&measured.take_in(of(99, 19, 150), false, 60_000)), (None, (0, 0)));
        let status = measured.take_in(of(110, 100, 400), false, 70_000);
        assert_eq!(totals(&status), (Some((0, (4, 0))), (0, 0)), "what is of both steps waits its turn");
        recorded_late(&mut measured, status);
        let status = measured.take_in(of(110, 100, 400), false, 70_000);
        assert_eq!(totals(&status), (None, (81, 250)), "the rest is of the step that is on");
    }

    /// Steps 0 and 1 are left before anything of either has come; the exposure of step 2 is confirmed again
    /// much later.
    #[test]
    fn what_comes_late_of_two_steps_belongs_to_each_of_them() {
        let name = MetricName::new("m").expect("a name");
        let of = |at_s: i64, canary: u64, baseline: u64| {
            let measured = BTreeMap::from([(name.clone(), Timestamp(at_s * 1_000_000))]);
            Reading { measured, ..reading(1, canary, baseline) }
        };
        let at = |at_s: i64| Timestamp(at_s * 1_000_000);
        let mut measured = Measured::default();
        drop(measured.take_in(of(90, 0, 0), false, 0));
        for (step, at_s) in [(0, 100), (1, 120)] {
            measured.begin_anew(Some(step), at(at_s));
            measured.begin_anew(None, at(at_s + 1));
        }
        let totals = |status: &MetricsStatus| {
            status.late.as_ref().map(|(step, samples)| (*step, samples[&name].totals()))
        };
        for (reading, told) in [(of(95, 10, 100), (0, (10, 100))), (of(115, 40, 300), (1, (30, 200)))] {
            let status = measured.take_in(reading, false, 0);
            assert_eq!(totals(&status), Some(told));
            recorded_late(&mut measured, status);
        }
        measured.begin_anew(None, at(300));
        let status = measured.take_in(of(290, 50, 400), false, 0);
        assert_eq!((totals(&status), status.since_window[&name].totals()), (None, (10, 100)));
    }

    #[test]
    fn counting_anew_and_another_exposure_leave_the_past_behind() {
        let mut measured = Measured::default();
        assert_eq!(seen(&mut measured, reading(1, 10, 100), 0), (10, 100));
        assert_eq!(seen(&mut measured, reading(2, 3, 4), 0), (3, 4));
        drop(measured.take_in(reading(2, 50, 60), false, 0));
        measured.begin_anew(None, Timestamp(0));
        assert_eq!(seen(&mut measured, reading(2, 51, 62), 0), (1, 2));
    }
}
