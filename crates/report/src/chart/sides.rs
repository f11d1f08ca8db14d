//! Both sides over time: rates with the bands of tolerance, or quantiles of latency.

use super::Chart;
use super::frame::{Drawing, Scale};
use crate::bins::Reading;
use crate::figures::{bound, span};
use crate::report::{MetricReport, Point, Report, Unit};
use crate::words::figure;

/// All of it, in parts per million.
const ALL_PPM: f64 = 1e6;

/// Bytes in a MiB.
const MIB: f64 = 1_048_576.0;

/// The chart of a metric's figures.
pub(crate) fn sides(report: &Report, metric: &MetricReport) -> Chart {
    let points = &metric.points;
    let begin = points.first().map_or(0, |point| point.from_ms);
    let end = points.last().map_or(1, |point| point.to_ms);
    let x = Scale::time(begin, end);
    let [low, top] = extent(metric);
    let y = height(metric, low, top);
    let mut drawing = Drawing::new();
    let has_bands = bands(&mut drawing, metric, &y, [low, top]);
    drawing.left_axis(&y, |value| figure(metric.unit, value_of(metric.unit, value)));
    drawing.time_axis(&x);
    for band in limits(metric).into_iter().flatten().map(|band| place_of(metric.unit, band as i64)) {
        if (low..=top).contains(&band) {
            drawing.across("limit", y.at(band));
            drawing.label("muted", y.at(band), "limit");
        }
    }
    steps(&mut drawing, report, &x, (begin, end));
    both(&mut drawing, metric, &x, &y);
    super::verdict(&mut drawing, report, &x);
    let subtitle = subtitle(metric);
    let (columns, rows) = table(metric);
    Chart {
        title: metric.title.clone(),
        svg: drawing.finish(&metric.title, &subtitle),
        subtitle,
        columns,
        rows,
        legend: legend(report, metric, has_bands),
    }
}

/// Bytes are drawn in MiB, so that the figures at the axis are round.
fn place_of(unit: Unit, value: i64) -> f64 {
    if unit == Unit::Bytes { value as f64 / MIB } else { value as f64 }
}

fn value_of(unit: Unit, place: f64) -> i64 {
    if unit == Unit::Bytes { (place * MIB) as i64 } else { place as i64 }
}

/// What is tolerated and what is red, where both are known and the figure is no latency (whose axis goes by factors).
fn bands(drawing: &mut Drawing, metric: &MetricReport, y: &Scale, [low, top]: [f64; 2]) -> bool {
    let (Some(tolerated), Some(red)) = (metric.tolerated_at, metric.red_at) else { return false };
    if metric.unit == Unit::Us {
        return false;
    }
    let [tolerated, red] = [tolerated, red].map(|value| place_of(metric.unit, value));
    let beyond = if metric.lower_is_worse { low } else { f64::INFINITY };
    if (metric.lower_is_worse && tolerated <= low) || (!metric.lower_is_worse && tolerated >= top) {
        return false;
    }
    drawing.band("warn-band", y.at(tolerated), y.at(red));
    if (metric.lower_is_worse && red > low) || (!metric.lower_is_worse && red < top) {
        drawing.band("bad-band", y.at(red), y.at(beyond));
        drawing.label("bad", y.at(red), &format!("red: {}", bound(metric.red_bp.unwrap_or_default())));
    }
    true
}

/// The absolute bands: the harder one on either side.
fn limits(metric: &MetricReport) -> [Option<u64>; 2] {
    [metric.rollback_above.or(metric.hold_above), metric.rollback_below.or(metric.hold_below)]
}

/// The lowest and the highest figure that is drawn.
fn extent(metric: &MetricReport) -> [f64; 2] {
    let readings = || metric.points.iter().flat_map(|point| [point.canary, point.baseline]).flatten();
    let highest = |reading: Reading| match metric.unit {
        Unit::Us => reading.high as f64,
        // Nothing lies beyond all of it, which leaves room for what is written there.
        _ if metric.routed => 1.12e6,
        // A wide interval of a bin with few requests must not flatten everything else.
        _ => place_of(metric.unit, reading.value) * 1.15,
    };
    let seen = readings().map(highest).fold(0.0, f64::max);
    let red = metric.red_at.map_or(0.0, |red| place_of(metric.unit, red));
    let red = if metric.lower_is_worse { red } else { red * 1.25 };
    // A limit just above what was seen belongs into the picture, one far off does not.
    let near = limits(metric)[0].map(|limit| place_of(metric.unit, limit as i64) * 1.1);
    let near = near.filter(|limit| *limit < 4.0 * seen.max(red)).unwrap_or(0.0);
    // Where nothing was seen, an axis of round figures: 0.1% at its top.
    let least = match metric.unit {
        Unit::Bytes => 1.0,
        _ if seen == 0.0 => 1_000.0,
        _ => 10.0,
    };
    let lowest = readings().map(|reading| place_of(metric.unit, reading.value)).fold(0.0, f64::min);
    let top = seen.max(red).max(near).max(least);
    // A share is of a whole: nothing lies beyond all of it but what is written there.
    let top = if metric.unit == Unit::Ppm { top.min(ALL_PPM * 1.12) } else { top };
    [lowest * 1.15, top]
}

fn height(metric: &MetricReport, low: f64, top: f64) -> Scale {
    if metric.unit != Unit::Us {
        return Scale::between(low, top);
    }
    let readings = metric.points.iter().flat_map(|point| [point.canary, point.baseline]).flatten();
    let lowest = readings.map(|reading| reading.low as f64).fold(f64::INFINITY, f64::min);
    Scale::up_log(if lowest.is_finite() { lowest * 0.8 } else { 1.0 }, top * 1.15)
}

/// Where a step begins, with its share of the traffic.
fn steps(drawing: &mut Drawing, report: &Report, x: &Scale, (begin, end): (u64, u64)) {
    for step in report.steps.iter().skip(1).filter(|step| (begin + 1..end).contains(&step.from_ms)) {
        drawing.upright("step", x.at(step.from_ms as f64), "");
        drawing.text("axis start", x.at(step.from_ms as f64) + 3.0, 32.0, &step.weight.to_string());
    }
}

fn both(drawing: &mut Drawing, metric: &MetricReport, x: &Scale, y: &Scale) {
    let middle = |point: &Point| x.at((point.from_ms + point.to_ms) as f64 / 2.0);
    let line = |side: fn(&Point) -> Option<Reading>, value: fn(&Reading) -> i64| -> Vec<(f64, f64)> {
        let unit = metric.unit;
        let height = |point: &Point| side(point).map(|reading| y.at(place_of(unit, value(&reading))));
        let mut places: Vec<(f64, f64)> =
            metric.points.iter().filter_map(|point| Some((middle(point), height(point)?))).collect();
        // A span's figure holds for all of it, also at both ends of the chart.
        let ends = metric.points.first().zip(metric.points.last());
        if let Some((first, last)) = ends.filter(|(first, last)| side(first).and(side(last)).is_some()) {
            places.insert(0, (x.at(first.from_ms as f64), places[0].1));
            places.push((x.at(last.to_ms as f64), places[places.len() - 1].1));
        }
        places
    };
    let (canary, baseline) = (|point: &Point| point.canary, |point: &Point| point.baseline);
    if metric.unit == Unit::Us {
        drawing.line("baseline thin", &line(baseline, |reading| reading.low));
        drawing.line("canary thin", &line(canary, |reading| reading.low));
    } else {
        drawing.area("canary", &line(canary, |reading| reading.high), &line(canary, |reading| reading.low));
    }
    for (class, side) in [("baseline", baseline as fn(&Point) -> Option<Reading>), ("canary", canary)] {
        let points = line(side, |reading| reading.value);
        drawing.line(class, &points);
        if let Some((_, y)) = points.last() {
            drawing.label(class, *y, class);
        }
    }
}

fn subtitle(metric: &MetricReport) -> String {
    let name = &metric.finding.metric;
    match (metric.unit, metric.quantile_bp) {
        (Unit::Ppm, _) if metric.routed => {
            format!("{name}: answered requests as a share of those routed there, over time")
        }
        (Unit::Ppm, _) if metric.lower_is_worse => format!("{name}: its share over time (less is worse)"),
        (Unit::Ppm, _) if metric.instances => format!("{name}: share of instances restarted so far"),
        (Unit::Ppm, _) => format!("{name}: share of bad requests over time"),
        (Unit::Bytes, _) => format!("{name}: the largest instance over time"),
        (Unit::Milli, _) if metric.instances => format!("{name}: cores of the busiest instance over time"),
        (Unit::Milli, _) => format!("{name}: times the burn that the budget allows, over time"),
        _ if metric.lower_is_worse => format!("{name}: its value over time (less is worse)"),
        (Unit::Us, Some(bp)) => {
            format!("{name}: p{} (bold) and p50 (thin) over time", f64::from(bp) / 100.0)
        }
        _ if !metric.per.is_empty() => format!("{name}: {}, over time", metric.per),
        _ => format!("{name}: its value over time"),
    }
}

fn legend(report: &Report, metric: &MetricReport, bands: bool) -> Vec<(&'static str, String)> {
    let mut legend = super::sides_legend(report);
    let is_wide = |point: &Point| point.canary.is_some_and(|reading| reading.low < reading.high);
    if metric.unit != Unit::Us && metric.points.iter().any(is_wide) {
        let words = match metric.unit {
            Unit::Bytes => "its least and most",
            _ if metric.instances => "its least and most",
            Unit::Micro if !metric.means => "its least and most",
            _ => "its 95% interval",
        };
        legend.push(("canary-area", words.to_owned()));
    }
    if bands {
        legend.push(("warn-band", "more than tolerated".to_owned()));
        legend.push(("bad-band", "red".to_owned()));
    }
    legend
}

fn table(metric: &MetricReport) -> (Vec<String>, Vec<Vec<String>>) {
    let of = match metric.unit {
        _ if metric.instances => "instances",
        Unit::Micro if metric.per.is_empty() => "values",
        _ => "requests",
    };
    let columns = ["from", "to", "canary", of, "baseline", of].map(str::to_owned).to_vec();
    let side = |reading: Option<Reading>| match reading {
        Some(reading) => [figure(metric.unit, reading.value), crate::figures::thousands(reading.of)],
        None => ["none".to_owned(), "0".to_owned()],
    };
    let row = |point: &Point| {
        let times = [span(point.from_ms), span(point.to_ms)];
        times.into_iter().chain(side(point.canary)).chain(side(point.baseline)).collect()
    };
    (columns, metric.points.iter().map(row).collect())
}
