//! The witness's own account of the step a release is on: evidence, time, checks, people.

use crate::invariant::{Broken, Invariant};
use crate::router::{Router, Served};
use crate::witness::takes_upon_oneself;
use std::collections::{BTreeMap, BTreeSet};
use taxiway_decide::environment::{Environment, Flight};
use taxiway_model::event::{Event, Hold};
use taxiway_model::evidence::Window;
use taxiway_model::ids::VersionName;
use taxiway_model::plan::{OnFailure, Step};
use taxiway_model::record::{Actor, Recorded};
use taxiway_model::verdict::Verdict;
use taxiway_model::weight::WeightBp;

/// No window is longer: a request proves traffic on its side for this long before and after it.
const WINDOW_MS: u64 = 15_000;

/// What traffic of one stretch may be attributed too early or too late.
const SLACK_MS: u64 = 2_000;

pub(crate) struct Ledger {
    slack_ms: u64,
    /// Stretches with requests since the step was entered: end times, canary and baseline.
    canary_ms: Vec<u64>,
    baseline_ms: Vec<u64>,
    entered_ms: u64,
    bake_ms: u64,
    verdict: Option<Verdict>,
    taken: bool,
    waived: bool,
    /// Steps left of the release in flight, and whether a person asked for everything at once.
    left: BTreeSet<u16>,
    full: bool,
    by_hand: bool,
    /// Evidence of the release so far against what was truly served, by version.
    counted: BTreeMap<VersionName, u64>,
    truth_before: BTreeMap<VersionName, u64>,
}

impl Ledger {
    /// `late`: counters may come late, and be attributed to the window after.
    pub(crate) fn new(late: bool) -> Self {
        Self {
            slack_ms: if late { SLACK_MS + WINDOW_MS } else { SLACK_MS },
            canary_ms: Vec::new(),
            baseline_ms: Vec::new(),
            entered_ms: 0,
            bake_ms: 0,
            verdict: None,
            taken: false,
            waived: false,
            left: BTreeSet::new(),
            full: false,
            by_hand: false,
            counted: BTreeMap::new(),
            truth_before: BTreeMap::new(),
        }
    }

    pub(crate) fn served(&mut self, now_ms: u64, served: Served) {
        if served.canary > 0 {
            self.canary_ms.push(now_ms);
        }
        if served.baseline > 0 {
            self.baseline_ms.push(now_ms);
        }
    }

    /// Whether a person let the release in flight pass what would have held it.
    pub(crate) fn helped_by_hand(&self) -> bool {
        self.by_hand || self.waived || self.taken
    }

    /// The newest verdict of the step.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }

    /// A step of the release that was never left although nobody asked for all at once.
    pub(crate) fn skipped(&self, flight: &Flight) -> Option<u16> {
        let last = flight.plan.steps.len() as u16;
        (0..last).find(|step| !self.left.contains(step) && !self.full)
    }

    /// Takes an event in; `state` is the state before it.
    pub(crate) fn take(
        &mut self,
        recorded: &Recorded<Event>,
        state: &Environment,
        router: &Router,
        now_ms: u64,
    ) -> Result<(), Broken> {
        let person = recorded.actor != Actor::Engine;
        match &recorded.event {
            Event::ReleaseStarted { .. } => {
                self.counted.clear();
                self.truth_before = router.truth.clone();
                self.left.clear();
                (self.full, self.by_hand, self.taken, self.waived) = (false, false, false, false);
            }
            Event::FullPromotionAsked => self.full = true,
            Event::StepEntered { .. } => {
                self.canary_ms.clear();
                self.baseline_ms.clear();
                (self.entered_ms, self.bake_ms, self.verdict) = (now_ms, 0, None);
            }
            Event::HoldEnded { why } => {
                self.taken |= takes_upon_oneself(*why) && person;
                // A person gives the step its time anew; otherwise the evidence has come.
                if *why == Hold::Evidence && self.verdict != Some(Verdict::Proceed) {
                    self.bake_ms = 0;
                }
            }
            Event::EvidenceWaived { .. } => self.waived = true,
            Event::Judged { judgement, .. } => self.verdict = Some(judgement.verdict),
            Event::EvidenceRecorded { window } => return self.evidence(window, state, router, now_ms),
            Event::StepPassed { step, by_hand } => {
                self.left.insert(*step);
                self.by_hand |= by_hand;
                if !by_hand && let Some(flight) = &state.flight {
                    return self.earned(*step, flight, now_ms);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn evidence(
        &mut self,
        window: &Window,
        state: &Environment,
        router: &Router,
        now_ms: u64,
    ) -> Result<(), Broken> {
        let Some(flight) = &state.flight else { return Ok(()) };
        let baseline = state.stable.as_ref();
        let compared =
            baseline.map(|version| if window.fresh.is_zero() { version.clone() } else { version.fresh() });
        let sides = [
            (Some(flight.plan.version.name.clone()), window.canary_total().requests),
            (compared, window.baseline_total().requests),
        ];
        for (version, requests) in &sides {
            let Some(version) = version else { continue };
            let counted = self.counted.entry(version.clone()).or_default();
            *counted += requests;
            let before = self.truth_before.get(version).copied().unwrap_or(0);
            let served = router.truth.get(version).copied().unwrap_or(0) - before;
            if *counted > served {
                let detail =
                    format!("the evidence has {counted} requests of {version}, {served} were served");
                return Err(Broken { invariant: Invariant::CountedOnce, at_ms: now_ms, detail });
            }
        }
        let Some(step) = flight.plan.step(window.step) else { return Ok(()) };
        let due = |side: &Step| {
            let canary =
                side.weight > WeightBp::ZERO || side.mirror > WeightBp::ZERO || side.header.is_some();
            (canary, side.weight < WeightBp::ALL && flight.plan.baseline.is_some())
        };
        let (canary, baseline) = due(step);
        let there = (!canary || sides[0].1 > 0) && (!baseline || sides[1].1 > 0);
        if there && !window.warm_up && flight.step == Some(window.step) {
            self.bake_ms += window.span_ms.min(WINDOW_MS);
        }
        Ok(())
    }

    /// Whether every condition of a step was met when the engine left it.
    fn earned(&self, index: u16, flight: &Flight, now_ms: u64) -> Result<(), Broken> {
        let broken = |invariant, detail: String| Err(Broken { invariant, at_ms: now_ms, detail });
        let Some(step) = flight.plan.step(index).filter(|_| flight.step == Some(index)) else {
            return broken(Invariant::SealedWhenEarned, format!("step {index} was left and never entered"));
        };
        if self.bake_ms < step.bake_ms {
            let detail = format!("{} of {} ms with evidence on {}", self.bake_ms, step.bake_ms, step.name);
            return broken(Invariant::BakeIsEvidence, detail);
        }
        let covered_ms = self.covered(step, flight, now_ms);
        if flight.bake_ms.min(step.bake_ms) > covered_ms + self.slack_ms {
            let detail =
                format!("{} ms are counted on {}, {covered_ms} ms had traffic", flight.bake_ms, step.name);
            return broken(Invariant::BakeIsEvidence, detail);
        }
        if flight.returning.is_some() || !flight.holds.is_empty() || step.approval {
            let detail = format!("{} was left while {:?} holds or a person has to", step.name, flight.holds);
            return broken(Invariant::SealedWhenEarned, detail);
        }
        let verdict_needed = step.analysis && flight.plan.baseline.is_some();
        let verdict_there = self.verdict == Some(Verdict::Proceed) || self.taken || self.waived;
        if verdict_needed && !verdict_there && !self.unchanged(flight) {
            let detail = format!("{} was left with the verdict {:?}", step.name, self.verdict);
            return broken(Invariant::SealedWhenEarned, detail);
        }
        for (place, check) in step
            .before
            .iter()
            .map(|check| ("before", check))
            .chain(step.after.iter().map(|check| ("after", check)))
            .filter(|(_, check)| check.on_failure != OnFailure::Continue)
        {
            let effect = format!("{}/{}/{place}/{}", flight.release, step.name, check.name);
            if flight.checks.get(&effect).and_then(|record| record.passed) != Some(true) {
                return broken(Invariant::SealedWhenEarned, format!("{effect} has not passed"));
            }
        }
        Ok(())
    }

    /// A judgement is recorded when it differs from the one before: an earlier PROCEED stands.
    fn unchanged(&self, flight: &Flight) -> bool {
        self.verdict.is_none()
            && flight.judgement.as_ref().is_some_and(|judgement| judgement.verdict == Verdict::Proceed)
    }

    /// Time since the step was entered in which both sides that should have traffic had it.
    fn covered(&self, step: &Step, flight: &Flight, now_ms: u64) -> u64 {
        let canary_due =
            step.weight > WeightBp::ZERO || step.mirror > WeightBp::ZERO || step.header.is_some();
        let baseline_due = step.weight < WeightBp::ALL && flight.plan.baseline.is_some();
        let near = |times: &[u64], at: u64| {
            let from = times.partition_point(|time| *time + WINDOW_MS < at);
            times.get(from).is_some_and(|time| *time <= at + WINDOW_MS)
        };
        let seconds = (self.entered_ms..now_ms).step_by(250).filter(|at| {
            (!canary_due || near(&self.canary_ms, *at)) && (!baseline_due || near(&self.baseline_ms, *at))
        });
        seconds.count() as u64 * 250
    }
}
