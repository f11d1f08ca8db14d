//! Every metric of a plan, for whoever asks why.

use super::Paper;
use super::evidence::{interval, shortened, state_words, tone};
use super::figures::{latency, rate, ratio, thousands};
use super::ink::{Ink, Line, broken, clean};
use taxiway_api::MetricView;
use taxiway_model::policy::Measure;
use taxiway_model::verdict::{SideFinding, Verdict};

/// Where the words under a metric begin.
const INDENT: usize = 5;

/// Where the columns end.
const CANARY_END: usize = 36;
const BASELINE_END: usize = 55;

/// Evidence against a metric (in thousandths of its logarithm) that is worth a line: a chance of one in
/// two. Below, it is what noise looks like.
const WORTH_SAYING_MILLI: i64 = 693;

/// A line per metric with both sides, and what the evidence says; all of it where `full`.
pub(super) fn metrics(views: &[MetricView], said: &str, full: bool, paper: &Paper) -> Vec<Line> {
    if views.is_empty() {
        return Vec::new();
    }
    let head = Line::new().to(3).put(Ink::Faint, "metric").right(CANARY_END, Ink::Faint, "canary");
    let head = head.right(BASELINE_END, Ink::Faint, "baseline");
    let mut lines = vec![head.to(BASELINE_END + 2).put(Ink::Faint, "ratio (95%)")];
    for view in views {
        lines.push(row(view));
        lines.extend(words(view, said, full, paper));
    }
    lines
}

fn row(view: &MetricView) -> Line {
    let (ink, mark) = match &view.finding {
        Some(_) if !view.required => (Ink::Faint, "·"),
        Some(finding) => tone(finding.verdict),
        None => (Ink::Faint, "○"),
    };
    let name = shortened(view.name.as_str(), 16);
    let line = Line::new().plain(" ").put(ink, mark).plain(" ").put(Ink::Strong, &name);
    let Some(finding) = &view.finding else {
        let when = match &view.begins {
            Some(step) => format!("counts from step {step} on"),
            None => "no evidence yet".to_owned(),
        };
        return line.to(20).put(Ink::Faint, &when);
    };
    let line = line.right(CANARY_END, Ink::Strong, &side(view.measure, &finding.canary));
    let baseline = finding.baseline.as_ref().map_or("-".to_owned(), |other| side(view.measure, other));
    let line = line.right(BASELINE_END, Ink::Plain, &baseline).to(BASELINE_END + 2);
    match finding.ratio_bp {
        Some(bp) => line.put(ink, &ratio(bp)).put(Ink::Faint, &interval(finding)),
        None => line.put(Ink::Faint, "-"),
    }
}

/// One side: its value, and of how much.
fn side(measure: Measure, side: &SideFinding) -> String {
    let Some(value) = side.value else {
        return if side.requests == 0 {
            "nothing".to_owned()
        } else {
            format!("- of {}", short(side.requests))
        };
    };
    let counted = matches!(
        measure,
        Measure::ErrorRate
            | Measure::QueryCounts
            | Measure::Latency { .. }
            | Measure::QueryBuckets { .. }
            | Measure::QueryMoments
            | Measure::QueryTypes
            | Measure::Burn { .. }
    );
    if counted && side.requests == 0 {
        return "nothing".to_owned();
    }
    let value = figure(measure, value);
    if counted { format!("{value} of {}", short(side.requests)) } else { value }
}

/// A figure of a metric in its unit.
fn figure(measure: Measure, value: u64) -> String {
    let decimal = |unit: f64| format!("{:.2}", value as f64 / unit);
    match measure {
        Measure::ErrorRate
        | Measure::QueryCounts
        | Measure::QueryTypes
        | Measure::Restarts
        | Measure::Throughput => rate(value),
        Measure::Latency { .. } | Measure::QueryBuckets { .. } => latency(value),
        Measure::QueryValues { .. } | Measure::QueryMoments | Measure::Cost => {
            let places = if value < 1_000 { 6 } else { 4 };
            let text = format!("{:.places$}", value as f64 / 1e6);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Measure::Burn { .. } => decimal(1e3) + "x",
        Measure::Memory => format!("{} MiB", value >> 20),
        Measure::Cpu => decimal(1e3) + " cores",
    }
}

/// A count in at most six columns.
fn short(n: u64) -> String {
    match n {
        0..100_000 => thousands(n),
        100_000..10_000_000 => format!("{}k", thousands(n / 1_000)),
        _ => format!("{}M", thousands(n / 1_000_000)),
    }
}

/// The words under a metric, without those that were `said` above it.
fn words(view: &MetricView, said: &str, full: bool, paper: &Paper) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut say = |ink: Ink, text: &str| {
        for part in broken(&clean(text), paper.columns().saturating_sub(INDENT)) {
            if !part.is_empty() {
                lines.push(Line::new().to(INDENT).put(ink, &part));
            }
        }
    };
    if let Some(finding) = &view.finding {
        let well = finding.verdict == Verdict::Proceed;
        let ink = match (finding.shown, finding.state.is_judged()) {
            (true, _) => Ink::Bad,
            (false, false) => Ink::Warn,
            (false, true) => Ink::Faint,
        };
        if !view.required {
            say(Ink::Faint, "shown only: it decides nothing");
        }
        if view.measure == Measure::Cost {
            say(Ink::Faint, "per 1,000 requests, by the declared prices");
        }
        if view.measure == Measure::Cpu && finding.ratio_bp.is_some() {
            say(Ink::Faint, "figures are of the busiest instance, the ratio is of CPU a request");
        }
        if !view.required && !full {
            // It is not what anybody was woken for.
        } else if let Some(words) = state_words(finding) {
            let more = !said.contains(&finding.sentence);
            say(Ink::Warn, &if more { format!("{words}: {}", finding.sentence) } else { words.to_owned() });
        } else {
            let speaks = finding.against_milli >= WORTH_SAYING_MILLI || finding.shown || full;
            let first = if speaks { view.against.as_str() } else { "" };
            say(ink, first);
            say(Ink::Faint, &view.excluded);
            // Held for something else than the comparison: an absolute band, or a state that lasts.
            let other = !well && !finding.shown && finding.verdict >= Verdict::Hold;
            if (other || full) && !said.contains(&finding.sentence) {
                say(if other { Ink::Warn } else { Ink::Faint }, &finding.sentence);
            }
        }
    }
    if full || view.finding.as_ref().is_some_and(|finding| finding.verdict >= Verdict::Hold) {
        say(Ink::Faint, &view.bands);
    }
    if let (true, Some(query)) = (full, &view.query) {
        say(Ink::Faint, &format!("asked of {}: {}", query.source, query.text));
        for text in &query.canary {
            say(Ink::Faint, &format!("canary    {text}"));
        }
        for text in &query.baseline {
            say(Ink::Faint, &format!("baseline  {text}"));
        }
        say(Ink::Faint, &query.how);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_has_its_place() {
        assert_eq!(
            [7, 22_871, 99_999, 123_456, 12_345_678].map(short),
            ["7", "22,871", "99,999", "123k", "12M"]
        );
    }

    #[test]
    fn every_measure_has_its_unit() {
        let figures = [
            (Measure::ErrorRate, 830),
            (Measure::Latency { quantile_bp: 9_500 }, 38_100),
            (Measure::Memory, 300 << 20),
            (Measure::Cpu, 250),
            (Measure::Cost, 1_234_500),
            (Measure::Cost, 213),
            (Measure::Restarts, 10_000),
        ];
        assert_eq!(
            figures.map(|(measure, value)| figure(measure, value)),
            ["0.083%", "38.1ms", "300 MiB", "0.25 cores", "1.2345", "0.000213", "1.00%"]
        );
    }
}
