//! How it ended, and what to try next: the last thing on the screen.

use super::Paper;
use super::history::{cost, ended};
use super::ink::{Ink, Line, broken, draw, labelled};
use taxiway_api::HistoryEntry;
use taxiway_model::event::Outcome;

/// Where what a command does begins, below it.
const BELOW: usize = 7;

/// A line per release in their order, the place of the log, and commands with what they do.
pub fn summary(releases: &[HistoryEntry], log: &str, next: &[(&str, &str)], paper: &Paper) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in releases {
        let (ink, words) = ended(entry);
        let mark = match entry.outcome {
            Some(Outcome::Released) => "✔",
            Some(_) => "✘",
            None => "▶",
        };
        let name = format!("{}/{} {}", entry.stream.service, entry.stream.environment, entry.version);
        lines.push(
            Line::new()
                .plain(" ")
                .put(ink, mark)
                .plain(" ")
                .put(Ink::Strong, &name)
                .plain("  ")
                .put(ink, &words),
        );
        let already_said = entry.outcome == Some(Outcome::Failed);
        let sentence = if already_said { "" } else { entry.sentence.as_str() };
        for text in [sentence, &cost(entry)] {
            if !text.is_empty() {
                lines.extend(labelled("", Ink::Plain, text, Ink::Plain, paper));
            }
        }
    }
    if !log.is_empty() {
        if !lines.is_empty() {
            lines.push(Line::new());
        }
        lines.push(Line::new().plain(" ").put(Ink::Faint, "the log is in").plain(" ").plain(log));
    }
    if !next.is_empty() {
        lines.push(Line::new());
        lines.push(Line::new().plain(" ").put(Ink::Faint, "try next"));
    }
    lines.extend(commands(next, paper));
    draw(lines, paper)
}

/// Commands with what they do beside them, or below them where the paper is too narrow for both.
pub(super) fn commands(next: &[(&str, &str)], paper: &Paper) -> Vec<Line> {
    let longest = |texts: fn(&(&str, &str)) -> usize| next.iter().map(texts).max().unwrap_or(0);
    let column = longest(|(command, _)| command.chars().count()) + 5;
    let beside = column + longest(|(_, effect)| effect.chars().count()) <= paper.columns();
    let mut lines = Vec::new();
    for (command, effect) in next {
        let line = Line::new().plain("   ").put(Ink::Active, command);
        if beside {
            lines.push(line.to(column).plain(effect));
        } else {
            lines.push(line);
            let room = paper.columns().saturating_sub(BELOW);
            lines.extend(broken(effect, room).iter().map(|part| Line::new().to(BELOW).put(Ink::Faint, part)));
        }
    }
    lines
}
