//! One line per change, for where there is no terminal.

use super::Paper;
use super::figures::{clock, rate};
use super::ink::clean;
use super::status::{change, word};
use taxiway_api::{LogEntry, Status};
use taxiway_model::record::Actor;

/// A record of the log in a line: time, place, stream, what happened, and who, where it was a
/// person.
pub fn log_line(entry: &LogEntry, paper: &Paper) -> String {
    let mut line =
        format!("{} #{} {} {}", clock(entry.at, &paper.zone), entry.global, entry.stream, entry.sentence);
    if let Actor::Person(name) = &entry.actor {
        line = format!("{line} (by {name}");
        if !entry.reason.is_empty() {
            line = format!("{line}: {}", entry.reason);
        }
        line.push(')');
    }
    clean(&line)
}

/// Where a stream is, in a line: printed when it differs from the line before it. It holds no
/// figure that changes with every look, so that a log of a quiet release stays short.
pub fn state_line(status: &Status) -> String {
    let stream = format!("{}/{}", status.service, status.environment);
    let Some(flight) = &status.release else {
        let stable = status.stable.as_ref().map_or("nothing".to_owned(), ToString::to_string);
        return clean(&format!("{stream} {stable} serves everything"));
    };
    let at = usize::from(flight.step);
    let name = flight.steps.get(at).map_or("?", |step| step.name.as_str());
    let weight = flight.weight.map_or("?".to_owned(), |weight| weight.to_string());
    let mut line = format!(
        "{stream} {} step {}/{} {name} at {weight}: {}",
        change(flight),
        at + 1,
        flight.steps.len(),
        word(flight.state)
    );
    if let Some(back) = &flight.returning {
        line = format!("{line}: {}", back.sentence);
    } else if let Some(hold) = flight.holds.first() {
        line = format!("{line}: {}", hold.sentence);
    }
    if let Some(judgement) = &flight.judgement {
        line = format!("{line}; {}", judgement.verdict);
    }
    clean(&line)
}

/// The error rates of both sides, for the line that reports progress.
pub fn rates(status: &Status) -> Option<String> {
    let flight = status.release.as_ref()?;
    let canary = flight.canary.as_ref()?;
    let mine = canary.error_ppm.map_or("-".to_owned(), rate);
    let theirs = flight.side_baseline.as_ref().and_then(|side| side.error_ppm).map_or("-".to_owned(), rate);
    Some(format!("{} requests, errors {mine} against {theirs}", canary.requests))
}
