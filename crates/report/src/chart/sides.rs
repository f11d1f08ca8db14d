//! Both sides over time: rates with the bands of tolerance, or quantiles of latency.

use super::Chart;
use super::frame::{Drawing, Scale};
use crate::bins::Reading;
use crate::figures::{bound, span};
use crate::report::{MetricReport, Point, Report, Unit};
use crate::words::figure;

/// The chart of a metric's figures.
pub(crate) fn sides(report: &Report, metric: &MetricReport) -> Chart {
    let points = &metric.points;
    let begin = points.first().map_or(0, |point| point.from_ms);
    let end = points.last().map_or(1, |point| point.to_ms);
    let x = Scale::time(begin, end);
    let limits = limits(metric);
    let y = height(metric, &limits);
    let mut drawing = Drawing::new();
    if metric.unit != Unit::Us
        && let (Some(tolerated), Some(red)) = (limits.tolerated, limits.red)
    {
        drawing.band("warn-band", y.at(tolerated), y.at(red));
        drawing.band("bad-band", y.at(red), y.at(f64::INFINITY));
        drawing.label("bad", y.at(red), &format!("red: {}", bound(metric.red_bp.unwrap_or_default())));
    }
    drawing.left_axis(&y, |value| figure(metric.unit, value as i64));
    drawing.time_axis(&x);
    let held = metric.rollback_above.or(metric.hold_above).map(|band| band as f64);
    if let Some(band) = held.filter(|band| *band <= limits.top) {
        drawing.across("limit", y.at(band));
        drawing.label("muted", y.at(band), "limit");
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
        legend: legend(report, metric, limits.red.is_some()),
    }
}

struct Limits {
    tolerated: Option<f64>,
    red: Option<f64>,
    /// As high as anything that is drawn.
    top: f64,
}

/// The bands over the baseline's figure of the whole time.
fn limits(metric: &MetricReport) -> Limits {
    let baseline = metric.finding.baseline.as_ref().and_then(|side| match metric.unit {
        Unit::Ppm => (side.requests > 0).then(|| side.bad as f64 * 1e6 / side.requests as f64),
        _ => side.value.map(|value| value as f64),
    });
    let slack = if metric.unit == Unit::Ppm { f64::from(metric.slack_ppm) } else { 0.0 };
    let over = |bp: Option<u32>| Some(baseline? * f64::from(bp?) / 1e4 + slack);
    let readings = metric.points.iter().flat_map(|point| [point.canary, point.baseline]).flatten();
    let highest = |reading: Reading| match metric.unit {
        Unit::Us => reading.high as f64,
        // A wide interval of a bin with few requests must not flatten everything else.
        _ => reading.value as f64 * 1.15,
    };
    let seen = readings.map(highest).fold(0.0, f64::max);
    let red = over(metric.red_bp);
    let top = seen.max(red.unwrap_or(0.0) * 1.25).max(10.0);
    Limits { tolerated: over(metric.tolerance_bp), red, top }
}

fn height(metric: &MetricReport, limits: &Limits) -> Scale {
    if metric.unit != Unit::Us {
        return Scale::up(limits.top);
    }
    let readings = metric.points.iter().flat_map(|point| [point.canary, point.baseline]).flatten();
    let lowest = readings.map(|reading| reading.low as f64).fold(f64::INFINITY, f64::min);
    Scale::up_log(if lowest.is_finite() { lowest * 0.8 } else { 1.0 }, limits.top * 1.15)
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
        let height = |point: &Point| side(point).map(|reading| y.at(value(&reading) as f64));
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
        (Unit::Ppm, _) => format!("{name}: share of bad requests over time"),
        (Unit::Us, Some(bp)) => {
            format!("{name}: p{} (bold) and p50 (thin) over time", f64::from(bp) / 100.0)
        }
        _ => format!("{name}: its value over time"),
    }
}

fn legend(report: &Report, metric: &MetricReport, bands: bool) -> Vec<(&'static str, String)> {
    let mut legend = super::sides_legend(report);
    if metric.unit == Unit::Ppm {
        legend.push(("canary-area", "its 95% interval".to_owned()));
    }
    if bands && metric.unit != Unit::Us {
        legend.push(("warn-band", "more than tolerated".to_owned()));
        legend.push(("bad-band", "red".to_owned()));
    }
    legend
}

fn table(metric: &MetricReport) -> (Vec<String>, Vec<Vec<String>>) {
    let of = if metric.unit == Unit::Micro { "values" } else { "requests" };
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
