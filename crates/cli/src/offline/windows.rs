//! Two series become windows of evidence, closed by the rule of live releases: what closes a window
//! is how many requests there were and how much time has passed, never how many were bad.

use std::collections::BTreeMap;

use taxiway_decide::judge::{WINDOW_MS_MAX, WINDOW_MS_MIN, WINDOW_REQUESTS};
use taxiway_model::counts::Counts;
use taxiway_model::evidence::{Classes, Window};
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::Sample;
use taxiway_report::recording::Seen;

use super::series::{Point, Series};
use crate::error::{CliError, Code};

/// Shortest grid of time: finer readings are put together.
const GRID_US_MIN: i64 = 1_000_000;

/// What was seen of both sides within one place of the grid.
#[derive(Debug, Clone, Default)]
struct Slot {
    sides: [Counts; 2],
    buckets: [Vec<(u64, u64)>; 2],
    /// Sum and number of values.
    values: [(i128, i64); 2],
}

/// The windows with the moment of the first reading, in microseconds.
#[derive(Debug)]
pub(crate) struct Windows {
    pub(crate) seen: Vec<Seen>,
    pub(crate) started_us: i64,
}

/// Puts both sides (canary first) on one axis of time. With `align`, each begins at its own zero.
pub(crate) fn of(sides: [&Series; 2], metric: &MetricName, align: bool) -> Result<Windows, CliError> {
    let [canary, baseline] = sides;
    let begin = |series: &Series| series.points.first().map_or(0, |point| point.at_us);
    let grid_us = grid_us(canary).max(grid_us(baseline));
    let end = |series: &Series| series.points.last().map_or(0, |point| point.at_us.saturating_add(grid_us));
    let apart = begin(canary) >= end(baseline) || begin(baseline) >= end(canary);
    if apart && !align {
        let why = "the two sides have no time in common: a canary is judged against what its baseline did meanwhile";
        return Err(CliError::new(Code::BadSeries, why)
            .hint("name files of the same time, or compare from each one's beginning with --align"));
    }
    let zero = |series: &Series| if align { begin(series) } else { begin(canary).min(begin(baseline)) };
    let mut slots: BTreeMap<i64, Slot> = BTreeMap::new();
    for (side, series) in sides.into_iter().enumerate() {
        let zero = zero(series);
        for point in &series.points {
            slots.entry((point.at_us.saturating_sub(zero)) / grid_us).or_default().take(side, point);
        }
    }
    let started_us = begin(canary);
    Ok(Windows { seen: closed(&slots, grid_us, metric), started_us })
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
    fn take(&mut self, side: usize, point: &Point) {
        self.sides[side].merge(&point.counts);
        merge_buckets(&mut self.buckets[side], &point.buckets);
        if let Some(value) = point.value {
            let (sum, count) = &mut self.values[side];
            *sum += i128::from(value);
            *count += 1;
        }
    }

    fn add(&mut self, more: &Self) {
        for side in 0..2 {
            self.sides[side].merge(&more.sides[side]);
            merge_buckets(&mut self.buckets[side], &more.buckets[side]);
            self.values[side].0 += more.values[side].0;
            self.values[side].1 += more.values[side].1;
        }
    }

    fn value(&self, side: usize) -> Option<i64> {
        let (sum, count) = self.values[side];
        (count > 0).then(|| (sum / i128::from(count)) as i64)
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
fn closed(slots: &BTreeMap<i64, Slot>, grid_us: i64, metric: &MetricName) -> Vec<Seen> {
    let grid_ms = u64::try_from(grid_us / 1_000).unwrap_or(1_000);
    let mut windows: Vec<Seen> = Vec::new();
    let mut open: Option<(i64, i64, Slot)> = None;
    for (place, slot) in slots {
        // A gap that a window could not span ends it.
        let gap_ms = |from: i64| (place - from).unsigned_abs().saturating_mul(grid_ms);
        if let Some((from, to, sum)) = open.take_if(|(from, _, _)| gap_ms(*from) >= WINDOW_MS_MAX) {
            close(&mut windows, (from, to), grid_ms, &sum, metric);
        }
        let (from, to, sum) = open.get_or_insert_with(|| (*place, *place, Slot::default()));
        *to = *place;
        sum.add(slot);
        let span_ms = (*to - *from + 1).unsigned_abs().saturating_mul(grid_ms);
        let enough = sum.sides[0].requests >= WINDOW_REQUESTS && span_ms >= WINDOW_MS_MIN;
        if enough || span_ms >= WINDOW_MS_MAX {
            let (from, to, sum) = (*from, *to, std::mem::take(sum));
            close(&mut windows, (from, to), grid_ms, &sum, metric);
            open = None;
        }
    }
    if let Some((from, to, sum)) = open {
        close(&mut windows, (from, to), grid_ms, &sum, metric);
    }
    windows
}

fn close(windows: &mut Vec<Seen>, (from, to): (i64, i64), grid_ms: u64, sum: &Slot, metric: &MetricName) {
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
    let sample = match sum {
        Slot { buckets: [canary, baseline], .. } if !(canary.is_empty() && baseline.is_empty()) => {
            Some(Sample::Buckets { canary: canary.clone(), baseline: baseline.clone() })
        }
        Slot { values: [(_, canary), (_, baseline)], .. } if canary + baseline > 0 => {
            Some(Sample::Scalar { canary: sum.value(0), baseline: sum.value(1) })
        }
        _ => None,
    };
    window.metrics.extend(sample.map(|sample| (metric.clone(), sample)));
    if window.canary.is_empty() && window.baseline.is_empty() && window.metrics.is_empty() {
        return;
    }
    let at_ms = (to + 1).unsigned_abs().saturating_mul(grid_ms);
    windows.push(Seen { at_ms, window });
}
