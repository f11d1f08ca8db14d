//! Smoke tests and hooks of a step, one after the other.

use super::{Draft, LOOK_SOON_MS, Situation};
use crate::environment::Flight;
use crate::handle::go_back;
use taxiway_model::decision::{Action, CheckOrder, WaitingOn};
use taxiway_model::event::{Event, Hold, ReturnCause};
use taxiway_model::observation::CheckStatus;
use taxiway_model::plan::{Check, CheckRun, OnFailure, Step};

/// Where in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    /// When its instances are ready, before its split.
    Before,
    /// When everything else holds.
    After,
}

/// How far the checks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checked {
    /// All that matter have passed.
    Passed,
    /// One runs, or something was decided.
    NotYet,
}

/// Moves the checks of one place on.
pub(super) fn run(
    situation: &Situation<'_>,
    flight: &Flight,
    index: u16,
    place: Where,
    draft: &mut Draft,
) -> Checked {
    let Some(step) = flight.plan.step(index) else { return Checked::Passed };
    let (list, word) = match place {
        Where::Before => (&step.before, "before"),
        Where::After => (&step.after, "after"),
    };
    for check in list {
        let effect = format!("{}/{}/{word}/{}", flight.release, step.name, check.name);
        if one(situation, flight, step, check, &effect, draft) == Checked::NotYet {
            return Checked::NotYet;
        }
    }
    Checked::Passed
}

fn one(
    situation: &Situation<'_>,
    flight: &Flight,
    step: &Step,
    check: &Check,
    effect: &str,
    draft: &mut Draft,
) -> Checked {
    let Some(record) = flight.checks.get(effect) else {
        draft.events.push(Event::CheckStarted { effect: effect.to_owned(), attempt: 1 });
        draft.actions.push(order(situation, flight, step, check, effect, 1));
        return Checked::NotYet;
    };
    match record.passed {
        Some(true) => return Checked::Passed,
        Some(false) => return failed(situation, flight, step, check, effect, record.attempt, draft),
        None => {}
    }
    let attempt = record.attempt;
    match situation.seen.checks.get(&(effect.to_owned(), attempt)) {
        Some(CheckStatus::Ended { passed, said }) => {
            draft.events.push(Event::CheckEnded {
                effect: effect.to_owned(),
                attempt,
                passed: *passed,
                said: said.clone(),
            });
        }
        Some(CheckStatus::Running) => {
            draft.wait(WaitingOn::Check { name: check.name.clone(), attempt });
            draft.look_within(LOOK_SOON_MS);
        }
        // The runner does not know it: it was restarted. A check runs at least once.
        None => draft.actions.push(order(situation, flight, step, check, effect, attempt)),
    }
    draft.look_within(LOOK_SOON_MS);
    Checked::NotYet
}

fn failed(
    situation: &Situation<'_>,
    flight: &Flight,
    step: &Step,
    check: &Check,
    effect: &str,
    attempt: u32,
    draft: &mut Draft,
) -> Checked {
    if attempt <= check.retries {
        let attempt = attempt + 1;
        draft.events.push(Event::CheckStarted { effect: effect.to_owned(), attempt });
        draft.actions.push(order(situation, flight, step, check, effect, attempt));
        return Checked::NotYet;
    }
    let said = flight.checks.get(effect).map(|record| record.said.clone()).unwrap_or_default();
    let sentence = format!("check {} failed: {said}", check.name);
    match check.on_failure {
        OnFailure::Continue => return Checked::Passed,
        OnFailure::Hold if flight.holds.contains(&Hold::Check) => {
            draft.wait(WaitingOn::Person {
                sentence,
                command: "taxiway resume to run it again, promote or abort".to_owned(),
            });
        }
        OnFailure::Hold => draft.events.push(Event::HoldBegan { why: Hold::Check, sentence }),
        OnFailure::Rollback => {
            let events = go_back(situation.state, ReturnCause::Check, &sentence);
            if let Some(Event::SplitIntended { generation, .. }) = events.last() {
                let stream = situation.state.stream.clone();
                draft.actions.push(Action::ToBaseline { stream, generation: *generation });
            }
            draft.events.extend(events);
        }
    }
    Checked::NotYet
}

fn order(
    situation: &Situation<'_>,
    flight: &Flight,
    step: &Step,
    check: &Check,
    effect: &str,
    attempt: u32,
) -> Action {
    let version = &flight.plan.version.name;
    let address = situation
        .seen
        .workload
        .known()
        .and_then(|status| status.ready(version).next())
        .map(|instance| instance.address.clone())
        .unwrap_or_default();
    let fill = |text: &str| {
        text.replace("{canary}", &address)
            .replace("{version}", version.as_str())
            .replace("{release}", flight.release.as_str())
            .replace("{step}", step.name.as_str())
            .replace("{service}", flight.plan.stream.service.as_str())
            .replace("{effect}", effect)
    };
    let run = match &check.run {
        CheckRun::Http { method, url, headers, body, expect_status, expect_body } => CheckRun::Http {
            method: method.clone(),
            url: fill(url),
            headers: headers.iter().map(|(name, value)| (name.clone(), fill(value))).collect(),
            body: body.as_deref().map(fill),
            expect_status: expect_status.clone(),
            expect_body: expect_body.clone(),
        },
        CheckRun::Command { command, directory } => CheckRun::Command {
            command: command.iter().map(|word| fill(word)).collect(),
            directory: directory.clone(),
        },
    };
    Action::StartCheck(Box::new(CheckOrder {
        effect: effect.to_owned(),
        attempt,
        run,
        timeout_ms: check.timeout_ms,
    }))
}
