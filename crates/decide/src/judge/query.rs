//! Metrics by query (R4.1): counts and buckets go through the same tests as the built-in metrics;
//! values through a weaker one, said so in the sentence. An absolute limit on counts and buckets is
//! tested, not compared with an estimate: a share of slow or failed ones beyond the limit's must be
//! shown, and before PROCEED a multiple of the limit must be excluded, as it must be relative to
//! the baseline.

mod limit;
mod values;

use super::Question;
use super::finding::{self, milli, times};
use super::{errors, latency};
use limit::Limit;
use taxiway_model::counts::{Counts, Histogram};
use taxiway_model::evidence::Classes;
use taxiway_model::metrics::{Sample, Tally};
use taxiway_model::policy::{AnalysisPolicy, Measure, MetricPolicy};
use taxiway_model::verdict::{MetricFinding, SideFinding, Verdict};
use taxiway_stats::Arm;
use taxiway_stats::histogram::{SCALE, index_of, upper_edge};

/// A bucket from zero is spread down to this part of its edge; below nobody looks at latencies.
const LOWEST_PART: f64 = 1.0 / 8.0;

/// The fold of one query's samples.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    kind: Kind,
    limit: Option<Limit>,
    seen: [Tally; 2],
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Counts(Box<errors::Evidence>),
    Buckets(Box<latency::Evidence>),
    Values(values::Evidence),
}

impl Evidence {
    pub(super) fn new(policy: &AnalysisPolicy, metric: &MetricPolicy, horizon_s: f64) -> Self {
        let relative = relative(metric);
        let kind = match metric.measure {
            Measure::QueryBuckets { .. } => {
                Kind::Buckets(Box::new(latency::Evidence::new(policy, &relative, horizon_s)))
            }
            Measure::QueryValues { every_ms } => Kind::Values(values::Evidence::new(every_ms)),
            _ => Kind::Counts(Box::new(errors::Evidence::new(policy, &relative, horizon_s))),
        };
        let limit = Limit::of(metric);
        Self { kind, limit, seen: [Tally::default(); 2] }
    }

    pub(super) fn fold(&mut self, metric: &MetricPolicy, sample: &Sample, span_ms: u64) {
        match (&mut self.kind, sample) {
            (Kind::Counts(evidence), Sample::Counts { canary, baseline }) => {
                evidence.fold(&classes(*canary), &classes(*baseline), span_ms);
                self.take(*canary, *baseline);
            }
            (Kind::Buckets(evidence), Sample::Buckets { canary, baseline }) => {
                evidence.fold(&spread(canary), &spread(baseline), span_ms);
                let band_us = metric.rollback_above.or(metric.hold_above).unwrap_or(u64::MAX);
                self.take(above(canary, band_us), above(baseline, band_us));
            }
            (Kind::Values(evidence), Sample::Scalar { canary, baseline }) => {
                evidence.fold(metric, *canary, *baseline, span_ms);
            }
            // The source was told another shape than the plan's: nothing is evidence of it.
            _ => {}
        }
    }

    fn take(&mut self, canary: Tally, baseline: Tally) {
        for (sum, more) in self.seen.iter_mut().zip([canary, baseline]) {
            sum.total += more.total;
            sum.bad += more.bad;
        }
        if let Some(limit) = &mut self.limit {
            limit.fold(Arm { total: canary.total, bad: canary.bad });
        }
    }

    pub(super) fn finding(
        &self,
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        question: Question,
    ) -> MetricFinding {
        let relative = relative(metric);
        let asked = if metric.is_compared() { question } else { Question { exclude_bp: None, ..question } };
        let mut finding = match &self.kind {
            Kind::Values(evidence) => return evidence.finding(policy, metric),
            Kind::Counts(evidence) => evidence.finding(policy, &relative, asked),
            Kind::Buckets(evidence) => evidence.finding(policy, &relative, asked),
        };
        if self.seen[0].total == 0 {
            finding.verdict = finding.verdict.max(Verdict::InsufficientData);
            "the source has counted nothing of the canary yet".clone_into(&mut finding.sentence);
            return finding;
        }
        if !metric.is_compared() {
            finding.verdict = Verdict::Proceed;
            finding.shown = false;
            finding.sentence.clear();
        }
        if let Some(limit) = &self.limit {
            self.held_to(limit, policy, metric, question, &mut finding);
        }
        finding
    }

    /// Adds what the absolute limit says; the worse of the two verdicts holds.
    fn held_to(
        &self,
        limit: &Limit,
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        question: Question,
        finding: &mut MetricFinding,
    ) {
        let needed = finding::needed_against(policy, metric);
        let last = policy.exclude.last().map_or(20_000, |rule| rule.ratio_bp);
        let multiple_bp = question.exclude_bp.unwrap_or(last);
        let against = limit.ln_evidence();
        let Tally { total, bad } = self.seen[0];
        let shown = finding::part(Arm { total, bad });
        let bound = limit.words(metric);
        let (verdict, sentence) = if against >= needed {
            let verdict = if metric.rollback_above.is_some() { Verdict::Rollback } else { Verdict::Hold };
            (verdict, format!("shown to be above the limit, {bound}: {shown}"))
        } else if limit.excludes(multiple_bp, finding::needed_for(policy)) {
            (Verdict::Proceed, format!("{} the limit is excluded, {bound}: {shown}", times(multiple_bp)))
        } else {
            let sentence = format!("{} the limit is not excluded yet, {bound}: {shown}", times(multiple_bp));
            (Verdict::InsufficientData, sentence)
        };
        if !metric.is_compared() || against >= needed {
            finding.against_milli = milli(against);
            finding.against_needed_milli = milli(needed);
        }
        finding.shown |= against >= needed;
        if finding.sentence.is_empty() || verdict > finding.verdict {
            finding.sentence = sentence;
        } else if verdict == finding.verdict {
            finding.sentence = format!("{}; {sentence}", finding.sentence);
        }
        finding.verdict = finding.verdict.max(verdict);
    }
}

/// The metric without its absolute bands, which are tested here.
fn relative(metric: &MetricPolicy) -> MetricPolicy {
    MetricPolicy { hold_above: None, rollback_above: None, ..metric.clone() }
}

/// Counts as the tests of error rates take them.
fn classes(tally: Tally) -> Classes {
    let bad = tally.bad.min(tally.total);
    if tally.total == 0 {
        return Classes::new();
    }
    let counts =
        Counts { requests: tally.total, status: [0, tally.total - bad, 0, 0, bad], ..Counts::default() };
    Classes::from([(String::new(), counts)])
}

/// Buckets as the tests of latencies take them: each one's values spread evenly over it, as
/// `histogram_quantile` has it too.
fn spread(buckets: &[(u64, u64)]) -> Classes {
    let mut histogram = Histogram::default();
    let mut total = 0;
    let mut below = 0.0;
    for (edge_us, count) in buckets {
        if *edge_us == u64::MAX {
            add(&mut histogram, index_of(f64::max(below, 1.0), SCALE) + 1, *count);
        } else {
            let edge = (*edge_us as f64).max(1.0);
            spread_one(&mut histogram, below, edge, *count);
            below = edge;
        }
        total += count;
    }
    if total == 0 {
        return Classes::new();
    }
    let counts = Counts { requests: total, latency: histogram, ..Counts::default() };
    Classes::from([(String::new(), counts)])
}

fn spread_one(histogram: &mut Histogram, from: f64, to: f64, count: u64) {
    let lowest = f64::max(from, (to * LOWEST_PART).max(1.0));
    let (first, last) = (index_of(lowest, SCALE), index_of(to, SCALE));
    let mut given = 0;
    for index in first..=last {
        let edge = upper_edge(index, SCALE).min(to);
        let part = ((edge - from) / (to - from).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        let up_to = if index == last { count } else { libm::round(part * count as f64) as u64 };
        add(histogram, index, up_to.saturating_sub(given));
        given = given.max(up_to);
    }
}

fn add(histogram: &mut Histogram, index: i32, count: u64) {
    if count > 0 {
        let index = i16::try_from(index).unwrap_or(i16::MAX);
        *histogram.buckets.entry(index).or_default() += count;
    }
}

/// How many values there are, and how many lie above a bound; within its bucket by even spread.
fn above(buckets: &[(u64, u64)], bound_us: u64) -> Tally {
    let mut tally = Tally::default();
    let mut below = 0;
    for (edge, count) in buckets {
        tally.total += count;
        if below >= bound_us {
            tally.bad += count;
        } else if *edge > bound_us && *edge != u64::MAX {
            let part = u128::from(*count) * u128::from(edge - bound_us) / u128::from(edge - below);
            tally.bad += part as u64;
        } else if *edge > bound_us {
            // Beyond the last edge nobody knows; more than the edge is all that is sure.
            tally.bad += count;
        }
        below = *edge;
    }
    tally
}

/// A side of a metric that has values only.
fn values_side(values: u64, newest_micro: Option<i64>) -> SideFinding {
    SideFinding { requests: values, bad: 0, value: newest_micro.and_then(|micro| u64::try_from(micro).ok()) }
}

#[cfg(test)]
mod tests;
