//! One tick of a stream: look and decide until nothing is left to decide.

use crate::execute::{self, execute};
use crate::observe::{observe, rebase};
use crate::ports::log;
use crate::stored::Cause;
use crate::stream::{Stream, Trouble};
use crate::{Engine, lock};
use taxiway_decide::{Situation, check, next};
use taxiway_model::decision::{Action, Decision, Report, WaitingOn};
use taxiway_model::event::{Event, ReturnCause};
use taxiway_model::ids::StreamId;
use taxiway_model::weight::WeightBp;

/// Transitions in one tick. A release has a handful a step; more is a loop, left to the next tick.
const TRANSITIONS_MAX: u32 = 64;

/// How long a canary may stay exposed while nothing can be recorded.
const LOG_SILENCE_MS: u64 = 10_000;

/// When to look again while the log cannot be read or written.
const LOG_RETRY_MS: u64 = 1_000;

impl Engine {
    /// Does what there is to do on a stream; returns in how many milliseconds to look again.
    pub fn tick(&self, id: &StreamId) -> Option<u64> {
        let stream = self.stream(id);
        let mut stream = lock(&stream);
        stream.load(self);
        if !stream.is_loaded() {
            return Some(LOG_RETRY_MS);
        }
        if stream.quarantine.is_some() {
            return None;
        }
        match stream.flush(self) {
            Ok(()) => {}
            // The append that seemed to fail did not, or somebody else was faster: the log knows.
            Err(log::Error::Conflict { .. }) => {
                stream.unlogged.clear();
                stream.reload(self);
            }
            Err(error) => note(self, &mut stream, &error),
        }
        stream.settle(self);
        for _ in 0..TRANSITIONS_MAX {
            let seen = observe(self, &mut stream);
            let now = self.now();
            let decision = next(&Situation { state: &stream.state, seen: &seen, now });
            let decision = second_opinion(decision, &stream);
            stream.report = decision.report.clone();
            if decision.events.is_empty() {
                carry_out(self, &mut stream, &decision.actions);
                return look_again(self, &mut stream, &decision);
            }
            if transition(self, &mut stream, &decision, &Cause::engine()) == Recorded::No {
                return Some(LOG_RETRY_MS);
            }
        }
        Some(0)
    }
}

fn look_again(engine: &Engine, stream: &mut Stream, decision: &Decision) -> Option<u64> {
    if out_of_touch_with_the_log(engine, stream) {
        return Some(LOG_RETRY_MS);
    }
    let now = engine.now();
    decision.wake.map(|wake| wake.at.since_ms(now))
}

/// A decision that breaks a rule is replaced by the way back.
fn second_opinion(decision: Decision, stream: &Stream) -> Decision {
    let violations = check(&decision, &stream.state);
    let Some(violation) = violations.first() else { return decision };
    let sentence = format!("a decision of ours broke the rule {}: {}", violation.rule, violation.detail);
    tracing::error!(stream = %stream.state.stream, %sentence, "decision not carried out");
    let returning = stream.state.flight.as_ref().is_none_or(|flight| flight.returning.is_some());
    if returning {
        let actions = decision.actions.into_iter().filter(taxiway_decide::check::is_way_back).collect();
        let waiting = vec![WaitingOn::Held { why: sentence }];
        return Decision { events: Vec::new(), actions, wake: decision.wake, report: Report { waiting } };
    }
    way_back(stream, ReturnCause::Invariant, &sentence)
}

fn way_back(stream: &Stream, cause: ReturnCause, sentence: &str) -> Decision {
    let generation = stream.state.generation.next();
    let split = taxiway_decide::environment::to_baseline(stream.state.stable.clone());
    Decision {
        events: vec![
            Event::ReturnDecided { cause, sentence: sentence.to_owned() },
            Event::SplitIntended { generation, split },
        ],
        actions: vec![Action::ToBaseline { stream: stream.state.stream.clone(), generation }],
        wake: None,
        report: Report { waiting: vec![WaitingOn::Return] },
    }
}

/// Whether a decision is on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// It is, and was carried out.
    Yes,
    /// The log had moved on: it was loaded again, and is to be decided on again.
    Overtaken,
    /// Nothing could be recorded.
    No,
}

/// Appends, then carries out; the way back the other way round.
pub(crate) fn transition(
    engine: &Engine,
    stream: &mut Stream,
    decision: &Decision,
    cause: &Cause,
) -> Recorded {
    let back = decision.events.iter().find_map(|event| match event {
        Event::ReturnDecided { .. } => decision.events.iter().find_map(|event| match event {
            Event::SplitIntended { generation, .. } => Some(*generation),
            _ => None,
        }),
        _ => None,
    });
    let decided_at = engine.now();
    if let Some(generation) = back {
        execute::to_baseline(engine.ports(), stream, generation);
    }
    if !stream.unlogged.is_empty() {
        // What happened before is not on record yet, so nothing after it can be.
        if back.is_some() {
            stream.take_unlogged(&decision.events, cause, decided_at);
        }
        return Recorded::No;
    }
    match stream.append(engine, &decision.events, cause, decided_at) {
        Ok(()) => {
            after_append(engine, stream, &decision.events);
            carry_out(engine, stream, &decision.actions);
            Recorded::Yes
        }
        Err(log::Error::Conflict { .. }) => {
            stream.reload(engine);
            if stream.is_loaded() { Recorded::Overtaken } else { Recorded::No }
        }
        Err(error) => {
            note(engine, stream, &error);
            if back.is_some() {
                stream.take_unlogged(&decision.events, cause, decided_at);
            }
            Recorded::No
        }
    }
}

fn after_append(engine: &Engine, stream: &mut Stream, events: &[Event]) {
    let anew = events.iter().any(|event| match event {
        // Late counts of sources leave what the router counts where it is.
        Event::EvidenceRecorded { window } => !window.is_late(),
        event => matches!(event, Event::SplitObserved { .. } | Event::StepEntered { .. }),
    });
    if anew {
        rebase(engine.ports(), stream);
    }
}

fn carry_out(engine: &Engine, stream: &mut Stream, actions: &[Action]) {
    for action in actions {
        execute(engine, stream, action);
    }
}

fn note(engine: &Engine, stream: &mut Stream, error: &log::Error) {
    tracing::error!(stream = %stream.state.stream, %error, "nothing can be recorded");
    let now_ms = engine.ports().clock.monotonic_ms();
    let since_ms = stream.log_trouble.as_ref().map_or(now_ms, |trouble| trouble.since_ms);
    stream.log_trouble = Some(Trouble { why: error.to_string(), since_ms, last_ms: now_ms });
    stream.unsure = true;
    if let log::Error::Fenced { .. } = error {
        stream.quarantine = Some(error.to_string());
    }
    silence(engine, stream);
}

/// A canary nobody can record anything of goes back: evidence that cannot be kept is none.
fn silence(engine: &Engine, stream: &mut Stream) {
    let Some(Trouble { why, since_ms, last_ms }) = stream.log_trouble.clone() else { return };
    let exposed = stream.state.routes.split.weight > WeightBp::ZERO;
    let returning = stream.state.flight.as_ref().is_none_or(|flight| flight.returning.is_some());
    // A single failure with nothing tried since proves no silence.
    let long = last_ms.saturating_sub(since_ms) >= LOG_SILENCE_MS;
    if exposed && !returning && long {
        let sentence = format!("nothing could be recorded for {} s: {why}", LOG_SILENCE_MS / 1_000);
        let decision = way_back(stream, ReturnCause::Source, &sentence);
        let at = engine.now();
        for action in &decision.actions {
            execute(engine, stream, action);
        }
        stream.take_unlogged(&decision.events, &Cause::engine(), at);
    }
}

fn out_of_touch_with_the_log(engine: &Engine, stream: &mut Stream) -> bool {
    if stream.log_trouble.is_none() {
        return false;
    }
    silence(engine, stream);
    stream.probe(engine.ports());
    stream.log_trouble.is_some()
}
