//! Canary beside baseline, over the same seconds.

use super::evidence::shortened;
use super::figures::{latency, rate, thousands};
use super::ink::{Ink, LABEL_COLUMNS, Line};
use taxiway_api::{Flight, Side};
use taxiway_model::weight::WeightBp;

/// Where the columns of figures end.
const ENDS: [usize; 6] = [34, 43, 52, 60, 68, 76];
/// Longest version name that leaves the figures in place.
const NAME_CHARS_MAX: usize = 13;

/// The table; empty before there is any evidence.
pub(super) fn sides(flight: &Flight) -> Vec<Line> {
    let rows: Vec<(&str, &Side, Option<&Side>)> = [
        flight.canary.as_ref().map(|side| ("canary", side, flight.side_baseline.as_ref())),
        flight.side_baseline.as_ref().map(|side| ("baseline", side, None)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let mut head = Line::new();
    for (end, title) in ENDS.into_iter().zip(["requests", "errors", "p50", "p95", "p99", "ready"]) {
        head = head.right(end, Ink::Faint, title);
    }
    let mut lines = vec![head];
    lines.extend(rows.into_iter().map(|(label, side, other)| row(label, side, other)));
    // The old version has no traffic any more: its figures are those it had.
    let at_all = flight.weight_intended == WeightBp::ALL;
    if let Some(side) = flight.side_baseline.as_ref().filter(|side| at_all && side.requests > 0) {
        let text = format!("{} is of before: at 100% no baseline is live", side.version.for_people());
        lines.push(Line::new().to(LABEL_COLUMNS).put(Ink::Faint, &text));
    }
    if let Some([canary, baseline]) = flight.compared {
        let text = format!(
            "judged: {} and {} of these, from when both sides had requests",
            thousands(canary),
            thousands(baseline)
        );
        lines.push(Line::new().to(LABEL_COLUMNS).put(Ink::Faint, &text));
    }
    lines
}

fn row(label: &str, side: &Side, other: Option<&Side>) -> Line {
    let name = shortened(&side.version.for_people(), NAME_CHARS_MAX);
    let figure = |value: Option<u64>, shown: fn(u64) -> String| value.map_or("-".to_owned(), shown);
    let errors = figure(side.error_ppm, rate);
    let latencies = [side.p50_us, side.p95_us, side.p99_us].map(|us| figure(us, latency));
    let others = other.map(|other| [other.p50_us, other.p95_us, other.p99_us]);
    let mut line = Line::new().plain(" ").put(Ink::Faint, label).to(LABEL_COLUMNS).put(Ink::Strong, &name);
    line = line.right(ENDS[0], Ink::Plain, &thousands(side.requests));
    let error_ink = error_ink(side, other);
    line = line.right(ENDS[1], error_ink, &errors);
    let mine = [side.p50_us, side.p95_us, side.p99_us];
    for (i, text) in latencies.iter().enumerate() {
        let ink = match (mine[i], others.and_then(|others| others[i])) {
            // A guide for the eye, not a verdict: half as slow again as the baseline.
            (Some(us), Some(other)) if us > other.saturating_mul(3) / 2 => Ink::Warn,
            _ => Ink::Plain,
        };
        line = line.right(ENDS[2 + i], ink, text);
    }
    let ready_ink = if side.ready < side.wanted { Ink::Warn } else { Ink::Plain };
    line.right(ENDS[5], ready_ink, &format!("{}/{}", side.ready, side.wanted))
}

/// Twice the baseline's rate and above one in a thousand draws the eye.
fn error_ink(side: &Side, other: Option<&Side>) -> Ink {
    match (side.error_ppm, other.and_then(|other| other.error_ppm)) {
        (Some(ppm), Some(other)) if ppm > 1_000 && ppm > other.saturating_mul(2) => Ink::Bad,
        _ => Ink::Plain,
    }
}
