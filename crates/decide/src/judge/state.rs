//! The judge's state: evidence folded window by window.

use super::{errors, latency, missing, more, query};
use taxiway_model::evidence::{self, Classes, Window};
use taxiway_model::ids::Digest;
use taxiway_model::normal::Normal;
use taxiway_model::policy::{AnalysisPolicy, Measure, MetricPolicy};
use taxiway_model::verdict::{MetricFinding, Verdict};
use taxiway_model::weight::WeightBp;

/// Seconds over which the wealth for late faults is spread at least: an hour, since a canary that
/// bakes for seconds is usually left to run on, and since the price of a longer horizon is small.
const HORIZON_S_MIN: f64 = 3_600.0;

/// Everything the judge knows of a release.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    metrics: Vec<Evidence>,
    missing: Vec<missing::Track>,
    canary: Classes,
    baseline: Classes,
    windows: u32,
    digest: Digest,
    requests: (u64, u64),
    excess_milli: i64,
}

/// The evidence of one metric.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Evidence {
    /// Counts of good and bad requests.
    Errors(errors::Evidence),
    /// Latency distributions.
    Latency(latency::Evidence),
    /// What a source answered.
    Query(query::Evidence),
    /// Everything else.
    More(more::Evidence),
}

impl Evidence {
    fn new(policy: &AnalysisPolicy, metric: &MetricPolicy) -> Self {
        if let Some(more) = more::Evidence::of(policy, metric, HORIZON_S_MIN) {
            return Self::More(more);
        }
        match metric.measure {
            Measure::ErrorRate => Self::Errors(errors::Evidence::new(policy, metric, HORIZON_S_MIN)),
            Measure::Latency { .. } => Self::Latency(latency::Evidence::new(policy, metric, HORIZON_S_MIN)),
            _ => Self::Query(query::Evidence::new(policy, metric, HORIZON_S_MIN)),
        }
    }

    fn fold(&mut self, window: &Window, policy: &AnalysisPolicy, metric: &MetricPolicy, weight: WeightBp) {
        if let Self::More(evidence) = self {
            evidence.fold(policy, metric, window, weight);
            return;
        }
        if let Self::Query(evidence) = self {
            if let Some(sample) = window.metrics.get(&metric.name) {
                evidence.fold(policy, metric, sample, window.span_ms);
            }
            return;
        }
        let of_interest = |classes: &Classes| -> Classes {
            match &metric.endpoint {
                None => classes.clone(),
                Some(name) => classes.iter().filter(|(class, _)| *class == name).map(pair).collect(),
            }
        };
        let (canary, baseline) = (of_interest(&window.canary), of_interest(&window.baseline));
        match self {
            Self::Errors(evidence) => evidence.fold(&canary, &baseline, window.span_ms),
            Self::Latency(evidence) => evidence.fold(&canary, &baseline, window.span_ms),
            Self::Query(_) | Self::More(_) => {}
        }
    }

    /// What it says.
    pub(super) fn finding(
        &self,
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        question: super::Question,
    ) -> MetricFinding {
        match self {
            Self::Errors(evidence) => evidence.finding(policy, metric, question),
            Self::Latency(evidence) => evidence.finding(policy, metric, question),
            Self::Query(evidence) => evidence.finding(policy, metric, question),
            Self::More(evidence) => evidence.finding(policy, metric, question),
        }
    }
}

/// A critical metric's shown regression goes back at once, whatever the profile and however small.
fn critical(metric: &MetricPolicy, mut finding: MetricFinding) -> MetricFinding {
    if metric.critical && finding.shown && finding.verdict == Verdict::Hold {
        finding.verdict = Verdict::Rollback;
        finding.sentence = format!("critical: {}", finding.sentence);
    }
    finding
}

fn pair(
    (class, counts): (&String, &taxiway_model::counts::Counts),
) -> (String, taxiway_model::counts::Counts) {
    (class.clone(), counts.clone())
}

impl State {
    /// Nothing seen yet but, where it is known, how the running version answered before.
    pub fn new(policy: &AnalysisPolicy, _normal: Option<&Normal>) -> Self {
        Self {
            metrics: policy.metrics.iter().map(|metric| Evidence::new(policy, metric)).collect(),
            missing: vec![missing::Track::default(); policy.metrics.len()],
            canary: Classes::new(),
            baseline: Classes::new(),
            windows: 0,
            digest: Digest::of(b""),
            requests: (0, 0),
            excess_milli: 0,
        }
    }

    /// Takes one window in. `weight` is the canary's share during it.
    pub fn fold(&mut self, policy: &AnalysisPolicy, window: &Window, weight: WeightBp) {
        self.windows = window.number;
        let mut link = self.digest.0.to_vec();
        link.extend(serde_json::to_vec(window).expect("a window is plain data with string keys"));
        self.digest = Digest::of(&link);
        let (canary, baseline) = (window.canary_total(), window.baseline_total());
        self.requests.0 += canary.requests;
        self.requests.1 += canary.errors();
        if window.warm_up {
            return;
        }
        evidence::merge(&mut self.canary, &window.canary);
        evidence::merge(&mut self.baseline, &window.baseline);
        if baseline.requests > 0 {
            // Counts may be as large as 10^12 on each side: their product is not to wrap.
            let expected = i128::from(canary.requests) * i128::from(baseline.errors()) * 1_000
                / i128::from(baseline.requests);
            let expected = i64::try_from(expected).unwrap_or(i64::MAX / 2);
            let excess = (canary.errors() as i64).saturating_mul(1_000).saturating_sub(expected);
            self.excess_milli = self.excess_milli.saturating_add(excess);
        }
        let folds = self.metrics.iter_mut().zip(&mut self.missing);
        for (metric, (evidence, missing)) in policy.metrics.iter().zip(folds) {
            if metric.from_step <= window.step {
                evidence.fold(window, policy, metric, weight);
                missing.fold(metric, window);
            }
        }
    }

    /// What each metric says that counts on the step.
    pub(super) fn findings(&self, policy: &AnalysisPolicy, question: super::Question) -> Vec<MetricFinding> {
        let folds = self.metrics.iter().zip(&self.missing);
        let due = policy.metrics.iter().zip(folds).filter(|(metric, _)| metric.from_step <= question.step);
        due.map(|(metric, (evidence, missing))| {
            let finding = missing.applied(metric, evidence.finding(policy, metric, question));
            critical(metric, finding)
        })
        .collect()
    }

    /// How many windows were taken in.
    pub fn windows(&self) -> u32 {
        self.windows
    }

    /// Digest over all windows, chained.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Requests and failed requests of the canary, warm-up included.
    pub fn canary_totals(&self) -> (u64, u64) {
        self.requests
    }

    /// What both sides answered so far, canary first, warm-up excluded.
    pub fn sides(&self) -> (&Classes, &Classes) {
        (&self.canary, &self.baseline)
    }

    /// Failed requests of the canary beyond what the baseline's rate would have given.
    pub fn excess_errors(&self) -> u64 {
        u64::try_from(self.excess_milli / 1_000).unwrap_or(0)
    }
}
