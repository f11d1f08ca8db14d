//! The witness's own account of the source of metrics: when it answered well, what the versions had
//! truly answered by when, and what of it became evidence of which step.

use crate::behaviour::Behaviour;
use crate::invariant::{Broken, Invariant};
use crate::router::Router;
use crate::scenario::{METRIC, Scenario};
use crate::source::{Heard, Round};
use std::collections::BTreeMap;
use taxiway_decide::environment::{Environment, Flight};
use taxiway_model::decision::WaitingOn;
use taxiway_model::event::{Event, ReturnCause};
use taxiway_model::evidence::Window;
use taxiway_model::ids::VersionName;
use taxiway_model::metrics::Sample;
use taxiway_model::policy::{MetricPolicy, Missing};
use taxiway_model::record::Recorded;
use taxiway_model::verdict::{Judgement, Verdict};

/// What a tick and its slow appends may take until what was seen is on record.
const SLACK_MS: u64 = 12_000;

/// What a window that was begun well may still say: its length.
const WINDOW_MS: u64 = 15_000;

/// When a step was exposed, and up to when its predecessors were told of by then or later.
#[derive(Debug, Clone, Copy)]
struct Bound {
    at_ms: u64,
    told_ms: u64,
}

pub(crate) struct Hearing {
    metric: MetricPolicy,
    behaviours: BTreeMap<VersionName, Behaviour>,
    /// What the source can see of each version.
    pub(crate) seen: BTreeMap<String, u64>,
    /// From one good round to where two have failed.
    silent_after_ms: u64,
    source_ms: u64,
    last_good_ms: Option<u64>,
    failed_since: bool,
    empty_since: bool,
    /// Time in which the source was well, and how much of it lay before the step.
    well_ms: u64,
    well_before_ms: u64,
    heard_ms: u64,
    seat: u64,
    /// Up to when each good round told everything.
    told_ms: Vec<u64>,
    /// What the canary has answered, by time, since its release began; and what was counted before.
    truth: Vec<(u64, u64)>,
    began: Began,
    bounds: BTreeMap<u16, Bound>,
    /// What became evidence, of the canary by step, of whatever it is compared with in all.
    canary: BTreeMap<u16, u64>,
    baseline: u64,
}

#[derive(Debug, Default)]
struct Began {
    at_ms: u64,
    canary: u64,
    seen: u64,
    baseline: u64,
}

impl Hearing {
    /// None where the policy names no source.
    pub(crate) fn of(scenario: &Scenario) -> Option<Self> {
        let source = scenario.spec.analysis.sources.first()?;
        let metrics = &scenario.spec.analysis.metrics;
        let metric = metrics.iter().find(|metric| metric.name.as_str() == METRIC)?;
        Some(Self {
            metric: metric.clone(),
            behaviours: scenario.behaviours(),
            seen: BTreeMap::new(),
            silent_after_ms: 2 * (source.interval_ms + source.timeout_ms),
            source_ms: scenario.spec.deadlines.source_ms,
            last_good_ms: None,
            failed_since: false,
            empty_since: false,
            well_ms: 0,
            well_before_ms: 0,
            heard_ms: 0,
            seat: 0,
            told_ms: Vec::new(),
            truth: Vec::new(),
            began: Began::default(),
            bounds: BTreeMap::new(),
            canary: BTreeMap::new(),
            baseline: 0,
        })
    }

    /// Time has passed.
    pub(crate) fn served(&mut self, now_ms: u64, state: &Environment, router: &Router) {
        if self.is_well(now_ms, 0) {
            self.well_ms += now_ms - self.heard_ms;
        }
        self.heard_ms = now_ms;
        if let Some(flight) = &state.flight {
            self.truth.push((now_ms, truth(router, &flight.plan.version.name)));
        }
    }

    /// A round of questions has ended.
    pub(crate) fn asked(&mut self, now_ms: u64, round: &Round) {
        if round.seat != self.seat {
            self.seat = round.seat;
            self.told_ms.clear();
        }
        match round.heard {
            Heard::Well => {
                (self.failed_since, self.empty_since) = (false, false);
                self.last_good_ms = Some(now_ms);
                self.told_ms.push(round.measured_ms);
                for bound in self.bounds.values_mut() {
                    if round.measured_ms <= bound.at_ms {
                        bound.told_ms = bound.told_ms.max(round.measured_ms);
                    }
                }
            }
            Heard::Nothing => self.empty_since = true,
            Heard::Trouble => self.failed_since = true,
        }
    }

    /// For how long the source has said nothing that counts.
    fn silent_ms(&self, now_ms: u64) -> u64 {
        now_ms - self.last_good_ms.unwrap_or_default().max(self.began.at_ms).min(now_ms)
    }

    fn is_well(&self, now_ms: u64, slack_ms: u64) -> bool {
        self.silent_ms(now_ms) <= self.silent_after_ms + slack_ms
    }

    /// Whether the metric decides on a step.
    fn is_due(&self, flight: &Flight, index: u16) -> bool {
        let judged = flight.plan.step(index).is_some_and(|step| step.analysis);
        judged && self.metric.from_step <= index
    }

    /// Takes an event in; `state` is the state before it.
    pub(crate) fn take(
        &mut self,
        recorded: &Recorded<Event>,
        state: &Environment,
        router: &Router,
        now_ms: u64,
    ) -> Result<(), Broken> {
        let broken = |invariant, detail: String| Err(Broken { invariant, at_ms: now_ms, detail });
        if let Event::ReleaseStarted { release } = &recorded.event {
            let plan = state.queue.iter().find(|waiting| &waiting.release == release);
            let canary = plan.map_or(0, |waiting| truth(router, &waiting.plan.version.name));
            let seen = plan.map_or(0, |waiting| self.seen_of(&waiting.plan.version.name));
            self.began = Began { at_ms: now_ms, canary, seen, baseline: self.baseline_seen(state) };
            self.truth.clear();
            self.bounds.clear();
            self.canary.clear();
            self.baseline = 0;
            return Ok(());
        }
        let Some(flight) = &state.flight else { return Ok(()) };
        let silent_ms = self.silent_ms(now_ms);
        match &recorded.event {
            Event::StepEntered { .. } => self.well_before_ms = self.well_ms,
            Event::EvidenceRecorded { window } => {
                if let Some(detail) = self.evidence(window, state, flight, router, now_ms) {
                    return Err(Broken { at_ms: now_ms, ..detail });
                }
            }
            Event::Judged { step, judgement } => {
                if judgement.verdict == Verdict::Proceed
                    && self.is_due(flight, *step)
                    && !self.is_well(now_ms, SLACK_MS + WINDOW_MS)
                {
                    let detail = format!("PROCEED after {silent_ms} ms without an answer");
                    return broken(Invariant::SilenceIsNotHealth, detail);
                }
                if let Some(detail) = self.bad(flight, judgement) {
                    return broken(Invariant::ErrorIsNoResult, detail);
                }
            }
            Event::StepPassed { step, by_hand: false } if self.is_due(flight, *step) => {
                if !self.is_well(now_ms, SLACK_MS) {
                    let detail = format!("step {step} was left after {silent_ms} ms without an answer");
                    return broken(Invariant::SilenceIsNotHealth, detail);
                }
                let (well_ms, need_ms) =
                    (self.well_ms - self.well_before_ms, flight.plan.steps[usize::from(*step)].bake_ms);
                if well_ms + SLACK_MS < need_ms {
                    let detail = format!("step {step} of {need_ms} ms was left after {well_ms} with answers");
                    return broken(Invariant::SilenceIsNotHealth, detail);
                }
            }
            Event::ReturnDecided { cause: ReturnCause::Source, sentence }
                if sentence.contains("source of metrics") =>
            {
                if let Some(detail) = self.gone_back(flight, silent_ms) {
                    return broken(Invariant::ErrorIsNoResult, format!("{detail}: {sentence}"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The step is exposed from now on.
    pub(crate) fn exposed(&mut self, step: u16, now_ms: u64) {
        let told_ms = self.told_ms.iter().copied().filter(|at_ms| *at_ms <= now_ms).max();
        self.bounds.insert(step, Bound { at_ms: now_ms, told_ms: told_ms.unwrap_or_default() });
    }

    /// What is wrong with going back for want of evidence after so long a silence.
    fn gone_back(&self, flight: &Flight, silent_ms: u64) -> Option<String> {
        let index = flight.step.unwrap_or_default();
        if silent_ms < self.source_ms {
            return Some(format!("it went back after {silent_ms} of {} ms of silence", self.source_ms));
        }
        if !self.is_due(flight, index) {
            return Some(format!("it went back on step {index}, where nobody needs the metric"));
        }
        let errors = self.failed_since && self.metric.on_error == Missing::Rollback;
        let nothing = self.empty_since && self.metric.on_no_data == Missing::Rollback;
        (!errors && !nothing).then(|| "it went back where it should hold".to_owned())
    }

    /// A finding against a version of which the source never counted a bad one.
    fn bad(&self, flight: &Flight, judgement: &Judgement) -> Option<String> {
        let version = &flight.plan.version.name;
        let findings = judgement.findings.iter();
        let finding = findings.into_iter().find(|finding| finding.metric == self.metric.name)?;
        let is_bad = self.behaviours.get(version) == Some(&Behaviour::Errors);
        (finding.verdict >= Verdict::Hold && !is_bad)
            .then(|| format!("{version} never failed there: {}", finding.sentence))
    }

    /// What the source told against what was truly answered, and when.
    fn evidence(
        &mut self,
        window: &Window,
        state: &Environment,
        flight: &Flight,
        router: &Router,
        now_ms: u64,
    ) -> Option<Broken> {
        let sample = window.metrics.get(&self.metric.name)?;
        let Sample::Counts { canary, baseline: compared } = sample else { return None };
        *self.canary.entry(window.step).or_default() += canary.total;
        self.baseline += compared.total;
        let broken = |invariant, detail| Some(Broken { invariant, at_ms: now_ms, detail });
        let served = truth(router, &flight.plan.version.name) - self.began.canary;
        let seen = self.seen_of(&flight.plan.version.name) - self.began.seen;
        let compared_seen = self.baseline_seen(state) - self.began.baseline;
        let counted: u64 = self.canary.values().sum();
        if counted > seen || self.baseline > compared_seen {
            let detail = format!(
                "{counted} of {seen} requests that the source counted are evidence, and {} of the baseline's {}",
                self.baseline, compared_seen
            );
            return broken(Invariant::CountedOnce, detail);
        }
        for (step, bound) in self.bounds.iter().filter(|(step, _)| **step > 0) {
            let before: u64 = self.canary.range(..step).map(|(_, count)| count).sum();
            let served_before = self.served_by(bound.at_ms);
            if before > served_before {
                let detail =
                    format!("{before} are evidence of what was before step {step}, {served_before} were");
                return broken(Invariant::LateInItsStep, detail);
            }
            let told_before = self.served_by(bound.told_ms);
            if counted - before > served - told_before {
                let (of, were) = (counted - before, served - told_before);
                let detail = format!("{of} are evidence of step {step} and on, {were} were told later");
                return broken(Invariant::LateInItsStep, detail);
            }
        }
        None
    }

    fn seen_of(&self, version: &VersionName) -> u64 {
        self.seen.get(version.as_str()).copied().unwrap_or_default()
    }

    /// What the source can see of everything that the canary may be compared with.
    fn baseline_seen(&self, state: &Environment) -> u64 {
        state.stable.as_ref().map_or(0, |stable| self.seen_of(stable) + self.seen_of(&stable.fresh()))
    }

    /// What the canary had answered by a time, of its release.
    fn served_by(&self, at_ms: u64) -> u64 {
        let place = self.truth.partition_point(|(time, _)| *time <= at_ms);
        let before = place.checked_sub(1).map(|place| self.truth[place].1);
        before.unwrap_or(self.began.canary).saturating_sub(self.began.canary)
    }

    /// Whether the source has been silent for longer than anybody may overlook.
    pub(crate) fn is_silent(&self, now_ms: u64) -> bool {
        !self.is_well(now_ms, SLACK_MS)
    }

    /// What is missing in what a release says while its source is silent.
    pub(crate) fn unsaid(&self, flight: &Flight, waiting: &[WaitingOn], now_ms: u64) -> Option<String> {
        let due = flight.step.is_some_and(|index| self.is_due(flight, index)) && flight.exposed_at.is_some();
        let exposed_ms =
            flight.step.and_then(|index| self.bounds.get(&index)).map_or(now_ms, |bound| bound.at_ms);
        let long = self.silent_ms(now_ms).min(now_ms - exposed_ms) > self.silent_after_ms + SLACK_MS;
        if !due || !long || flight.returning.is_some() {
            return None;
        }
        let says = |on: &WaitingOn| match on {
            WaitingOn::Bake { .. } | WaitingOn::AbortWindow { .. } => false,
            WaitingOn::Evidence { sentence, .. } => sentence.contains(METRIC) || sentence.contains("source"),
            _ => true,
        };
        let said: Vec<String> = waiting.iter().map(ToString::to_string).collect();
        (!waiting.iter().any(says))
            .then(|| format!("after {} ms of silence it says {:?}", self.silent_ms(now_ms), said.join("; ")))
    }
}

fn truth(router: &Router, version: &VersionName) -> u64 {
    router.truth.get(version).copied().unwrap_or_default()
}
