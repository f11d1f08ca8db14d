//! Windows put together into as many spans of time as a chart can show and as the traffic bears.

use crate::recording::{Recording, Seen};
use crate::used::{self, Span};
use taxiway_model::counts::{Counts, Histogram, quantile_us};
use taxiway_model::metrics::{Moments, Sample, Tally};
use taxiway_model::policy::{Measure, MetricPolicy, Prices};
use taxiway_stats::{Arm, interval};

/// Most bins a chart can show.
const BINS_MAX: u64 = 40;

/// Bins there are at least, where there are so many windows.
const BINS_MIN: u64 = 6;

/// Requests of the canary that a bin should have, at least and at most …
const REQUESTS: [u64; 2] = [100, 1_000];

/// … and in between so many that about this many of them are bad: a rate is noise otherwise.
const BAD: u64 = 6;

/// A span of time with what both sides answered in it, warm-up excluded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bin {
    /// When it begins, in milliseconds since the start.
    pub from_ms: u64,
    /// When it ends.
    pub to_ms: u64,
    /// The canary.
    pub canary: Counts,
    /// The baseline.
    pub baseline: Counts,
    /// The places of its windows in the recording.
    seen: Vec<usize>,
}

/// One side's figure in a bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Reading {
    /// Requests or values it rests on.
    pub of: u64,
    /// In the metric's unit: parts per million, microseconds, millionths.
    pub value: i64,
    /// For a share: the lower end of its 95 % interval (Wilson). For a latency: the median.
    pub low: i64,
    /// For a share: the upper end. For a latency: p99.
    pub high: i64,
}

/// The windows of a recording in bins; windows stay whole, and no bin reaches over `until_ms`, the
/// moment of the verdict, before which there shall be some.
pub fn of(recording: &Recording, until_ms: u64) -> Vec<Bin> {
    let judged = |seen: &&Seen| !seen.window.warm_up;
    let windows: Vec<&Seen> = recording.windows.iter().filter(judged).collect();
    let (Some(first), Some(last)) = (windows.first(), windows.last()) else { return Vec::new() };
    let begin = first.at_ms.saturating_sub(first.window.span_ms);
    let mut canary = Counts::default();
    let before = windows.iter().filter(|seen| seen.at_ms <= until_ms);
    before.for_each(|seen| canary.merge(&seen.window.canary_total()));
    let wanted = (canary.requests * BAD / canary.errors().max(1)).clamp(REQUESTS[0], REQUESTS[1]);
    let wanted = wanted.min(canary.requests / BINS_MIN);
    let width = (last.at_ms - begin) / BINS_MAX;
    let mut bins: Vec<Bin> = Vec::new();
    for (index, seen) in recording.windows.iter().enumerate().filter(|(_, seen)| !seen.window.warm_up) {
        let from = seen.at_ms.saturating_sub(seen.window.span_ms).max(begin);
        let full = |bin: &Bin| {
            let whole = bin.canary.requests >= wanted && bin.to_ms - bin.from_ms >= width;
            whole || (bin.to_ms <= until_ms && seen.at_ms > until_ms)
        };
        if bins.last().is_none_or(full) {
            join_short(&mut bins, wanted);
            bins.push(Bin { from_ms: from, ..Bin::default() });
        }
        let bin = bins.last_mut().expect("one was just made where there was none");
        bin.to_ms = seen.at_ms;
        bin.canary.merge(&seen.window.canary_total());
        bin.baseline.merge(&seen.window.baseline_total());
        bin.seen.push(index);
    }
    join_short(&mut bins, wanted);
    bins
}

/// A last bin with hardly any requests, cut off by the verdict, goes to the one before it.
fn join_short(bins: &mut Vec<Bin>, wanted: u64) {
    if bins.len() < 2 || bins.last().is_some_and(|last| last.canary.requests * 2 >= wanted) {
        return;
    }
    if let Some(short) = bins.pop()
        && let Some(before) = bins.last_mut()
    {
        before.to_ms = short.to_ms;
        before.canary.merge(&short.canary);
        before.baseline.merge(&short.baseline);
        before.seen.extend(short.seen);
    }
}

impl Bin {
    /// What a metric shows of both sides, canary first.
    pub fn readings(
        &self,
        recording: &Recording,
        metric: &MetricPolicy,
        prices: Option<&Prices>,
    ) -> [Option<Reading>; 2] {
        match metric.measure {
            Measure::ErrorRate => self
                .classes(recording, metric)
                .map(|counts| share(Tally { total: counts.requests, bad: counts.errors() })),
            Measure::Latency { quantile_bp } => {
                self.classes(recording, metric).map(|counts| latency(&counts.latency, quantile_bp))
            }
            Measure::Burn { .. } => self.others(recording, metric, prices),
            measure if measure.is_query() => self.queried(recording, metric),
            _ => self.others(recording, metric, prices),
        }
    }

    fn others(
        &self,
        recording: &Recording,
        metric: &MetricPolicy,
        prices: Option<&Prices>,
    ) -> [Option<Reading>; 2] {
        let windows: Vec<&Seen> = self.seen.iter().map(|index| &recording.windows[*index]).collect();
        used::readings(Span { recording, windows: &windows, to_ms: self.to_ms }, metric, prices)
    }

    /// The counts a metric looks at: all, or those of one endpoint class.
    fn classes(&self, recording: &Recording, metric: &MetricPolicy) -> [Counts; 2] {
        let Some(class) = &metric.endpoint else { return [self.canary.clone(), self.baseline.clone()] };
        let mut sums = [Counts::default(), Counts::default()];
        for window in self.seen.iter().map(|index| &recording.windows[*index].window) {
            for (sum, classes) in sums.iter_mut().zip([&window.canary, &window.baseline]) {
                if let Some(counts) = classes.get(class) {
                    sum.merge(counts);
                }
            }
        }
        sums
    }

    fn queried(&self, recording: &Recording, metric: &MetricPolicy) -> [Option<Reading>; 2] {
        let windows = self.seen.iter().map(|index| &recording.windows[*index].window);
        let samples: Vec<&Sample> = windows.filter_map(|window| window.metrics.get(&metric.name)).collect();
        [0, 1].map(|side| queried_side(&samples, metric, side))
    }
}

fn queried_side(samples: &[&Sample], metric: &MetricPolicy, side: usize) -> Option<Reading> {
    let mut tally = Tally::default();
    let mut histogram: Vec<(u64, u64)> = Vec::new();
    let mut values: Vec<i64> = Vec::new();
    let mut moments = Moments::default();
    for sample in samples {
        match sample {
            Sample::Counts { canary, baseline } => {
                let more = [canary, baseline][side];
                tally.total += more.total;
                tally.bad += more.bad;
            }
            Sample::Buckets { canary, baseline } => {
                for (edge, count) in [canary, baseline][side] {
                    match histogram.binary_search_by_key(edge, |(known, _)| *known) {
                        Ok(at) => histogram[at].1 += count,
                        Err(at) => histogram.insert(at, (*edge, *count)),
                    }
                }
            }
            Sample::Scalar { canary, baseline } => values.extend([canary, baseline][side].as_ref()),
            Sample::Moments { canary, baseline } => moments = moments.merged([*canary, *baseline][side]),
            Sample::Types { canary, baseline } => {
                let more = [canary, baseline][side];
                tally.total += more.total;
                tally.bad += more.errors();
            }
        }
    }
    match metric.measure {
        Measure::QueryBuckets { quantile_bp } => bucketed(&histogram, quantile_bp),
        Measure::QueryValues { .. } => mean(&values),
        Measure::QueryMoments => mean_of(moments),
        _ => share(tally),
    }
}

fn share(tally: Tally) -> Option<Reading> {
    if tally.total == 0 {
        return None;
    }
    let bad = tally.bad.min(tally.total);
    let [low, high] = interval::wilson(Arm { total: tally.total, bad }, 0.95);
    let value = (u128::from(bad) * 1_000_000 / u128::from(tally.total)) as i64;
    Some(Reading { of: tally.total, value, low: (low * 1e6) as i64, high: (high * 1e6) as i64 })
}

/// A mean with its 95 % interval where the spread is known, from its squares.
fn mean_of(moments: Moments) -> Option<Reading> {
    let value = moments.mean_micro()?;
    let count = moments.count as f64;
    let mean = moments.sum() / count;
    let spread = moments.squares().map(|squares| (squares / count - mean * mean).max(0.0));
    let off = spread.map_or(0, |variance| ((variance / count).sqrt() * 1.96e6) as i64);
    Some(Reading {
        of: moments.count,
        value,
        low: value.saturating_sub(off),
        high: value.saturating_add(off),
    })
}

fn latency(histogram: &Histogram, quantile_bp: u16) -> Option<Reading> {
    let at = |q| quantile_us(histogram, q).map(|us| us.min(i64::MAX as u64) as i64);
    Some(Reading { of: histogram.total(), value: at(quantile_bp)?, low: at(5_000)?, high: at(9_900)? })
}

/// Quantiles of coarse buckets, values spread evenly over theirs.
fn bucketed(buckets: &[(u64, u64)], quantile_bp: u16) -> Option<Reading> {
    let total: u64 = buckets.iter().map(|(_, count)| count).sum();
    let at = |q_bp: u16| -> Option<i64> {
        let rank = total as f64 * f64::from(q_bp) / 1e4;
        let (mut seen, mut below) = (0.0, 0);
        for (edge, count) in buckets {
            let more = *count as f64;
            if seen + more >= rank && more > 0.0 {
                let known = if *edge == u64::MAX { below } else { *edge };
                let part = ((rank - seen) / more).clamp(0.0, 1.0);
                return Some((below as f64 + part * (known - below) as f64) as i64);
            }
            seen += more;
            below = if *edge == u64::MAX { below } else { *edge };
        }
        None
    };
    Some(Reading { of: total, value: at(quantile_bp)?, low: at(5_000)?, high: at(9_900)? })
}

fn mean(values: &[i64]) -> Option<Reading> {
    let count = values.len() as u64;
    let sum: i128 = values.iter().map(|value| i128::from(*value)).sum();
    let value = (sum / i128::from(count.max(1))) as i64;
    let (low, high) = (values.iter().min()?, values.iter().max()?);
    Some(Reading { of: count, value, low: *low, high: *high })
}
