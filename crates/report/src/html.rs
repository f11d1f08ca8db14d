//! The report and the comparison as one page of HTML: nothing is loaded, nothing is run, it can be
//! mailed, printed and kept. Light or dark as the reader's system has it.

mod comparison;
mod style;

pub use comparison::comparison;
pub use style::{DARK, LIGHT};

use crate::chart::{self, Chart};
use crate::compare::Row;
use crate::figures::{bound, one_in, ppm, span, thousands, utc};
use crate::report::{MetricReport, Report, cost, moment, ratio_words};
use crate::words::{self, side, sign};
use std::fmt::Write as _;
use taxiway_model::verdict::Verdict;

/// Text as it may stand in HTML and in its attributes. Control characters, which HTML does not
/// allow, are left out.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(c),
            c if c.is_control() => {}
            c => safe.push(c),
        }
    }
    safe
}

/// The class of a verdict's colour.
fn tone(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Proceed => "good",
        Verdict::InsufficientData => "more",
        Verdict::Hold => "warn",
        Verdict::Rollback => "bad",
    }
}

/// The page of a report.
pub fn report(report: &Report) -> String {
    let mut main = String::new();
    head(&mut main, report);
    facts(&mut main, report);
    for metric in &report.metrics {
        of_metric(&mut main, report, metric);
    }
    if let Some(chart) = chart::exposure(report).filter(|_| report.exposure.requests > 0) {
        let _ =
            write!(main, "<section><h2>Exposure</h2><div class=\"charts\">{}</div></section>", card(&chart));
    }
    if !report.judges.is_empty() {
        let rows = judges(&report.judges);
        let _ = write!(main, "<section><h2>Other judges on the same evidence</h2>{rows}</section>");
    }
    foot(&mut main, report);
    page(&format!("{}: {}", moment(report), report.headline), &main)
}

/// A whole page around its content.
fn page(title: &str, main: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n{main}\n</main>\n</body>\n</html>\n",
        escape(title),
        style::sheet()
    )
}

fn head(main: &mut String, report: &Report) {
    let subject = &report.subject;
    let against = subject
        .baseline
        .as_ref()
        .map_or_else(|| "no live baseline".to_owned(), |name| format!("against {}", escape(name)));
    let started = subject.started_us.map_or_else(String::new, |us| format!(" · began {}", utc(us)));
    let _ = write!(
        main,
        "<header class=\"{tone}\"><p class=\"of\">{of} · <strong>{canary}</strong> {against} · {name}{started}</p>\
         <p class=\"verdict\"><span class=\"sign\" aria-hidden=\"true\">{sign}</span> {moment}</p>\
         <h1>{headline}</h1><p class=\"said\">{sentence}</p>{ended}</header>",
        tone = tone(report.verdict),
        of = escape(&subject.of),
        canary = escape(&subject.canary),
        name = escape(&subject.name),
        sign = sign(report.verdict),
        moment = escape(&moment(report)),
        headline = escape(&report.headline),
        sentence = escape(&report.sentence),
        ended = ended(report),
    );
}

/// What became of it, where the verdict does not say it: the evidence may have been of another mind.
fn ended(report: &Report) -> String {
    let ended = report.subject.ended.as_deref().filter(|ended| !ended.ends_with(&report.sentence));
    ended.map_or_else(String::new, |ended| {
        format!("<p class=\"said\"><b>The release is over</b>, {}</p>", escape(ended))
    })
}

/// What matters besides, in a row of tiles.
fn facts(main: &mut String, report: &Report) {
    let mut tiles: Vec<(String, &str)> = Vec::new();
    // Where nobody counted requests, zeros would be wrong.
    if report.exposure.requests > 0 {
        let excess = match report.exposure.excess {
            more @ 1.. => thousands(more.unsigned_abs()),
            _ => "none".to_owned(),
        };
        tiles.push((thousands(report.exposure.requests), "requests to the canary"));
        tiles.push((thousands(report.exposure.failed), "of them failed"));
        tiles.push((excess, "more than at the baseline's rate"));
    }
    if let Some(ms) = report.next_ms {
        tiles.push((format!("about {}", span(ms)), "until it can proceed"));
    }
    tiles.push((thousands(report.looks.into()), "looks at the evidence"));
    main.push_str("<dl class=\"facts\">");
    for (figure, what) in tiles {
        let _ = write!(main, "<div><dt>{what}</dt><dd>{}</dd></div>", escape(&figure));
    }
    main.push_str("</dl>");
}

fn of_metric(main: &mut String, report: &Report, metric: &MetricReport) {
    let finding = &metric.finding;
    let shown_only = if metric.required { "" } else { " <span class=\"muted\">(shown only)</span>" };
    let _ = write!(
        main,
        "<section class=\"{}\"><h2><span class=\"sign\" aria-hidden=\"true\">{}</span> {} <span class=\"word\">{}</span>{shown_only}</h2>{}",
        tone(finding.verdict),
        sign(finding.verdict),
        escape(finding.metric.as_str()),
        words::verdict(finding.verdict),
        figures(report, metric),
    );
    main.push_str("<div class=\"charts\">");
    if !metric.points.is_empty() {
        main.push_str(&card(&chart::sides(report, metric)));
    }
    // What instances use is held to a limit as it is: nothing is weighed.
    if metric.tolerance_bp.is_some() || !metric.instances {
        main.push_str(&card(&chart::evidence(report, metric)));
    }
    if let Some(chart) = chart::slower(report, metric) {
        main.push_str(&card(&chart));
    }
    main.push_str("</div></section>");
}

/// A metric's figures as a list of terms.
fn figures(report: &Report, metric: &MetricReport) -> String {
    let finding = &metric.finding;
    let mut terms = vec![
        ("canary", side(metric, Some(&finding.canary))),
        ("baseline", side(metric, finding.baseline.as_ref())),
        ("ratio", ratio_words(metric)),
    ];
    let mut against = crate::text::weight(finding.against_milli, finding.against_needed_milli);
    if let Some(n) = one_in(finding.against_milli) {
        let _ = write!(against, "; a canary within tolerance gets here at most once in {n} releases");
    }
    let tolerance = metric.tolerance_bp.map_or_else(String::new, |bp| format!(" (worse than {})", bound(bp)));
    terms.push(("evidence against", against + &tolerance));
    if let (Some(have), Some(need)) = (finding.for_milli, finding.for_needed_milli) {
        let what =
            report.rules.exclude_bp.map_or_else(String::new, |bp| format!(" (excludes {})", bound(bp)));
        terms.push(("evidence for", crate::text::weight(have, need) + &what));
    }
    if let Some(ms) = finding.wait_ms.filter(|ms| *ms > 0) {
        terms.push(("can proceed after", format!("about {} more at this traffic", span(ms))));
    }
    let mut list = String::from("<dl class=\"terms\">");
    for (name, text) in terms {
        let class = if name.starts_with("evidence") { " class=\"wide\"" } else { "" };
        let _ = write!(list, "<div{class}><dt>{name}</dt><dd>{}</dd></div>", escape(&text));
    }
    list + "</dl>"
}

fn card(chart: &Chart) -> String {
    let mut legend = String::new();
    for (class, words) in &chart.legend {
        let _ = write!(
            legend,
            "<li><span class=\"key {class}\" aria-hidden=\"true\"></span>{}</li>",
            escape(words)
        );
    }
    let legend = if legend.is_empty() { legend } else { format!("<ul class=\"legend\">{legend}</ul>") };
    format!(
        "<figure><figcaption><strong>{}</strong><span>{}</span></figcaption>{}{legend}<details><summary>The figures</summary>{}</details></figure>",
        escape(&chart.title),
        escape(&chart.subtitle),
        chart.svg,
        table(&chart.columns, &chart.rows)
    )
}

/// A table; all cells are text that is still to be escaped.
fn table(columns: &[String], rows: &[Vec<String>]) -> String {
    let mut text = String::from("<div class=\"scroll\"><table><thead><tr>");
    for column in columns {
        let _ = write!(text, "<th scope=\"col\">{}</th>", escape(column));
    }
    text.push_str("</tr></thead><tbody>");
    for row in rows {
        text.push_str("<tr>");
        for cell in row {
            let _ = write!(text, "<td>{}</td>", escape(cell));
        }
        text.push_str("</tr>");
    }
    text + "</tbody></table></div>"
}

/// Judges side by side on one recording.
fn judges(rows: &[Row]) -> String {
    let mut text = String::from(
        "<div class=\"scroll\"><table class=\"words\"><thead><tr><th scope=\"col\">judge</th><th scope=\"col\">verdict</th>\
         <th scope=\"col\">when</th><th scope=\"col\">requests</th><th scope=\"col\">failed</th><th scope=\"col\">why</th></tr></thead><tbody>",
    );
    for (index, row) in rows.iter().enumerate() {
        let difference = |mine: u64, first: u64| match index {
            0 => thousands(mine),
            _ => format!("{} ({})", thousands(mine), crate::text::signed(mine, first)),
        };
        let more = if row.exposure.at_least { "+" } else { "" };
        let _ = write!(
            text,
            "<tr><th scope=\"row\">{}</th><td class=\"{}\"><b>{} {}</b></td><td data-of=\"after\">{}</td><td data-of=\"requests\">{}{more}</td><td data-of=\"failed\">{}{more}</td><td>{}</td></tr>",
            escape(&row.judge),
            tone(row.decision.verdict),
            sign(row.decision.verdict),
            words::verdict(row.decision.verdict),
            row.decision.at_ms.map_or_else(|| "-".to_owned(), span),
            difference(row.exposure.requests, rows[0].exposure.requests),
            difference(row.exposure.failed, rows[0].exposure.failed),
            escape(&row.decision.sentence),
        );
    }
    text + "</tbody></table></div>"
}

fn foot(main: &mut String, report: &Report) {
    let _ = write!(
        main,
        "<section class=\"foot\"><h2>How to read this</h2><p>{}</p><p>Evidence <b>against</b> at 100% means: worse than \
         tolerated, with confidence. Evidence <b>for</b> at 100% means: what the step has to exclude is excluded. Neither \
         at 100% means: not enough was seen, which is not the same as good.</p>",
        escape(&report.promise())
    );
    for note in &report.notes {
        let _ = write!(main, "<p>Note: {}</p>", escape(note));
    }
    let digest: String = report.evidence.chars().take(12).collect();
    let _ = write!(
        main,
        "<p class=\"muted\">Judge {}, profile {}, false alarms {}, {} looks over {}, evidence {}. {}.</p></section>",
        escape(&report.judge),
        words::profile(report.rules.profile),
        ppm(i64::from(report.rules.false_alarm_ppm)),
        thousands(report.looks.into()),
        span(report.span_ms),
        escape(&digest),
        escape(&cost(&report.exposure)),
    );
}
