//! Why a release is where it is, with what that rests on.

use super::Paper;
use super::evidence::verdict;
use super::figures::{clock, counted, latency, rate, running, span, thousands};
use super::ink::{Ink, Line, draw, labelled};
use super::metrics::metrics;
use super::status::{change, word};
use super::summary::commands;
use taxiway_api::{Coming, Explained, Fate, FeedbackView, Flight, Input, LogEntry, SourceState, SourceView};
use taxiway_model::feedback::Kind;
use taxiway_model::verdict::Verdict;

/// Events and pieces of feedback shown where not everything is.
const TRAIL: usize = 4;
const SAID: usize = 2;

/// The sentence first, then what happens by itself, the evidence, where it comes from, what led
/// here, and what can be done: one screen. With `full` everything that is known.
pub fn explain(explained: &Explained, full: bool, paper: &Paper) -> Vec<String> {
    let mut lines = head(explained, paper);
    let judged = explained.judgement.as_ref().filter(|_| explained.status.release.is_some());
    let back = explained.status.release.as_ref().and_then(|flight| flight.returning.as_ref());
    let mut because = explained.sentence.clone();
    if let Some(judgement) = judged.filter(|judgement| !judgement.sentence.is_empty()) {
        // Said in full right below.
        let short = match judgement.verdict {
            Verdict::InsufficientData => "more evidence is needed",
            Verdict::Proceed | Verdict::Hold | Verdict::Rollback => "because of the verdict",
        };
        because = because.replace(&judgement.sentence, short);
    }
    if let Some(back) = back {
        because = format!("{because}; {}", back.sentence);
    }
    lines.extend(labelled("because", Ink::Active, &because, Ink::Strong, paper));
    lines.extend(explained.status.release.iter().flat_map(|flight| coming(flight, paper)));
    if let Some(judgement) = judged {
        lines.push(Line::new());
        lines.extend(verdict(judgement, paper));
    }
    if !explained.metrics.is_empty() {
        lines.push(Line::new());
        let said = judged.map_or("", |judgement| judgement.sentence.as_str());
        lines.extend(metrics(&explained.metrics, said, full, paper));
    }
    let around = around(explained, full, paper);
    if !around.is_empty() {
        lines.push(Line::new());
        lines.extend(around);
    }
    if full && !explained.inputs.is_empty() {
        lines.push(Line::new());
        lines.extend(table(&explained.inputs));
    }
    if let (true, Some(judgement)) = (full, judged) {
        let rest = format!(
            "{}, {} windows, evidence {}",
            judgement.judge,
            judgement.windows,
            judgement.evidence.short()
        );
        lines.extend(labelled("judge", Ink::Faint, &rest, Ink::Faint, paper));
    }
    lines.extend(led_here(explained, full, paper));
    lines.extend(can_do(explained, paper));
    while lines.last().is_some_and(|line| line.width() == 0) {
        lines.pop();
    }
    draw(lines, paper)
}

fn head(explained: &Explained, paper: &Paper) -> Vec<Line> {
    let status = &explained.status;
    let mut head =
        Line::new().plain(" ").put(Ink::Strong, &format!("{}/{}", status.service, status.environment));
    if let Some(flight) = &status.release {
        let at = usize::from(flight.step);
        let name = flight.steps.get(at).map_or("", |step| step.name.as_str());
        let place = format!("step {} of {}, {name}: {}", at + 1, flight.steps.len(), word(flight.state));
        head = head.plain("  ").put(Ink::Strong, &change(flight)).plain("  ").plain(&place);
    }
    let time = clock(status.at, &paper.zone);
    let fits = head.width() + time.chars().count() < paper.columns();
    vec![if fits { head.right(paper.columns(), Ink::Faint, &time) } else { head }, Line::new()]
}

/// What happens by itself, a line each.
pub(super) fn coming(flight: &Flight, paper: &Paper) -> Vec<Line> {
    let mut lines = Vec::new();
    for (i, one) in flight.coming.iter().enumerate() {
        let label = if i == 0 { "then" } else { "" };
        let ink = if one.what == Fate::GoesBack { Ink::Warn } else { Ink::Plain };
        lines.extend(labelled(label, Ink::Active, &fate(one), ink, paper));
    }
    lines
}

/// `goes back in 40s unless the router answers`.
fn fate(coming: &Coming) -> String {
    let what = match coming.what {
        Fate::GoesBack => "goes back",
        Fate::AsksPerson => "asks a person",
        Fate::GoesOn => "goes on",
        Fate::ShareEnds => "the canary's share ends",
    };
    let when = match coming.in_ms {
        Some(0) => " now".to_owned(),
        Some(ms) => format!(" in {}", running(ms.div_ceil(1_000) * 1_000, u64::MAX)),
        None => String::new(),
    };
    let unless = if coming.unless.is_empty() { String::new() } else { format!(" {}", coming.unless) };
    format!("{what}{when}{unless}")
}

/// What stands around the evidence: harm, sources, users, warnings.
fn around(explained: &Explained, full: bool, paper: &Paper) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(harm) = explained.harm.filter(|harm| harm.requests > 0 || harm.budget.is_some() || full) {
        let requests = counted(harm.requests, "failed request", "failed requests");
        let (ink, budget) = match harm.budget {
            Some(budget) => {
                let ink = if harm.requests * 2 > budget { Ink::Warn } else { Ink::Plain };
                (ink, format!(", of {} allowed", thousands(budget)))
            }
            None => (Ink::Plain, "; no cap is set".to_owned()),
        };
        let text = format!("{requests} beyond the baseline's rate so far{budget}");
        lines.extend(labelled("harm", Ink::Faint, &text, ink, paper));
    }
    lines.extend(sources(&explained.sources, full, paper));
    lines.extend(users(&explained.feedback, full, paper));
    for warning in &explained.warnings {
        lines.extend(labelled("warned", Ink::Warn, warning, Ink::Plain, paper));
    }
    for report in &explained.unproven {
        let text = format!("{} by {} did nothing: {}", report.what, report.origin, report.why);
        lines.extend(labelled("report", Ink::Warn, &text, Ink::Plain, paper));
    }
    if let (true, Some(normal)) = (full, &explained.normal) {
        let mut text =
            format!("{} in {}", counted(normal.requests, "request", "requests"), span(normal.span_ms));
        if let Some(ppm) = normal.error_ppm {
            text = format!("{text}, {} failed", rate(ppm));
        }
        if let Some(us) = normal.p95_us {
            text = format!("{text}, p95 {}", latency(us));
        }
        let text = format!("{text}, before the release");
        lines.extend(labelled("normal", Ink::Faint, &text, Ink::Plain, paper));
    }
    if full {
        for hook in &explained.hooks {
            lines.extend(labelled("hooks", Ink::Faint, hook, Ink::Plain, paper));
        }
    }
    lines
}

/// Those that do not answer, a line each; those that do, in one.
fn sources(sources: &[SourceView], full: bool, paper: &Paper) -> Vec<Line> {
    let mut lines = Vec::new();
    let well: Vec<&str> = sources
        .iter()
        .filter(|one| one.state == SourceState::Answering)
        .map(|one| one.name.as_str())
        .collect();
    let told =
        |state: SourceState| state != SourceState::Answering && (full || state != SourceState::NotAsked);
    for source in sources.iter().filter(|source| told(source.state)) {
        let silent =
            source.silent_ms.map_or_else(String::new, |ms| format!(" for {}", running(ms, u64::MAX)));
        let (ink, state) = match source.state {
            SourceState::Silent => (Ink::Bad, format!("silent{silent}")),
            SourceState::Nothing => (Ink::Warn, format!("answers, and has nothing{silent}")),
            SourceState::NotAsked | SourceState::Answering => (Ink::Faint, "not asked yet".to_owned()),
        };
        let why = if source.why.is_empty() { String::new() } else { format!(" ({})", source.why) };
        let next = source.next_ms.map_or_else(String::new, |ms| format!("; asked again in {}", span(ms)));
        let text = format!("{}: {state}{why}{next}; {}", source.name, source.policy);
        lines.extend(labelled("source", ink, &text, Ink::Plain, paper));
    }
    if !well.is_empty() && (full || lines.is_empty()) {
        let verb = if well.len() == 1 { "answers" } else { "answer" };
        let text = format!("{} {verb}", well.join(", "));
        lines.extend(labelled("sources", Ink::Faint, &text, Ink::Faint, paper));
    }
    lines
}

/// What users said.
fn users(said: &FeedbackView, full: bool, paper: &Paper) -> Vec<Line> {
    let usual = said.usual.as_ref().map_or_else(String::new, |usual| format!("; usual: {usual}"));
    if said.all == 0 {
        let text = format!("nothing was said yet{usual}");
        return if full { labelled("users", Ink::Faint, &text, Ink::Faint, paper) } else { Vec::new() };
    }
    let ink = if said.problems > 0 { Ink::Warn } else { Ink::Plain };
    let mut lines = labelled("users", Ink::Faint, &format!("{}{usual}", tally(said)), ink, paper);
    let shown = if full { said.latest.len() } else { SAID };
    for piece in said.latest.iter().rev().take(shown) {
        let mark = match piece.kind {
            Kind::Problem => "✘",
            Kind::Praise => "✔",
            Kind::Remark => "·",
        };
        let rating = piece.rating.map_or_else(String::new, |rating| format!(" {rating}/5"));
        let step = piece.step.as_ref().map_or_else(String::new, |step| format!(" on {step}"));
        let time = clock(piece.at, &paper.zone);
        let text = format!("{mark} {time}{rating}{step}: {}", piece.text);
        lines.extend(
            labelled("", Ink::Faint, text.trim_end_matches([':', ' ']), Ink::Plain, paper)
                .into_iter()
                .take(2),
        );
    }
    lines
}

/// `3 problems, 1 praise, 2.5 of 5`.
pub(super) fn tally(said: &FeedbackView) -> String {
    let mut parts = Vec::new();
    if said.problems > 0 {
        parts.push(counted(said.problems, "problem", "problems"));
    }
    if said.praise > 0 {
        parts.push(format!("{} praised it", thousands(said.praise)));
    }
    let rest = said.all.saturating_sub(said.problems + said.praise);
    if rest > 0 {
        parts.push(counted(rest, "remark", "remarks"));
    }
    if let Some(centi) = said.rating_centi {
        parts.push(format!("rated {}.{} of 5", centi / 100, centi % 100 / 10));
    }
    parts.join(", ")
}

fn led_here(explained: &Explained, full: bool, paper: &Paper) -> Vec<Line> {
    if explained.trail.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::new(), Line::new().plain(" ").put(Ink::Faint, "what led here")];
    // Verdicts that were said again with other figures say nothing of how it came here.
    let last_judged = explained.trail.iter().rposition(|entry| entry.kind == "judged");
    let told = |at: usize| full || explained.trail[at].kind != "judged" || Some(at) == last_judged;
    let trail: Vec<&LogEntry> =
        (0..explained.trail.len()).filter(|at| told(*at)).map(|at| &explained.trail[at]).collect();
    let shown = if full { trail.len() } else { TRAIL.min(trail.len()) };
    for entry in &trail[trail.len() - shown..] {
        let time = clock(entry.at, &paper.zone);
        let text = format!("{} (log {})", entry.sentence, entry.global);
        lines.extend(labelled(&time, Ink::Faint, &text, Ink::Plain, paper));
    }
    lines
}

fn can_do(explained: &Explained, paper: &Paper) -> Vec<Line> {
    if explained.next.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::new(), Line::new().plain(" ").put(Ink::Faint, "what you can do")];
    let next: Vec<(&str, &str)> =
        explained.next.iter().map(|next| (next.command.as_str(), next.effect.as_str())).collect();
    lines.extend(commands(&next, paper));
    lines
}

fn table(inputs: &[Input]) -> Vec<Line> {
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
