//! Past releases, newest first.

use super::Paper;
use super::figures::{counted, date, span};
use super::ink::{Ink, Line, broken, clean, draw};
use taxiway_api::HistoryEntry;
use taxiway_model::event::Outcome;
use taxiway_model::plan::Purpose;

/// A line per release, and one more where a reason was given.
pub fn history(entries: &[HistoryEntry], paper: &Paper) -> Vec<String> {
    if entries.is_empty() {
        return draw(vec![Line::new().put(Ink::Faint, " nothing has been released here yet")], paper);
    }
    let mut order: Vec<&HistoryEntry> = entries.iter().collect();
    order.sort_by_key(|entry| std::cmp::Reverse(entry.accepted_at));
    let names = order.iter().map(|entry| change(entry).chars().count()).max().unwrap_or(0).clamp(7, 30);
    let (version, outcome) = (20, 20 + names + 2);
    let mut lines = vec![
        Line::new()
            .to(3)
            .put(Ink::Faint, "when")
            .to(version)
            .put(Ink::Faint, "version")
            .to(outcome)
            .put(Ink::Faint, "outcome"),
    ];
    for entry in order {
        let (ink, words) = ended(entry);
        let mark = match entry.outcome {
            Some(Outcome::Released) => "✔",
            Some(_) => "✘",
            None => "▶",
        };
        lines.push(
            Line::new()
                .plain(" ")
                .put(ink, mark)
                .to(3)
                .plain(&date(entry.accepted_at, &paper.zone))
                .to(version)
                .put(Ink::Strong, &change(entry))
                .to(outcome)
                .put(ink, &words),
        );
        if let Some(why) = why(entry) {
            let room = paper.columns().saturating_sub(version);
            lines.extend(broken(&clean(why), room).iter().map(|part| Line::new().to(version).plain(part)));
        }
        let cost = cost(entry);
        if !cost.is_empty() {
            lines.push(Line::new().to(version).plain(&cost));
        }
        if entry.feedback.all > 0 {
            let users = format!("users: {}", super::explain::tally(&entry.feedback));
            lines.push(Line::new().to(version).plain(&users));
        }
        let mut by = format!("by {}", entry.actor);
        if !entry.reason.is_empty() {
            by = format!("{by}: {}", entry.reason);
        }
        if let Some(commit) = &entry.commit {
            by = format!("{by} (commit {})", commit.chars().take(12).collect::<String>());
        }
        lines.push(Line::new().to(version).put(Ink::Faint, &by));
    }
    draw(lines, paper)
}

fn change(entry: &HistoryEntry) -> String {
    match (&entry.baseline, entry.purpose) {
        (Some(baseline), Purpose::Forward) => format!("{baseline} → {}", entry.version),
        (Some(baseline), Purpose::Rollback) => format!("{baseline} ⇠ {}", entry.version),
        (None, _) => entry.version.to_string(),
    }
}

/// How it ended, with the times that matter.
pub(super) fn ended(entry: &HistoryEntry) -> (Ink, String) {
    let took = entry.ended_at.zip(entry.started_at).map(|(end, start)| span(end.since_ms(start)));
    let took = took.map(|took| format!(" in {took}")).unwrap_or_default();
    match entry.outcome {
        None => (Ink::Active, "in flight".to_owned()),
        Some(Outcome::Released) => (Ink::Good, format!("released{took}")),
        Some(Outcome::Aborted) => (Ink::Warn, format!("aborted{took}")),
        Some(Outcome::Failed) => (Ink::Bad, format!("failed: {}", entry.sentence)),
        Some(Outcome::RolledBack) => {
            let detect = entry.detect_ms.map(|ms| format!(", detected in {}", span(ms))).unwrap_or_default();
            let shift = entry.shift_ms.map(|ms| format!(", shifted {}", within(ms))).unwrap_or_default();
            (Ink::Bad, format!("rolled back{detect}{shift}"))
        }
    }
}

/// Why it did not become the new version, where that is not said with how it ended.
pub(super) fn why(entry: &HistoryEntry) -> Option<&str> {
    let told = matches!(entry.outcome, Some(Outcome::RolledBack | Outcome::Aborted));
    Some(entry.sentence.as_str()).filter(|sentence| told && !sentence.is_empty())
}

/// How long it took, where it may have been too short to be measured.
pub(super) fn within(ms: u64) -> String {
    if ms == 0 { "in less than 1ms".to_owned() } else { format!("in {}", span(ms)) }
}

/// What the users of a canary paid that did not become the new version; empty for one that did.
pub(super) fn cost(entry: &HistoryEntry) -> String {
    match entry.outcome {
        Some(Outcome::Released) | None => String::new(),
        Some(_) if entry.canary_requests == 0 => "no request reached it".to_owned(),
        Some(_) => {
            let failed = super::figures::thousands(entry.canary_failed);
            format!("{failed} of its {} failed", counted(entry.canary_requests, "request", "requests"))
        }
    }
}
