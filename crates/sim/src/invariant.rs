//! What must hold at every moment of every run, each with its sentence.

use std::fmt;

/// A rule of the product that the simulator watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// See [`Invariant::sentence`], which is what people read; so for all the others.
    WeightWithinStep,
    /// A way back stays one.
    BackStaysBack,
    /// Sealed only when earned.
    SealedWhenEarned,
    /// A person can always go back.
    BackIsReachable,
    /// Bake time is evidence.
    BakeIsEvidence,
    /// No request is evidence twice.
    CountedOnce,
    /// Generations grow at the targets.
    GenerationsGrow,
    /// Nobody is routed to nobody.
    SomebodyAnswers,
    /// The log says it all.
    ReplayIsEqual,
    /// The log is intact.
    LogVerifies,
    /// Looking changes nothing.
    Fixpoint,
    /// Everything ends or says whom it waits for.
    Liveness,
    /// A version that fails 5 % is stopped.
    ErrorsNeverReleased,
    /// A fresh baseline comes and goes with its canary.
    FreshBesideCanary,
    /// A source's silence is not health.
    SilenceIsNotHealth,
    /// A source's error is no bad result.
    ErrorIsNoResult,
    /// Late samples belong to their step.
    LateInItsStep,
    /// Silence is said.
    SilenceIsSaid,
    /// A hold for lack of evidence ends with the lack.
    EvidenceEndsHold,
    /// No panic.
    NeverPanics,
}

impl Invariant {
    /// The rule in words.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::WeightWithinStep => "the canary's weight at the router is never above the approved step's",
            Self::BackStaysBack => "after a way back the canary's weight is 0 and stays 0 for that release",
            Self::SealedWhenEarned => {
                "no step is left, and nothing is sealed, without every condition of the step or a person's promotion"
            }
            Self::BackIsReachable => {
                "whatever fails, a person's way back is in force at once, or the lease ends it"
            }
            Self::BakeIsEvidence => "bake time is never more than the time in which both sides had traffic",
            Self::CountedOnce => "no request is counted as evidence twice",
            Self::GenerationsGrow => "no target ever takes an older generation after a newer one",
            Self::SomebodyAnswers => "while nothing is wrong with the instances every request finds one",
            Self::ReplayIsEqual => "the log, replayed, gives the engine's state and the same judgements",
            Self::LogVerifies => "the log verifies, also against a kept checkpoint",
            Self::Fixpoint => "looking again at an unchanged world decides nothing",
            Self::Liveness => {
                "an hour after the last fault every release has ended or waits for a person and says so"
            }
            Self::ErrorsNeverReleased => {
                "a version that fails 5 % of its requests is never released by the judge"
            }
            Self::FreshBesideCanary => {
                "a fresh baseline has a share only beside an exposed canary, never a larger one, and nothing is left of it when the release is over"
            }
            Self::SilenceIsNotHealth => {
                "no step is left by judgement, and none judged well, while a source it needs gives no evidence, and no such time ages a canary"
            }
            Self::ErrorIsNoResult => {
                "silence, errors and garbage of a source are no bad result: a release goes back for them only after the declared time and where the policy says so"
            }
            Self::LateInItsStep => "what a source measured is evidence of the step in which it was measured",
            Self::SilenceIsSaid => "while a source gives no evidence the release says that it waits for it",
            Self::EvidenceEndsHold => "a hold for lack of evidence ends by itself when the evidence has come",
            Self::NeverPanics => "nothing in the engine panics",
        }
    }
}

/// A rule that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub invariant: Invariant,
    /// Virtual time since the beginning.
    pub at_ms: u64,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, at_ms, detail } = self;
        let (seconds, ms) = (at_ms / 1_000, at_ms % 1_000);
        write!(f, "{invariant:?} at {seconds}.{ms:03} s: {}; but {detail}", invariant.sentence())
    }
}
