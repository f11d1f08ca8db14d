//! The verdict with its evidence, a line per metric.

use super::Paper;
use super::figures::{ratio, span};
use super::ink::{Ink, Line, labelled};
use super::traffic::filled;
use taxiway_model::ids::MetricName;
use taxiway_model::verdict::{FindingState, Judgement, MetricFinding, Verdict};

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
    let word = match judgement.verdict {
        Verdict::InsufficientData => "MORE DATA".to_owned(),
        other => other.to_string(),
    };
    labelled(&word, ink, &judgement.sentence, Ink::Strong, paper)
}

/// A line per metric: the ratio with its interval, the evidence against and for it as bars.
pub(super) fn findings(judgement: &Judgement, advisory: &[MetricName], paper: &Paper) -> Vec<Line> {
    let columns = Columns::for_paper(paper);
    let mut lines = Vec::new();
    for finding in &judgement.findings {
        let decides = !advisory.contains(&finding.metric);
        lines.push(row(finding, decides, &columns));
        if decides && finding.verdict != Verdict::Proceed && !judgement.sentence.contains(&finding.sentence) {
            lines.extend(labelled("", Ink::Faint, &said(finding), Ink::Faint, paper));
        }
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
    /// 80 columns have room for bars of five cells, 120 for more.
    fn for_paper(paper: &Paper) -> Self {
        Self { against: 42, bar: ((paper.columns().saturating_sub(70)) / 2).clamp(5, 20) }
    }
}

fn row(finding: &MetricFinding, decides: bool, columns: &Columns) -> Line {
    let (ink, mark) = if decides { tone(finding.verdict) } else { (Ink::Faint, "·") };
    let name: String = finding.metric.as_str().chars().take(14).collect();
    let mut line = Line::new().plain(" ").put(ink, mark).plain(" ").put(Ink::Plain, &name).to(18);
    line = match finding.ratio_bp {
        Some(bp) => line.right(24, Ink::Strong, &ratio(bp)).plain(" ").put(Ink::Faint, &interval(finding)),
        None => line.right(24, Ink::Faint, "no ratio"),
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
    line = bar(line.to(columns.against).put(Ink::Faint, "bad "), percent, columns.bar, against).right(
        columns.against + columns.bar + 10,
        against,
        &words,
    );
    let (Some(have), Some(need)) = (finding.for_milli, finding.for_needed_milli) else { return line };
    let percent = share(have, need);
    let done = percent >= 100;
    let (good, words) =
        if done { (Ink::Good, "excluded".to_owned()) } else { (Ink::Plain, format!("{percent}%")) };
    let start = columns.against + columns.bar + 12;
    bar(line.to(start).put(Ink::Faint, "good "), percent, columns.bar, good).plain(" ").put(good, &words)
}

fn interval(finding: &MetricFinding) -> String {
    match (finding.ratio_from_bp, finding.ratio_to_bp) {
        (Some(from), Some(to)) => format!("({} to {})", ratio(from), ratio(to)),
        (Some(from), None) => format!("({} or more)", ratio(from)),
        (None, Some(to)) => format!("(up to {})", ratio(to)),
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
