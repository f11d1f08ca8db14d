//! One stream in full: what a person watches while a release runs.

use super::evidence::{Room, findings, verdict};
use super::explain::{coming, tally};
use super::figures::{clock, counted, running, span};
use super::ink::{Ink, LABEL_COLUMNS, Line, draw, labelled};
use super::rail::{current_ink, rail};
use super::sides::sides;
use super::traffic::traffic;
use super::{Paper, history};
use taxiway_api::{Flight, HoldView, State, Status};
use taxiway_model::decision::WaitingOn;
use taxiway_model::observation::InstancePhase;
use taxiway_model::plan::Purpose;
use taxiway_model::time::Timestamp;

/// The stream: step rail, traffic bar, canary beside baseline, verdict with evidence, and the
/// sentence that says what it waits for. On a small screen that is what stays: the metrics that are
/// well go first.
pub fn status(status: &Status, paper: &Paper) -> Vec<String> {
    let mut drawn = Vec::new();
    for room in [Room::Enough, Room::Tight, Room::Scarce] {
        let mut lines = header(status, paper);
        match &status.release {
            Some(flight) => lines.extend(in_flight(flight, status.at, room, paper)),
            None => lines.extend(at_rest(status, paper)),
        }
        lines.extend(troubles(status, paper));
        drawn = draw(lines, paper);
        if paper.has_room_for(drawn.len()) {
            break;
        }
    }
    drawn
}

/// A release's state in a word.
pub(super) fn word(state: State) -> &'static str {
    match state {
        State::Preparing => "starting instances",
        State::Shifting => "shifting traffic",
        State::Watching => "watching",
        State::Checking => "running a check",
        State::Paused => "PAUSED",
        State::Held => "HELD: waits for you",
        State::Returning => "GOING BACK",
        State::Finishing => "finishing",
    }
}

/// `v2 → v3`, and which way it goes.
pub(super) fn change(flight: &Flight) -> String {
    let arrow = if flight.purpose == Purpose::Rollback { "⇠" } else { "→" };
    match &flight.baseline {
        Some(baseline) => format!("{baseline} {arrow} {}", flight.version),
        None => format!("first release {}", flight.version),
    }
}

fn header(status: &Status, paper: &Paper) -> Vec<Line> {
    let line = Line::new()
        .plain(" ")
        .put(Ink::Strong, &format!("{}/{}", status.service, status.environment))
        .plain("  ");
    let line = match &status.release {
        Some(flight) => line
            .put(Ink::Strong, &change(flight))
            .plain("  ")
            .put(current_ink(flight.state), word(flight.state))
            .put(Ink::Faint, &age(flight, status.at)),
        None => match &status.stable {
            Some(stable) => line.put(Ink::Good, &format!("{stable} serves everything")),
            None => line.put(Ink::Faint, "nothing has been released yet"),
        },
    };
    let time = clock(status.at, &paper.zone);
    let fits = line.width() + time.chars().count() < paper.columns();
    vec![if fits { line.right(paper.columns(), Ink::Faint, &time) } else { line }, Line::new()]
}

fn age(flight: &Flight, now: Timestamp) -> String {
    let since = flight.timings.started_at.unwrap_or(flight.timings.accepted_at);
    format!("  {}", running(now.since_ms(since), u64::MAX))
}

fn in_flight(flight: &Flight, now: Timestamp, room: Room, paper: &Paper) -> Vec<Line> {
    let mut lines = rail(flight, paper);
    lines.push(Line::new());
    lines.extend(traffic(flight, paper));
    let table = sides(flight);
    if !table.is_empty() {
        lines.push(Line::new());
        lines.extend(table);
    }
    if let Some(judgement) = &flight.judgement {
        lines.push(Line::new());
        lines.extend(verdict(judgement, paper));
        lines.extend(findings(judgement, &flight.advisory, room, paper));
    }
    lines.push(Line::new());
    lines.extend(waiting(flight, now, paper));
    if flight.feedback.all > 0 {
        let ink = if flight.feedback.problems > 0 { Ink::Warn } else { Ink::Plain };
        lines.extend(labelled("users", Ink::Faint, &tally(&flight.feedback), ink, paper));
    }
    lines
}

/// Why it is not moving: the way back first, then what a person has to answer, then the rest.
pub(super) fn waiting(flight: &Flight, now: Timestamp, paper: &Paper) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(back) = &flight.returning {
        let said = flight.judgement.as_ref().is_some_and(|judgement| judgement.sentence == back.sentence);
        let why = if said { "everything returns to the baseline" } else { &back.sentence };
        let done = if back.verified {
            "the canary gets nothing any more"
        } else {
            "not confirmed by the router yet"
        };
        lines.extend(labelled("back", Ink::Bad, &format!("{why}; {done}"), Ink::Strong, paper));
        let times = [("detected", flight.timings.detect_ms), ("shifted", flight.timings.shift_ms)];
        let times: Vec<_> = times
            .iter()
            .filter_map(|(word, ms)| ms.map(|ms| format!("{word} {}", history::within(ms))))
            .collect();
        if !times.is_empty() {
            lines.push(Line::new().to(LABEL_COLUMNS).put(Ink::Faint, &times.join(", ")));
        }
    }
    let judged = flight.judgement.as_ref().map_or("", |judgement| judgement.sentence.as_str());
    let told = |sentence: &str| !sentence.is_empty() && judged.contains(sentence);
    for hold in &flight.holds {
        let text = if told(&hold.sentence) { "for you, because of this verdict" } else { &hold.sentence };
        let text = format!("{text} (for {})", running(now.since_ms(hold.since), u64::MAX));
        lines.extend(labelled("waits", Ink::Warn, &text, Ink::Strong, paper));
        let answer = flight.waiting.iter().find_map(|on| answer_to(hold, on));
        lines.extend(answer.iter().flat_map(|command| labelled("", Ink::Active, command, Ink::Plain, paper)));
    }
    let mut label = if flight.holds.is_empty() { "waiting" } else { "" };
    for on in flight.waiting.iter().filter(|on| flight.holds.iter().all(|hold| answer_to(hold, on).is_none()))
    {
        let mut sentence = match on {
            WaitingOn::Evidence { sentence, left_ms } if told(sentence) => match left_ms {
                Some(ms) => format!("for more evidence: about {} at this traffic", running(*ms, u64::MAX)),
                None => "for more evidence".to_owned(),
            },
            WaitingOn::Bake { have_ms, need_ms } => {
                let (have, need) = (running(*have_ms, *need_ms), running(*need_ms, *need_ms));
                format!("baking: {have} of {need} with fresh evidence")
            }
            other => other.to_string(),
        };
        for prefix in ["waiting for ", "waiting: "] {
            if let Some(rest) = sentence.strip_prefix(prefix) {
                sentence = format!("for {rest}");
            }
        }
        lines.extend(labelled(label, Ink::Active, &sentence, Ink::Plain, paper));
        label = "";
    }
    lines.extend(coming(flight, paper));
    if lines.is_empty() {
        lines.extend(labelled(
            "waiting",
            Ink::Faint,
            "for nothing: the next step is being taken",
            Ink::Plain,
            paper,
        ));
    }
    lines
}

/// What ends a hold, where this is the wait for it.
fn answer_to<'a>(hold: &HoldView, on: &'a WaitingOn) -> Option<&'a str> {
    match on {
        WaitingOn::Person { sentence, command } if *sentence == hold.sentence => Some(command),
        _ => None,
    }
}

fn at_rest(status: &Status, paper: &Paper) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(since) = status.stable_since {
        let text = running(status.at.since_ms(since), u64::MAX);
        lines.push(
            Line::new().plain(" ").put(Ink::Faint, "stable").to(LABEL_COLUMNS).plain(&format!("for {text}")),
        );
    }
    if !status.listen.is_empty() {
        let listen = status.listen.join(", ");
        lines.push(Line::new().plain(" ").put(Ink::Faint, "listens").to(LABEL_COLUMNS).plain(&listen));
    }
    if !status.instances.is_empty() {
        let ready = status.instances.iter().filter(|i| i.phase == InstancePhase::Ready).count();
        let text =
            format!("{ready} of {} ready", counted(status.instances.len() as u64, "instance", "instances"));
        lines.push(Line::new().plain(" ").put(Ink::Faint, "runs").to(LABEL_COLUMNS).plain(&text));
    }
    if let Some(last) = &status.last {
        let (ink, text) = history::ended(last);
        lines.extend(labelled("last", Ink::Faint, &format!("{}: {text}", last.version), ink, paper));
        if let Some(why) = history::why(last) {
            lines.extend(labelled("", Ink::Faint, why, Ink::Plain, paper));
        }
    }
    lines
}

/// What is wrong with the stream itself.
fn troubles(status: &Status, paper: &Paper) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(why) = &status.quarantined {
        let text = format!("{why}; the baseline keeps serving");
        lines.extend(labelled("broken", Ink::Bad, &text, Ink::Plain, paper));
    }
    for silent in &status.unreachable {
        lines.extend(labelled("silent", Ink::Bad, silent, Ink::Plain, paper));
    }
    if let Some(why) = &status.held {
        let text = format!("nothing automatic happens here: {why}; `taxiway resume` frees it");
        lines.extend(labelled("held", Ink::Warn, &text, Ink::Plain, paper));
    }
    for queued in &status.queued {
        let text = format!("{} waits for this release to end", queued.version);
        lines.extend(labelled("queued", Ink::Faint, &text, Ink::Plain, paper));
    }
    let unwell =
        status.instances.iter().filter(|i| !i.why.is_empty() && i.phase != InstancePhase::Ready).take(3);
    for instance in unwell {
        let text = format!(
            "{} #{}: {} ({}), output in {}",
            instance.version,
            instance.number,
            instance.why,
            counted(u64::from(instance.restarts), "restart", "restarts"),
            instance.output
        );
        lines.extend(labelled("unwell", Ink::Warn, &text, Ink::Plain, paper));
    }
    lines
}
