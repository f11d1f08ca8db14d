//! Two series become windows of evidence, closed by the rule of live releases: what closes a window
//! is how many requests there were and how much time has passed, never how many were bad.

use std::collections::BTreeMap;

use taxiway_decide::judge::{WINDOW_MS_MAX, WINDOW_MS_MIN, WINDOW_REQUESTS};
use taxiway_model::counts::Counts;
use taxiway_model::evidence::{Classes, Window};
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Moments, Sample, Tally, Types};
use taxiway_report::recording::Seen;

use super::series::{Point, Series};
use crate::error::{CliError, Code};

/// Shortest grid of time: finer readings are put together.
const GRID_US_MIN: i64 = 1_000_000;

/// A metric's figures on both sides, canary first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) metric: &'a MetricName,
    pub(crate) sides: [&'a Series; 2],
    /// Its counts are those of its query, and not the requests of the release.
    pub(crate) of_query: bool,
}

/// What was seen of both sides within one place of the grid.
#[derive(Debug, Clone, Default)]
struct Slot {
    sides: [Counts; 2],
    /// One for each metric that is given.
    held: Vec<Held>,
}

/// What was seen of one metric.
#[derive(Debug, Clone, Default)]
struct Held {
    tally: [Option<Tally>; 2],
    buckets: [Vec<(u64, u64)>; 2],
    /// Sum and number of values.
    values: [(i128, i64); 2],
    moments: [Option<Moments>; 2],
    types: [Option<Types>; 2],
}

/// The windows with the moment of the first reading, in microseconds.
#[derive(Debug)]
pub(crate) struct Windows {
    pub(crate) seen: Vec<Seen>,
    pub(crate) started_us: i64,
}

/// Puts both sides of every metric on one axis of time. With `align`, each begins at its own zero.
pub(crate) fn of(given: &[Given<'_>], align: bool) -> Result<Windows, CliError> {
    let all = |side: usize| given.iter().map(move |given| given.sides[side]);
    let begin = |side: usize| {
        let first = all(side).filter_map(|series| series.points.first()).map(|point| point.at_us);
        first.min().unwrap_or(0)
    };
    let grid_us = all(0).chain(all(1)).map(grid_us).max().unwrap_or(GRID_US_MIN);
    let end = |side: usize| {
        let last = all(side).filter_map(|series| series.points.last()).map(|point| point.at_us);
        last.max().map_or(0, |last| last.saturating_add(grid_us))
    };
    let apart = begin(0) >= end(1) || begin(1) >= end(0);
    if apart && !align {
        let why = "the two sides have no time in common: a canary is judged against what its baseline did meanwhile";
        return Err(CliError::new(Code::BadSeries, why)
            .hint("name files of the same time, or compare from each one's beginning with --align"));
    }
    let zero = |side: usize| if align { begin(side) } else { begin(0).min(begin(1)) };
    let mut slots: BTreeMap<i64, Slot> = BTreeMap::new();
    for (number, given) in given.iter().enumerate() {
        for (side, series) in given.sides.into_iter().enumerate() {
            let zero = zero(side);
            for point in &series.points {
                let slot = slots.entry((point.at_us.saturating_sub(zero)) / grid_us).or_default();
                slot.take(side, number, given.of_query, point);
            }
        }
    }
    let names: Vec<&MetricName> = given.iter().map(|given| given.metric).collect();
    Ok(Windows { seen: closed(&slots, grid_us, &names), started_us: begin(0) })
}

/// The time between two readings: the median of a side's, at least a second.
fn grid_us(series: &Series) -> i64 {
    let mut gaps: Vec<i64> = series
        .points
        .windows(2)
        .map(|pair| pair[1].at_us.saturating_sub(pair[0].at_us))
        .filter(|gap| *gap > 0)
        .collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied().unwrap_or(GRID_US_MIN).max(GRID_US_MIN)
}

impl Slot {
    fn take(&mut self, side: usize, metric: usize, of_query: bool, point: &Point) {
        let held = self.held(metric);
        if of_query {
            if point.counts.requests > 0 && point.buckets.is_empty() {
                let more = Tally { total: point.counts.requests, bad: point.counts.errors() };
                held.tally[side] = Some(sum_of(held.tally[side].unwrap_or_default(), more));
            }
        } else {
            self.sides[side].merge(&point.counts);
        }
        self.held(metric).take(side, point);
    }

    fn held(&mut self, metric: usize) -> &mut Held {
        if self.held.len() <= metric {
            self.held.resize_with(metric + 1, Held::default);
        }
        &mut self.held[metric]
    }

    fn add(&mut self, more: &Self) {
        for side in 0..2 {
            self.sides[side].merge(&more.sides[side]);
        }
        for (metric, more) in more.held.iter().enumerate() {
            self.held(metric).add(more);
        }
    }

    /// Requests of the canary, or what most of them are known by.
    fn canary_requests(&self) -> u64 {
        let asked = self.held.iter().filter_map(Held::sample).map(|sample| sample.totals().0);
        asked.max().unwrap_or(0).max(self.sides[0].requests)
    }
}

impl Held {
    fn take(&mut self, side: usize, point: &Point) {
        merge_buckets(&mut self.buckets[side], &point.buckets);
        if let Some(value) = point.value {
            let (sum, count) = &mut self.values[side];
            *sum += i128::from(value);
            *count += 1;
        }
        merge_moments(&mut self.moments[side], point.moments);
        merge_types(&mut self.types[side], point.types.as_ref());
    }

    fn add(&mut self, more: &Self) {
        for side in 0..2 {
            if let Some(tally) = more.tally[side] {
                self.tally[side] = Some(sum_of(self.tally[side].unwrap_or_default(), tally));
            }
            merge_buckets(&mut self.buckets[side], &more.buckets[side]);
            self.values[side].0 += more.values[side].0;
            self.values[side].1 += more.values[side].1;
            merge_moments(&mut self.moments[side], more.moments[side]);
            merge_types(&mut self.types[side], more.types[side].as_ref());
        }
    }

    fn value(&self, side: usize) -> Option<i64> {
        let (sum, count) = self.values[side];
        (count > 0).then(|| (sum / i128::from(count)) as i64)
    }

    /// What the judge is shown of it; none where there was nothing.
    fn sample(&self) -> Option<Sample> {
        if self.tally.iter().any(Option::is_some) {
            let [canary, baseline] = self.tally.map(Option::unwrap_or_default);
            return Some(Sample::Counts { canary, baseline });
        }
        if self.buckets.iter().any(|buckets| !buckets.is_empty()) {
            let [canary, baseline] = self.buckets.clone();
            return Some(Sample::Buckets { canary, baseline });
        }
        if self.values.iter().any(|(_, count)| *count > 0) {
            return Some(Sample::Scalar { canary: self.value(0), baseline: self.value(1) });
        }
        if self.moments.iter().any(Option::is_some) {
            let [canary, baseline] = self.moments.map(Option::unwrap_or_default);
            return Some(Sample::Moments { canary, baseline });
        }
        let [canary, baseline] = &self.types;
        let types = |side: &Option<Types>| side.clone().unwrap_or_default();
        (canary.is_some() || baseline.is_some())
            .then(|| Sample::Types { canary: types(canary), baseline: types(baseline) })
    }
}

fn sum_of(one: Tally, other: Tally) -> Tally {
    Tally { total: one.total.saturating_add(other.total), bad: one.bad.saturating_add(other.bad) }
}

fn merge_moments(into: &mut Option<Moments>, more: Option<Moments>) {
    if let Some(more) = more {
        *into = Some(into.map_or(more, |sum| sum.merged(more)));
    }
}

fn merge_types(into: &mut Option<Types>, more: Option<&Types>) {
    let Some(more) = more else { return };
    let sum = into.get_or_insert_with(Types::default);
    sum.total = sum.total.saturating_add(more.total);
    for (name, count) in &more.by_type {
        sum.add(name, *count);
    }
}

fn merge_buckets(into: &mut Vec<(u64, u64)>, more: &[(u64, u64)]) {
    for (edge, count) in more {
        match into.binary_search_by_key(edge, |(known, _)| *known) {
            Ok(at) => into[at].1 += count,
            Err(at) => into.insert(at, (*edge, *count)),
        }
    }
}

/// Closes windows over the places of the grid, which must be in order.
fn closed(slots: &BTreeMap<i64, Slot>, grid_us: i64, metrics: &[&MetricName]) -> Vec<Seen> {
    let grid_ms = u64::try_from(grid_us / 1_000).unwrap_or(1_000);
    let mut windows: Vec<Seen> = Vec::new();
    let mut open: Option<(i64, i64, Slot)> = None;
    for (place, slot) in slots {
        // A gap that a window could not span ends it.
        let gap_ms = |from: i64| (place - from).unsigned_abs().saturating_mul(grid_ms);
        if let Some((from, to, sum)) = open.take_if(|(from, _, _)| gap_ms(*from) >= WINDOW_MS_MAX) {
            close(&mut windows, (from, to), grid_ms, &sum, metrics);
        }
        let (from, to, sum) = open.get_or_insert_with(|| (*place, *place, Slot::default()));
        *to = *place;
        sum.add(slot);
        let span_ms = (*to - *from + 1).unsigned_abs().saturating_mul(grid_ms);
        let enough = sum.canary_requests() >= WINDOW_REQUESTS && span_ms >= WINDOW_MS_MIN;
        if enough || span_ms >= WINDOW_MS_MAX {
            let (from, to, sum) = (*from, *to, std::mem::take(sum));
            close(&mut windows, (from, to), grid_ms, &sum, metrics);
            open = None;
        }
    }
    if let Some((from, to, sum)) = open {
        close(&mut windows, (from, to), grid_ms, &sum, metrics);
    }
    windows
}

fn close(windows: &mut Vec<Seen>, (from, to): (i64, i64), grid_ms: u64, sum: &Slot, metrics: &[&MetricName]) {
    let side = |side: usize| {
        let counts = sum.sides[side].clone();
        if counts.requests == 0 { Classes::new() } else { Classes::from([(String::new(), counts)]) }
    };
    let mut window = Window {
        number: windows.len() as u32 + 1,
        span_ms: (to - from + 1).unsigned_abs().saturating_mul(grid_ms),
        canary: side(0),
        baseline: side(1),
        ..Window::default()
    };
    for (name, held) in metrics.iter().zip(&sum.held) {
        window.metrics.extend(held.sample().map(|sample| ((*name).clone(), sample)));
    }
    if window.canary.is_empty() && window.baseline.is_empty() && window.metrics.is_empty() {
        return;
    }
    let at_ms = (to + 1).unsigned_abs().saturating_mul(grid_ms);
    windows.push(Seen { at_ms, window });
}
