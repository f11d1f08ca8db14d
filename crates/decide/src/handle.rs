//! Answering a person or a machine: a command becomes events, or a refusal that says what to do.

use crate::environment::{Environment, Flight, to_baseline};
use crate::feedback;
use crate::plan;
use taxiway_model::command::{Command, Refusal, RefusalCode};
use taxiway_model::event::{Event, Hold, Outcome, ReturnCause, Signal};
use taxiway_model::feedback::{Feedback, TEXT_CHARS_MAX, cleaned};
use taxiway_model::ids::{ReleaseId, VersionName};
use taxiway_model::plan::Plan;
use taxiway_model::service::Concurrency;
use taxiway_model::time::{ForPeople, Timestamp};

/// What a command changes, as events to append; nothing has changed when it is refused.
pub fn handle(state: &Environment, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
    match command {
        Command::Start { plan, again } => start(state, plan, *again, now),
        Command::Promote { full } => promote(in_flight(state)?, *full),
        Command::Pause => pause(in_flight(state)?),
        Command::Resume => resume(state),
        Command::Abort => {
            in_flight(state)?;
            Ok(go_back(state, ReturnCause::Aborted, "a person aborted it"))
        }
        Command::Rollback { to } => rollback(state, to.as_ref()),
        Command::Signal { signal, detail, key } => report(state, *signal, detail, key.as_ref()),
        Command::Feedback { feedback } => hear(state, feedback, now),
    }
}

/// The events of a decision to go back: the reason, and the intent that gives all to the baseline.
pub(crate) fn go_back(state: &Environment, cause: ReturnCause, sentence: &str) -> Vec<Event> {
    vec![
        Event::ReturnDecided { cause, sentence: sentence.to_owned() },
        Event::SplitIntended {
            generation: state.generation.next(),
            split: to_baseline(state.stable.clone()),
        },
    ]
}

fn refuse<T>(code: RefusalCode, why: impl Into<String>, next: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, why: why.into(), next: next.into() })
}

/// The release in flight, unless it is on its way back already.
fn in_flight(state: &Environment) -> Result<&Flight, Refusal> {
    match &state.flight {
        None => refuse(
            RefusalCode::NothingInFlight,
            format!("no release of {} is in flight", state.stream),
            "see `taxiway history` for what has ended",
        ),
        Some(flight) if flight.returning.is_some() => refuse(
            RefusalCode::AlreadyReturning,
            format!("{} is already on its way back", flight.release),
            "follow it with `taxiway status --watch`",
        ),
        Some(flight) => Ok(flight),
    }
}

fn start(state: &Environment, plan: &Plan, again: bool, now: Timestamp) -> Result<Vec<Event>, Refusal> {
    plan::sound(plan)?;
    let version = &plan.version;
    if let Some(known) = state.versions.get(&version.name)
        && known.version.digest != version.digest
    {
        return refuse(
            RefusalCode::VersionChanged,
            format!(
                "{} was {} and is now {}: a version never changes its content",
                version.name,
                known.version.digest.short(),
                version.digest.short()
            ),
            "give the new artifact or configuration a new version name",
        );
    }
    if let Some(why) = &state.held
        && !again
    {
        return refuse(
            RefusalCode::Held,
            format!("{} is held: {why}", state.stream),
            "run `taxiway resume` to free it, then release again",
        );
    }
    if let Some(until) = state.suppressed.get(&version.digest)
        && *until > now
        && !again
    {
        return refuse(
            RefusalCode::Suppressed,
            format!("{} was rolled back; it is not tried again for {}", version.name, left(now, *until)),
            "release a fixed version, or insist with `taxiway retry`",
        );
    }
    let queued = state.queue.iter().any(|waiting| waiting.plan.version.name == version.name);
    let mut events = match &state.flight {
        _ if queued => {
            return refuse(
                RefusalCode::InFlight,
                format!("{} is already waiting for its turn", version.name),
                "follow it with `taxiway status --watch`",
            );
        }
        None if state.stable.as_ref() == Some(&version.name) => {
            return refuse(
                RefusalCode::AlreadyReleased,
                format!("{} already serves all the traffic of {}", version.name, state.stream),
                "nothing to do; `taxiway status` shows it",
            );
        }
        None => Vec::new(),
        Some(flight) => beside(state, flight, plan)?,
    };
    if plan.concurrency == Concurrency::Supersede {
        // Whoever waits is older: were it to start now, it would undo what is newer afterwards.
        events.extend(state.queue.iter().map(|waiting| Event::ReleaseWithdrawn {
            release: waiting.release.clone(),
            sentence: format!("{} takes its place before it began", version.name),
        }));
    }
    events.push(accept(state, plan));
    Ok(events)
}

/// What becomes of the release in flight when another version comes.
fn beside(state: &Environment, flight: &Flight, plan: &Plan) -> Result<Vec<Event>, Refusal> {
    if flight.plan.version.name == plan.version.name && flight.returning.is_none() {
        return refuse(
            RefusalCode::InFlight,
            format!("{} is already being released as {}", plan.version.name, flight.release),
            "follow it with `taxiway status --watch`",
        );
    }
    match plan.concurrency {
        Concurrency::Refuse => refuse(
            RefusalCode::InFlight,
            format!("{} is in flight and concurrency is `refuse`", flight.release),
            "wait for it to end, or abort it",
        ),
        Concurrency::Supersede if flight.returning.is_none() => {
            let sentence = format!("{} takes its place", plan.version.name);
            Ok(go_back(state, ReturnCause::Superseded, &sentence))
        }
        Concurrency::Queue | Concurrency::Supersede => Ok(Vec::new()),
    }
}

fn accept(state: &Environment, plan: &Plan) -> Event {
    Event::ReleaseAccepted {
        release: state.next_release(),
        plan: Box::new(plan.clone()),
        plan_digest: plan.digest(),
    }
}

fn promote(flight: &Flight, full: bool) -> Result<Vec<Event>, Refusal> {
    let Some(step) = flight.step else {
        return refuse(
            RefusalCode::NotWaiting,
            format!("{} has not entered its first step", flight.release),
            "try again in a moment",
        );
    };
    let last = flight.plan.steps.len() as u16 - 1;
    let mut events = Vec::new();
    if full {
        events.push(Event::FullPromotionAsked);
    }
    events.push(Event::StepPassed { step, by_hand: true });
    if step < last {
        events.push(Event::StepEntered { step: if full { last } else { step + 1 } });
    }
    Ok(events)
}

fn pause(flight: &Flight) -> Result<Vec<Event>, Refusal> {
    if flight.holds.contains(&Hold::Paused) {
        return refuse(
            RefusalCode::NotWaiting,
            format!("{} is already paused", flight.release),
            "run `taxiway resume` to go on",
        );
    }
    let sentence = "a person paused it".to_owned();
    Ok(vec![Event::HoldBegan { why: Hold::Paused, sentence }])
}

fn resume(state: &Environment) -> Result<Vec<Event>, Refusal> {
    let mut events = Vec::new();
    if let Some(flight) = &state.flight {
        let ended = flight.holds.iter().filter(|hold| **hold != Hold::Approval);
        events.extend(ended.map(|why| Event::HoldEnded { why: *why }));
        if flight.holds.contains(&Hold::FreshBaseline) {
            events.push(Event::FreshBaselineLeft);
        }
        if events.is_empty() && flight.holds.contains(&Hold::Approval) {
            return refuse(
                RefusalCode::NotWaiting,
                format!("{} is not paused: its step asks for a person's promotion", flight.release),
                "run `taxiway promote` to approve it, or `taxiway abort`",
            );
        }
    }
    if state.held.is_some() {
        events.push(Event::AutomationFreed);
    }
    if events.is_empty() {
        return refuse(
            RefusalCode::NotWaiting,
            format!("nothing of {} is paused or held", state.stream),
            "see `taxiway explain` for what it waits for",
        );
    }
    Ok(events)
}

fn rollback(state: &Environment, to: Option<&VersionName>) -> Result<Vec<Event>, Refusal> {
    let held = |what: &str| Event::AutomationHeld { why: format!("a person rolled back {what}") };
    if let Some(flight) = &state.flight {
        let to_stable = to.is_none() || to == state.stable.as_ref();
        let mut events = Vec::new();
        if flight.returning.is_none() {
            events = go_back(state, ReturnCause::RolledBack, "a person rolled it back");
        } else if to_stable {
            return in_flight(state).map(|_| Vec::new());
        }
        events.push(held(flight.plan.version.name.as_str()));
        if let (false, Some(to)) = (to_stable, to) {
            events.push(accept(state, &plan_back(state, to)?));
        }
        return Ok(events);
    }
    let Some(stable) = &state.stable else {
        return refuse(
            RefusalCode::NoSuchVersion,
            format!("nothing was ever released to {}", state.stream),
            "release a first version",
        );
    };
    let target = match to {
        Some(to) => to.clone(),
        None => match previous(state, stable) {
            Some(previous) => previous,
            None => {
                return refuse(
                    RefusalCode::NoSuchVersion,
                    format!("{stable} is the only version {} ever had", state.stream),
                    "release another version",
                );
            }
        },
    };
    if &target == stable {
        return refuse(
            RefusalCode::AlreadyReleased,
            format!("{stable} already serves all the traffic"),
            "name an earlier version with --to; `taxiway history` lists them",
        );
    }
    let plan = plan_back(state, &target)?;
    Ok(vec![held(stable.as_str()), accept(state, &plan)])
}

/// The version that was sealed before the stable one.
fn previous(state: &Environment, stable: &VersionName) -> Option<VersionName> {
    state
        .history
        .iter()
        .rev()
        .find(|past| &past.version == stable && past.outcome == taxiway_model::event::Outcome::Released)
        .and_then(|past| past.baseline.clone())
        .filter(|version| version != stable)
}

fn plan_back(state: &Environment, to: &VersionName) -> Result<Plan, Refusal> {
    match (state.versions.get(to).filter(|known| known.sealed), &state.plan) {
        (Some(known), Some(template)) => {
            Ok(plan::back_to(template, known.version.clone(), state.stable.clone()))
        }
        _ => refuse(
            RefusalCode::NoSuchVersion,
            format!("{to} was never fully released to {}", state.stream),
            "name one of the versions that `taxiway history` lists as released",
        ),
    }
}

fn report(
    state: &Environment,
    signal: Signal,
    detail: &str,
    key: Option<&String>,
) -> Result<Vec<Event>, Refusal> {
    if state.knows(key) {
        return Ok(Vec::new());
    }
    in_flight(state)?;
    let what = match signal {
        Signal::DataIntegrity => "damaged data",
        Signal::Security => "a security finding",
        Signal::CriticalBug => "a critical bug",
        Signal::UserReports => "a spike of user reports",
    };
    let sentence =
        if detail.is_empty() { format!("{what} was reported") } else { format!("{what}: {detail}") };
    let mut events = vec![Event::SignalReceived { signal, detail: detail.to_owned(), key: key.cloned() }];
    events.extend(go_back(state, ReturnCause::Signal, &sentence));
    Ok(events)
}

/// What a user said is kept with the release it is said of. Of one in flight it may be the report
/// that makes a spike.
fn hear(state: &Environment, said: &Feedback, now: Timestamp) -> Result<Vec<Event>, Refusal> {
    if state.knows(said.key.as_ref()) {
        return Ok(Vec::new());
    }
    let sealed = || state.history.iter().rev().find(|past| past.outcome == Outcome::Released);
    let here =
        state.flight.as_ref().map(|flight| &flight.release).or_else(|| sealed().map(|past| &past.release));
    let known = |release: &ReleaseId| {
        here == Some(release) || state.history.iter().any(|past| &past.release == release)
    };
    let release = match (&said.release, here) {
        (Some(release), _) if known(release) => release.clone(),
        (Some(release), _) => {
            return refuse(
                RefusalCode::NoSuchVersion,
                format!("{} has no release {release}", state.stream),
                "leave the release out, or name one that `taxiway history --json` lists",
            );
        }
        (None, Some(release)) => release.clone(),
        (None, None) => {
            return refuse(
                RefusalCode::NothingInFlight,
                format!("nothing was ever released to {}, so nobody can have used it", state.stream),
                "see `taxiway status`",
            );
        }
    };
    let flight = state.flight.as_ref().filter(|flight| flight.release == release);
    let feedback = Feedback {
        release: Some(release),
        step: flight.and_then(|flight| flight.step),
        rating: said.rating.filter(|rating| (1..=5).contains(rating)),
        text: cleaned(&said.text, TEXT_CHARS_MAX),
        ..said.clone()
    };
    let mut events = vec![Event::FeedbackReceived { feedback: Box::new(feedback.clone()) }];
    if let Some(flight) = flight.filter(|flight| flight.returning.is_none()) {
        let mut heard = flight.heard.clone();
        heard.take(&feedback, flight.plan.version.name.as_str(), now);
        if let Some(detail) = feedback::spike(flight, &heard, feedback::usual(state, flight), now) {
            events.extend(report(state, Signal::UserReports, &detail, None)?);
        }
    }
    Ok(events)
}

fn left(now: Timestamp, until: Timestamp) -> ForPeople {
    ForPeople(until.since_ms(now))
}
