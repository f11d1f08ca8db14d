//! The judge's state: evidence folded window by window.

use super::prior::{Outlook, Prior};
use super::sides::{Latencies, Seen, Sides};
use super::{Question, errors, lasting, latency, missing, more, query};
use taxiway_model::evidence::{Classes, Window};
use taxiway_model::ids::Digest;
use taxiway_model::normal::Normal;
use taxiway_model::plan::Plan;
use taxiway_model::policy::{AnalysisPolicy, Measure, MetricPolicy};
use taxiway_model::verdict::{MetricFinding, Verdict};
use taxiway_model::weight::WeightBp;

/// Everything the judge knows of a release.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    metrics: Vec<Evidence>,
    missing: Vec<missing::Track>,
    lasting: Vec<lasting::Track>,
    sides: Sides,
    windows: u32,
    digest: Digest,
    requests: (u64, u64),
    excess_milli: i64,
}

/// The evidence of one metric.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Evidence {
    /// Counts of good and bad requests.
    Errors(Box<errors::Evidence>),
    /// Latency distributions.
    Latency(Box<latency::Evidence>),
    /// What a source answered.
    Query(query::Evidence),
    /// Everything else.
    More(more::Evidence),
}

impl Evidence {
    fn new(
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        normal: Option<&Normal>,
        outlook: &Outlook,
    ) -> Self {
        let horizon_s = outlook.horizon_s();
        let prior = normal.map(|normal| Prior { normal, outlook });
        if let Some(more) = more::Evidence::of(policy, metric, horizon_s) {
            return Self::More(more);
        }
        match metric.measure {
            Measure::ErrorRate => {
                Self::Errors(Box::new(errors::Evidence::with(policy, metric, horizon_s, prior)))
            }
            Measure::Latency { .. } => {
                Self::Latency(Box::new(latency::Evidence::with(policy, metric, horizon_s, prior)))
            }
            // The profile is of what the proxy saw, not of what a source would have said.
            _ => Self::Query(query::Evidence::new(policy, metric, horizon_s)),
        }
    }

    /// Takes a window in; `sides` are those that `seen` was put together by.
    fn fold(
        &mut self,
        (window, seen, sides): (&Window, &Seen, &Sides),
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        weight: WeightBp,
    ) {
        match self {
            Self::Errors(evidence) => {
                let place = metric.endpoint.as_ref().map(|class| sides.place(class));
                let strata = match place {
                    None => &seen.strata[..],
                    Some(place) => place.map_or(&[][..], |place| &seen.strata[place..=place]),
                };
                evidence.take(strata, window.span_ms);
            }
            Self::Latency(evidence) => match &metric.endpoint {
                None => evidence.take(&seen.latencies, window.span_ms),
                Some(class) => {
                    let latencies = Latencies::of_class(class, &window.canary, &window.baseline);
                    evidence.take(&latencies, window.span_ms);
                }
            },
            Self::Query(evidence) => {
                if let Some(sample) = window.metrics.get(&metric.name) {
                    evidence.fold(metric, sample, window.span_ms);
                }
            }
            Self::More(evidence) => evidence.fold(policy, metric, window, weight),
        }
    }

    /// What a window that is no evidence says of what there is.
    fn get_to_know(&mut self, metric: &MetricPolicy, window: &Window) {
        if let Self::More(evidence) = self {
            evidence.get_to_know(metric, window);
        }
    }

    /// Its verdict and whether a regression is shown, where that is cheaper to have than the finding.
    fn look(
        &self,
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        question: Question,
    ) -> Option<(Verdict, bool)> {
        match self {
            Self::Errors(evidence) => Some(evidence.look(policy, metric, question)),
            Self::Latency(evidence) => Some(evidence.look(policy, metric, question)),
            Self::Query(_) | Self::More(_) => None,
        }
    }

    /// What it says.
    pub(super) fn finding(
        &self,
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        question: Question,
    ) -> MetricFinding {
        match self {
            Self::Errors(evidence) => evidence.finding(policy, metric, question),
            Self::Latency(evidence) => evidence.finding(policy, metric, question),
            Self::Query(evidence) => evidence.finding(policy, metric, question),
            Self::More(evidence) => evidence.finding(policy, metric, question),
        }
    }
}

/// Requests and failed requests of all classes.
fn tally(classes: &Classes) -> (u64, u64) {
    classes.values().fold((0, 0), |(requests, errors), counts| {
        (u64::saturating_add(requests, counts.requests), u64::saturating_add(errors, counts.errors()))
    })
}

/// A critical metric's shown regression goes back at once, whatever the profile and however small.
fn critical(metric: &MetricPolicy, mut finding: MetricFinding) -> MetricFinding {
    if is_critical(metric, finding.verdict, finding.shown) {
        finding.verdict = Verdict::Rollback;
        finding.sentence = format!("critical: {}", finding.sentence);
    }
    finding
}

fn is_critical(metric: &MetricPolicy, verdict: Verdict, shown: bool) -> bool {
    metric.critical && shown && verdict == Verdict::Hold
}

impl State {
    /// Nothing seen yet but, where it is known, how the running version answered before; for evidence
    /// that comes without a plan.
    pub fn new(policy: &AnalysisPolicy, normal: Option<&Normal>) -> Self {
        Self::expecting(policy, normal, &Outlook::default())
    }

    /// The same for a plan, of which it is known what share the canary is given, and for how long.
    pub fn of(plan: &Plan, normal: Option<&Normal>) -> Self {
        Self::expecting(&plan.analysis, normal, &Outlook::of(plan))
    }

    /// The same for what is known of the comparison to come.
    pub fn expecting(policy: &AnalysisPolicy, normal: Option<&Normal>, outlook: &Outlook) -> Self {
        let metrics = policy.metrics.iter().map(|metric| Evidence::new(policy, metric, normal, outlook));
        Self {
            metrics: metrics.collect(),
            missing: vec![missing::Track::default(); policy.metrics.len()],
            lasting: vec![lasting::Track::default(); policy.metrics.len()],
            sides: Sides::default(),
            windows: 0,
            digest: Digest::of(b""),
            requests: (0, 0),
            excess_milli: 0,
        }
    }

    /// Takes one window in. `weight` is the canary's share of the traffic during it.
    pub fn fold(&mut self, policy: &AnalysisPolicy, window: &Window, weight: WeightBp) {
        let mut link = self.digest.0.to_vec();
        link.extend(serde_json::to_vec(window).expect("a window is plain data with string keys"));
        self.digest = Digest::of(&link);
        self.take(policy, window, weight);
    }

    /// Takes one window in without chaining its digest, for evidence that is not on record.
    pub fn take(&mut self, policy: &AnalysisPolicy, window: &Window, weight: WeightBp) {
        self.windows = window.number;
        let weight = window.share(weight);
        let (canary, baseline) = (tally(&window.canary), tally(&window.baseline));
        self.requests.0 = self.requests.0.saturating_add(canary.0);
        self.requests.1 = self.requests.1.saturating_add(canary.1);
        if window.warm_up {
            for (metric, evidence) in policy.metrics.iter().zip(&mut self.metrics) {
                evidence.get_to_know(metric, window);
            }
            return;
        }
        let seen = self.sides.take(&window.canary, &window.baseline);
        if baseline.0 > 0 {
            let expected = i128::from(canary.0) * i128::from(baseline.1) * 1_000 / i128::from(baseline.0);
            let excess = i128::from(canary.1) * 1_000 - expected;
            let excess = i64::try_from(excess).unwrap_or(if excess > 0 { i64::MAX } else { i64::MIN });
            self.excess_milli = self.excess_milli.saturating_add(excess);
        }
        let folds = self.metrics.iter_mut().zip(&mut self.missing).zip(&mut self.lasting);
        for (metric, ((evidence, missing), lasting)) in policy.metrics.iter().zip(folds) {
            if window.is_late() && !window.metrics.contains_key(&metric.name) {
                continue;
            }
            if metric.from_step > window.step {
                evidence.get_to_know(metric, window);
                continue;
            }
            evidence.fold((window, &seen, &self.sides), policy, metric, weight);
            missing.fold(metric, window);
            let silent = metric.measure.is_query() && !window.metrics.contains_key(&metric.name);
            if metric.lasting.is_some() && !silent {
                let at_once = Question { step: window.step, exclude_bp: None };
                lasting.fold(evidence.finding(policy, metric, at_once).verdict, window.span_ms);
            }
        }
    }

    /// What each metric says that counts on the step.
    pub(super) fn findings(&self, policy: &AnalysisPolicy, question: Question) -> Vec<MetricFinding> {
        self.due(policy, question)
            .map(|(metric, place)| self.finding(policy, metric, place, question))
            .collect()
    }

    /// The metrics that count on the step, each with its place.
    fn due<'a>(
        &self,
        policy: &'a AnalysisPolicy,
        question: Question,
    ) -> impl Iterator<Item = (&'a MetricPolicy, usize)> + use<'a> {
        let places = policy.metrics.iter().zip(0..self.metrics.len());
        places.filter(move |(metric, _)| metric.from_step <= question.step)
    }

    fn finding(
        &self,
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        place: usize,
        question: Question,
    ) -> MetricFinding {
        let finding = critical(metric, self.metrics[place].finding(policy, metric, question));
        let finding = self.lasting[place].applied(metric, finding);
        self.missing[place].applied(metric, finding)
    }

    /// Of each metric that counts on the step: its verdict, and whether a regression is shown. What
    /// [`State::findings`] would say, without the words.
    pub(super) fn looks<'a>(
        &'a self,
        policy: &'a AnalysisPolicy,
        question: Question,
    ) -> impl Iterator<Item = (&'a MetricPolicy, Verdict, bool)> {
        self.due(policy, question).map(move |(metric, place)| {
            let plain = metric.lasting.is_none();
            let look = if plain { self.metrics[place].look(policy, metric, question) } else { None };
            match look {
                Some((verdict, shown)) if is_critical(metric, verdict, shown) => {
                    (metric, Verdict::Rollback, shown)
                }
                Some((verdict, shown)) => (metric, verdict, shown),
                None => {
                    let finding = self.finding(policy, metric, place, question);
                    (metric, finding.verdict, finding.shown)
                }
            }
        })
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

    /// What both sides answered so far, warm-up excluded.
    pub fn sides(&self) -> &Sides {
        &self.sides
    }

    /// Failed requests of the canary beyond what the baseline's rate would have given.
    pub fn excess_errors(&self) -> u64 {
        u64::try_from(self.excess_milli / 1_000).unwrap_or(0)
    }
}
