//! A release on one of its steps.

use super::checks::{self, Checked};
use super::exposure::{self, Place, Reached};
use super::{Draft, LOOK_MS, Situation, begin, ended, evidence, fresh};
use crate::environment::{Environment, Flight, to_baseline};
use crate::handle::go_back;
use crate::holding::{Holding, holding};
use crate::judge;
use crate::preflight::mix;
use std::collections::BTreeMap;
use taxiway_model::decision::{Action, WaitingOn};
use taxiway_model::event::{Event, Hold, Outcome, ReturnCause, Split};
use taxiway_model::ids::{MetricName, VersionName};
use taxiway_model::observation::{InstancePhase, Observed};
use taxiway_model::plan::Step;
use taxiway_model::policy::{Measure, MetricPolicy, Missing};
use taxiway_model::service::StrategyKind;
use taxiway_model::time::ForPeople;
use taxiway_model::verdict::{Judgement, Verdict};
use taxiway_model::weight::WeightBp;

/// Restarts of one canary instance that make a crash loop: one may be chance, two bad luck.
const CRASH_LOOP_RESTARTS: u32 = 3;

/// A verdict of HOLD that lasts this long, in time with evidence, asks for a person. Before, the
/// step is not left, but what began as a few errors may still turn out to call for a rollback, and
/// nobody should be woken for a question that answers itself.
pub const HOLD_SETTLES_MS: u64 = 15_000;

/// How long a source of metrics may know nothing of a side that is exposed: the first scrape of a
/// new instance, twice over, at the slowest usual pace.
const NOTHING_MS_MAX: u64 = 120_000;

/// What sources of metrics by query are called together.
const SOURCE_OF_METRICS: &str = "source of metrics";

/// Share of its memory limit, in percent, beyond which a canary instance is red (annex: Bands).
const MEMORY_RED_PERCENT: u64 = 90;

pub(super) fn go(situation: &Situation<'_>, flight: &Flight, draft: &mut Draft) {
    draft.look_within(LOOK_MS);
    let state = situation.state;
    if flight.plan.baseline.is_some() != state.stable.is_some() {
        let sentence = "the plan was made for another situation: what ran then does not run now";
        draft.events.push(ended(Outcome::Failed, sentence));
        return;
    }
    let version = &flight.plan.version.name;
    if flight.step.is_none() && state.stable.as_ref() == Some(version) {
        // It waited its turn, and the release before it brought the same version.
        let sentence = format!("{version} already serves all the traffic: there is nothing to release");
        draft.events.push(ended(Outcome::Failed, sentence));
        return;
    }
    let (Some(index), Some(step)) = (flight.step, flight.current()) else {
        begin::go(situation, flight, draft);
        return;
    };
    if let Some((cause, sentence)) = must_return(situation, flight) {
        back(state, cause, &sentence, draft);
        return;
    }
    if source(situation, flight, draft) {
        return;
    }
    let want = replicas(state, flight, step);
    let serve = split(state, flight, index, step);
    if exposure::ready(situation, &want, draft) == Reached::No {
        exposure::keep_routes(situation, &want, draft);
        return;
    }
    if draft.decided() {
        return;
    }
    if fresh::missing(situation, flight, &want, draft) {
        exposure::keep_routes(situation, &want, draft);
        return;
    }
    // Checks before the step run against ready instances and before its split: a smoke test that
    // fails must not have cost a user anything.
    if flight.exposed_at.is_none()
        && checks::run(situation, flight, index, checks::Where::Before, draft) != Checked::Passed
    {
        exposure::keep_routes(situation, &want, draft);
        return;
    }
    if exposure::reach(situation, &Place { want: &want, serve }, draft) != Reached::Routed || draft.decided()
    {
        return;
    }
    evidence::record(situation, flight, index, draft);
    if draft.decided() || judged(situation, flight, index, step, draft) {
        return;
    }
    if let Some(warning) = unlike(flight, step) {
        draft.events.push(Event::Warned { warnings: vec![warning] });
        return;
    }
    leave(situation, flight, index, step, draft);
}

/// The instances of a step. Rolling keeps one old instance as long as it can be needed.
fn replicas(state: &Environment, flight: &Flight, step: &Step) -> BTreeMap<VersionName, u32> {
    let mut want = BTreeMap::new();
    if let Some(stable) = &state.stable {
        let full = state.full_replicas(stable);
        let floor = u32::from(flight.plan.strategy != StrategyKind::Recreate);
        want.insert(stable.clone(), step.baseline_instances(full).max(floor));
    }
    if let Some(retiring) = &state.retiring
        && retiring.version != flight.plan.version.name
    {
        want.insert(retiring.version.clone(), state.full_replicas(&retiring.version));
    }
    let version = &flight.plan.version;
    want.insert(version.name.clone(), step.canary_instances(version.target.replicas));
    if let Some(stable) = &state.stable {
        want.insert(stable.fresh(), flight.fresh_instances(step));
    }
    want
}

/// The split of a step. Without a baseline everything goes to the only version there is.
fn split(state: &Environment, flight: &Flight, index: u16, step: &Step) -> Split {
    let version = Some(flight.plan.version.name.clone());
    match &state.stable {
        None => Split {
            baseline: version,
            canary: None,
            weight: WeightBp::ZERO,
            step: Some(index),
            fresh: WeightBp::ZERO,
        },
        Some(stable) => Split {
            baseline: Some(stable.clone()),
            canary: version,
            weight: step.weight,
            step: Some(index),
            fresh: flight.fresh_weight(step),
        },
    }
}

fn back(state: &Environment, cause: ReturnCause, sentence: &str, draft: &mut Draft) {
    let events = go_back(state, cause, sentence);
    for event in &events {
        if let Event::SplitIntended { generation, .. } = event {
            let stream = state.stream.clone();
            draft.actions.push(Action::ToBaseline { stream, generation: *generation });
        }
    }
    draft.events.extend(events);
}

/// Facts that send a release back whatever the evidence says.
fn must_return(situation: &Situation<'_>, flight: &Flight) -> Option<(ReturnCause, String)> {
    let state = situation.state;
    let deadlines = &flight.plan.deadlines;
    let version = &flight.plan.version.name;
    if let Some(generation) = exposure::ahead(situation) {
        let sentence =
            format!("the router was sent back ({generation}) and the record of why was lost in a crash");
        return Some((ReturnCause::Invariant, sentence));
    }
    if let Observed::Known(status) = &situation.seen.workload {
        if let Some(why) = status.broken.get(version) {
            return Some((ReturnCause::NotReady, format!("{version} cannot be started: {why}")));
        }
        // Whoever names the metric says where its bands are; else the annex does.
        let named = flight.plan.analysis.metrics.iter().any(|metric| metric.measure == Measure::Memory);
        let limit = flight.plan.version.target.limits.memory_bytes.filter(|_| !named);
        for instance in status.instances.iter().filter(|instance| &instance.version == version) {
            if instance.restarts >= CRASH_LOOP_RESTARTS && instance.phase != InstancePhase::Stopping {
                let sentence = format!(
                    "{version} crashes in a loop: instance {} was restarted {} times ({})",
                    instance.number, instance.restarts, instance.why
                );
                return Some((ReturnCause::NotReady, sentence));
            }
            let red = limit.is_some_and(|limit| instance.memory_bytes * 100 > limit * MEMORY_RED_PERCENT);
            if red && flight.plan.baseline.is_some() {
                let sentence = format!(
                    "{version} instance {} uses {} MiB, more than {MEMORY_RED_PERCENT}% of its limit of {} MiB",
                    instance.number,
                    instance.memory_bytes >> 20,
                    limit.unwrap_or_default() >> 20
                );
                return Some((ReturnCause::Verdict, sentence));
            }
        }
    }
    // Neither a wall clock that was set ahead nor time in which nobody looked ends a wait early.
    let watched = situation.seen.watched;
    let waited = situation.now.since_ms(state.workload.at.max(flight.step_at)).min(watched.workload_ms);
    if !state.workload.ready && waited > deadlines.ready_ms {
        let sentence = format!("instances were not ready within {}", ForPeople(deadlines.ready_ms));
        return Some((ReturnCause::NotReady, sentence));
    }
    // Of this step's own split: one from before, not confirmed yet, is replaced by it when it is due.
    let own = state.routes.split.step == flight.step;
    let routing = own && !state.routes.observed && state.workload.ready;
    if routing && situation.now.since_ms(state.routes.at).min(watched.routes_ms) > deadlines.routed_ms {
        let sentence = format!("the router did not confirm within {}", ForPeople(deadlines.routed_ms));
        return Some((ReturnCause::NotRouted, sentence));
    }
    if let Observed::Unknown { since, why } = &situation.seen.workload
        && situation.now.since_ms(*since) > deadlines.source_ms
    {
        let sentence = format!("the target was silent for {}: {why}", ForPeople(deadlines.source_ms));
        return Some((ReturnCause::Source, sentence));
    }
    if let Some((source, since, why)) = &flight.source
        && situation.now.since_ms(*since).min(watched.source_ms) > deadlines.source_ms
        // One that answers again, after however long, is forgiven.
        && silent(situation, flight).is_some_and(|silence| silence.goes_back && silence.source == source)
    {
        let sentence = format!("no evidence from {source} for {}: {why}", ForPeople(deadlines.source_ms));
        return Some((ReturnCause::Source, sentence));
    }
    None
}

/// A source that does not answer holds the release; true when that is what happens now.
fn source(situation: &Situation<'_>, flight: &Flight, draft: &mut Draft) -> bool {
    match (silent(situation, flight), &flight.source) {
        // Each source has its time: the router's does not begin with the silence of another.
        (Some(Silence { source, why, .. }), Some((before, ..))) if source != before => {
            draft.events.push(Event::SourceFailed { source: source.to_owned(), why });
            true
        }
        (Some(Silence { source, why, .. }), None) if flight.exposed_at.is_some() => {
            draft.events.push(Event::SourceFailed { source: source.to_owned(), why });
            true
        }
        (Some(Silence { goes_back: false, .. }), Some((source, since, why))) => {
            let sentence = format!("no evidence from {source}: {why}; it holds until there is");
            let silent_ms = situation.now.since_ms(*since).min(situation.seen.watched.source_ms);
            let lasts = silent_ms > flight.plan.deadlines.source_ms;
            if lasts && !flight.holds.contains(&Hold::Evidence) {
                draft.events.push(Event::HoldBegan { why: Hold::Evidence, sentence });
                return true;
            }
            draft.wait(WaitingOn::Person { sentence, command: "taxiway promote or abort".to_owned() });
            false
        }
        (Some(_), Some((source, since, why))) => {
            let silent_ms = situation.now.since_ms(*since).min(situation.seen.watched.source_ms);
            let left_ms = flight.plan.deadlines.source_ms.saturating_sub(silent_ms);
            draft.wait(WaitingOn::Source { source: source.clone(), why: why.clone(), left_ms });
            false
        }
        (None, Some((source, _, why)))
            if source == SOURCE_OF_METRICS && unanswered(situation, flight).is_some() =>
        {
            // Of this process it has not been asked long enough to be silent, and has not answered either.
            let left_ms = flight.plan.deadlines.source_ms.saturating_sub(situation.seen.watched.source_ms);
            draft.wait(WaitingOn::Source { source: source.clone(), why: why.clone(), left_ms });
            false
        }
        (None, Some((source, ..))) => {
            draft.events.push(Event::SourceRecovered { source: source.clone() });
            true
        }
        (Some(_) | None, None) => false,
    }
}

/// A source that gives no evidence.
struct Silence {
    source: &'static str,
    why: String,
    /// Whether the release goes back when it lasts; it holds otherwise.
    goes_back: bool,
}

/// The source that gives no evidence now, and why: one that does not answer, or one that knows
/// nothing of a side that has been exposed for a while. What a metric makes of it is its policy's.
fn silent(situation: &Situation<'_>, flight: &Flight) -> Option<Silence> {
    if let Observed::Unknown { why, .. } = &situation.seen.traffic {
        return Some(Silence { source: "router", why: why.clone(), goes_back: true });
    }
    let find = |name: &MetricName| asked(flight).find(|metric| &metric.name == name);
    let of = |missing: Missing, why: String| {
        let goes_back = missing == Missing::Rollback;
        (missing != Missing::Ignore).then_some(Silence { source: SOURCE_OF_METRICS, why, goes_back })
    };
    match situation.seen.metrics.as_ref()? {
        Observed::Unknown { why, .. } => of(asked(flight).map(MetricPolicy::when_silent).min()?, why.clone()),
        Observed::Known(status) => {
            let troubled = status
                .trouble
                .iter()
                .filter_map(|(metric, why)| of(find(metric)?.when_silent(), format!("{metric}: {why}")));
            let exposed_ms = flight.exposed_at.map_or(0, |at| situation.now.since_ms(at));
            let nothing = status.nothing.iter().filter(|_| exposed_ms > NOTHING_MS_MAX);
            let empty = nothing
                .filter_map(|(metric, why)| of(find(metric)?.when_empty(), format!("{metric}: {why}")));
            // Of equally hard ones the first.
            troubled.chain(empty).min_by_key(|silence| !silence.goes_back)
        }
    }
}

/// The metrics by query that have a say on the step: where nobody judges, or of one that begins later,
/// silence is nothing yet.
fn asked(flight: &Flight) -> impl Iterator<Item = &MetricPolicy> {
    let index = flight.step.unwrap_or_default();
    let judged = flight.current().is_some_and(|step| step.analysis);
    let metrics = flight.plan.analysis.metrics.iter();
    metrics.filter(move |metric| judged && metric.measure.is_query() && metric.from_step <= index)
}

/// What is missing of a metric that is needed here, where nobody has been silent for long enough to say
/// so: this process has not had a first answer, or the answer was that there is nothing.
fn unanswered(situation: &Situation<'_>, flight: &Flight) -> Option<String> {
    let status = situation.seen.metrics.as_ref()?.known()?;
    asked(flight).find_map(|metric| {
        let name = &metric.name;
        match status.nothing.get(name) {
            _ if status.since_window.contains_key(name) || status.trouble.contains_key(name) => None,
            Some(why) => (metric.when_empty() != Missing::Ignore).then(|| format!("{name}: {why}")),
            None => (metric.when_silent() != Missing::Ignore)
                .then(|| format!("{name}: waiting for the first answer of its source")),
        }
    })
}

/// Says once that the canary gets other requests than the baseline (R4.7).
fn unlike(flight: &Flight, step: &Step) -> Option<String> {
    let routed = step.weight > WeightBp::ZERO || step.header.is_some();
    if !routed || step.weight == WeightBp::ALL || mix::is_told(&flight.warnings) {
        return None;
    }
    mix::differs(flight.evidence.sides().requests())
}

/// Judges; true when the judgement changed something.
fn judged(situation: &Situation<'_>, flight: &Flight, index: u16, step: &Step, draft: &mut Draft) -> bool {
    if !step.analysis || flight.evidence.windows() == 0 {
        return false;
    }
    let question = judge::question(&flight.plan, index);
    let (policy, seen) = (&flight.plan.analysis, &flight.evidence);
    if let Some(old) = flight.judgement.as_ref().filter(|old| old.verdict < Verdict::Hold)
        && flight.holds.is_empty()
        && judge::says_the_same(policy, seen, question, old)
    {
        // Nothing to act on, and nothing that is not on record: the words can wait.
        return draft.decided();
    }
    let judgement = judge::judge(policy, seen, question);
    let news = flight.judgement.as_ref().is_none_or(|old| !judge::same_message(old, &judgement));
    if news {
        let boxed = Box::new(judgement.clone());
        draft.events.push(Event::Judged { step: index, judgement: boxed });
    }
    if judgement.verdict == Verdict::Rollback {
        back(situation.state, ReturnCause::Verdict, &judgement.sentence, draft);
        return true;
    }
    if judgement.verdict == Verdict::Hold {
        hold(situation, flight, index, step, &judgement, draft);
    } else if let Some(why) = answered(flight, step, judgement.verdict).filter(|_| !draft.decided()) {
        draft.events.push(Event::HoldEnded { why });
    }
    draft.decided()
}

/// A hold whose question has answered itself: the baseline has recovered, or the evidence that a
/// person was asked to do without has come after all.
fn answered(flight: &Flight, step: &Step, verdict: Verdict) -> Option<Hold> {
    if flight.holds.contains(&Hold::Baseline) {
        return Some(Hold::Baseline);
    }
    let enough = verdict == Verdict::Proceed && flight.bake_ms >= step.bake_ms && flight.source.is_none();
    (enough && flight.holds.contains(&Hold::Evidence)).then_some(Hold::Evidence)
}

/// The verdict is HOLD: back when a shown regression has lasted the step's time again, else a hold
/// once it has settled.
fn hold(
    situation: &Situation<'_>,
    flight: &Flight,
    index: u16,
    step: &Step,
    judgement: &Judgement,
    draft: &mut Draft,
) {
    let lasted = |since: Option<u64>| since.map(|since| flight.bake_ms.saturating_sub(since));
    let taken = flight.accepted.is_some_and(|taken| taken.step == index);
    if taken || draft.decided() {
        return;
    }
    if lasted(flight.shown_since_bake_ms).is_some_and(|ms| ms > step.bake_ms) {
        let sentence = format!("{} for the whole step again", judgement.sentence);
        back(situation.state, ReturnCause::Verdict, &sentence, draft);
        return;
    }
    let why = match holding(&flight.plan.analysis, judgement) {
        Some(Holding::BaselineFails) => Hold::Baseline,
        _ => Hold::Verdict,
    };
    let settled = lasted(flight.hold_since_bake_ms).is_some_and(|ms| ms >= HOLD_SETTLES_MS);
    if settled && !flight.holds.contains(&why) && !flight.holds.contains(&Hold::Verdict) {
        draft.events.push(Event::HoldBegan { why, sentence: judgement.sentence.clone() });
    }
}

/// Leaves the step when everything holds that must; otherwise says what does not.
fn leave(situation: &Situation<'_>, flight: &Flight, index: u16, step: &Step, draft: &mut Draft) {
    if flight.passed {
        advance(situation, flight, index, true, draft);
        return;
    }
    if !flight.holds.is_empty() {
        for hold in &flight.holds {
            draft.wait(person(flight, *hold));
        }
        return;
    }
    if flight.source.is_some() {
        // Its wait is said already: old evidence is not enough while no new one can come.
        return;
    }
    if let Some(sentence) = unanswered(situation, flight) {
        draft.wait(WaitingOn::Evidence { sentence, left_ms: None });
        if flight.bake_ms < step.bake_ms {
            evidence::waiting_for_time(situation, flight, step, draft);
        }
        return;
    }
    if !evidence::suffices(situation, flight, index, step, draft) {
        return;
    }
    let exposed = flight.exposed_at.map_or(0, |at| situation.now.since_ms(at));
    let window_ms = if step.weight > WeightBp::ZERO { flight.plan.deadlines.abort_window_ms } else { 0 };
    if exposed < window_ms {
        draft.wait(WaitingOn::AbortWindow { left_ms: window_ms - exposed });
        return;
    }
    if checks::run(situation, flight, index, checks::Where::After, draft) != Checked::Passed {
        return;
    }
    if step.approval {
        let sentence = format!("step {} asks for a person", step.name);
        draft.events.push(Event::HoldBegan { why: Hold::Approval, sentence });
        return;
    }
    advance(situation, flight, index, false, draft);
}

pub(super) fn person(flight: &Flight, hold: Hold) -> WaitingOn {
    let sentence = flight.hold_sentences.get(&hold).cloned().unwrap_or_default();
    let command = match hold {
        Hold::Approval => "taxiway promote",
        Hold::Paused => "taxiway resume",
        Hold::Baseline => "it goes on by itself when the baseline recovers; taxiway resume, promote or abort",
        Hold::FreshBaseline => {
            "it goes on by itself when they are ready; taxiway resume to go on without them, or abort"
        }
        Hold::Evidence => "it goes on by itself once there is enough; taxiway resume, promote or abort",
        Hold::Verdict | Hold::Check => "taxiway resume, promote or abort",
    };
    WaitingOn::Person { sentence, command: command.to_owned() }
}

/// To the next step, or to the end.
fn advance(situation: &Situation<'_>, flight: &Flight, index: u16, by_hand: bool, draft: &mut Draft) {
    if !by_hand {
        draft.events.push(Event::StepPassed { step: index, by_hand });
    }
    if !flight.on_last_step() {
        draft.events.push(Event::StepEntered { step: index + 1 });
        return;
    }
    let version = flight.plan.version.name.clone();
    let sentence = match &situation.state.stable {
        Some(old) => format!("{version} has all the traffic and takes the place of {old}"),
        None => format!("{version} has all the traffic; it is the first version here"),
    };
    draft.events.push(Event::SplitIntended {
        generation: exposure::next_generation(situation),
        split: to_baseline(Some(version)),
    });
    draft.events.push(ended(Outcome::Released, sentence));
}
