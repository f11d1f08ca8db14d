//! Courses of what is neither a rate of failed requests, nor a latency, nor a query: budgets burnt, the
//! split of the traffic, what instances use, and what that costs.

use crate::bins::Reading;
use crate::recording::{Recording, Seen};
use std::collections::BTreeMap;
use taxiway_model::evidence::Gauge;
use taxiway_model::metrics::{Sample, Tally};
use taxiway_model::policy::{Counter, Measure, MetricPolicy, POINT_MS, Prices};
use taxiway_model::weight::WeightBp;
use taxiway_stats::{Arm, interval};

/// Core-microseconds in an hour of a core.
const HOUR_US: f64 = 3.6e9;

/// Bytes in a GiB.
const GIB: f64 = 1_073_741_824.0;

/// The windows of a bin.
#[derive(Clone, Copy)]
pub(crate) struct Span<'a> {
    pub recording: &'a Recording,
    pub windows: &'a [&'a Seen],
    pub to_ms: u64,
}

/// What a metric shows of both sides in a bin, canary first.
pub(crate) fn readings(
    span: Span<'_>,
    metric: &MetricPolicy,
    prices: Option<&Prices>,
) -> [Option<Reading>; 2] {
    match metric.measure {
        Measure::Burn { budget_ppm, by, .. } => [0, 1].map(|side| burn(span, metric, by, budget_ppm, side)),
        Measure::Throughput => [0, 1].map(|side| routed(span, side)),
        Measure::Memory => [0, 1].map(|side| largest(span, side, |gauge| gauge.memory_bytes)),
        Measure::Cpu => [0, 1].map(|side| largest(span, side, |gauge| u64::from(gauge.cpu_milli))),
        Measure::Restarts => [0, 1].map(|side| restarted(span, side)),
        Measure::Cost => prices.map_or([None, None], |prices| cost(span, prices)),
        _ => [None, None],
    }
}

fn gauges(seen: &Seen, side: usize) -> &[Gauge] {
    [&seen.window.gauges.canary, &seen.window.gauges.baseline][side]
}

fn requests(seen: &Seen, side: usize) -> u64 {
    if side == 0 { seen.window.canary_total().requests } else { seen.window.baseline_total().requests }
}

/// The burn of a budget, in thousandths, with its 95 % interval.
fn burn(span: Span<'_>, metric: &MetricPolicy, by: Counter, budget_ppm: u32, side: usize) -> Option<Reading> {
    let mut sum = Tally::default();
    let mut since_ms = POINT_MS;
    for seen in span.windows {
        let more = if by == Counter::Router {
            router(seen, metric, side)
        } else {
            since_ms += seen.window.span_ms;
            asked(seen, metric, by, side, &mut since_ms)
        };
        sum.total = sum.total.saturating_add(more.total);
        sum.bad = sum.bad.saturating_add(more.bad);
    }
    let arm = Arm { total: sum.total, bad: sum.bad.min(sum.total) };
    if arm.total == 0 {
        return None;
    }
    let budget = f64::from(budget_ppm.max(1)) / 1e6;
    let milli = |share: f64| libm::round((share / budget).min(1e9) * 1e3) as i64;
    let [low, high] = interval::wilson(arm, 0.95).map(milli);
    Some(Reading { of: arm.total, value: milli(arm.bad as f64 / arm.total as f64), low, high })
}

fn router(seen: &Seen, metric: &MetricPolicy, side: usize) -> Tally {
    let classes = [&seen.window.canary, &seen.window.baseline][side];
    let wanted = |class: &String| metric.endpoint.as_ref().is_none_or(|name| class == name);
    let counts = classes.iter().filter(|(class, _)| wanted(class)).map(|(_, counts)| counts);
    counts.fold(Tally::default(), |sum, counts| Tally {
        total: sum.total.saturating_add(counts.requests),
        bad: sum.bad.saturating_add(counts.errors()),
    })
}

/// What a source says of an SLO: counts, or values that each are one point in time.
fn asked(seen: &Seen, metric: &MetricPolicy, by: Counter, side: usize, since_ms: &mut u64) -> Tally {
    match seen.window.metrics.get(&metric.name) {
        Some(Sample::Counts { canary, baseline }) => {
            let tally = [*canary, *baseline][side];
            let good = tally.total.saturating_sub(tally.bad);
            Tally { bad: if by == Counter::Good { good } else { tally.bad }, ..tally }
        }
        Some(Sample::Scalar { canary, baseline }) if *since_ms >= POINT_MS => {
            *since_ms = 0;
            let Some(value) = [*canary, *baseline][side] else { return Tally::default() };
            let is_bad = match by {
                Counter::Above(most) => i128::from(value) > i128::from(most),
                Counter::Below(least) => i128::from(value) < i128::from(least),
                _ => false,
            };
            Tally { total: 1, bad: u64::from(is_bad) }
        }
        _ => Tally::default(),
    }
}

/// What a side answered of what was routed to it, in parts per million: 1,000,000 is all of it.
fn routed(span: Span<'_>, side: usize) -> Option<Reading> {
    let (mut mine, mut all, mut expected) = (0_u64, 0_u64, 0.0);
    for seen in span.windows {
        let weight = seen.window.share(span.recording.weight(seen.window.step));
        if weight == WeightBp::ZERO || weight == WeightBp::ALL {
            continue;
        }
        let both = requests(seen, 0).saturating_add(requests(seen, 1));
        let canary = f64::from(weight.bp()) / 1e4;
        mine = mine.saturating_add(requests(seen, side));
        all = all.saturating_add(both);
        expected += both as f64 * if side == 0 { canary } else { 1.0 - canary };
    }
    if all == 0 || expected <= 0.0 {
        return None;
    }
    let ppm = |share: f64| libm::round((share * all as f64 / expected).min(1e3) * 1e6) as i64;
    let [low, high] = interval::wilson(Arm { total: all, bad: mine.min(all) }, 0.95).map(ppm);
    Some(Reading { of: mine, value: ppm(mine as f64 / all as f64), low, high })
}

/// The largest instance, on average over the bin; its least and its most.
fn largest(span: Span<'_>, side: usize, of: impl Fn(&Gauge) -> u64) -> Option<Reading> {
    let tops: Vec<u64> =
        span.windows.iter().filter_map(|seen| gauges(seen, side).iter().map(&of).max()).collect();
    let sum: u128 = tops.iter().map(|top| u128::from(*top)).sum();
    let whole = |value: u64| value.min(i64::MAX as u64) as i64;
    let mean = u64::try_from(sum.checked_div(tops.len() as u128)?).ok()?;
    let instances = span.windows.iter().map(|seen| gauges(seen, side).len()).max().unwrap_or(0);
    Some(Reading {
        of: instances as u64,
        value: whole(mean),
        low: whole(*tops.iter().min()?),
        high: whole(*tops.iter().max()?),
    })
}

/// The share of the instances that were restarted so far: of the canary ever, of the baseline since the release began.
fn restarted(span: Span<'_>, side: usize) -> Option<Reading> {
    let mut instances: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
    for seen in span.recording.windows.iter().filter(|seen| seen.at_ms <= span.to_ms) {
        for gauge in gauges(seen, side) {
            let first = if side == 0 { 0 } else { gauge.restarts };
            let known = instances.entry(gauge.instance).or_insert((first, gauge.restarts));
            known.1 = known.1.max(gauge.restarts);
        }
    }
    let all = instances.len() as u64;
    let bad = instances.values().filter(|(first, last)| last > first).count() as u64;
    let value = (bad * 1_000_000).checked_div(all)? as i64;
    Some(Reading { of: all, value, low: value, high: value })
}

/// What 1,000 requests cost, in millionths of the currency. As the judge has it, both sides' memory is reckoned at the
/// baseline's load.
fn cost(span: Span<'_>, prices: &Prices) -> [Option<Reading>; 2] {
    let used = [0, 1].map(|side| Used::of(span, side));
    let load = used[1].load();
    used.map(|used| {
        let micro = libm::round(used.micro(load, prices)? * 1e3) as i64;
        Some(Reading { of: used.requests, value: micro, low: micro, high: micro })
    })
}

#[derive(Debug, Default)]
struct Used {
    requests: u64,
    instances: u64,
    cpu_us: f64,
    memory_byte_ms: f64,
    span_ms: u64,
}

impl Used {
    fn of(span: Span<'_>, side: usize) -> Self {
        let mut used = Self::default();
        for seen in span.windows.iter().filter(|seen| !gauges(seen, 0).is_empty()) {
            let gauges = gauges(seen, side);
            let ms = seen.window.span_ms;
            used.requests = used.requests.saturating_add(requests(seen, side));
            used.instances = gauges.len() as u64;
            used.cpu_us += gauges.iter().map(|gauge| f64::from(gauge.cpu_milli)).sum::<f64>() * ms as f64;
            used.memory_byte_ms +=
                gauges.iter().map(|gauge| gauge.memory_bytes as f64).sum::<f64>() * ms as f64;
            used.span_ms += ms;
        }
        used
    }

    /// Requests per instance and second.
    fn load(&self) -> Option<f64> {
        (self.instances > 0 && self.span_ms > 0 && self.requests > 0)
            .then(|| self.requests as f64 * 1e3 / self.instances as f64 / self.span_ms as f64)
    }

    fn micro(&self, load: Option<f64>, prices: &Prices) -> Option<f64> {
        if self.requests == 0 {
            return None;
        }
        let cpu = self.cpu_us / HOUR_US * prices.cpu_hour_micro as f64 / self.requests as f64;
        let instance_ms = self.instances as f64 * self.span_ms as f64;
        let memory = load.filter(|_| instance_ms > 0.0).map_or(0.0, |load| {
            self.memory_byte_ms / instance_ms / GIB * prices.memory_gib_hour_micro as f64 / 3_600.0 / load
        });
        Some(cpu + memory)
    }
}
