//! The evidence over time, as a part of what is needed: against the canary, and for the exclusion.

use super::Chart;
use super::frame::{Drawing, Scale};
use crate::figures::{bound, span};
use crate::report::{MetricReport, Report, Weighed};
use crate::words::weighed;
use taxiway_model::verdict::Verdict;

/// As far above "enough" as is drawn; more says nothing more.
const TOP_PERCENT: f64 = 160.0;

/// The chart of a metric's evidence.
pub(crate) fn evidence(report: &Report, metric: &MetricReport) -> Chart {
    let points = &metric.evidence;
    let begin = report.steps.first().map_or(0, |step| step.from_ms);
    let end = points.last().map_or(begin + 1, |point| point.at_ms);
    let x = Scale::time(begin, end);
    let against = |point: &Weighed| part(point.against_milli, metric.finding.against_needed_milli);
    let need = metric.for_needed_milli.unwrap_or_default();
    let excluded = |point: &Weighed| point.for_milli.map(|have| part(have, need));
    let highest = points.iter().map(against).chain(points.iter().filter_map(excluded)).fold(0.0, f64::max);
    let y = Scale::up((highest * 1.05).clamp(120.0, TOP_PERCENT));
    let mut drawing = Drawing::new();
    drawing.left_axis(&y, |value| format!("{value:.0}%"));
    drawing.time_axis(&x);
    drawing.across("enough", y.at(100.0));
    drawing.label("muted", y.at(100.0), "enough");
    let start = (x.at(begin as f64), y.at(0.0));
    let place = |point: &Weighed, percent: f64| (x.at(point.at_ms as f64), y.at(percent));
    let line = |values: Vec<(f64, f64)>| -> Vec<(f64, f64)> { [start].into_iter().chain(values).collect() };
    let good = line(points.iter().filter_map(|p| excluded(p).map(|percent| place(p, percent))).collect());
    let bad = line(points.iter().map(|p| place(p, against(p))).collect());
    if good.len() > 1 {
        drawing.line("good", &good);
        drawing.label("good", good[good.len() - 1].1, "for");
    }
    drawing.line("bad", &bad);
    drawing.label("bad", bad[bad.len() - 1].1, "against");
    if let (Verdict::Rollback, Some(at_ms)) = (report.verdict, report.at_ms) {
        drawing.veil(x.at(at_ms as f64));
    }
    if let Some(at_ms) = metric.shown_ms.filter(|_| metric.finding.shown) {
        drawing.upright("verdict", x.at(at_ms as f64), &format!("shown after {}", span(at_ms)));
        drawing.dot("bad", x.at(at_ms as f64), y.at(100.0));
    } else if let Some(at_ms) = metric.excluded_ms {
        drawing.upright("passed", x.at(at_ms as f64), &format!("excluded after {}", span(at_ms)));
        drawing.dot("good", x.at(at_ms as f64), y.at(100.0));
    }
    let title = weighed(metric);
    let subtitle = format!("{}: evidence, in percent of what is needed", metric.finding.metric);
    let (columns, rows) = table(metric);
    Chart {
        svg: drawing.finish(&title, &subtitle),
        title,
        subtitle,
        columns,
        rows,
        legend: legend(report, metric),
    }
}

/// Evidence in percent of what is needed; none is nothing.
fn part(have_milli: i64, need_milli: i64) -> f64 {
    if need_milli <= 0 { 100.0 } else { have_milli.max(0) as f64 * 100.0 / need_milli as f64 }
}

fn legend(report: &Report, metric: &MetricReport) -> Vec<(&'static str, String)> {
    let tolerated = metric.tolerance_bp.map_or_else(
        || "against: beyond its limit".to_owned(),
        |bp| format!("against: worse than {} the baseline", bound(bp)),
    );
    let mut legend = vec![("bad", tolerated)];
    if let (Some(bp), true) = (report.rules.exclude_bp, metric.for_needed_milli.is_some()) {
        legend.push(("good", format!("for: {} as bad is excluded, or what an earlier step asks", bound(bp))));
    }
    legend
}

/// At most two dozen rows: a table is read, not plotted.
fn table(metric: &MetricReport) -> (Vec<String>, Vec<Vec<String>>) {
    let columns = ["at", "against", "for"].map(str::to_owned).to_vec();
    let every = metric.evidence.len().div_ceil(24).max(1);
    let need = metric.for_needed_milli.unwrap_or_default();
    let row = |point: &Weighed| {
        let excluded =
            point.for_milli.map_or_else(|| "-".to_owned(), |have| format!("{:.0}%", part(have, need)));
        let against = part(point.against_milli, metric.finding.against_needed_milli);
        vec![span(point.at_ms), format!("{against:.0}%"), excluded]
    };
    let last =
        metric.evidence.last().filter(|_| !metric.evidence.len().saturating_sub(1).is_multiple_of(every));
    (columns, metric.evidence.iter().step_by(every).chain(last).map(row).collect())
}
