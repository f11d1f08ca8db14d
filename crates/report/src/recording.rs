//! A recording: the evidence of one release by itself, so that it can be judged again elsewhere,
//! by another policy, or by somebody else's judge.
//!
//! Written as lines of JSON (`taxiway log export`): the first has the key `recording`, then one
//! with the key `window` for each window of evidence, at last one with the key `ended`.

use serde::{Deserialize, Serialize};
use taxiway_model::event::{Event, Outcome, ReturnCause};
use taxiway_model::evidence::Window;
use taxiway_model::ids::ReleaseId;
use taxiway_model::metrics::Sample;
use taxiway_model::normal::Normal;
use taxiway_model::plan::Plan;
use taxiway_model::policy::AnalysisPolicy;
use taxiway_model::record::Recorded;
use taxiway_model::weight::WeightBp;

/// Version of the format written today.
pub const FORMAT: u32 = 1;

/// The evidence of one canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// What it is of.
    pub head: Head,
    /// What was seen, in order.
    pub windows: Vec<Seen>,
    /// When the release ended, in milliseconds since it was started, and how; none: it is in
    /// flight, or was never a release.
    pub ended: Option<(u64, Ended)>,
}

/// What a recording is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Version of the format.
    pub format: u32,
    /// The release, or what stands for one.
    pub name: String,
    /// The service and its environment, or where the figures come from.
    pub of: String,
    /// The version under test.
    pub canary: String,
    /// The version it is compared with; none where there was none.
    pub baseline: Option<String>,
    /// When the release was started, microseconds since the epoch; none: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_us: Option<i64>,
    /// The steps of its plan.
    pub steps: Vec<Step>,
    /// The policy it was judged by; none: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<AnalysisPolicy>,
    /// How the running version answered before; none: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normal: Option<Normal>,
    /// What was not counted, so that metrics of it cannot be judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<Lack>,
    /// What the version turned out to be, where somebody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth: Option<Truth>,
    /// What a reader should know of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A step as far as it matters for judging.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// The canary's share.
    pub weight: WeightBp,
    /// Time with fresh evidence it needs; zero: as long as there is evidence.
    pub bake_ms: u64,
    /// Whether the canary is judged on it.
    pub analysis: bool,
    /// Share of the baseline's requests copied to the canary.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mirror: WeightBp,
    /// Whether requests with a header go to the canary whatever the weight.
    #[serde(default, skip_serializing_if = "is_default")]
    pub by_header: bool,
    /// Canary instances; zero: not known.
    #[serde(default, skip_serializing_if = "is_default")]
    pub instances: u32,
    /// The share of a fresh baseline; zero where the baseline is all that ran before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fresh: WeightBp,
    /// Its instances.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fresh_instances: u32,
}

impl Step {
    /// A judged step with a share of the traffic and nothing else.
    pub fn of_weight(name: &str, weight: WeightBp, bake_ms: u64) -> Self {
        Self {
            name: name.to_owned(),
            weight,
            bake_ms,
            analysis: true,
            mirror: WeightBp::ZERO,
            by_header: false,
            instances: 0,
            fresh: WeightBp::ZERO,
            fresh_instances: 0,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What was not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    /// Failed requests.
    Errors,
    /// Latencies.
    Latency,
    /// Which share of the traffic was routed to the canary.
    Share,
}

/// What a version turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// As good as the one before: convicting it is a false alarm.
    Healthy,
    /// Worse: letting it pass is a miss.
    Bad,
}

/// A window with its place in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// When it ended, in milliseconds since the release was started.
    pub at_ms: u64,
    /// What was seen.
    pub window: Window,
}

/// How a release ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// What sent it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<ReturnCause>,
    /// One sentence.
    pub sentence: String,
}

/// One line of a recording's file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recording: Option<Box<Head>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window: Option<Box<Window>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Ended>,
}

/// Why a recording cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {why}")]
pub struct Unreadable {
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
    /// One clause.
    pub why: String,
}

/// Most of anything that is counted in a window; more is a mistake, and sums of it would not fit.
const REQUESTS_MAX: u64 = 1_000_000_000_000;

/// Longest window: a month.
const SPAN_MS_MAX: u64 = 31 * 86_400_000;

impl Recording {
    /// The recordings of a file, one after the other.
    ///
    /// # Errors
    ///
    /// The first line that does not belong there, with its place.
    pub fn read(text: &str) -> Result<Vec<Self>, Unreadable> {
        let mut recordings: Vec<Self> = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            if line.trim().is_empty() {
                continue;
            }
            let wrong = |column: usize, why: String| Unreadable { line: number, column: column as u32, why };
            let read: Line = serde_json::from_str(line)
                .map_err(|error| wrong(error.column().max(1), clause(&error.to_string())))?;
            take(&mut recordings, read).map_err(|why| wrong(1, why))?;
        }
        if recordings.is_empty() {
            return Err(Unreadable { line: 1, column: 1, why: "there is no recording in it".to_owned() });
        }
        Ok(recordings)
    }

    /// As it is written: lines of JSON, each ended by a line feed.
    pub fn to_lines(&self) -> String {
        let head = Line { recording: Some(Box::new(self.head.clone())), ..Line::default() };
        let windows = self.windows.iter().map(|seen| Line {
            at_ms: Some(seen.at_ms),
            window: Some(Box::new(seen.window.clone())),
            ..Line::default()
        });
        let ended = self.ended.iter().map(|(at_ms, ended)| Line {
            at_ms: Some(*at_ms),
            ended: Some(ended.clone()),
            ..Line::default()
        });
        let mut text = String::new();
        for line in std::iter::once(head).chain(windows).chain(ended) {
            text += &serde_json::to_string(&line).expect("a line is plain data with string keys");
            text.push('\n');
        }
        text
    }

    /// A release of a stream, from the stream's events; none where it was never started.
    pub fn of_release<'a>(
        events: impl IntoIterator<Item = &'a Recorded<Event>>,
        release: &ReleaseId,
    ) -> Option<Self> {
        let mut plan = None;
        let mut recording: Option<Self> = None;
        let mut cause = None;
        for recorded in events {
            match (&recorded.event, &mut recording) {
                (Event::ReleaseAccepted { release: id, plan: accepted, .. }, None) if id == release => {
                    plan = Some((**accepted).clone());
                }
                (Event::ReleaseStarted { release: id }, None) if id == release => {
                    let head = head(release, plan.as_ref()?, recorded.at.0);
                    recording = Some(Self { head, windows: Vec::new(), ended: None });
                }
                (Event::NormalRecorded { normal }, Some(of)) => of.head.normal = Some((**normal).clone()),
                (Event::EvidenceRecorded { window }, Some(of)) => {
                    let at_ms = of.since_start_ms(recorded);
                    of.windows.push(Seen { at_ms, window: (**window).clone() });
                }
                (Event::ReturnDecided { cause: decided, .. }, Some(_)) => cause = Some(*decided),
                (Event::ReleaseEnded { outcome, sentence }, Some(of)) => {
                    let ended = Ended { outcome: *outcome, cause, sentence: sentence.clone() };
                    of.ended = Some((of.since_start_ms(recorded), ended));
                    break;
                }
                _ => {}
            }
        }
        recording
    }

    fn since_start_ms(&self, recorded: &Recorded<Event>) -> u64 {
        let started_us = self.head.started_us.unwrap_or_default();
        u64::try_from(recorded.at.0.saturating_sub(started_us)).unwrap_or(0) / 1_000
    }

    /// The canary's share during a step.
    pub fn weight(&self, step: u16) -> WeightBp {
        self.step(step).map(|step| step.weight).unwrap_or_default()
    }

    /// A step by its place.
    pub fn step(&self, step: u16) -> Option<&Step> {
        self.head.steps.get(usize::from(step))
    }

    /// Whether there was a baseline beside the canary on a step.
    pub fn is_live(&self, step: u16) -> bool {
        let exposed = |step: &Step| {
            step.weight < WeightBp::ALL
                && (step.weight > WeightBp::ZERO || step.mirror > WeightBp::ZERO || step.by_header)
        };
        self.head.baseline.is_some() && self.step(step).is_some_and(exposed)
    }

    /// What the version turned out to be: as somebody said, else as the release ended. A version
    /// that stayed is taken for healthy; one that went back by its verdict, by a signal or by a
    /// person's rollback for bad.
    pub fn truth(&self) -> Option<Truth> {
        if self.head.truth.is_some() {
            return self.head.truth;
        }
        let (_, ended) = self.ended.as_ref()?;
        match (ended.outcome, ended.cause) {
            (Outcome::Released, _) => Some(Truth::Healthy),
            (
                Outcome::RolledBack,
                Some(ReturnCause::Verdict | ReturnCause::Signal | ReturnCause::RolledBack),
            ) => Some(Truth::Bad),
            _ => None,
        }
    }
}

fn head(release: &ReleaseId, plan: &Plan, started_us: i64) -> Head {
    let step = |step: &taxiway_model::plan::Step| Step {
        name: step.name.to_string(),
        weight: step.weight,
        bake_ms: step.bake_ms,
        analysis: step.analysis,
        mirror: step.mirror,
        by_header: step.header.is_some(),
        instances: step.canary_instances(plan.version.target.replicas),
        fresh: plan.fresh_weight(step),
        fresh_instances: plan.fresh_instances(step),
    };
    Head {
        format: FORMAT,
        name: release.to_string(),
        of: plan.stream.to_string(),
        canary: plan.version.name.to_string(),
        baseline: plan.baseline.as_ref().map(|version| {
            if plan.wants_fresh() { version.fresh().for_people() } else { version.to_string() }
        }),
        started_us: Some(started_us),
        steps: plan.steps.iter().map(step).collect(),
        policy: Some(plan.analysis.clone()),
        normal: None,
        lacks: Vec::new(),
        truth: None,
        note: String::new(),
    }
}

fn take(recordings: &mut Vec<Recording>, line: Line) -> Result<(), String> {
    match line {
        Line { recording: Some(head), at_ms: None, window: None, ended: None } => {
            if head.format > FORMAT {
                return Err(format!("format {} is newer than {FORMAT}", head.format));
            }
            recordings.push(Recording { head: *head, windows: Vec::new(), ended: None });
            Ok(())
        }
        Line { recording: None, at_ms: Some(at_ms), window: Some(window), ended: None } => {
            let last = begun(recordings)?;
            sound(last, at_ms, &window)?;
            last.windows.push(Seen { at_ms, window: *window });
            Ok(())
        }
        Line { recording: None, at_ms: Some(at_ms), window: None, ended: Some(ended) } => {
            begun(recordings)?.ended = Some((at_ms, ended));
            Ok(())
        }
        _ => Err("a line has the key `recording`, or `at_ms` with `window` or `ended`".to_owned()),
    }
}

fn begun(recordings: &mut [Recording]) -> Result<&mut Recording, String> {
    recordings.last_mut().ok_or_else(|| "the first line must have the key `recording`".to_owned())
}

fn sound(recording: &Recording, at_ms: u64, window: &Window) -> Result<(), String> {
    if recording.step(window.step).is_none() {
        let steps = recording.head.steps.len();
        return Err(format!("the window is of step {}, there are {steps} (from 0)", window.step));
    }
    if recording.windows.last().is_some_and(|last| at_ms < last.at_ms) {
        return Err("the window lies before the one above it".to_owned());
    }
    if window.span_ms > SPAN_MS_MAX {
        return Err(format!("a window of {} ms is a mistake", window.span_ms));
    }
    let sampled = window.metrics.values().flat_map(|sample| match sample {
        Sample::Counts { canary, baseline } => vec![canary.total, canary.bad, baseline.total, baseline.bad],
        Sample::Buckets { canary, baseline } => {
            canary.iter().chain(baseline).map(|(_, count)| *count).collect()
        }
        Sample::Scalar { .. } => Vec::new(),
        Sample::Moments { canary, baseline } => vec![canary.count, baseline.count],
        Sample::Types { canary, baseline } => {
            vec![canary.total, canary.errors(), baseline.total, baseline.errors()]
        }
    });
    if sampled.into_iter().any(|count| count > REQUESTS_MAX) {
        return Err(format!("a count above {REQUESTS_MAX} is a mistake"));
    }
    let counts = window.canary.values().chain(window.baseline.values());
    for counts in counts {
        let parts = counts.status.iter().chain([&counts.requests, &counts.timeouts, &counts.connect_errors]);
        let all = parts.chain(counts.latency.buckets.values());
        if all.into_iter().any(|count| *count > REQUESTS_MAX) {
            return Err(format!("a count above {REQUESTS_MAX} is a mistake"));
        }
    }
    Ok(())
}

/// serde's words without the place, which is told beside them.
fn clause(text: &str) -> String {
    text.split(" at line ").next().unwrap_or(text).to_owned()
}
