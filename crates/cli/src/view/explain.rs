//! Why a release is where it is, with what that rests on.

use super::Paper;
use super::evidence::{findings, verdict};
use super::figures::clock;
use super::ink::{Ink, Line, draw, labelled};
use super::status::{change, word};
use taxiway_api::{Explained, Input};

/// The sentence first, then the inputs, the evidence, what led here, and what can be done.
pub fn explain(explained: &Explained, paper: &Paper) -> Vec<String> {
    let status = &explained.status;
    let mut head =
        Line::new().plain(" ").put(Ink::Strong, &format!("{}/{}", status.service, status.environment));
    if let Some(flight) = &status.release {
        let at = usize::from(flight.step);
        let name = flight.steps.get(at).map_or("", |step| step.name.as_str());
        let place = format!("step {} of {}, {name}: {}", at + 1, flight.steps.len(), word(flight.state));
        head = head.plain("  ").put(Ink::Strong, &change(flight)).plain("  ").plain(&place);
    }
    let mut lines = vec![head, Line::new()];
    lines.extend(labelled("because", Ink::Active, &explained.sentence, Ink::Strong, paper));
    if !explained.inputs.is_empty() {
        lines.push(Line::new());
        lines.extend(inputs(&explained.inputs));
    }
    if let Some(judgement) = status.release.as_ref().and_then(|flight| flight.judgement.as_ref()) {
        lines.push(Line::new());
        lines.extend(verdict(judgement, paper));
        lines.extend(findings(judgement, paper));
        let rest = format!(
            "{}, {} windows, evidence {}",
            judgement.judge,
            judgement.windows,
            judgement.evidence.short()
        );
        lines.extend(labelled("", Ink::Faint, &rest, Ink::Faint, paper));
    }
    if !explained.trail.is_empty() {
        lines.push(Line::new());
        lines.push(Line::new().plain(" ").put(Ink::Faint, "what led here"));
    }
    for entry in &explained.trail {
        let time = clock(entry.at, &paper.zone);
        let line = Line::new().plain(" ").put(Ink::Faint, &time).plain("  ").plain(&entry.sentence);
        lines.push(line.put(Ink::Faint, &format!("  log {}", entry.global)));
    }
    if !explained.next.is_empty() {
        lines.push(Line::new());
        lines.push(Line::new().plain(" ").put(Ink::Faint, "what you can do"));
    }
    let commands = explained.next.iter().map(|next| next.command.chars().count()).max().unwrap_or(0).min(40);
    for next in &explained.next {
        let line = Line::new().plain("   ").put(Ink::Active, &next.command).to(commands + 5);
        lines.push(line.plain(&next.effect));
    }
    draw(lines, paper)
}

fn inputs(inputs: &[Input]) -> Vec<Line> {
    let longest = |text: fn(&Input) -> &str, title: &str| {
        let longest = inputs.iter().map(|input| text(input).chars().count()).max().unwrap_or(0);
        longest.max(title.len()).min(28) + 2
    };
    let name = 3 + longest(|input| &input.name, "input");
    let value = name + longest(|input| &input.value, "is");
    let needed = value + longest(|input| &input.needed, "needed");
    let titles = [(3, "input"), (name, "is"), (value, "needed"), (needed, "from")];
    let head =
        titles.into_iter().fold(Line::new(), |line, (column, title)| line.to(column).put(Ink::Faint, title));
    let mut lines = vec![head];
    for input in inputs {
        let (ink, mark) = match input.met {
            Some(true) => (Ink::Good, "✔"),
            Some(false) => (Ink::Warn, "…"),
            None => (Ink::Faint, "·"),
        };
        let line = Line::new().plain(" ").put(ink, mark).to(3).plain(&input.name).to(name);
        let line = line.put(Ink::Strong, &input.value).to(value).plain(&input.needed).to(needed);
        lines.push(line.put(Ink::Faint, &input.source));
    }
    lines
}
