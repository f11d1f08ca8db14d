//! The report and the comparison as plain text for a terminal or a mail.

use crate::compare::{Comparison, Row};
use crate::figures::{one_in, share, span, thousands};
use crate::recording::Truth;
use crate::report::{MetricReport, Report, cost, moment, ratio_words};
use crate::words::{self, side, sign, weighed};
use std::fmt::Write as _;

/// Cells of a bar of evidence.
const BAR_CELLS: i64 = 20;

/// The report, lines of at most about 100 columns but for sentences.
pub fn report(report: &Report) -> String {
    let subject = &report.subject;
    let mut text = String::new();
    let against = subject.baseline.as_ref().map_or_else(String::new, |name| format!(" against {name}"));
    let _ = writeln!(text, "{}: {}{against}  ({})", subject.of, subject.canary, subject.name);
    let _ = writeln!(text, "{} {}  {}", sign(report.verdict), moment(report), report.headline);
    let _ = writeln!(text, "  {}", report.sentence);
    if let Some(ended) = subject.ended.as_deref().filter(|ended| !ended.ends_with(&report.sentence)) {
        let _ = writeln!(text, "  the release is over, {ended}");
    }
    text.push('\n');
    for metric in &report.metrics {
        of_metric(&mut text, metric);
    }
    let _ = writeln!(text, "cost      {}", cost(&report.exposure));
    if let Some(ms) = report.next_ms {
        let _ = writeln!(text, "next      PROCEED is possible after about {} more at this traffic", span(ms));
    }
    let steps: Vec<String> = report
        .steps
        .iter()
        .map(|step| format!("{} {} ({})", step.name, step.weight, span(step.to_ms - step.from_ms)))
        .collect();
    if !steps.is_empty() {
        let _ = writeln!(text, "exposure  {}", steps.join(", "));
    }
    let profile = words::profile(report.rules.profile);
    let _ = writeln!(
        text,
        "judge     {}, profile {profile}, {} looks",
        report.judge,
        thousands(report.looks.into())
    );
    let _ = writeln!(text, "          {}", report.promise());
    for note in &report.notes {
        let _ = writeln!(text, "note      {note}");
    }
    if !report.judges.is_empty() {
        text.push('\n');
        rows(&mut text, &report.judges);
    }
    text
}

fn of_metric(text: &mut String, metric: &MetricReport) {
    let finding = &metric.finding;
    let shown_only = if metric.required { "" } else { "  (shown only)" };
    let _ = writeln!(text, "{} {}  {}{shown_only}", sign(finding.verdict), finding.metric, metric.title);
    let _ = writeln!(text, "    canary    {}", side(metric, Some(&finding.canary)));
    let _ = writeln!(text, "    baseline  {}", side(metric, finding.baseline.as_ref()));
    if finding.ratio_bp.or(finding.ratio_from_bp).is_some() {
        let _ = writeln!(text, "    ratio     {}", ratio_words(metric));
    }
    let chance = one_in(finding.against_milli).map_or_else(String::new, |n| {
        format!("; a canary within tolerance gets here at most once in {n} releases")
    });
    let against = bar(finding.against_milli, finding.against_needed_milli);
    let _ = writeln!(text, "    against   {against}{chance}");
    if let (Some(have), Some(need)) = (finding.for_milli, finding.for_needed_milli) {
        let _ = writeln!(text, "    for       {}", bar(have, need));
    }
    let _ = writeln!(text, "    {}\n", weighed(metric));
}

/// Evidence as a bar and in percent of what is needed.
fn bar(have: i64, need: i64) -> String {
    let percent = percent_of(have, need);
    let full = (percent.min(100) * BAR_CELLS / 100) as usize;
    let cells = format!("{}{}", "▰".repeat(full), "▱".repeat(BAR_CELLS as usize - full));
    format!("{cells} {}", weight(have, need))
}

/// Evidence in words.
pub(crate) fn weight(have: i64, need: i64) -> String {
    match percent_of(have, need) {
        percent @ 0..100 => format!("{percent}% of what is needed"),
        percent @ 100..200 => format!("enough ({percent}% of what is needed)"),
        _ => "more than enough".to_owned(),
    }
}

/// Evidence in percent of what is needed, from 0 to 999.
pub(crate) fn percent_of(have: i64, need: i64) -> i64 {
    if need <= 0 {
        return 100;
    }
    (i128::from(have.max(0)) * 100 / i128::from(need)).min(999) as i64
}

/// The comparison: a table for each recording, then one of the judges.
pub fn comparison(comparison: &Comparison) -> String {
    let mut text = String::new();
    rows(&mut text, &comparison.rows);
    if comparison.by_recording().len() > 1 {
        text.push('\n');
        totals(&mut text, comparison);
    }
    for note in &comparison.notes {
        let _ = writeln!(text, "note  {note}");
    }
    text
}

fn rows(text: &mut String, rows: &[Row]) {
    let mut lines =
        vec![["recording", "judge", "verdict", "when", "requests", "failed"].map(str::to_owned).to_vec()];
    let mut reasons = vec![String::new()];
    for group in rows.chunk_by(|a, b| a.recording == b.recording) {
        for (index, row) in group.iter().enumerate() {
            let name = if index == 0 { labelled(row) } else { String::new() };
            let difference = |mine: u64, first: u64| match index {
                0 => thousands(mine),
                _ => format!("{} ({})", thousands(mine), signed(mine, first)),
            };
            let more = if row.exposure.at_least { "+" } else { "" };
            lines.push(vec![
                name,
                row.judge.clone(),
                format!("{} {}", sign(row.decision.verdict), words::verdict(row.decision.verdict)),
                row.decision.at_ms.map_or_else(|| "-".to_owned(), span),
                difference(row.exposure.requests, group[0].exposure.requests) + more,
                difference(row.exposure.failed, group[0].exposure.failed) + more,
            ]);
            reasons.push(row.decision.sentence.clone());
        }
    }
    aligned(text, &lines, &reasons);
}

fn labelled(row: &Row) -> String {
    match row.truth {
        Some(truth) => format!("{} ({})", row.recording, words::truth(truth)),
        None => row.recording.clone(),
    }
}

/// How much more or less than the first row.
pub(crate) fn signed(mine: u64, first: u64) -> String {
    match mine.cmp(&first) {
        std::cmp::Ordering::Equal => "same".to_owned(),
        std::cmp::Ordering::Greater => format!("+{}", thousands(mine - first)),
        std::cmp::Ordering::Less => format!("-{}", thousands(first - mine)),
    }
}

fn totals(text: &mut String, comparison: &Comparison) {
    let head =
        ["judge", "healthy sent back", "healthy passed", "bad caught", "median time", "requests", "failed"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for total in &comparison.totals {
        let of = |part: u32, all: u32| if all == 0 { "-".to_owned() } else { format!("{part} of {all}") };
        lines.push(vec![
            total.judge.clone(),
            of(total.false_alarms, total.healthy),
            of(total.passed, total.healthy),
            of(total.caught, total.bad),
            total.median_ms.map_or_else(|| "-".to_owned(), span),
            thousands(total.requests),
            format!("{} ({})", thousands(total.failed), share(total.failed, total.requests)),
        ]);
    }
    let none = vec![String::new(); lines.len()];
    aligned(text, &lines, &none);
}

/// A table; a line with words beneath each row that has some.
fn aligned(text: &mut String, lines: &[Vec<String>], last: &[String]) {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for (line, last) in lines.iter().zip(last) {
        let mut row = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(row, "{cell:<width$}  ");
        }
        let _ = writeln!(text, "{}", row.trim_end());
        if !last.is_empty() {
            let _ = writeln!(text, "    {last}");
        }
    }
}

/// What a version turned out to be, for tables.
pub(crate) fn truth_word(truth: Option<Truth>) -> &'static str {
    truth.map_or("unknown", words::truth)
}
