//! Why a release is where it is.

use serde::{Deserialize, Serialize};
use taxiway_model::ids::MetricName;
use taxiway_model::plan::Step;
use taxiway_model::policy::Measure;
use taxiway_model::service::Deadlines;
use taxiway_model::time::Timestamp;
use taxiway_model::verdict::{Judgement, MetricFinding};

use crate::feedback::FeedbackView;
use crate::record::LogEntry;
use crate::status::Status;

/// The answer of `explain`: state, inputs, and what could happen next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// Where it is.
    pub status: Status,
    /// Why it is there and not further, one sentence.
    pub sentence: String,
    /// The current step as planned; none when nothing is in flight.
    pub step: Option<Step>,
    /// The time limits in force; none when nothing is in flight.
    pub deadlines: Option<Deadlines>,
    /// The judgement made of all evidence up to now; none before there is any.
    pub judgement: Option<Judgement>,
    /// Every metric of the plan, also those that do not decide or have not begun.
    pub metrics: Vec<MetricView>,
    /// Where evidence comes from, and whether it does.
    pub sources: Vec<SourceView>,
    /// Failed requests that the canary has cost so far.
    pub harm: Option<Harm>,
    /// How the running version answered before the release; none where nobody knows.
    pub normal: Option<NormalView>,
    /// What the pre-flight warned of, a sentence each.
    pub warnings: Vec<String>,
    /// What users said.
    pub feedback: FeedbackView,
    /// Reports of machines that did nothing here lately, and why, newest last.
    pub unproven: Vec<Unproven>,
    /// Where webhooks are taken, a line each.
    pub hooks: Vec<String>,
    /// What the decision rests on.
    pub inputs: Vec<Input>,
    /// The last events that led here, oldest first.
    pub trail: Vec<LogEntry>,
    /// What a person can do.
    pub next: Vec<NextStep>,
}

/// Something that happens by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coming {
    /// What.
    pub what: Fate,
    /// What would avert it, or what it waits for; empty where nothing does.
    pub unless: String,
    /// In how many milliseconds of wall-clock time, at this traffic; none where nobody can tell.
    pub in_ms: Option<u64>,
}

/// What can happen by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It goes back to the baseline.
    GoesBack,
    /// It asks a person.
    AsksPerson,
    /// It goes to the next step, or is sealed.
    GoesOn,
    /// The canary's share ends at the router.
    ShareEnds,
}

/// One metric of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricView {
    /// Its name.
    pub name: MetricName,
    /// What it measures; says the unit of values and bands.
    pub measure: Measure,
    /// Whether it decides; otherwise it is shown only.
    pub required: bool,
    /// The step from which it counts, where it has not begun.
    pub begins: Option<String>,
    /// Only requests of this endpoint class.
    pub endpoint: Option<String>,
    /// What is tolerated and what is not, in words.
    pub bands: String,
    /// What it says now; none before it begins.
    pub finding: Option<MetricFinding>,
    /// The evidence against it in words: how sure that it is worse than tolerated.
    pub against: String,
    /// The evidence for it in words: what is excluded.
    pub excluded: String,
    /// How it is asked of its source; none for what the built-in proxy counts.
    pub query: Option<QueryView>,
}

/// How a metric is asked of its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryView {
    /// The source.
    pub source: String,
    /// The query as its owner wrote it.
    pub text: String,
    /// What is asked about the canary.
    pub canary: Vec<String>,
    /// What is asked about the baseline.
    pub baseline: Vec<String>,
    /// How the query was taken apart, and what that means for the judgement.
    pub how: String,
}

/// Something that evidence comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceView {
    /// Its name.
    pub name: String,
    /// Whether it answers.
    pub state: SourceState,
    /// For how long it has been silent, in milliseconds.
    pub silent_ms: Option<u64>,
    /// Why, where it does not answer.
    pub why: String,
    /// When it is asked again, in milliseconds from now, where it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ms: Option<u64>,
    /// What happens if it stays silent, in words.
    pub policy: String,
}

/// Whether a source answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// It does.
    Answering,
    /// It does, and has nothing of what was asked for.
    Nothing,
    /// It does not.
    Silent,
    /// It has not been asked yet.
    NotAsked,
}

/// What the canary has cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Harm {
    /// Failed requests of the canary beyond the baseline's rate.
    pub requests: u64,
    /// Most that are allowed; none: no cap.
    pub budget: Option<u64>,
}

/// The normal profile, short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NormalView {
    /// How long was watched.
    pub span_ms: u64,
    /// Requests in that time.
    pub requests: u64,
    /// Failed ones per million.
    pub error_ppm: Option<u64>,
    /// Their 95th percentile.
    pub p95_us: Option<u64>,
}

/// A report that did nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unproven {
    /// When it came.
    pub at: Timestamp,
    /// Through which door.
    pub origin: String,
    /// What it was about.
    pub what: String,
    /// Why it did nothing.
    pub why: String,
}

/// One input of the decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// What it is (`time with evidence`, `weight in force`).
    pub name: String,
    /// Its value for people.
    pub value: String,
    /// What the step asks for; empty where nothing is asked.
    pub needed: String,
    /// Whether that is met; none where nothing is asked.
    pub met: Option<bool>,
    /// Where it comes from (`log 812`, `proxy`, `plan`).
    pub source: String,
}

/// A command and what it would do now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextStep {
    /// The command to type.
    pub command: String,
    /// What it would do.
    pub effect: String,
}
