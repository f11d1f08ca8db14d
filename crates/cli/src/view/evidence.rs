//! The verdict with its evidence, a line per metric.

use super::Paper;
use super::figures::{counted, ratio, span};
use super::ink::{Ink, Line, labelled, led};
use super::traffic::filled;
use taxiway_model::ids::MetricName;
use taxiway_model::verdict::{FindingState, Judgement, MetricFinding, Verdict};

/// Longest name of a metric that leaves the figures in place.
const NAME_CHARS_MAX: usize = 16;

/// What keeps a metric from being judged, in a few words; none where it was judged.
pub(super) fn state_words(finding: &MetricFinding) -> Option<&'static str> {
    match finding.state {
        FindingState::Judged => None,
        FindingState::NoData => Some("no data"),
        FindingState::SourceError => Some("source error"),
        FindingState::BaselineFails => Some("baseline fails too"),
        FindingState::CannotKnow => Some("cannot be known"),
    }
}

/// The colour and the mark of a verdict.
pub(super) fn tone(verdict: Verdict) -> (Ink, &'static str) {
    match verdict {
        Verdict::Proceed => (Ink::Good, "✔"),
        Verdict::InsufficientData => (Ink::Active, "…"),
        Verdict::Hold => (Ink::Warn, "!"),
        Verdict::Rollback => (Ink::Bad, "✘"),
    }
}

/// The verdict's word and sentence.
pub(super) fn verdict(judgement: &Judgement, paper: &Paper) -> Vec<Line> {
    let (ink, _) = tone(judgement.verdict);
    led("verdict", (ink, &judgement.verdict.to_string()), &judgement.sentence, Ink::Strong, paper)
}

/// How much of the evidence is shown: what can go first where there is little room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Room {
    /// Every metric with its sentence.
    Enough,
    /// Every metric in a line.
    Tight,
    /// Those that keep it from going on; the others are counted.
    Scarce,
}

/// A line per metric: the ratio with its interval, the evidence against and for it as bars.
pub(super) fn findings(
    judgement: &Judgement,
    advisory: &[MetricName],
    room: Room,
    paper: &Paper,
) -> Vec<Line> {
    let columns = Columns::for_paper(paper);
    let mut lines = Vec::new();
    let decides = |finding: &MetricFinding| !advisory.contains(&finding.metric);
    let is_quiet = |finding: &MetricFinding| !decides(finding) || finding.verdict == Verdict::Proceed;
    let quiet = judgement.findings.iter().filter(|finding| is_quiet(finding)).count() as u64;
    // One in a line of its own takes no more room than to be counted.
    let folded = if room == Room::Scarce && quiet > 1 { quiet } else { 0 };
    for finding in &judgement.findings {
        if folded > 0 && is_quiet(finding) {
            continue;
        }
        lines.push(row(finding, decides(finding), &columns));
        let told = judgement.sentence.contains(&finding.sentence);
        if !is_quiet(finding) && !told && room == Room::Enough {
            lines.extend(labelled("", Ink::Faint, &said(finding), Ink::Faint, paper));
        }
    }
    if !lines.is_empty() {
        lines.insert(0, columns.head(judgement));
    }
    if folded > 0 {
        let (one, many) =
            if lines.is_empty() { ("metric", "metrics") } else { ("more metric", "more metrics") };
        let text = format!("{} without a finding: see `taxiway explain`", counted(folded, one, many));
        lines.push(Line::new().plain(" ").put(Ink::Good, "✔").plain(" ").put(Ink::Faint, &text));
    }
    lines
}

fn said(finding: &MetricFinding) -> String {
    match finding.wait_ms {
        Some(ms) if ms > 0 => format!("{} (about {} more at this traffic)", finding.sentence, span(ms)),
        _ => finding.sentence.clone(),
    }
}

/// Where things stand on this paper.
struct Columns {
    /// Where the bars begin.
    against: usize,
    /// Cells of one bar.
    bar: usize,
}

impl Columns {
    /// 80 columns have room for bars of six cells, 120 for more.
    fn for_paper(paper: &Paper) -> Self {
        Self { against: 45, bar: ((paper.columns().saturating_sub(68)) / 2).clamp(6, 20) }
    }

    /// Where the second bar begins: after the first and its figure.
    fn excluded(&self) -> usize {
        self.against + self.bar + 9
    }

    fn head(&self, judgement: &Judgement) -> Line {
        let line = Line::new().to(3).put(Ink::Faint, "metric").right(26, Ink::Faint, "ratio");
        let line = line.plain(" ").put(Ink::Faint, "(95%)").to(self.against).put(Ink::Faint, "against it");
        let excludes = judgement.findings.iter().any(|finding| finding.for_milli.is_some());
        if excludes { line.to(self.excluded()).put(Ink::Faint, "for it") } else { line }
    }
}

fn row(finding: &MetricFinding, decides: bool, columns: &Columns) -> Line {
    let (ink, mark) = if decides { tone(finding.verdict) } else { (Ink::Faint, "·") };
    let name = shortened(finding.metric.as_str(), NAME_CHARS_MAX);
    let mut line = Line::new().plain(" ").put(ink, mark).plain(" ").put(Ink::Plain, &name);
    line = match finding.ratio_bp {
        Some(bp) => line.right(26, Ink::Strong, &ratio(bp)).put(Ink::Faint, &interval(finding)),
        None => line.right(26, Ink::Faint, "-"),
    };
    if let Some(words) = state_words(finding) {
        return line.to(columns.against).put(Ink::Warn, words);
    }
    if !decides {
        line = line.to(columns.against).put(Ink::Faint, "shown only");
        return if finding.shown { line.put(Ink::Warn, ": worse than tolerated") } else { line };
    }
    // Evidence against: full means that a regression counts as shown.
    let percent = share(finding.against_milli, finding.against_needed_milli);
    let (against, words) =
        if finding.shown { (Ink::Bad, "shown".to_owned()) } else { (Ink::Plain, format!("{percent}%")) };
    line = bar(line.to(columns.against), percent, columns.bar, against).plain(" ").put(against, &words);
    let (Some(have), Some(need)) = (finding.for_milli, finding.for_needed_milli) else { return line };
    let percent = share(have, need);
    let (good, words) = match percent {
        100.. => (Ink::Good, "enough".to_owned()),
        _ => (Ink::Plain, format!("{percent}%")),
    };
    bar(line.to(columns.excluded()), percent, columns.bar, good).plain(" ").put(good, &words)
}

/// A name in at most so many columns.
pub(super) fn shortened(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    name.chars().take(most - 1).chain(['…']).collect()
}

/// What the ratio may be, as its confidence sequence has it.
pub(super) fn interval(finding: &MetricFinding) -> String {
    let end = |bp| ratio(bp).trim_end_matches('x').to_owned();
    match (finding.ratio_from_bp, finding.ratio_to_bp) {
        (Some(from), Some(to)) => format!(" ({} to {})", end(from), end(to)),
        (Some(from), None) => format!(" ({} or more)", end(from)),
        (None, Some(to)) => format!(" (up to {})", end(to)),
        (None, None) => String::new(),
    }
}

/// Evidence as a share of what is needed, in percent from 0 to 999.
fn share(have: i64, need: i64) -> u64 {
    if need <= 0 {
        return 100;
    }
    (i128::from(have.max(0)) * 100 / i128::from(need)).min(999) as u64
}

fn bar(line: Line, percent: u64, cells: usize, ink: Ink) -> Line {
    let full = filled(percent.min(100), 100, cells);
    line.put(ink, &"▰".repeat(full)).put(Ink::Faint, &"▱".repeat(cells - full))
}
