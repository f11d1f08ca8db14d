//! One line for people about each event.

use std::fmt::Write as _;

use taxiway_model::event::{Event, Outcome, ReturnCause, Split};
use taxiway_model::feedback::{Feedback, Kind};
use taxiway_model::normal::Normal;
use taxiway_model::plan::{Plan, Purpose};
use taxiway_model::time::ForPeople;

/// The line; `plan` gives steps their names, where the plan is known.
pub(crate) fn of(event: &Event, plan: Option<&Plan>) -> String {
    let step = |index: u16| match plan.and_then(|plan| plan.step(index)) {
        Some(step) => format!("step {} ({})", step.name, step.weight),
        None => format!("step {}", index + 1),
    };
    match event {
        Event::ReleaseAccepted { plan, plan_digest, .. } => accepted(plan, &plan_digest.short()),
        Event::ReleaseWithdrawn { release, sentence } => format!("{release} will not start: {sentence}"),
        Event::ReleaseStarted { release } => format!("{release} has started"),
        Event::NormalRecorded { normal } => profile(normal),
        Event::Warned { warnings } => format!("warned: {}", warnings.join("; ")),
        Event::WorkloadIntended { replicas, .. } => {
            let wanted: Vec<String> = replicas
                .iter()
                .map(|(version, count)| format!("{count} of {}", version.for_people()))
                .collect();
            if wanted.is_empty() {
                "no instance shall run".to_owned()
            } else {
                format!("to run: {}", wanted.join(", "))
            }
        }
        Event::WorkloadReady { .. } => "all instances are ready".to_owned(),
        Event::StepEntered { step: index } => format!("entered {}", step(*index)),
        Event::SplitIntended { split, .. } => format!("to route: {}", routed(split)),
        Event::SplitObserved { .. } => "the router has confirmed".to_owned(),
        Event::EvidenceRecorded { window } => evidence(window),
        Event::CheckStarted { effect, attempt } => format!("check {effect} started (attempt {attempt})"),
        Event::CheckEnded { effect, passed, said, .. } => {
            format!("check {effect} {}: {said}", if *passed { "passed" } else { "failed" })
        }
        Event::Judged { judgement, .. } => format!("{}: {}", judgement.verdict, judgement.sentence),
        Event::StepExtended { step: index } => {
            format!("too little evidence: {} is given its time again", step(*index))
        }
        Event::SourceFailed { source, why } => format!("no evidence from {source}: {why}"),
        Event::SourceRecovered { source } => format!("{source} answers again"),
        Event::HoldBegan { sentence, .. } => format!("holds: {sentence}"),
        Event::HoldEnded { why } => format!("no longer held ({})", word(why)),
        Event::StepPassed { step: index, by_hand } => {
            format!("passed {}{}", step(*index), if *by_hand { ", promoted by hand" } else { "" })
        }
        Event::FullPromotionAsked => "all of the traffic was asked for at once".to_owned(),
        Event::SignalReceived { signal, detail, .. } => {
            format!("harm was reported ({}): {detail}", word(signal))
        }
        Event::FeedbackReceived { feedback } => said(feedback),
        Event::ReturnDecided { cause, sentence } => {
            format!("back to the baseline ({}): {sentence}", cause_word(*cause))
        }
        Event::ReturnVerified { detect_ms, shift_ms, canary_requests, canary_failed } => {
            let detected =
                detect_ms.map_or_else(String::new, |ms| format!("detected after {}, ", ForPeople(ms)));
            format!(
                "the canary gets nothing any more: {detected}shifted in {shift_ms} ms; it had {canary_requests} requests, {canary_failed} failed"
            )
        }
        Event::ReleaseEnded { outcome, sentence } => format!("{}: {sentence}", outcome_word(*outcome)),
        Event::RetireDue { version } => format!("{version} is no longer kept for a quick way back"),
        Event::AutomationHeld { why } => format!("nothing automatic until a person resumes: {why}"),
        Event::AutomationFreed => "automation is free again".to_owned(),
        Event::InstanceFailed { version, instance, restarts, why } => {
            format!("instance {instance} of {version} failed (restart {restarts}): {why}")
        }
        Event::FreshBaselineLeft => {
            "it goes on without its fresh baseline: the canary is compared with what ran before".to_owned()
        }
        Event::EvidenceWaived { .. } => {
            "too little evidence, but the harm budget covers what could be missed".to_owned()
        }
    }
}

/// A piece of feedback in a line.
pub(crate) fn said(feedback: &Feedback) -> String {
    let mut line = match feedback.kind {
        Kind::Problem => "a user reported a problem",
        Kind::Praise => "a user praised it",
        Kind::Remark => "a user said something",
    }
    .to_owned();
    if let Some(rating) = feedback.rating {
        let _ = write!(line, " ({rating} of 5)");
    }
    if let Some(version) = &feedback.version {
        let _ = write!(line, " of {version}");
    }
    if !feedback.text.is_empty() {
        let _ = write!(line, ": {}", feedback.text);
    }
    line
}

fn profile(normal: &Normal) -> String {
    let seen = taxiway_model::evidence::total(&normal.classes);
    format!(
        "normal profile: {} requests in {}, {} failed",
        seen.requests,
        ForPeople(normal.span_ms),
        seen.errors()
    )
}

fn accepted(plan: &Plan, digest: &str) -> String {
    let (version, baseline) = (&plan.version.name, plan.baseline.as_ref());
    match (plan.purpose, baseline) {
        (Purpose::Rollback, _) => format!("back to {version} was accepted (plan {digest})"),
        (Purpose::Forward, None) => {
            format!("{version}, the first release here, was accepted (plan {digest})")
        }
        (Purpose::Forward, Some(baseline)) => {
            format!(
                "{version} to replace {baseline} was accepted: {} steps (plan {digest})",
                plan.steps.len()
            )
        }
    }
}

fn routed(split: &Split) -> String {
    match (&split.baseline, &split.canary) {
        (Some(baseline), None) => format!("everything to {baseline}"),
        (Some(baseline), Some(canary)) if !split.fresh.is_zero() => {
            format!("{} to {canary}, {} to {}", split.weight, split.fresh, baseline.fresh().for_people())
        }
        (_, Some(canary)) => format!("{} to {canary}", split.weight),
        (None, None) => "nothing".to_owned(),
    }
}

fn evidence(window: &taxiway_model::evidence::Window) -> String {
    if window.is_late() {
        let names: Vec<&str> = window.metrics.keys().map(taxiway_model::ids::MetricName::as_str).collect();
        return format!(
            "evidence of step {} that came late: {}",
            u32::from(window.step) + 1,
            names.join(", ")
        );
    }
    let (canary, baseline) = (window.canary_total(), window.baseline_total());
    format!(
        "evidence of {}: canary {} requests, {} failed; baseline {}, {}{}",
        ForPeople(window.span_ms),
        canary.requests,
        canary.errors(),
        baseline.requests,
        baseline.errors(),
        if window.warm_up { " (warm-up)" } else { "" }
    )
}

fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word.replace('_', " "),
        _ => String::new(),
    }
}

fn cause_word(cause: ReturnCause) -> String {
    word(&cause)
}

fn outcome_word(outcome: Outcome) -> String {
    word(&outcome)
}
