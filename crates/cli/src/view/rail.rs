//! The step rail: what is behind, where it is, what is ahead.

use super::Paper;
use super::figures::running;
use super::ink::{Ink, Line};
use taxiway_api::{Flight, State, StepState, StepView};

/// How the current step is drawn: by what the release does there.
pub(super) fn current_ink(state: State) -> Ink {
    match state {
        State::Returning => Ink::Bad,
        State::Held | State::Paused => Ink::Warn,
        State::Preparing | State::Shifting | State::Watching | State::Checking | State::Finishing => {
            Ink::Active
        }
    }
}

/// The mark of a step.
fn mark(step: &StepView, state: State) -> (&'static str, Ink) {
    match (step.state, state) {
        (StepState::Done, _) => ("✔", Ink::Good),
        (StepState::Skipped, _) => ("»", Ink::Faint),
        (StepState::Current, State::Returning) => ("✘", Ink::Bad),
        (StepState::Current, State::Held | State::Paused) => ("‖", Ink::Warn),
        (StepState::Current, _) => ("▶", Ink::Active),
        (StepState::Ahead, _) => ("○", Ink::Faint),
    }
}

/// The rail in two lines, or, where the steps do not fit, as a row of marks.
pub(super) fn rail(flight: &Flight, paper: &Paper) -> Vec<Line> {
    let cells: Vec<usize> = flight.steps.iter().map(cell).collect();
    let joints = flight.steps.len().saturating_sub(1);
    let bare = 1 + cells.iter().sum::<usize>();
    let columns = paper.columns();
    // A joint is a dash between blanks; the longest the paper has room for, up to five dashes.
    let joint = columns.saturating_sub(bare).checked_div(joints).unwrap_or(3).min(7);
    if joint < 3 { vec![row(flight, paper)] } else { stations(flight, &cells, joint) }
}

/// Columns of a step: its mark with a blank, and the longer of its name and its figures.
fn cell(step: &StepView) -> usize {
    2 + step.name.as_str().chars().count().max(below(step).chars().count())
}

/// What stands under a step's name.
fn below(step: &StepView) -> String {
    let mut text = step.weight.to_string();
    if step.header {
        text.push_str(" +users");
    }
    if !step.fresh.is_zero() {
        text = format!("{text} +{} fresh", step.fresh);
    }
    if step.mirror.bp() > 0 {
        text = format!("{text} +{} copied", step.mirror);
    }
    match step.state {
        StepState::Current if step.bake_ms > 0 => {
            let of = step.bake_ms;
            text = format!("{text}  {} of {}", running(step.baked_ms.min(of), of), running(of, of));
        }
        StepState::Skipped => text.push_str(" left out"),
        StepState::Ahead if step.approval => text.push_str(" asks"),
        _ => {}
    }
    text
}

fn stations(flight: &Flight, cells: &[usize], joint: usize) -> Vec<Line> {
    let (mut names, mut figures) = (Line::new(), Line::new());
    let mut column = 1;
    for (i, (step, cell)) in flight.steps.iter().zip(cells).enumerate() {
        let (sign, ink) = mark(step, flight.state);
        let name_ink = if step.state == StepState::Current { Ink::Strong } else { ink };
        names = names.to(column).put(ink, sign).plain(" ").put(name_ink, step.name.as_str());
        let figures_ink = if step.state == StepState::Current { Ink::Plain } else { Ink::Faint };
        figures = figures.to(column + 2).put(figures_ink, &below(step));
        column += cell;
        if i + 1 < flight.steps.len() {
            let dashes = column + joint - 1 - names.width() - 1;
            let ink = if step.state == StepState::Done { Ink::Good } else { Ink::Faint };
            names = names.plain(" ").put(ink, &"─".repeat(dashes)).plain(" ");
        }
        column += joint;
    }
    vec![names, figures]
}

/// Marks only, and the current step in words: for plans of many steps.
fn row(flight: &Flight, paper: &Paper) -> Line {
    let at = usize::from(flight.step);
    let words = flight
        .steps
        .get(at)
        .map(|step| format!("  {} of {}: {} {}", at + 1, flight.steps.len(), step.name, below(step)));
    let words = words.unwrap_or_default();
    let room = paper.columns().saturating_sub(words.chars().count() + 4).max(3);
    // Too many even for marks: those around the current one.
    let first = at.saturating_sub(room / 2).min(flight.steps.len().saturating_sub(room));
    let mut line = Line::new().plain(" ");
    if first > 0 {
        line = line.put(Ink::Faint, "…");
    }
    for step in flight.steps.iter().skip(first).take(room) {
        let (sign, ink) = mark(step, flight.state);
        line = line.put(ink, sign);
    }
    if first + room < flight.steps.len() {
        line = line.put(Ink::Faint, "…");
    }
    line.put(Ink::Strong, &words)
}
