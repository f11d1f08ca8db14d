//! The canary's share of the traffic over time.

use super::Chart;
use super::frame::{Drawing, Scale, stairs};
use crate::figures::{span, thousands};
use crate::report::{Report, StepSpan, cost};

/// The chart of the exposure; none where nothing was exposed.
pub(crate) fn exposure(report: &Report) -> Option<Chart> {
    let (first, last) = (report.steps.first()?, report.steps.last()?);
    let x = Scale::time(first.from_ms, last.to_ms);
    let highest = report.steps.iter().map(|step| step.weight.bp()).max().unwrap_or(0);
    let top = [100, 200, 500, 1_000, 2_500, 5_000, 10_000].into_iter().find(|top| *top >= highest);
    let y = Scale::up(f64::from(top.unwrap_or(10_000)));
    let mut drawing = Drawing::new();
    drawing.left_axis(&y, |value| format!("{}%", value / 100.0));
    drawing.time_axis(&x);
    let place = |step: &StepSpan| {
        (x.at(step.from_ms as f64), x.at(step.to_ms as f64), y.at(f64::from(step.weight.bp())))
    };
    let spans: Vec<(f64, f64, f64)> = report.steps.iter().map(place).collect();
    let upper = stairs(&spans);
    let lower: Vec<(f64, f64)> = upper.iter().map(|(x, _)| (*x, y.at(0.0))).collect();
    drawing.area("canary", &upper, &lower);
    drawing.line("canary", &upper);
    drawing.label("canary", upper[upper.len() - 1].1, "canary");
    super::verdict(&mut drawing, report, &x);
    let title = cost(&report.exposure);
    let subtitle = "the canary's share of the traffic".to_owned();
    let columns = ["step", "share", "from", "to", "canary requests", "baseline requests"];
    let row = |step: &StepSpan| {
        vec![
            step.name.clone(),
            step.weight.to_string(),
            span(step.from_ms),
            span(step.to_ms),
            thousands(step.canary),
            thousands(step.baseline),
        ]
    };
    Some(Chart {
        svg: drawing.finish(&title, &subtitle),
        title,
        subtitle,
        columns: columns.map(str::to_owned).to_vec(),
        rows: report.steps.iter().map(row).collect(),
        legend: Vec::new(),
    })
}
