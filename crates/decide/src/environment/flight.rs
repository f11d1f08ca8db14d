//! The release in flight.

use crate::feedback::Heard;
use crate::judge;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use taxiway_model::event::{Hold, ReturnCause};
use taxiway_model::ids::{Digest, ReleaseId, VersionName};
use taxiway_model::normal::Normal;
use taxiway_model::plan::{Plan, Step};
use taxiway_model::time::Timestamp;
use taxiway_model::verdict::{Judgement, Verdict};
use taxiway_model::weight::WeightBp;

/// A release on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Flight {
    /// Its id.
    pub release: ReleaseId,
    /// Its plan.
    pub plan: Plan,
    /// The plan's digest.
    pub plan_digest: Digest,
    /// What ran when it was started: its plan may have been made before that was so.
    pub stable: Option<VersionName>,
    /// When it was started.
    pub started_at: Timestamp,
    /// The step it is on; none before the first.
    pub step: Option<u16>,
    /// When it entered that step.
    pub step_at: Timestamp,
    /// Steps that a person left out on the way to all of the traffic.
    pub skipped: BTreeSet<u16>,
    /// When the exposure of this step was confirmed by the router.
    pub exposed_at: Option<Timestamp>,
    /// Time with fresh evidence on this step.
    pub bake_ms: u64,
    /// How often this step's time was extended.
    pub extended: u32,
    /// Whether a person has promoted this step.
    pub passed: bool,
    /// The harm budget allows to leave this step without the wanted exclusion.
    pub waived: bool,
    /// What it waits for a person for.
    pub holds: BTreeSet<Hold>,
    /// What each hold says.
    pub hold_sentences: BTreeMap<Hold, String>,
    /// When each hold began.
    pub hold_since: BTreeMap<Hold, Timestamp>,
    /// Evidence time on this step at which the verdict became HOLD.
    pub hold_since_bake_ms: Option<u64>,
    /// Evidence time on this step at which a regression that goes back when it lasts was shown.
    pub shown_since_bake_ms: Option<u64>,
    /// A person said to go on in spite of this verdict; another verdict holds again.
    pub accepted: Option<Taken>,
    /// Checks begun so far.
    pub checks: BTreeMap<String, CheckRecord>,
    /// How the running version answered before it; none where nobody knows.
    pub normal: Option<Normal>,
    /// What should be known of it, and holds nothing.
    pub warnings: Vec<String>,
    /// The judge's state: the evidence, folded.
    pub evidence: judge::State,
    /// The newest judgement.
    pub judgement: Option<Judgement>,
    /// The source that does not answer, since when and why.
    pub source: Option<(String, Timestamp, String)>,
    /// A person said to go on without the fresh baseline.
    pub fresh_left: bool,
    /// What users said.
    pub heard: Heard,
    /// The way back.
    pub returning: Option<Returning>,
}

/// What a person has taken upon themselves by resuming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The verdict that held.
    pub verdict: Verdict,
    /// The step it held on.
    pub step: u16,
}

/// A check that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRecord {
    /// The newest attempt.
    pub attempt: u32,
    /// Its outcome, once it has ended.
    pub passed: Option<bool>,
    /// What it said.
    pub said: String,
}

/// A release on its way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returning {
    /// What caused it.
    pub cause: ReturnCause,
    /// Why, one sentence.
    pub sentence: String,
    /// When it was decided.
    pub at: Timestamp,
    /// Seen at the router, with what it took.
    pub verified: Option<Verified>,
}

/// The measured way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// From the first canary request to the decision.
    pub detect_ms: Option<u64>,
    /// From the decision to the last request routed to the canary.
    pub shift_ms: u64,
    /// Requests the canary had.
    pub canary_requests: u64,
    /// Of those, failed ones.
    pub canary_failed: u64,
}

impl Flight {
    /// A release that has just been started.
    pub fn new(release: ReleaseId, plan: Plan, plan_digest: Digest, started_at: Timestamp) -> Self {
        let evidence = judge::State::of(&plan, None);
        Self {
            release,
            plan,
            plan_digest,
            stable: None,
            started_at,
            step: None,
            step_at: started_at,
            skipped: BTreeSet::new(),
            exposed_at: None,
            bake_ms: 0,
            extended: 0,
            passed: false,
            waived: false,
            holds: BTreeSet::new(),
            hold_sentences: BTreeMap::new(),
            hold_since: BTreeMap::new(),
            hold_since_bake_ms: None,
            shown_since_bake_ms: None,
            accepted: None,
            checks: BTreeMap::new(),
            normal: None,
            warnings: Vec::new(),
            evidence,
            judgement: None,
            source: None,
            fresh_left: false,
            heard: Heard::default(),
            returning: None,
        }
    }

    /// The step it is on.
    pub fn current(&self) -> Option<&Step> {
        self.step.and_then(|index| self.plan.step(index))
    }

    /// The share of fresh instances of the baseline's version on a step.
    pub fn fresh_weight(&self, step: &Step) -> WeightBp {
        if self.fresh_left { WeightBp::ZERO } else { self.plan.fresh_weight(step) }
    }

    /// How many fresh instances of the baseline's version a step has.
    pub fn fresh_instances(&self, step: &Step) -> u32 {
        if self.fresh_left { 0 } else { self.plan.fresh_instances(step) }
    }

    /// The version, or the group of its fresh instances, that the canary is compared with on the step
    /// it is on; none on a first release.
    pub fn compared_with(&self) -> Option<VersionName> {
        let baseline = self.stable.as_ref()?;
        let fresh = self.current().is_some_and(|step| !self.fresh_weight(step).is_zero());
        Some(if fresh { baseline.fresh() } else { baseline.clone() })
    }

    /// Whether the step it is on is the last one.
    pub fn on_last_step(&self) -> bool {
        self.step.is_some_and(|index| usize::from(index) + 1 == self.plan.steps.len())
    }
}
