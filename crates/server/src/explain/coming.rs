//! What happens by itself, and when.

use taxiway_api::{Coming, Fate};
use taxiway_decide::environment::Flight;
use taxiway_engine::View;
use taxiway_model::decision::WaitingOn;
use taxiway_model::plan::Step;
use taxiway_model::time::{ForPeople, Timestamp};
use taxiway_model::verdict::{Judgement, Verdict};
use taxiway_model::weight::WeightBp;

/// The soonest first; what nobody can date comes last.
pub(crate) fn of(view: &View, flight: &Flight, judgement: Option<&Judgement>, now: Timestamp) -> Vec<Coming> {
    if flight.returning.is_some() {
        return Vec::new();
    }
    let mut coming: Vec<Coming> =
        view.report.waiting.iter().filter_map(|on| limit(on, &view.report.waiting)).collect();
    let asks = view.report.waiting.iter().any(|on| matches!(on, WaitingOn::Person { .. }));
    let blocked = asks || !coming.is_empty() || !flight.holds.is_empty();
    if let Some(step) = flight.current().filter(|_| !blocked) {
        on_step(flight, step, judgement, now, &mut coming);
    }
    coming.sort_by_key(|one| one.in_ms.unwrap_or(u64::MAX));
    coming
}

fn coming(what: Fate, unless: impl Into<String>, in_ms: Option<u64>) -> Coming {
    Coming { what, unless: unless.into(), in_ms }
}

/// The end of a wait that has one.
fn limit(on: &WaitingOn, all: &[WaitingOn]) -> Option<Coming> {
    let back = |unless: String, left_ms: u64| Some(coming(Fate::GoesBack, unless, Some(left_ms)));
    match on {
        // What becomes of a fresh baseline is a person's matter, never a way back.
        WaitingOn::Instances { version, left_ms, .. } if version.is_fresh() => (*left_ms > 0).then(|| {
            let unless = format!("unless the instances of the {} are ready", version.for_people());
            coming(Fate::AsksPerson, unless, Some(*left_ms))
        }),
        WaitingOn::Instances { version, need, left_ms, .. } => {
            let [what, are] = if *need == 1 { ["instance", "is"] } else { ["instances", "are"] };
            back(format!("unless {need} {what} of {version} {are} ready"), *left_ms)
        }
        WaitingOn::Router { weight, left_ms } => {
            back(format!("unless the router confirms {weight}"), *left_ms)
        }
        WaitingOn::Source { source, left_ms, .. } => back(format!("unless the {source} answers"), *left_ms),
        WaitingOn::AbortWindow { left_ms } if all.len() == 1 => {
            Some(coming(Fate::GoesOn, "when the abort window is over", Some(*left_ms)))
        }
        _ => None,
    }
}

/// What the verdict and the step's time lead to.
fn on_step(
    flight: &Flight,
    step: &Step,
    judgement: Option<&Judgement>,
    now: Timestamp,
    list: &mut Vec<Coming>,
) {
    let bake_left = step.bake_ms.saturating_sub(flight.bake_ms);
    let exposed_ms = flight.exposed_at.map_or(0, |at| now.since_ms(at));
    let window_ms = if step.weight > WeightBp::ZERO { flight.plan.deadlines.abort_window_ms } else { 0 };
    let soonest = bake_left.max(window_ms.saturating_sub(exposed_ms));
    let on = if step.approval { Fate::AsksPerson } else { Fate::GoesOn };
    let compared = step.analysis && flight.plan.baseline.is_some();
    let verdict = judgement.map(|judgement| judgement.verdict).filter(|_| compared);
    match (verdict, judgement) {
        (Some(Verdict::Hold), Some(judgement)) => held(flight, step, judgement, list),
        (Some(Verdict::InsufficientData), Some(judgement)) => {
            let wait_ms = judgement.findings.iter().filter_map(|finding| finding.wait_ms).max();
            let enough = wait_ms.map(|wait_ms| soonest.max(wait_ms));
            let given_ms = step.bake_ms + step.bake_ms.max(flight.plan.deadlines.samples_ms);
            let asks_ms = given_ms.saturating_sub(flight.bake_ms);
            if enough.is_none_or(|enough| enough <= asks_ms) {
                let what = match enough {
                    Some(_) => "if there is enough evidence by then",
                    None => "when there is enough evidence",
                };
                list.push(coming(on, what, enough));
            }
            if enough.is_none_or(|enough| enough > asks_ms) {
                let affordable =
                    flight.step.and_then(|index| taxiway_decide::next::affordable_harm(flight, index));
                list.push(match affordable {
                    Some([harm, budget]) => {
                        let what = format!(
                            "for more evidence, at the price of up to {harm} of the {budget} failed requests allowed"
                        );
                        coming(Fate::GoesOn, what, Some(asks_ms))
                    }
                    None => {
                        coming(Fate::AsksPerson, "unless there is enough evidence before", Some(asks_ms))
                    }
                });
            }
        }
        (Some(Verdict::Rollback), _) => list.push(coming(Fate::GoesBack, "at the next look", Some(0))),
        (Some(Verdict::Proceed), _) => list.push(coming(on, "if it stays well", Some(soonest))),
        _ if compared => list.push(coming(on, "if the evidence is good", None)),
        _ => list.push(coming(on, "when its time is up", Some(soonest))),
    }
}

/// A verdict of HOLD either goes away, or becomes a person's matter, or the way back.
fn held(flight: &Flight, step: &Step, judgement: &Judgement, list: &mut Vec<Coming>) {
    let held_ms = flight.hold_since_bake_ms.map_or(0, |since| flight.bake_ms.saturating_sub(since));
    if judgement.findings.iter().any(|finding| finding.shown) {
        let left_ms = step.bake_ms.saturating_sub(held_ms);
        list.push(coming(
            Fate::GoesBack,
            format!("if the regression stays shown for {}", ForPeople(step.bake_ms)),
            Some(left_ms),
        ));
    }
    let taken = flight.accepted.is_some_and(|taken| Some(taken.step) == flight.step);
    if !taken {
        let left_ms = taxiway_decide::next::HOLD_SETTLES_MS.saturating_sub(held_ms);
        list.push(coming(Fate::AsksPerson, "if it stays so", Some(left_ms)));
    }
}
