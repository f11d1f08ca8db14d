//! The report: what a judge saw and said, as one value. Integers only, so that its JSON is the same
//! wherever it is written.

use crate::bins::{self, Bin, Reading};
use crate::compare::Row;
use crate::course::{self, Course, Exposure, Look};
use crate::figures::{bound, ratio, span, thousands};
use crate::recording::Recording;
use crate::words;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use taxiway_model::counts::{Counts, Histogram};
use taxiway_model::policy::{Direction, Measure, MetricPolicy, Profile};
use taxiway_model::verdict::{MetricFinding, Verdict};
use taxiway_model::weight::WeightBp;

/// Version of the report's JSON. Fields may be added; none changes its meaning or goes.
pub const FORMAT: u32 = 1;

/// Most points of a line of evidence; looks between them are left out, but never the extremes.
const EVIDENCE_POINTS: usize = 240;

/// Everything a reader may want to know of a judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this format.
    pub format: u32,
    /// What was judged.
    pub subject: Subject,
    /// ROLLBACK if it fell at any look, else that of the last look.
    pub verdict: Verdict,
    /// The finding in one short sentence.
    pub headline: String,
    /// The judge's sentence that goes on record.
    pub sentence: String,
    /// When the verdict fell first (ROLLBACK), or since when it has stood; milliseconds since the start.
    pub at_ms: Option<u64>,
    /// Further time with evidence until PROCEED is possible at this traffic; none: unknown, or no need.
    pub next_ms: Option<u64>,
    /// The judge and its version.
    pub judge: String,
    /// What the judge went by.
    pub rules: Rules,
    /// Looks at the evidence, one after each window.
    pub looks: u32,
    /// Digest over the windows up to the deciding look.
    pub evidence: String,
    /// From the start to the last window, in milliseconds.
    pub span_ms: u64,
    /// What the canary cost up to the verdict.
    pub exposure: Exposure,
    /// What each metric says at the deciding look.
    pub metrics: Vec<MetricReport>,
    /// The canary's share over time.
    pub steps: Vec<StepSpan>,
    /// What a reader should know: what was left out, what the recording says of itself.
    pub notes: Vec<String>,
    /// Other judges on the same evidence, this one first; empty where none was asked.
    pub judges: Vec<Row>,
}

/// What was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The release, or what stands for one.
    pub name: String,
    /// The service and its environment, or where the figures come from.
    pub of: String,
    /// The version under test.
    pub canary: String,
    /// The version it is compared with.
    pub baseline: Option<String>,
    /// When it began, microseconds since the epoch.
    pub started_us: Option<i64>,
    /// How the release ended, and why in its own words; none: it is in flight, or was never one.
    pub ended: Option<String>,
}

/// What the judge went by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The preset.
    pub profile: Profile,
    /// Chance that a healthy canary is called bad, in all looks together; parts per million.
    pub false_alarm_ppm: u32,
    /// Chance that an exclusion is wrong; parts per million.
    pub false_pass_ppm: u32,
    /// What the last step judged had to exclude, as a ratio in basis points.
    pub exclude_bp: Option<u32>,
}

/// The unit of a metric's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Parts per million of what is counted.
    Ppm,
    /// Microseconds.
    Us,
    /// Millionths of the query's unit, or of a currency.
    Micro,
    /// Thousandths: of an error budget's even burn, of a processor core.
    Milli,
    /// Bytes.
    Bytes,
}

/// One metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricReport {
    /// What it says, in one short sentence.
    pub title: String,
    /// The unit of its figures.
    pub unit: Unit,
    /// For a latency, the quantile shown, in basis points.
    pub quantile_bp: Option<u16>,
    /// Up to this ratio to the baseline is tolerated, in basis points; none: it is not compared.
    pub tolerance_bp: Option<u32>,
    /// Beyond this ratio it is red.
    pub red_bp: Option<u32>,
    /// Absolute slack on the tolerated rate, parts per million.
    pub slack_ppm: u32,
    /// Whether less of it is worse.
    #[serde(default)]
    pub lower_is_worse: bool,
    /// Whether its points are what was answered of what was routed, 1,000,000 being all of it.
    #[serde(default)]
    pub routed: bool,
    /// Whether its figures are of instances, and not of requests or values.
    #[serde(default)]
    pub instances: bool,
    /// What its figures are of, where their unit does not say it: `cores`, `EUR per 1,000 requests`.
    #[serde(default)]
    pub per: String,
    /// What its ratio compares, where that is not the figures shown: `CPU a request`.
    #[serde(default)]
    pub ratio_of: String,
    /// Whether it is a mean over values, whose interval is known.
    #[serde(default)]
    pub means: bool,
    /// Where in its unit the tolerance ends, reckoned from the baseline's figure of the whole time.
    #[serde(default)]
    pub tolerated_at: Option<i64>,
    /// Where in its unit it is red.
    #[serde(default)]
    pub red_at: Option<i64>,
    /// The absolute band above which it holds, in its unit.
    pub hold_above: Option<u64>,
    /// The absolute band above which it goes back.
    pub rollback_above: Option<u64>,
    /// The absolute band below which it holds, in its unit.
    #[serde(default)]
    pub hold_below: Option<u64>,
    /// The absolute band below which it goes back.
    #[serde(default)]
    pub rollback_below: Option<u64>,
    /// Whether PROCEED needs it.
    pub required: bool,
    /// What the judge found.
    pub finding: MetricFinding,
    /// Evidence needed for an exclusion, where a step asked for one; as the finding has it.
    pub for_needed_milli: Option<i64>,
    /// When a regression was shown first, in milliseconds since the start.
    pub shown_ms: Option<u64>,
    /// When what the step must exclude was excluded first.
    pub excluded_ms: Option<u64>,
    /// Both sides over time.
    pub points: Vec<Point>,
    /// The evidence at each look.
    pub evidence: Vec<Weighed>,
    /// For a latency: how many requests were slower than so many microseconds.
    pub slower: Vec<Slower>,
}

impl MetricReport {
    /// Whether it has an absolute band, whatever the baseline does.
    pub(crate) fn has_limit(&self) -> bool {
        [self.hold_above, self.rollback_above, self.hold_below, self.rollback_below]
            .iter()
            .any(Option::is_some)
    }
}

/// Both sides in a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Its beginning, in milliseconds since the start.
    pub from_ms: u64,
    /// Its end.
    pub to_ms: u64,
    /// The canary.
    pub canary: Option<Reading>,
    /// The baseline.
    pub baseline: Option<Reading>,
}

/// The evidence at a look, as [`MetricFinding`] has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weighed {
    /// When.
    pub at_ms: u64,
    /// Against the canary.
    pub against_milli: i64,
    /// For the exclusion.
    pub for_milli: Option<i64>,
}

/// A point of both sides' distributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slower {
    /// A latency.
    pub us: u64,
    /// The canary's requests slower than it, parts per million.
    pub canary_ppm: u32,
    /// The baseline's.
    pub baseline_ppm: u32,
}

/// A stretch of time on one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSpan {
    /// The step.
    pub name: String,
    /// The canary's share.
    pub weight: WeightBp,
    /// Its beginning, in milliseconds since the start.
    pub from_ms: u64,
    /// Its end.
    pub to_ms: u64,
    /// Requests of the canary in it.
    pub canary: u64,
    /// Requests of the baseline in it.
    pub baseline: u64,
}

impl Report {
    /// The report on a course.
    pub fn of(recording: &Recording, course: &Course) -> Self {
        let decisive = course.decisive();
        let until_ms = decisive.map_or(u64::MAX, |look| look.at_ms);
        let bins = bins::of(recording, until_ms);
        let findings = decisive.map_or(&[][..], |look| &look.judgement.findings);
        let mut metrics: Vec<MetricReport> = course
            .policy
            .metrics
            .iter()
            .filter_map(|policy| {
                let finding = findings.iter().find(|finding| finding.metric == policy.name)?;
                Some(metric(recording, course, &bins, policy, finding))
            })
            .collect();
        // What decided comes first.
        metrics.sort_by_key(|metric| std::cmp::Reverse((metric.required, metric.finding.verdict)));
        let mut notes = course.left_out.clone();
        if !recording.head.note.is_empty() {
            notes.push(recording.head.note.clone());
        }
        let last_ms = recording.windows.last().map_or(0, |seen| seen.at_ms);
        let until = |look: &&Look| look.at_ms <= until_ms && recording.is_live(look.step);
        let last_live = course.looks.iter().rev().find(until);
        let exclude_bp = last_live.and_then(|look| course.policy.exclusion_at(recording.weight(look.step)));
        Self {
            format: FORMAT,
            subject: subject(recording),
            verdict: course.decision.verdict,
            headline: words::headline(recording, &course.decision, &metrics),
            sentence: course.decision.sentence.clone(),
            at_ms: course.decision.at_ms,
            next_ms: findings
                .iter()
                .filter_map(|finding| finding.wait_ms)
                .max()
                .filter(|ms| *ms > 0 && course.decision.verdict == Verdict::InsufficientData),
            judge: decisive
                .map_or_else(|| taxiway_decide::judge::JUDGE.to_owned(), |look| look.judgement.judge.clone()),
            rules: Rules {
                profile: course.policy.profile,
                false_alarm_ppm: course.policy.false_alarm_ppm,
                false_pass_ppm: course.policy.false_pass_ppm,
                exclude_bp,
            },
            looks: course.looks.len() as u32,
            evidence: decisive.map(|look| look.judgement.evidence.to_string()).unwrap_or_default(),
            span_ms: last_ms,
            exposure: course::exposure(recording, &course.decision),
            metrics,
            steps: steps(recording),
            notes,
            judges: Vec::new(),
        }
    }

    /// As pretty JSON, ended by a line feed.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a report is plain data with string keys");
        text.push('\n');
        text
    }

    /// What the judge promises, one sentence.
    pub fn promise(&self) -> String {
        let share = |ppm: u32| crate::figures::ppm(i64::from(ppm));
        let mut text = format!(
            "However often it looks, it calls a healthy canary bad in at most {} of releases",
            share(self.rules.false_alarm_ppm)
        );
        if let Some(bp) = self.rules.exclude_bp {
            let _ = write!(
                text,
                ", and lets one through that is {} as bad in at most {}",
                bound(bp),
                share(self.rules.false_pass_ppm)
            );
        }
        text + "."
    }
}

fn subject(recording: &Recording) -> Subject {
    let head = &recording.head;
    Subject {
        name: head.name.clone(),
        of: head.of.clone(),
        canary: head.canary.clone(),
        baseline: head.baseline.clone(),
        started_us: head.started_us,
        ended: recording.ended.as_ref().map(|(_, ended)| words::ended(ended)),
    }
}

fn metric(
    recording: &Recording,
    course: &Course,
    bins: &[Bin],
    policy: &MetricPolicy,
    finding: &MetricFinding,
) -> MetricReport {
    let at = |look: &Look| look.judgement.findings.iter().find(|f| f.metric == policy.name).cloned();
    let looks: Vec<(u64, MetricFinding)> =
        course.looks.iter().filter_map(|look| at(look).map(|finding| (look.at_ms, finding))).collect();
    // What came after a ROLLBACK is recorded, but a release would not have seen it.
    let until_ms = course.decisive().map_or(0, |look| look.at_ms);
    let first = |holds: fn(&MetricFinding) -> bool| {
        let seen = looks.iter().take_while(|(at_ms, _)| *at_ms <= until_ms);
        seen.into_iter().find(|(_, finding)| holds(finding)).map(|(at_ms, _)| *at_ms)
    };
    let excluded = |finding: &MetricFinding| {
        finding.for_milli.zip(finding.for_needed_milli).is_some_and(|(have, need)| have >= need)
    };
    let (unit, quantile_bp) = match policy.measure {
        Measure::Burn { .. } | Measure::Cpu => (Unit::Milli, None),
        Measure::Memory => (Unit::Bytes, None),
        Measure::ErrorRate
        | Measure::QueryCounts
        | Measure::QueryTypes
        | Measure::Throughput
        | Measure::Restarts => (Unit::Ppm, None),
        Measure::Latency { quantile_bp } | Measure::QueryBuckets { quantile_bp } => {
            (Unit::Us, Some(quantile_bp))
        }
        Measure::QueryValues { .. } | Measure::QueryMoments | Measure::Cost => (Unit::Micro, None),
    };
    let point = |bin: &Bin| {
        let [canary, baseline] = bin.readings(recording, policy, course.policy.prices.as_ref());
        Point { from_ms: bin.from_ms, to_ms: bin.to_ms, canary, baseline }
    };
    let is_latency = matches!(policy.measure, Measure::Latency { .. }) && policy.endpoint.is_none();
    MetricReport {
        title: words::title(recording, policy, unit, is_lower_worse(policy), finding),
        unit,
        quantile_bp,
        tolerance_bp: policy.is_compared().then_some(policy.tolerance_bp),
        red_bp: Some(policy.red_bp).filter(|bp| *bp != u32::MAX),
        slack_ppm: policy.slack_ppm,
        hold_above: policy.hold_above,
        rollback_above: policy.rollback_above,
        hold_below: policy.hold_below,
        rollback_below: policy.rollback_below,
        lower_is_worse: is_lower_worse(policy),
        routed: policy.measure == Measure::Throughput,
        instances: matches!(policy.measure, Measure::Memory | Measure::Cpu | Measure::Restarts),
        per: match (policy.measure, &course.policy.prices) {
            (Measure::Cpu, _) => "cores".to_owned(),
            (Measure::Cost, Some(prices)) => format!("{} per 1,000 requests", prices.currency),
            _ => String::new(),
        },
        ratio_of: match policy.measure {
            Measure::Cpu => "of CPU a request".to_owned(),
            Measure::Throughput => "of what was routed".to_owned(),
            _ => String::new(),
        },
        means: policy.measure == Measure::QueryMoments,
        tolerated_at: band(policy, finding, unit, Some(policy.tolerance_bp).filter(|_| policy.is_compared())),
        red_at: band(policy, finding, unit, Some(policy.red_bp).filter(|bp| *bp != u32::MAX)),
        required: policy.required,
        for_needed_milli: looks.iter().rev().find_map(|(_, finding)| finding.for_needed_milli),
        shown_ms: first(|finding| finding.shown),
        excluded_ms: first(excluded),
        points: bins.iter().map(point).filter(|point| point.canary.or(point.baseline).is_some()).collect(),
        evidence: thinned(&looks),
        slower: if is_latency { slower(bins, until_ms) } else { Vec::new() },
        finding: finding.clone(),
    }
}

/// Whether less of a metric is worse. Of throughput it is: what is lost is not answered.
fn is_lower_worse(policy: &MetricPolicy) -> bool {
    policy.measure == Measure::Throughput || policy.direction == Direction::LowerIsWorse
}

/// Where a band relative to the baseline lies, in the metric's unit; none where it has none, or where the figure that
/// is shown is not the one compared.
fn band(policy: &MetricPolicy, finding: &MetricFinding, unit: Unit, ratio_bp: Option<u32>) -> Option<i64> {
    let ratio = f64::from(ratio_bp?) / 1e4;
    let baseline = match (policy.measure, &finding.baseline) {
        // A request of the CPU is compared, not an instance; new types and restarts are not compared by a ratio.
        (Measure::Cpu | Measure::QueryTypes | Measure::Restarts, _) | (_, None) => return None,
        // As much as was routed is all of it.
        (Measure::Throughput, Some(_)) => return Some((1e6 / ratio.max(1.0 / ratio)) as i64),
        (Measure::Burn { budget_ppm, .. }, Some(side)) => {
            let slack = f64::from(policy.slack_ppm) * 1e3 / f64::from(budget_ppm.max(1));
            return Some((side.value? as f64 * ratio + slack) as i64);
        }
        (_, Some(side)) if unit == Unit::Ppm => {
            if side.requests == 0 {
                return None;
            }
            side.bad as f64 * 1e6 / side.requests as f64
        }
        (_, Some(side)) => side.value? as f64,
    };
    let slack = if unit == Unit::Ppm { f64::from(policy.slack_ppm) } else { 0.0 };
    let sign = if is_lower_worse(policy) { -1.0 } else { 1.0 };
    Some((baseline * ratio + sign * slack) as i64)
}

/// At most [`EVIDENCE_POINTS`] looks: of each group the one with the most evidence against, so
/// that the moment at which it sufficed is never left out, and the last one.
fn thinned(looks: &[(u64, MetricFinding)]) -> Vec<Weighed> {
    let weighed = |(at_ms, finding): &(u64, MetricFinding)| Weighed {
        at_ms: *at_ms,
        against_milli: finding.against_milli,
        for_milli: finding.for_milli,
    };
    let group = looks.len().div_ceil(EVIDENCE_POINTS).max(1);
    let mut kept: Vec<Weighed> = looks
        .chunks(group)
        .filter_map(|group| group.iter().max_by_key(|(_, finding)| finding.against_milli))
        .map(weighed)
        .collect();
    if let Some(last) = looks.last().map(weighed)
        && kept.last() != Some(&last)
    {
        kept.push(last);
    }
    kept
}

/// Points of the two distributions up to the verdict, from where most requests are slower to where hardly any is.
fn slower(bins: &[Bin], until_ms: u64) -> Vec<Slower> {
    let (mut canary, mut baseline) = (Counts::default(), Counts::default());
    for bin in bins.iter().filter(|bin| bin.to_ms <= until_ms) {
        canary.latency.merge(&bin.canary.latency);
        baseline.latency.merge(&bin.baseline.latency);
    }
    let (canary, baseline) = (canary.latency, baseline.latency);
    if canary.total() == 0 || baseline.total() == 0 {
        return Vec::new();
    }
    let indices = || canary.buckets.keys().chain(baseline.buckets.keys());
    let (low, high) = (indices().min().copied().unwrap_or(0), indices().max().copied().unwrap_or(0));
    let every = ((i32::from(high) - i32::from(low)) / 60).max(1) as usize;
    let beyond = |histogram: &Histogram, index: i16| {
        let above: u64 = histogram.buckets.range(index.saturating_add(1)..).map(|(_, count)| count).sum();
        (u128::from(above) * 1_000_000 / u128::from(histogram.total())) as u32
    };
    (low..=high)
        .step_by(every)
        .map(|index| Slower {
            us: taxiway_stats::histogram::upper_edge(i32::from(index), taxiway_stats::histogram::SCALE)
                as u64,
            canary_ppm: beyond(&canary, index),
            baseline_ppm: beyond(&baseline, index),
        })
        .collect()
}

fn steps(recording: &Recording) -> Vec<StepSpan> {
    let mut spans: Vec<StepSpan> = Vec::new();
    let mut at = None;
    for seen in &recording.windows {
        let step = seen.window.step;
        if at != Some(step) {
            at = Some(step);
            let from_ms =
                spans.last().map_or(seen.at_ms.saturating_sub(seen.window.span_ms), |last| last.to_ms);
            spans.push(StepSpan {
                name: recording.step(step).map_or_else(|| format!("step {step}"), |step| step.name.clone()),
                weight: recording.weight(step),
                from_ms,
                to_ms: from_ms,
                canary: 0,
                baseline: 0,
            });
        }
        let span = spans.last_mut().expect("one was just made where there was none");
        span.to_ms = seen.at_ms;
        span.canary += seen.window.canary_total().requests;
        span.baseline += seen.window.baseline_total().requests;
    }
    spans
}

/// The verdict with its time, for people: `ROLLBACK after 42s`.
pub fn moment(report: &Report) -> String {
    let word = words::verdict(report.verdict);
    match (report.verdict, report.at_ms) {
        (Verdict::Rollback, Some(ms)) => format!("{word} after {}", span(ms)),
        (_, Some(ms)) => format!("{word} from {} on", span(ms)),
        (_, None) => word.to_owned(),
    }
}

/// What the canary cost, one sentence.
pub fn cost(exposure: &Exposure) -> String {
    if exposure.requests == 0 {
        return "no request of the canary was counted".to_owned();
    }
    let more = if exposure.at_least { ", and it would have gone on" } else { "" };
    let excess = match exposure.excess {
        1.. => format!(", {} more than the baseline's rate gives", thousands(exposure.excess.unsigned_abs())),
        _ => ", no more than the baseline's rate gives".to_owned(),
    };
    format!(
        "{} requests to the canary, {} failed{excess}{more}",
        thousands(exposure.requests),
        thousands(exposure.failed)
    )
}

/// A finding's ratio with its confidence sequence, for people.
pub fn ratio_words(metric: &MetricReport) -> String {
    let finding = &metric.finding;
    let words = ratio_and_range(finding);
    let known = finding.ratio_bp.or(finding.ratio_from_bp).or(finding.ratio_to_bp).is_some();
    if known && !metric.ratio_of.is_empty() { format!("{words} {}", metric.ratio_of) } else { words }
}

fn ratio_and_range(finding: &MetricFinding) -> String {
    let bounded = finding.ratio_from_bp.is_some() || finding.ratio_to_bp.is_some();
    let range = crate::figures::range(finding.ratio_from_bp, finding.ratio_to_bp);
    match finding.ratio_bp {
        Some(bp) if bounded => format!("{} ({range})", ratio(bp)),
        Some(bp) => ratio(bp),
        None if bounded => range,
        None => "none".to_owned(),
    }
}
