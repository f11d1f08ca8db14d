//! The benchmark's output: one JSON object a line, or tables in Markdown.

use std::fmt::Write as _;

use crate::cells::Outcome;

/// One object on one line: the cell, the judge and what it did. `null` where a figure does not apply.
pub fn json(outcome: &Outcome) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "null".to_owned(), |value| format!("{value}"));
    let rounded = |value: Option<f64>| number(value.map(|value| (value * 100.0).round() / 100.0));
    format!(
        concat!(
            r#"{{"base":{},"rps":{},"ratio":{},"judge":"{}","false_alarm":{},"#,
            r#""detected":{},"median_s":{},"mean_s":{},"bound_s":{}}}"#
        ),
        outcome.cell.base,
        outcome.cell.rps,
        outcome.cell.ratio,
        outcome.judge,
        outcome.false_alarm,
        number(outcome.detected),
        rounded(outcome.median_s),
        rounded(outcome.mean_s),
        rounded(outcome.bound_s),
    )
}

/// Two tables per scenario: seconds to detection, and false alarms.
pub fn markdown(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for scenario in outcomes.chunk_by(|a, b| a.cell.scenario == b.cell.scenario) {
        let name = scenario[0].cell.scenario.name();
        let judges = judges(scenario);
        let _ = writeln!(text, "\n### {name}: seconds from fault to rollback\n");
        let _ = writeln!(text, "| base | rps | ratio | bound s | mean / bound | {} |", judges.join(" | "));
        let _ = writeln!(text, "|---|---|---|---|---|{}", "---|".repeat(judges.len()));
        for cell in scenario.chunk_by(|a, b| a.cell == b.cell).filter(|cell| cell[0].cell.ratio > 1.0) {
            detection_row(&mut text, cell, &judges);
        }
        let _ = writeln!(
            text,
            "\n### {name}: healthy canaries rolled back, % (95 % upper limit for `taxiway`)\n"
        );
        let _ = writeln!(text, "| base | rps | upper | {} |", judges.join(" | "));
        let _ = writeln!(text, "|---|---|---|{}", "---|".repeat(judges.len()));
        for cell in scenario.chunk_by(|a, b| a.cell == b.cell).filter(|cell| cell[0].cell.ratio == 1.0) {
            healthy_row(&mut text, cell, &judges);
        }
    }
    text
}

fn judges(scenario: &[Outcome]) -> Vec<&'static str> {
    let first = scenario[0].cell;
    scenario.iter().take_while(|outcome| outcome.cell == first).map(|outcome| outcome.judge).collect()
}

/// Medians, with the share detected where it is below 99.5 %; the ratio is for `taxiway`.
fn detection_row(text: &mut String, cell: &[Outcome], judges: &[&str]) {
    let own = &cell[0];
    let bound = own.bound_s.unwrap_or(f64::INFINITY);
    let ratio = own.mean_s.map_or_else(String::new, |mean| format!("{:.2}", mean / bound));
    let precise = if bound < 10.0 { format!("{bound:.1}") } else { format!("{bound:.0}") };
    let _ = write!(
        text,
        "| {}% | {} | {}x | {precise} | {ratio} |",
        own.cell.base * 100.0,
        own.cell.rps,
        own.cell.ratio
    );
    for judge in judges {
        let Some(outcome) = cell.iter().find(|outcome| outcome.judge == *judge) else {
            let _ = write!(text, " |");
            continue;
        };
        let detected = outcome.detected.unwrap_or(0.0);
        let median = outcome.median_s.map_or_else(|| "–".to_owned(), |median| format!("{median:.0}"));
        let share = if detected < 0.995 { format!(" ({:.0}%)", detected * 100.0) } else { String::new() };
        let _ = write!(text, " {median}{share} |");
    }
    let _ = writeln!(text);
}

fn healthy_row(text: &mut String, cell: &[Outcome], judges: &[&str]) {
    let own = &cell[0];
    let upper = own.false_alarm_high * 100.0;
    let _ = write!(text, "| {}% | {} | {upper:.2} |", own.cell.base * 100.0, own.cell.rps);
    for judge in judges {
        let alarm =
            cell.iter().find(|outcome| outcome.judge == *judge).map(|outcome| outcome.false_alarm * 100.0);
        let _ = write!(text, " {} |", alarm.map_or_else(String::new, |alarm| format!("{alarm:.2}")));
    }
    let _ = writeln!(text);
}
