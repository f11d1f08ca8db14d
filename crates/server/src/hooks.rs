//! What machines report: alerts, signals and feedback, each mapped to the release in flight (R4.5).
//!
//! An alert rolls back only where it is proven to mean this release: it fires, its labels name a
//! stream, the owner has declared what it is, and it began after the release did. Everything else
//! does nothing and says why; what it was not told is said with what is missing.

mod alerts;
mod listen;
mod reports;

pub use listen::{Hook, serve};
pub(crate) use reports::Reports;

use taxiway_api::{
    Class, CommandAnswer, Done, FeedbackRequest, HookAnswer, HookResult, Problem, SignalRequest, Unproven,
};
use taxiway_decide::environment::Environment;
use taxiway_model::command::Command;
use taxiway_model::event::Signal;
use taxiway_model::feedback::{KEY_CHARS_MAX, TEXT_CHARS_MAX, cleaned};
use taxiway_model::ids::{ReleaseId, StreamId};
use taxiway_model::record::Actor;

use crate::desk::Desk;
use crate::problems::{bad_argument, problem};

/// The words of the signals.
const SIGNALS: &str = "data-integrity, security, critical-bug or user-reports";

/// What an alert or report came to, before it is told.
struct Outcome {
    what: String,
    done: Done,
    said: String,
    stream: Option<StreamId>,
    release: Option<ReleaseId>,
}

impl Outcome {
    fn new(what: &str, done: Done, said: impl Into<String>) -> Self {
        Self { what: what.to_owned(), done, said: said.into(), stream: None, release: None }
    }

    fn of(mut self, stream: &StreamId, release: Option<&ReleaseId>) -> Self {
        self.stream = Some(stream.clone());
        self.release = release.cloned();
        self
    }
}

impl Desk {
    /// A signal that a machine sends by itself.
    pub(crate) fn signalled(&self, request: &SignalRequest, origin: &str) -> Result<HookAnswer, Problem> {
        let signal = signal_of(&request.signal).ok_or_else(|| {
            unknown(format!("`{}` is no signal", request.signal), &format!("send one of {SIGNALS}"))
        })?;
        let stream = self
            .stream_meant(
                request.service.as_deref(),
                request.environment.as_deref(),
                request.release.as_deref(),
            )
            .map_err(not_understood)?;
        let report = Report {
            what: &request.signal,
            signal,
            detail: &request.detail,
            release: request.release.as_deref(),
            version: None,
            began: None,
            key: request.key.as_deref(),
        };
        let outcome = self.report(&stream, &report, origin)?;
        self.told(vec![outcome], origin)
    }

    /// What a user said, from a machine.
    pub(crate) fn heard(&self, request: &FeedbackRequest, origin: &str) -> Result<HookAnswer, Problem> {
        let going_on = |stream: &StreamId| {
            let flight = self.engine.state(stream).flight.filter(|flight| flight.returning.is_none());
            flight.map(|flight| flight.release)
        };
        let named = (request.service.as_deref(), request.environment.as_deref(), request.release.as_deref());
        let stream = self.stream_meant(named.0, named.1, named.2).map_err(not_understood)?;
        let before = going_on(&stream);
        let answer = self.feedback(request, origin, origin).map_err(not_understood)?;
        let CommandAnswer { stream, release, seq, said } = answer;
        // It may be back already: the way back takes milliseconds.
        let sealed = |id: &ReleaseId| {
            let state = self.engine.state(&stream);
            state.history.iter().any(|past| &past.release == id && past.cause.is_none())
        };
        let back = before.is_some_and(|id| going_on(&stream).as_ref() != Some(&id) && !sealed(&id));
        let done = match seq {
            None => Done::Nothing,
            Some(_) if back => Done::RollsBack,
            Some(_) => Done::Recorded,
        };
        let result = HookResult { what: "feedback".to_owned(), done, said, stream: Some(stream), release };
        Ok(HookAnswer { results: vec![result] })
    }

    /// A report about a stream: acted upon where it is proven to mean the release in flight.
    fn report(&self, stream: &StreamId, report: &Report<'_>, origin: &str) -> Result<Outcome, Problem> {
        let state = self.engine.state(stream);
        let key = report.key.map(|key| cleaned(key, KEY_CHARS_MAX));
        let Some(flight) = &state.flight else {
            return Ok(Outcome::new(report.what, Done::Nothing, "nothing is in flight").of(stream, None));
        };
        let nothing =
            |why: String| Ok(Outcome::new(report.what, Done::Nothing, why).of(stream, Some(&flight.release)));
        if flight.returning.is_some() {
            return nothing(format!("{} is on its way back already", flight.release));
        }
        if let Some(why) = not_meant(&state, report) {
            return nothing(why);
        }
        if state.knows(key.as_ref()) {
            return nothing("it was reported before".to_owned());
        }
        let detail = cleaned(report.detail, TEXT_CHARS_MAX);
        let command = Command::Signal { signal: report.signal, detail, key };
        let answer = self.submit(stream, &command, Actor::Person(origin.to_owned()), origin, "")?;
        Ok(Outcome::new(report.what, Done::RollsBack, answer.said).of(stream, Some(&flight.release)))
    }

    /// The answer; a problem where nothing of it was understood.
    fn told(&self, outcomes: Vec<Outcome>, origin: &str) -> Result<HookAnswer, Problem> {
        for outcome in outcomes.iter().filter(|outcome| outcome.done == Done::Unknown) {
            tracing::warn!(origin, what = outcome.what, why = outcome.said, "a report did nothing");
        }
        for outcome in &outcomes {
            // One that is over, of no service of ours, is no news.
            if outcome.done == Done::Unknown || outcome.done == Done::Nothing && outcome.stream.is_some() {
                let (what, why) = (outcome.what.clone(), outcome.said.clone());
                let report = Unproven { at: self.now(), origin: origin.to_owned(), what, why };
                self.reports.keep(outcome.stream.as_ref(), report);
            }
        }
        let all_unknown = outcomes.iter().all(|outcome| outcome.done == Done::Unknown);
        if let (true, Some(first)) = (all_unknown, outcomes.first()) {
            let more = match outcomes.len() {
                1 => String::new(),
                n => format!(" (and {} more like it)", n - 1),
            };
            let why = format!("{}: {}{more}", first.what, first.said);
            return Err(unknown(why, "nothing was rolled back; see docs/webhooks.md"));
        }
        let result = |outcome: Outcome| {
            let Outcome { what, done, said, stream, release } = outcome;
            HookResult { what, done, said, stream, release }
        };
        Ok(HookAnswer { results: outcomes.into_iter().map(result).collect() })
    }

    /// Reports about a stream that did nothing lately.
    pub(crate) fn unproven(&self, stream: &StreamId) -> Vec<Unproven> {
        self.reports.about(stream)
    }

    /// The stream that is meant by what a machine or a person said of it.
    pub(crate) fn stream_meant(
        &self,
        service: Option<&str>,
        environment: Option<&str>,
        release: Option<&str>,
    ) -> Result<StreamId, Problem> {
        let all: Vec<Environment> = self
            .engine
            .streams()
            .iter()
            .map(|stream| self.engine.state(stream))
            .filter(|state| state.releases > 0)
            .collect();
        let fits = |state: &&Environment| {
            service.is_none_or(|name| state.stream.service.as_str() == name)
                && environment.is_none_or(|name| state.stream.environment.as_str() == name)
                && release.is_none_or(|name| has(state, name))
        };
        let found: Vec<&Environment> = all.iter().filter(fits).collect();
        let names = |states: &[&Environment]| {
            states.iter().map(|state| state.stream.to_string()).collect::<Vec<_>>().join(", ")
        };
        match found.as_slice() {
            [one] => Ok(one.stream.clone()),
            [] if all.is_empty() => Err(no_service("nothing was ever released from here".to_owned())),
            [] => {
                let said = [("service", service), ("environment", environment), ("release", release)];
                let said: Vec<String> =
                    said.iter().filter_map(|(word, name)| Some(format!("{word} {}", (*name)?))).collect();
                let known = names(&all.iter().collect::<Vec<_>>());
                Err(no_service(format!("{} is not known here; there is {known}", said.join(", "))))
            }
            several => Err(problem(
                "several_services",
                Class::BadInput,
                "several services",
                format!("it could be {}", names(several)),
                "name the service, and where it has several, the environment",
            )),
        }
    }
}

/// What is reported about a stream.
struct Report<'a> {
    what: &'a str,
    signal: Signal,
    detail: &'a str,
    release: Option<&'a str>,
    version: Option<&'a str>,
    /// When it began, where that is known.
    began: Option<taxiway_model::time::Timestamp>,
    key: Option<&'a str>,
}

/// Why a report cannot mean the release in flight.
fn not_meant(state: &Environment, report: &Report<'_>) -> Option<String> {
    let flight = state.flight.as_ref()?;
    if let Some(release) = report.release.filter(|release| *release != flight.release.as_str()) {
        return Some(format!("it is about {release}, and {} is in flight", flight.release));
    }
    let version = &flight.plan.version.name;
    if let Some(other) = report.version.filter(|other| *other != version.as_str()) {
        return Some(format!("it is about version {other}, and {version} is in flight"));
    }
    let early_ms = report.began.map_or(0, |began| flight.started_at.since_ms(began));
    (early_ms > 0).then(|| {
        let early = taxiway_model::time::ForPeople(early_ms);
        format!("it began {early} before {} did, so that cannot be its cause", flight.release)
    })
}

fn has(state: &Environment, release: &str) -> bool {
    state.flight.as_ref().is_some_and(|flight| flight.release.as_str() == release)
        || state.history.iter().any(|past| past.release.as_str() == release)
}

fn signal_of(word: &str) -> Option<Signal> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).ok()
}

fn no_service(why: String) -> Problem {
    problem("no_service", Class::NotFound, "no such service", why, "`taxiway status` lists what there is")
}

/// Well-formed, and it cannot be told what it means.
fn unknown(why: String, next: &str) -> Problem {
    problem("not_understood", Class::NotUnderstood, "the report is not understood", why, next)
}

/// What was asked for wrongly by a machine is not understood.
fn not_understood(problem: Problem) -> Problem {
    match problem.class {
        Class::NotFound | Class::BadInput => unknown(problem.why, &problem.next),
        _ => problem,
    }
}

/// Reads a body of one of the hooks.
fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| bad_argument(format!("the body is not understood: {error}")))
}
