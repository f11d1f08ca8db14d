//! Evidence: when a window is closed, and whether a step has had enough.

use super::{Draft, Situation, fresh};
use crate::environment::Flight;
use crate::judge::{self, WINDOW_MS_MAX};
use taxiway_model::decision::WaitingOn;
use taxiway_model::event::{Event, Hold};
use taxiway_model::evidence::{Classes, Gauge, Gauges, Window, total};
use taxiway_model::ids::VersionName;
use taxiway_model::metrics::Samples;
use taxiway_model::observation::{Instance, InstancePhase, Observed, TrafficStatus};
use taxiway_model::plan::Step;
use taxiway_model::policy::MetricPolicy;
use taxiway_model::time::ForPeople;
use taxiway_model::verdict::Verdict;
use taxiway_model::weight::WeightBp;

/// Closes a window when it is due. Where a window ends depends on totals and time, never on how
/// many requests were bad: otherwise the test would not be valid.
pub(super) fn record(situation: &Situation<'_>, flight: &Flight, index: u16, draft: &mut Draft) {
    if let Some(window) = late(situation, flight) {
        draft.events.push(Event::EvidenceRecorded { window: Box::new(window) });
        return;
    }
    let Some(traffic) = situation.seen.traffic.known() else { return };
    let span_ms = traffic.since_window_ms;
    let (canary, baseline) = sides(situation, flight, traffic);
    if !judge::is_full(total(&canary).requests, span_ms) {
        return;
    }
    let window = Window {
        number: flight.evidence.windows() + 1,
        step: index,
        span_ms: span_ms.min(WINDOW_MS_MAX),
        warm_up: warming_up(situation, flight),
        canary,
        baseline,
        fresh: situation.state.routes.split.fresh,
        metrics: measured(situation),
        gauges: gauges(situation, flight, index),
    };
    if window.canary.is_empty() && window.baseline.is_empty() {
        return;
    }
    draft.events.push(Event::EvidenceRecorded { window: Box::new(window) });
}

/// What sources had measured of the step before and tell only now: it is weighed with the share that
/// step gave, and mixed with nothing of this one.
fn late(situation: &Situation<'_>, flight: &Flight) -> Option<Window> {
    let status = situation.seen.metrics.as_ref().and_then(Observed::known)?;
    let (step, samples) = status.late.clone().filter(|(step, _)| flight.step > Some(*step))?;
    Some(Window {
        number: flight.evidence.windows() + 1,
        step,
        span_ms: 0,
        warm_up: false,
        canary: Classes::default(),
        baseline: Classes::default(),
        fresh: situation.state.routes.split.fresh,
        metrics: samples,
        gauges: Gauges::default(),
    })
}

/// What metrics by query have shown; nothing while their source is silent.
fn measured(situation: &Situation<'_>) -> Samples {
    let status = situation.seen.metrics.as_ref().and_then(Observed::known);
    status.map(|status| status.since_window.clone()).unwrap_or_default()
}

/// What the instances of both sides use, where a metric of this step reads it.
fn gauges(situation: &Situation<'_>, flight: &Flight, index: u16) -> Gauges {
    let wanted = |metric: &MetricPolicy| metric.measure.is_gauge() && metric.from_step <= index;
    let Some(status) = situation.seen.workload.known() else { return Gauges::default() };
    if !flight.plan.analysis.metrics.iter().any(wanted) {
        return Gauges::default();
    }
    let of = |version: &VersionName| -> Vec<Gauge> {
        let running = status.instances.iter().filter(|instance| {
            &instance.version == version
                && matches!(
                    instance.phase,
                    InstancePhase::Ready | InstancePhase::Unhealthy | InstancePhase::Backoff
                )
        });
        let gauge = |instance: &Instance| Gauge {
            instance: instance.number,
            memory_bytes: instance.memory_bytes,
            cpu_milli: instance.cpu_milli,
            restarts: instance.restarts,
        };
        running.map(gauge).collect()
    };
    let baseline = flight.compared_with().as_ref().map(of);
    Gauges { canary: of(&flight.plan.version.name), baseline: baseline.unwrap_or_default() }
}

/// Both sides' counts since the last window; mirrored answers stand for a canary that only gets those.
fn sides(situation: &Situation<'_>, flight: &Flight, traffic: &TrafficStatus) -> (Classes, Classes) {
    let version = &flight.plan.version.name;
    let of = |counts: &std::collections::BTreeMap<VersionName, Classes>, version: &VersionName| {
        let mut classes = counts.get(version).cloned().unwrap_or_default();
        classes.retain(|_, counts| counts.requests > 0);
        classes
    };
    let mirror = flight.current().is_some_and(|step| {
        step.mirror > WeightBp::ZERO && step.weight == WeightBp::ZERO && step.header.is_none()
    });
    let canary =
        if mirror { of(&traffic.mirrored_since_window, version) } else { of(&traffic.since_window, version) };
    let baseline = situation.state.stable.as_ref().map(|stable| {
        let fresh = !situation.state.routes.split.fresh.is_zero();
        let version = if fresh { stable.fresh() } else { stable.clone() };
        of(&traffic.since_window, &version)
    });
    (canary, baseline.unwrap_or_default())
}

/// Whether the youngest instance of the canary, or of a fresh baseline, is still within its warm-up.
fn warming_up(situation: &Situation<'_>, flight: &Flight) -> bool {
    let warm_up_ms = flight.plan.analysis.warm_up_ms;
    let Observed::Known(status) = &situation.seen.workload else { return false };
    let fresh = flight.compared_with().filter(VersionName::is_fresh);
    let of = |version| status.ready(version).filter_map(|instance| instance.ready_since).max();
    let youngest = of(&flight.plan.version.name).max(fresh.as_ref().and_then(of));
    warm_up_ms > 0 && youngest.is_some_and(|since| situation.now.since_ms(since) < warm_up_ms)
}

/// Whether the step has had its time and its evidence; otherwise says what is missing, and in the
/// end asks a person.
pub(super) fn suffices(
    situation: &Situation<'_>,
    flight: &Flight,
    index: u16,
    step: &Step,
    draft: &mut Draft,
) -> bool {
    if flight.bake_ms < step.bake_ms {
        waiting_for_time(situation, flight, step, draft);
        return false;
    }
    if !step.analysis || flight.plan.baseline.is_none() || flight.waived {
        return true;
    }
    if flight.judgement.is_none() {
        draft.wait(WaitingOn::Evidence {
            sentence: "waiting for the first judgement".to_owned(),
            left_ms: None,
        });
        return false;
    }
    // What is on record is when the message last changed; the figures are of now.
    let question = judge::question(&flight.plan, index);
    let judgement = judge::judge(&flight.plan.analysis, &flight.evidence, question);
    match judgement.verdict {
        Verdict::Proceed => return true,
        Verdict::Hold => return flight.accepted.is_some_and(|taken| taken.step == index),
        Verdict::InsufficientData | Verdict::Rollback => {}
    }
    // Unknown where one of those that lack evidence gathers none.
    let lacking = judgement.findings.iter().filter(|finding| finding.verdict == Verdict::InsufficientData);
    let wait = lacking.map(|finding| finding.wait_ms).try_fold(0, |longest, wait| Some(longest.max(wait?)));
    draft.wait(WaitingOn::Evidence { sentence: judgement.sentence.clone(), left_ms: wait });
    if flight.extended == 0 {
        draft.events.push(Event::StepExtended { step: index });
    } else if flight.bake_ms >= step.bake_ms + step.bake_ms.max(flight.plan.deadlines.samples_ms) {
        ask(flight, index, &judgement.sentence, draft);
    }
    false
}

pub(super) fn waiting_for_time(situation: &Situation<'_>, flight: &Flight, step: &Step, draft: &mut Draft) {
    draft.wait(WaitingOn::Bake { have_ms: flight.bake_ms, need_ms: step.bake_ms });
    // Time in which nobody looked is no time in which evidence failed to come.
    let on_step =
        flight.exposed_at.map_or(0, |at| situation.now.since_ms(at)).min(situation.seen.watched.exposed_ms);
    let patience = step.bake_ms * 2 + flight.plan.deadlines.samples_ms;
    if let Some(traffic) = situation.seen.traffic.known() {
        let (canary, baseline) = sides(situation, flight, traffic);
        let due = traffic.since_window_ms >= 5_000;
        let canary_due =
            step.weight > WeightBp::ZERO || step.mirror > WeightBp::ZERO || step.header.is_some();
        if due && canary_due && canary.is_empty() {
            draft.wait(WaitingOn::Traffic { side: "canary".to_owned() });
        } else if due && step.weight < WeightBp::ALL && baseline.is_empty() {
            draft.wait(WaitingOn::Traffic { side: "baseline".to_owned() });
        }
    }
    if on_step > patience {
        let sentence = format!(
            "after {} on this step there are only {} with fresh evidence of the {} it needs",
            ForPeople(on_step),
            ForPeople(flight.bake_ms),
            ForPeople(step.bake_ms)
        );
        draft.events.push(Event::HoldBegan { why: short_of_evidence(situation, flight), sentence });
    }
}

/// What a person is asked for when evidence does not come.
fn short_of_evidence(situation: &Situation<'_>, flight: &Flight) -> Hold {
    if fresh::is_down(situation, flight) { Hold::FreshBaseline } else { Hold::Evidence }
}

/// Too little evidence after the extension: more traffic where the harm budget allows it, else a person.
fn ask(flight: &Flight, index: u16, sentence: &str, draft: &mut Draft) {
    if let Some([harm, budget]) = affordable_harm(flight, index) {
        let sentence =
            format!("{sentence}; more traffic may cost up to {harm} failed requests of the {budget} allowed");
        draft.events.push(Event::EvidenceWaived { step: index, sentence });
        return;
    }
    draft.events.push(Event::HoldBegan { why: Hold::Evidence, sentence: sentence.to_owned() });
}

/// Failed requests that more traffic may cost, and those allowed, where too little evidence is answered by more
/// traffic: within the harm budget, and where there is a next step.
pub fn affordable_harm(flight: &Flight, index: u16) -> Option<[u64; 2]> {
    let budget = flight.plan.analysis.harm_budget_requests?;
    let harm = expected_harm(flight, index);
    (harm <= budget && !flight.on_last_step()).then_some([harm, budget])
}

/// Failed requests the next step may cost if the canary is as bad as has not been excluded: what it
/// has cost beyond the baseline's rate, and so much of the next step's share of the traffic as the
/// upper end of its own rate lies above the baseline's.
fn expected_harm(flight: &Flight, index: u16) -> u64 {
    let sides = flight.evidence.sides();
    let (canary, baseline) = (sides.canary(), sides.baseline());
    let seen = canary.requests + baseline.requests;
    let (Some(step), Some(next)) = (flight.plan.step(index), flight.plan.step(index + 1)) else {
        return u64::MAX;
    };
    // Requests are of all steps so far, and so is the time: each had its own at least.
    let earlier = flight.plan.steps.iter().take(usize::from(index)).filter(|step| step.analysis);
    let seen_ms = (earlier.map(|step| step.bake_ms).sum::<u64>() + flight.bake_ms).max(1);
    // Beside a fresh baseline both sides together are not all there is.
    let both = match flight.fresh_weight(step) {
        WeightBp::ZERO => 10_000,
        fresh => u64::from(step.weight.bp()) + u64::from(fresh.bp()),
    };
    let coming =
        seen.saturating_mul(next.bake_ms.max(step.bake_ms)) / seen_ms * 10_000 / both.clamp(1, 10_000);
    let exposed = coming.saturating_mul(u64::from(next.weight.bp())) / 10_000;
    // Two standard errors and the rule of three: with none seen, three may have been due.
    let worst = u128::from(canary.errors() + 2 * canary.errors().isqrt() + 3);
    let (of, baseline_of) = (u128::from(canary.requests.max(1)), u128::from(baseline.requests.max(1)));
    let beyond = (worst * baseline_of).saturating_sub(u128::from(baseline.errors()) * of);
    let coming = u128::from(exposed) * beyond / (of * baseline_of);
    flight.evidence.excess_errors().saturating_add(u64::try_from(coming).unwrap_or(u64::MAX))
}
