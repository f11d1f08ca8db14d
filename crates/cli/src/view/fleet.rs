//! Every stream in one line, what needs a person first.

use super::Paper;
use super::figures::{running, span};
use super::ink::{Ink, Line, draw};
use super::rail::current_ink;
use super::status::change;
use super::traffic::filled;
use taxiway_api::{State, Status};
use taxiway_model::decision::WaitingOn;

/// Cells of the weight bar.
const BAR_CELLS: usize = 10;

/// One line per stream: what needs a person first, then what is in flight, then the rest by name.
pub fn fleet(streams: &[Status], paper: &Paper) -> Vec<String> {
    if streams.is_empty() {
        let text =
            " no service is known here yet; `taxiway release ./taxiway.yaml --version v1` makes the first";
        return draw(vec![Line::new().put(Ink::Faint, text)], paper);
    }
    let mut order: Vec<&Status> = streams.iter().collect();
    order.sort_by_key(|status| (urgency(status), stream(status)));
    let longest = |text: &dyn Fn(&Status) -> String, least: usize| {
        order.iter().map(|status| text(status).chars().count()).max().unwrap_or(0).clamp(least, 30)
    };
    let columns = Columns { name: 4 + longest(&stream, 7), version: 2 + longest(&version, 7) };
    let mut head = Line::new().plain(" ").to(3).put(Ink::Faint, "service");
    for (column, title) in [(columns.name, "version"), (columns.name + columns.version, "traffic")] {
        head = head.to(column).put(Ink::Faint, title);
    }
    head = head.to(columns.words()).put(Ink::Faint, "state");
    let mut lines = vec![head];
    lines.extend(order.into_iter().map(|status| row(status, &columns)));
    draw(lines, paper)
}

struct Columns {
    name: usize,
    version: usize,
}

impl Columns {
    /// Where the words begin: after the bar and its percentage.
    fn words(&self) -> usize {
        self.name + self.version + BAR_CELLS + 9
    }
}

fn stream(status: &Status) -> String {
    format!("{}/{}", status.service, status.environment)
}

fn version(status: &Status) -> String {
    match (&status.release, &status.stable) {
        (Some(flight), _) => change(flight),
        (None, Some(stable)) => stable.to_string(),
        (None, None) => "-".to_owned(),
    }
}

/// 0 is looked at first.
fn urgency(status: &Status) -> u8 {
    match status.release.as_ref().map(|flight| flight.state) {
        _ if status.quarantined.is_some() => 0,
        Some(State::Returning) => 1,
        Some(State::Held) => 2,
        _ if !status.unreachable.is_empty() => 3,
        Some(State::Paused) => 4,
        Some(_) => 5,
        None if status.held.is_some() => 6,
        None => 7,
    }
}

fn row(status: &Status, columns: &Columns) -> Line {
    let (mark, ink) = match urgency(status) {
        0 | 1 => ("✘", Ink::Bad),
        2..=4 | 6 => ("!", Ink::Warn),
        5 => ("▶", Ink::Active),
        _ => ("✔", Ink::Good),
    };
    let line = Line::new().plain(" ").put(ink, mark).to(3).put(Ink::Strong, &stream(status));
    let line = line.to(columns.name).plain(&version(status)).to(columns.name + columns.version);
    let Some(flight) = &status.release else {
        let bar = if status.stable.is_some() { "█" } else { "░" };
        let line = line.put(Ink::Faint, &bar.repeat(BAR_CELLS)).to(columns.words());
        return line.put(if urgency(status) == 7 { Ink::Faint } else { ink }, &at_rest(status));
    };
    let weight = flight.weight.unwrap_or(flight.weight_intended);
    let new = filled(u64::from(weight.bp()), 10_000, BAR_CELLS);
    let share = if flight.weight.is_some() { weight.to_string() } else { "?".to_owned() };
    let line = line
        .put(Ink::Active, &"█".repeat(new))
        .put(Ink::Faint, &"░".repeat(BAR_CELLS - new))
        .right(columns.words() - 2, Ink::Plain, &share)
        .to(columns.words());
    let place = format!("{}/{} ", usize::from(flight.step) + 1, flight.steps.len());
    line.put(Ink::Faint, &place).put(current_ink(flight.state), &words(status))
}

/// What it waits for, as short as it can be said.
fn words(status: &Status) -> String {
    let Some(flight) = &status.release else { return String::new() };
    if let Some(back) = &flight.returning {
        return format!("going back: {}", back.sentence);
    }
    if let Some(hold) = flight.holds.first() {
        return format!("waits for you: {}", hold.sentence);
    }
    if let Some(silent) = status.unreachable.first() {
        return silent.clone();
    }
    match flight.waiting.first() {
        Some(on) => short(on),
        None => super::status::word(flight.state).to_owned(),
    }
}

/// A wait in a few words; the whole sentence stands in the stream's own view.
fn short(on: &WaitingOn) -> String {
    match on {
        WaitingOn::Bake { have_ms, need_ms } => {
            format!("baking {} of {}", running(*have_ms, *need_ms), running(*need_ms, *need_ms))
        }
        WaitingOn::Instances { version, ready, need, .. } => format!("{version}: {ready} of {need} ready"),
        WaitingOn::Evidence { left_ms: Some(ms), .. } => format!("needs evidence, about {}", span(*ms)),
        WaitingOn::Evidence { left_ms: None, .. } => "needs evidence".to_owned(),
        WaitingOn::Person { sentence, .. } => sentence.clone(),
        WaitingOn::Check { name, .. } => format!("runs check {name}"),
        other => other.to_string(),
    }
}

fn at_rest(status: &Status) -> String {
    if let Some(why) = &status.quarantined {
        return format!("cannot be read: {why}");
    }
    if let Some(silent) = status.unreachable.first() {
        return silent.clone();
    }
    if let Some(why) = &status.held {
        return format!("held: {why}");
    }
    match status.stable_since {
        Some(since) => format!("stable for {}", running(status.at.since_ms(since), u64::MAX)),
        None => "nothing released yet".to_owned(),
    }
}
