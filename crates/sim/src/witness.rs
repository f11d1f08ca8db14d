//! Watches a run from outside: folds the true log itself, sees the router as it is, and holds both
//! against the invariants after every append and every effect.

use crate::behaviour::Behaviour;
use crate::hearing::Hearing;
use crate::invariant::{Broken, Invariant};
use crate::router::{Router, Served};
use crate::scenario::{Fault, Scenario};
use crate::source::Round;
use crate::step::Ledger;
use std::collections::BTreeMap;
use taxiway_decide::environment::{Environment, Flight, evolve};
use taxiway_engine::ports::log::Log;
use taxiway_model::decision::{DesiredWorkload, WaitingOn};
use taxiway_model::event::{Event, Hold, Outcome};
use taxiway_model::ids::{Generation, ReleaseId, VersionName};
use taxiway_model::record::{Actor, Recorded, StoredRecord};
use taxiway_model::service::StrategyKind;
use taxiway_model::verdict::Verdict;
use taxiway_model::weight::WeightBp;

/// How long a dead instance may excuse requests that find nobody: its longest backoff and start.
const EXCUSE_MS: u64 = 120_000;

/// A witness of one run.
pub(crate) struct Witness {
    pub(crate) state: Environment,
    pub(crate) broken: Option<Broken>,
    behaviours: BTreeMap<VersionName, Behaviour>,
    had_outage: bool,
    /// The release whose canary was sent back at the router, whether or not that is on record.
    sent_back: Option<ReleaseId>,
    excused_until_ms: u64,
    ledger: Ledger,
    pub(crate) hearing: Option<Hearing>,
}

impl Witness {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let has = |fault| scenario.faults.iter().any(|(_, one, _)| *one == fault);
        Self {
            state: Environment::new(scenario.stream()),
            broken: None,
            behaviours: scenario.behaviours(),
            had_outage: has(Fault::Outage),
            sent_back: None,
            excused_until_ms: 0,
            ledger: Ledger::new(has(Fault::CountsLate)),
            hearing: Hearing::of(scenario),
        }
    }

    pub(crate) fn breaks(&mut self, invariant: Invariant, at_ms: u64, detail: impl Into<String>) {
        self.broken.get_or_insert(Broken { invariant, at_ms, detail: detail.into() });
    }

    /// An instance was killed from outside: for a while requests may find nobody.
    pub(crate) fn excuse(&mut self, now_ms: u64) {
        self.excused_until_ms = now_ms + EXCUSE_MS;
    }

    /// A stretch of traffic was served.
    pub(crate) fn served(&mut self, now_ms: u64, served: Served, router: &Router) {
        self.ledger.served(now_ms, served);
        let outage_by_design =
            self.state.plan.as_ref().is_some_and(|plan| plan.strategy == StrategyKind::Recreate);
        if served.nobody > 0 && now_ms > self.excused_until_ms && !outage_by_design {
            let detail = format!("{} requests found no instance", served.nobody);
            self.breaks(Invariant::SomebodyAnswers, now_ms, detail);
        }
        if let Some(hearing) = &mut self.hearing {
            hearing.served(now_ms, &self.state, router);
        }
        self.weights(now_ms, router);
    }

    /// What a source of metrics can see by now.
    pub(crate) fn seen(&mut self, seen: BTreeMap<String, u64>) {
        if let Some(hearing) = &mut self.hearing {
            hearing.seen = seen;
        }
    }

    /// A source of metrics was asked.
    pub(crate) fn asked(&mut self, now_ms: u64, round: &Round) {
        if let Some(why) = &round.refused {
            let detail = format!("a good answer was refused: {why}");
            self.breaks(Invariant::ErrorIsNoResult, now_ms, detail);
        }
        if let Some(hearing) = &mut self.hearing {
            hearing.asked(now_ms, round);
        }
    }

    /// Whether the source of metrics is silent.
    pub(crate) fn hears_silence(&self, now_ms: u64) -> bool {
        self.hearing.as_ref().is_some_and(|hearing| hearing.is_silent(now_ms))
    }

    /// What the release in flight says it waits for.
    pub(crate) fn said(&mut self, now_ms: u64, waiting: &[WaitingOn]) {
        let (Some(hearing), Some(flight)) = (&self.hearing, &self.state.flight) else { return };
        if let Some(detail) = hearing.unsaid(flight, waiting, now_ms) {
            self.breaks(Invariant::SilenceIsSaid, now_ms, detail);
        }
    }

    /// Whether the release in flight is held for lack of evidence although the judge says PROCEED.
    pub(crate) fn is_held_in_vain(&self) -> bool {
        self.state.flight.as_ref().is_some_and(|flight| {
            flight.holds.iter().eq([&Hold::Evidence]) && self.ledger.verdict() == Some(Verdict::Proceed)
        })
    }

    /// The target took an order.
    pub(crate) fn ordered(&mut self, now_ms: u64, before: Generation, order: &DesiredWorkload) {
        if order.generation < before {
            let detail = format!("the target took {} after {before}", order.generation);
            self.breaks(Invariant::GenerationsGrow, now_ms, detail);
        }
    }

    /// Everything was given back for the release in flight.
    pub(crate) fn sent_back(&mut self) {
        self.sent_back = self.state.flight.as_ref().map(|flight| flight.release.clone());
    }

    /// The router took an order.
    pub(crate) fn routed(&mut self, now_ms: u64, before: Generation, given: Generation, router: &Router) {
        if given < before {
            self.breaks(
                Invariant::GenerationsGrow,
                now_ms,
                format!("the router took {given} after {before}"),
            );
        }
        let returning = self.state.flight.as_ref().is_some_and(|flight| flight.returning.is_some());
        if let Some((version, weight)) = router.exposed(now_ms)
            && returning
            && self.state.stable.as_ref() != Some(version)
        {
            let detail = format!("{version} was given {weight} on its way back");
            self.breaks(Invariant::BackStaysBack, now_ms, detail);
        }
        self.weights(now_ms, router);
    }

    /// The share in force against what the log approves.
    fn weights(&mut self, now_ms: u64, router: &Router) {
        let Some((version, weight)) = router.exposed(now_ms) else { return };
        if self.state.stable.as_ref() == Some(version) {
            return;
        }
        let flight = self.state.flight.as_ref().filter(|flight| &flight.plan.version.name == version);
        let Some(flight) = flight else {
            let detail = format!("{version} has {weight} and no release of it is in flight");
            self.breaks(Invariant::BackStaysBack, now_ms, detail);
            return;
        };
        if self.sent_back.as_ref() == Some(&flight.release) {
            let detail = format!("{version} has {weight} again after {} was sent back", flight.release);
            self.breaks(Invariant::BackStaysBack, now_ms, detail);
            return;
        }
        let approved = flight.current().map_or(WeightBp::ZERO, |step| step.weight);
        let forward = flight.returning.is_none();
        let beside = beside(flight, self.state.stable.as_ref(), weight, router.fresh(now_ms));
        if forward && weight > approved {
            let detail = format!("{version} has {weight} where {approved} is approved");
            self.breaks(Invariant::WeightWithinStep, now_ms, detail);
        }
        if let Some(detail) = beside {
            self.breaks(Invariant::FreshBesideCanary, now_ms, detail);
        }
    }

    /// Folds what is in the log beyond what was folded before.
    pub(crate) fn appended(&mut self, log: &dyn Log, router: &Router, now_ms: u64) {
        let stream = self.state.stream.clone();
        let records = log.read(&stream, self.state.seq, 10_000).expect("the true log is in memory");
        for stored in &records {
            let recorded = understood(stored);
            self.one(&recorded, router, now_ms);
            let state = std::mem::replace(&mut self.state, Environment::new(stream.clone()));
            let exposed = |state: &Environment| state.flight.as_ref().and_then(|flight| flight.exposed_at);
            let before = exposed(&state);
            self.state = evolve(state, &recorded);
            let step = self.state.flight.as_ref().and_then(|flight| flight.step);
            if let (None, Some(_), Some(step), Some(hearing)) =
                (before, exposed(&self.state), step, &mut self.hearing)
            {
                hearing.exposed(step, now_ms);
            }
        }
        self.weights(now_ms, router);
    }

    /// One event against the state before it.
    fn one(&mut self, recorded: &Recorded<Event>, router: &Router, now_ms: u64) {
        if let Err(broken) = self.ledger.take(recorded, &self.state, router, now_ms) {
            self.broken.get_or_insert(broken);
        }
        let hearing = self.hearing.as_mut();
        if let Some(Err(broken)) = hearing.map(|hearing| hearing.take(recorded, &self.state, router, now_ms))
        {
            self.broken.get_or_insert(broken);
        }
        match &recorded.event {
            Event::StepPassed { by_hand: true, .. } if recorded.actor == Actor::Engine => {
                let detail = "the engine promoted in a person's name";
                self.breaks(Invariant::SealedWhenEarned, now_ms, detail);
            }
            Event::ReleaseEnded { outcome: Outcome::Released, .. } => self.released(now_ms),
            _ => {}
        }
    }

    fn released(&mut self, now_ms: u64) {
        let Some(flight) = self.state.flight.clone() else { return };
        if !(flight.passed && flight.on_last_step()) || flight.returning.is_some() {
            let detail = format!("{} was sealed on step {:?}", flight.release, flight.step);
            self.breaks(Invariant::SealedWhenEarned, now_ms, detail);
        }
        if let Some(step) = self.ledger.skipped(&flight) {
            let detail = format!("{} was sealed and step {step} was never passed", flight.release);
            self.breaks(Invariant::SealedWhenEarned, now_ms, detail);
        }
        let judged = flight.plan.baseline.is_some()
            && flight
                .plan
                .steps
                .iter()
                .any(|step| step.analysis && step.weight > WeightBp::ZERO && step.weight < WeightBp::ALL);
        let behaviour = self.behaviours.get(&flight.plan.version.name);
        let stoppable = behaviour == Some(&Behaviour::Errors) && judged && !self.had_outage;
        if stoppable && !self.ledger.helped_by_hand() {
            let detail = format!("{} was released", flight.plan.version.name);
            self.breaks(Invariant::ErrorsNeverReleased, now_ms, detail);
        }
    }
}

/// What is wrong with a fresh baseline in force beside a canary of so much.
fn beside(
    flight: &Flight,
    stable: Option<&VersionName>,
    weight: WeightBp,
    fresh: Option<(&VersionName, WeightBp)>,
) -> Option<String> {
    let (version, share) = fresh?;
    let own = stable.is_some_and(|baseline| baseline.fresh() == *version);
    let wanted = own && flight.plan.wants_fresh();
    (!wanted || share > weight.min(weight.rest()))
        .then(|| format!("{version} has {share} beside {weight} in {}", flight.release))
}

/// What the engine wrote is understood by the same reader.
pub(crate) fn understood(stored: &StoredRecord) -> Recorded<Event> {
    let event = Event::from_bytes(stored.record.format, &stored.record.payload)
        .expect("what this program wrote it understands");
    Recorded {
        global: stored.global,
        stream: stored.stream.clone(),
        seq: stored.seq,
        at: stored.record.at,
        actor: stored.record.actor.clone(),
        origin: stored.record.origin.clone(),
        reason: stored.record.reason.clone(),
        event,
    }
}

/// Whether a hold of this kind, ended by a person, lets a judged version pass.
pub(crate) fn takes_upon_oneself(hold: Hold) -> bool {
    matches!(hold, Hold::Verdict | Hold::Baseline | Hold::FreshBaseline | Hold::Evidence)
}
