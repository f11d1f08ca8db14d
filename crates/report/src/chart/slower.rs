//! The two distributions of latency: how many requests are slower than so much.

use super::Chart;
use super::frame::{Drawing, Scale};
use crate::figures::{micros, ppm};
use crate::report::{MetricReport, Report, Slower};
use taxiway_model::verdict::SideFinding;

/// Below this share the chart ends: a request in a thousand.
const LOWEST_PPM: f64 = 1_000.0;

/// A difference of shares below which two distributions look alike.
const TRIFLE: f64 = 0.05;

/// The chart of both distributions; none where a side has no latencies.
pub(crate) fn slower(report: &Report, metric: &MetricReport) -> Option<Chart> {
    let points: Vec<Slower> = shown(&metric.slower);
    let (first, last) = (points.first()?, points.last()?);
    let x = Scale::right_log(first.us.max(1) as f64, last.us.max(2) as f64);
    let y = Scale::up_log(LOWEST_PPM, 1e6);
    let mut drawing = Drawing::new();
    drawing.left_axis(&y, |value| ppm(value as i64));
    drawing.bottom_axis(&x, |value| micros(value as i64));
    for (class, side) in [
        ("baseline", (|point| point.baseline_ppm) as fn(&Slower) -> u32),
        ("canary", |point| point.canary_ppm),
    ] {
        let place = |point: &Slower| (x.at(point.us as f64), y.at(f64::from(side(point))));
        let line: Vec<(f64, f64)> = points.iter().map(place).collect();
        drawing.line(class, &line);
    }
    let title = title(report, metric, &points);
    let subtitle = "share of requests slower than so much, both axes by factors".to_owned();
    let columns = ["slower than", "canary", "baseline"].map(str::to_owned).to_vec();
    let row = |point: &Slower| {
        vec![micros(point.us as i64), ppm(i64::from(point.canary_ppm)), ppm(i64::from(point.baseline_ppm))]
    };
    let every = points.len().div_ceil(24).max(1);
    let rows = points.iter().step_by(every).map(row).collect();
    let svg = drawing.finish(&title, &subtitle);
    Some(Chart { title, subtitle, svg, columns, rows, legend: super::sides_legend(report) })
}

/// The part in which something happens.
fn shown(points: &[Slower]) -> Vec<Slower> {
    let both = |point: &Slower, holds: fn(u32) -> bool| holds(point.canary_ppm) && holds(point.baseline_ppm);
    let begin = points.iter().rposition(|point| both(point, |ppm| ppm > 995_000)).unwrap_or(0);
    let end = points.iter().position(|point| both(point, |ppm| f64::from(ppm) < LOWEST_PPM));
    points[begin..end.map_or(points.len(), |end| end + 1)].to_vec()
}

/// Where the two lie furthest apart, if that is more than chance and more than a trifle.
fn title(report: &Report, metric: &MetricReport, points: &[Slower]) -> String {
    let gap = |point: &&Slower| point.canary_ppm.abs_diff(point.baseline_ppm);
    let Some(widest) = points.iter().max_by_key(gap) else { return "No latencies".to_owned() };
    let requests = |side: Option<&SideFinding>| side.map_or(1.0, |side| side.requests.max(1) as f64);
    let (canary, baseline) = (Some(&metric.finding.canary), metric.finding.baseline.as_ref());
    // Kolmogorov and Smirnov's two-sample bound at 5 %; for this title only.
    let chance = 1.36 * (1.0 / requests(canary) + 1.0 / requests(baseline)).sqrt();
    let is_wide = f64::from(gap(&widest)) / 1e6 >= chance.max(TRIFLE);
    // Where the judge has shown more than that bound can, it is the slow end that differs.
    let widest = if metric.finding.shown && !is_wide { slow_end(points).unwrap_or(widest) } else { widest };
    if !is_wide && !metric.finding.shown {
        return "Both sides are about equally fast".to_owned();
    }
    format!(
        "{} of {}'s requests take longer than {}, {} of the baseline's",
        ppm(i64::from(widest.canary_ppm)),
        report.subject.canary,
        micros(widest.us as i64),
        ppm(i64::from(widest.baseline_ppm))
    )
}

/// Where the canary's requests beyond most exceed the baseline's, measured by what chance would do there.
fn slow_end(points: &[Slower]) -> Option<&Slower> {
    let excess = |point: &&Slower| {
        let (canary, baseline) = (f64::from(point.canary_ppm), f64::from(point.baseline_ppm));
        if canary > baseline { (canary - baseline) * (canary - baseline) / (canary + baseline) } else { 0.0 }
    };
    points.iter().max_by(|a, b| excess(a).total_cmp(&excess(b)))
}
