//! The page of a comparison: what the judges come to, then each recording.

use super::{escape, judges, page, table};
use crate::compare::{Comparison, Total};
use crate::figures::{share, span, thousands};
use crate::text::truth_word;
use std::fmt::Write as _;

/// The page.
pub fn comparison(comparison: &Comparison) -> String {
    let mut main = String::new();
    let groups = comparison.by_recording();
    let recordings = match groups.len() {
        1 => "one recording".to_owned(),
        count => format!("{count} recordings"),
    };
    let headline = headline(comparison);
    let _ = write!(
        main,
        "<header class=\"more\"><p class=\"of\">backtest of {recordings}</p><h1>{}</h1></header>",
        escape(&headline)
    );
    let columns =
        ["judge", "healthy sent back", "healthy passed", "bad caught", "median time", "requests", "failed"];
    let rows: Vec<Vec<String>> = comparison.totals.iter().map(total).collect();
    let _ = write!(
        main,
        "<section><h2>What the judges come to</h2>{}</section>",
        table(&columns.map(str::to_owned), &rows)
    );
    for group in groups {
        let _ = write!(
            main,
            "<section><h2>{} <span class=\"muted\">({})</span></h2>{}</section>",
            escape(&group[0].recording),
            truth_word(group[0].truth),
            judges(group)
        );
    }
    main.push_str("<section class=\"foot\">");
    main.push_str(
        "<p>A <b>+</b> means: this judge would have let the canary go on, but the recording ends there. A ROLLBACK of a \
         healthy version is a false alarm. Requests and failed ones are the canary's, up to a ROLLBACK or the end.</p>",
    );
    for note in &comparison.notes {
        let _ = write!(main, "<p>Note: {}</p>", escape(note));
    }
    main.push_str("</section>");
    page(&headline, &main)
}

/// The last judge against the first.
fn headline(comparison: &Comparison) -> String {
    let (Some(first), Some(last)) = (comparison.totals.first(), comparison.totals.last()) else {
        return "There is nothing to compare".to_owned();
    };
    if comparison.totals.len() < 2 {
        return format!("{}: {} of {} bad versions caught", first.judge, first.caught, first.bad);
    }
    let cost = match last.failed.cmp(&first.failed) {
        std::cmp::Ordering::Less => {
            format!("{} failed requests fewer", thousands(first.failed - last.failed))
        }
        std::cmp::Ordering::Greater => {
            format!("{} failed requests more", thousands(last.failed - first.failed))
        }
        std::cmp::Ordering::Equal => "as many failed requests".to_owned(),
    };
    let alarms = match (last.false_alarms, first.false_alarms) {
        (a, b) if a == b => format!("as many false alarms ({a})"),
        (1, b) => format!("1 false alarm instead of {b}"),
        (a, b) => format!("{a} false alarms instead of {b}"),
    };
    format!("{} instead of {}: {cost}, {alarms}", last.judge, first.judge)
}

fn total(total: &Total) -> Vec<String> {
    let of = |part: u32, all: u32| if all == 0 { "-".to_owned() } else { format!("{part} of {all}") };
    vec![
        total.judge.clone(),
        of(total.false_alarms, total.healthy),
        of(total.passed, total.healthy),
        of(total.caught, total.bad),
        total.median_ms.map_or_else(|| "-".to_owned(), span),
        thousands(total.requests),
        format!("{} ({})", thousands(total.failed), share(total.failed, total.requests)),
    ]
}
