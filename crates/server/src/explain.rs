//! Why a release is where it is: the inputs of the decision, the trail, and what a person can do.

pub(crate) mod coming;
mod metrics;
mod sources;
mod words;

use taxiway_api::{Explained, Harm, Input, LogEntry, NextStep, NormalView, Problem, Status};
use taxiway_decide::environment::{Environment, Flight};
use taxiway_decide::judge;
use taxiway_engine::View;
use taxiway_model::counts::quantile_us;
use taxiway_model::decision::{Report, WaitingOn};
use taxiway_model::event::Hold;
use taxiway_model::evidence::total;
use taxiway_model::ids::StreamId;
use taxiway_model::normal::Normal;
use taxiway_model::plan::Step;
use taxiway_model::time::ForPeople;
use taxiway_model::verdict::{Judgement, Verdict};

use crate::desk::Desk;
use crate::feedback;
use crate::problems::{no_stream, of_log};
use crate::status::waiting;

/// Events shown as the trail.
const TRAIL: usize = 12;

/// Records looked through for them; evidence in between is left out.
const LOOKED_THROUGH: usize = 400;

impl Desk {
    /// Why the stream is where it is.
    pub fn explain(&self, stream: &StreamId) -> Result<Explained, Problem> {
        let view = self.engine.view(stream).ok_or_else(|| no_stream(stream))?;
        let status = self.status(stream)?;
        let flight = view.state.flight.as_ref();
        let step = flight.and_then(Flight::current).cloned();
        let judgement = flight.and_then(judged_now);
        let now = status.at;
        Ok(Explained {
            sentence: sentence(&view, &status),
            metrics: flight.map(|flight| metrics::views(flight, judgement.as_ref())).unwrap_or_default(),
            sources: flight.map(|flight| sources::views(&view, flight, now)).unwrap_or_default(),
            harm: flight.filter(|flight| flight.plan.baseline.is_some()).map(harm),
            normal: flight.and_then(|flight| flight.normal.as_ref()).map(normal),
            warnings: flight.map(|flight| flight.warnings.clone()).unwrap_or_default(),
            feedback: feedback::now(&view.state),
            unproven: self.unproven(stream),
            hooks: self.house.hooks(),
            judgement,
            inputs: flight.map_or_else(Vec::new, |flight| inputs(&view, flight, step.as_ref(), &status)),
            deadlines: flight.map(|flight| flight.plan.deadlines.clone()),
            trail: self.trail(stream, view.state.seq)?,
            next: next(&view.state, &status),
            status,
            step,
        })
    }

    fn trail(&self, stream: &StreamId, seq: u64) -> Result<Vec<LogEntry>, Problem> {
        let after = seq.saturating_sub(LOOKED_THROUGH as u64);
        let records =
            self.engine.log().read(stream, after, LOOKED_THROUGH).map_err(|error| of_log(&error))?;
        let told = records.iter().filter(|stored| stored.record.kind != "evidence_recorded");
        let told: Vec<_> = told.collect();
        Ok(told[told.len().saturating_sub(TRAIL)..].iter().map(|stored| self.entry(stored)).collect())
    }
}

/// The judgement of all evidence up to now. The one on record is from when its message last changed;
/// it is the one that counts once the release goes back.
pub(crate) fn judged_now(flight: &Flight) -> Option<Judgement> {
    let judged = flight.current().is_some_and(|step| step.analysis) && flight.evidence.windows() > 0;
    if flight.returning.is_some() || !judged {
        return flight.judgement.clone();
    }
    let question = judge::question(&flight.plan, flight.step?);
    Some(judge::judge(&flight.plan.analysis, &flight.evidence, question))
}

fn harm(flight: &Flight) -> Harm {
    Harm { requests: flight.evidence.excess_errors(), budget: flight.plan.analysis.harm_budget_requests }
}

fn normal(normal: &Normal) -> NormalView {
    let seen = total(&normal.classes);
    NormalView {
        span_ms: normal.span_ms,
        requests: seen.requests,
        error_ppm: seen.errors().saturating_mul(1_000_000).checked_div(seen.requests),
        p95_us: quantile_us(&seen.latency, 9_500),
    }
}

fn sentence(view: &View, status: &Status) -> String {
    let state = &view.state;
    match (&state.flight, &state.held, &state.stable) {
        (Some(flight), _, _) => {
            let place = flight.current().map_or_else(
                || "before its first step".to_owned(),
                |step| format!("on step {} ({})", step.name, step.weight),
            );
            format!("{} to {} is {place}: {}", flight.release, flight.plan.version.name, why(view, flight))
        }
        (None, Some(why), _) => format!("nothing is in flight, and nothing automatic may happen: {why}"),
        (None, None, Some(stable)) => {
            let last = status
                .last
                .as_ref()
                .map_or_else(String::new, |last| format!("; the last release ended: {}", last.sentence));
            format!("nothing is in flight; {stable} serves everything{last}")
        }
        (None, None, None) => {
            let last = status.last.as_ref().map_or_else(String::new, |last| format!(": {}", last.sentence));
            format!("nothing is in flight and nothing was ever sealed here{last}")
        }
    }
}

/// What it waits for; a hold says it where nothing else does.
fn why(view: &View, flight: &Flight) -> String {
    let held = flight.holds.iter().find_map(|hold| flight.hold_sentences.get(hold));
    let judgement = judged_now(flight);
    let report = Report { waiting: waiting(view, flight, judgement.as_ref()) };
    match (report.waiting.is_empty(), held, judgement) {
        (true, Some(sentence), _) => format!("it waits for a person: {sentence}"),
        (true, None, Some(judgement)) if judgement.verdict == Verdict::Hold => {
            "the verdict holds it".to_owned()
        }
        _ => report.sentence(),
    }
}

fn input(name: &str, value: String, needed: String, met: Option<bool>, source: &str) -> Input {
    Input { name: name.to_owned(), value, needed, met, source: source.to_owned() }
}

fn inputs(view: &View, flight: &Flight, step: Option<&Step>, status: &Status) -> Vec<Input> {
    let state = &view.state;
    let mut inputs = Vec::new();
    for (version, wanted) in &state.workload.replicas {
        let ready = status
            .instances
            .iter()
            .filter(|instance| &instance.version == version)
            .filter(|instance| instance.phase == taxiway_model::observation::InstancePhase::Ready)
            .count();
        let met = ready >= *wanted as usize;
        let name = format!("instances of {version}");
        inputs.push(input(&name, format!("{ready} ready"), format!("{wanted}"), Some(met), "supervisor"));
    }
    let intended = state.routes.split.weight;
    match status.release.as_ref().and_then(|release| release.weight) {
        Some(weight) => {
            inputs.push(input(
                "weight in force",
                weight.to_string(),
                intended.to_string(),
                Some(weight == intended),
                "proxy",
            ));
        }
        None => inputs.push(input(
            "weight in force",
            "unknown".to_owned(),
            intended.to_string(),
            Some(false),
            "proxy",
        )),
    }
    if let Some(step) = step {
        let have = ForPeople(flight.bake_ms).to_string();
        let met = flight.bake_ms >= step.bake_ms;
        inputs.push(input("time with evidence", have, ForPeople(step.bake_ms).to_string(), Some(met), "log"));
        if step.approval {
            inputs.push(input(
                "approval",
                if flight.passed { "given" } else { "none" }.to_owned(),
                "a person".to_owned(),
                Some(flight.passed),
                "log",
            ));
        }
    }
    judged(flight, &mut inputs);
    inputs
}

fn judged(flight: &Flight, inputs: &mut Vec<Input>) {
    let (canary, failed) = flight.evidence.canary_totals();
    let windows = format!("log, {} windows", flight.evidence.windows());
    inputs.push(input(
        "canary requests",
        format!("{canary}, {failed} failed"),
        String::new(),
        None,
        &windows,
    ));
    // On record is when the message last changed; the figures are of now.
    let Some(judgement) = judged_now(flight) else { return };
    let verdict = format!("{}: {}", judgement.verdict, judgement.sentence);
    inputs.push(input("verdict", verdict, String::new(), None, &format!("judge {}", judgement.judge)));
    for finding in &judgement.findings {
        let value = format!("{}: {}", finding.verdict, finding.sentence);
        inputs.push(input(
            finding.metric.as_str(),
            value,
            String::new(),
            None,
            &format!("judge {}", judgement.judge),
        ));
    }
}

fn next(state: &Environment, status: &Status) -> Vec<NextStep> {
    let step = |command: &str, effect: String| NextStep { command: command.to_owned(), effect };
    let Some(flight) = &state.flight else {
        let mut steps = Vec::new();
        if state.held.is_some() {
            steps.push(step("taxiway resume", "automation is free again".to_owned()));
        }
        let sealed = state
            .versions
            .iter()
            .filter(|(name, known)| known.sealed && Some(*name) != state.stable.as_ref());
        if let Some((name, _)) = sealed.max_by_key(|(_, known)| known.release.clone()) {
            steps.push(step(
                &format!("taxiway rollback --to {name}"),
                format!("{name} serves everything again, at once"),
            ));
        }
        if status
            .last
            .as_ref()
            .is_some_and(|last| last.outcome != Some(taxiway_model::event::Outcome::Released))
        {
            steps.push(step("taxiway retry", "the same version is tried again".to_owned()));
        }
        return steps;
    };
    if flight.returning.is_some() {
        return vec![step("taxiway status --watch", "follow it back".to_owned())];
    }
    let mut steps = Vec::new();
    let waits = status
        .release
        .as_ref()
        .is_some_and(|release| release.waiting.iter().any(|on| matches!(on, WaitingOn::Person { .. })));
    // An approval is given by promoting.
    let resumes = flight.holds.iter().any(|hold| *hold != Hold::Approval);
    if flight.holds.contains(&Hold::FreshBaseline) {
        let effect = "it goes on without the fresh baseline, compared with what ran before".to_owned();
        steps.push(step("taxiway resume", effect));
    } else if resumes || (waits && flight.holds.is_empty()) {
        steps.push(step("taxiway resume", "it goes on, what held it is taken as accepted".to_owned()));
    }
    let following = flight.step.and_then(|index| flight.plan.step(index + 1));
    if let Some(following) = following {
        steps.push(step("taxiway promote", format!("{} gets {} now", following.name, following.weight)));
        steps.push(step("taxiway promote --full", "everything goes to the new version at once".to_owned()));
    }
    if !flight.holds.contains(&Hold::Paused) {
        steps.push(step("taxiway pause", "it stays where it is".to_owned()));
    }
    if let Some(baseline) = &flight.plan.baseline {
        steps.push(step("taxiway abort", format!("{baseline} serves everything again, at once")));
    }
    steps
}
