//! What a judge is shown of a release, and what it answers.

use std::collections::{BTreeMap, VecDeque};

use taxiway_stats::histogram::{self, Bucket};

use crate::signal::Signal;
use crate::{argo, flagger, kayenta, ratio};

/// What one side did in a stretch of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Side {
    /// Requests that ended.
    pub total: u64,
    /// Those of them that failed.
    pub bad: u64,
    /// Their durations in microseconds, as buckets at [`histogram::SCALE`].
    pub latency_us: Vec<Bucket>,
    /// Values of further metrics by name; where several came, the last one.
    pub values: BTreeMap<String, f64>,
}

impl Side {
    fn add(&mut self, more: &Self) {
        self.total = self.total.saturating_add(more.total);
        self.bad = self.bad.saturating_add(more.bad);
        if !more.latency_us.is_empty() {
            histogram::merge(&mut self.latency_us, &more.latency_us);
        }
        for (name, value) in &more.values {
            self.values.insert(name.clone(), *value);
        }
    }
}

/// What both sides did from the end of the previous stretch on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stretch {
    /// Its end, in milliseconds since the release began to expose the canary.
    pub until_ms: u64,
    /// The version under judgement.
    pub canary: Side,
    /// The version it is compared with.
    pub baseline: Side,
}

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The version under judgement.
    Canary,
    /// The version it is compared with.
    Baseline,
}

/// The stretches so far, as long back as anybody asks.
#[derive(Debug, Clone, Default)]
pub struct Tape {
    /// Each with the time at which it began.
    stretches: VecDeque<(u64, Stretch)>,
    keep_ms: u64,
    last_ms: u64,
    began_ms: [Option<u64>; 2],
}

impl Tape {
    /// A tape that answers about the last `keep_ms` milliseconds.
    pub fn new(keep_ms: u64) -> Self {
        Self { keep_ms, ..Self::default() }
    }

    /// Adds the next stretch; stretches come in rising order of their ends.
    pub fn push(&mut self, stretch: &Stretch) {
        for (began, side) in self.began_ms.iter_mut().zip([&stretch.canary, &stretch.baseline]) {
            if began.is_none() && side.total > 0 {
                *began = Some(self.last_ms);
            }
        }
        // Questions may be about any time since the previous stretch ended.
        let oldest = self.last_ms.saturating_sub(self.keep_ms);
        self.stretches.push_back((self.last_ms, stretch.clone()));
        self.last_ms = stretch.until_ms;
        while self.stretches.front().is_some_and(|(_, first)| first.until_ms <= oldest) {
            self.stretches.pop_front();
        }
    }

    /// What a side did in the stretches that lie between `from_ms` and `to_ms`, wholly or in part: nobody knows when
    /// within a stretch something happened.
    pub fn sum(&self, whose: Whose, from_ms: u64, to_ms: u64) -> Side {
        self.of(whose, |began_ms, until_ms| until_ms > from_ms && began_ms < to_ms)
    }

    /// What a side did in the stretches that end after `from_ms` and at or before `to_ms`, so that points one after the
    /// other count nothing twice.
    pub fn point(&self, whose: Whose, from_ms: u64, to_ms: u64) -> Side {
        self.of(whose, |_, until_ms| until_ms > from_ms && until_ms <= to_ms)
    }

    fn of(&self, whose: Whose, is_within: impl Fn(u64, u64) -> bool) -> Side {
        let mut sum = Side::default();
        for (_, stretch) in self.stretches.iter().filter(|(began, it)| is_within(*began, it.until_ms)) {
            sum.add(match whose {
                Whose::Canary => &stretch.canary,
                Whose::Baseline => &stretch.baseline,
            });
        }
        sum
    }

    /// Whether a side can have had a request before `at_ms`: until its first one a source has no series of it.
    pub fn has_begun(&self, whose: Whose, at_ms: u64) -> bool {
        self.began_ms[usize::from(whose == Whose::Baseline)].is_some_and(|began_ms| began_ms < at_ms)
    }
}

/// What a judge does with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// It has seen what it wanted and lets the version go on.
    Promote,
    /// It came to no decision before the release ended.
    Undecided,
    /// It waits for a person.
    Pause,
    /// It takes the version back.
    Rollback,
}

impl Act {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Undecided => "undecided",
            Self::Pause => "pause",
            Self::Rollback => "rollback",
        }
    }
}

/// When a judge acts, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What it does.
    pub act: Act,
    /// Milliseconds since the release began to expose the canary.
    pub at_ms: u64,
    /// Why, one sentence.
    pub reason: String,
}

/// A judge at work on one release.
pub trait Play {
    /// Shows the next stretch; the outcome, once there is one. Nothing is to be shown after it.
    fn feed(&mut self, stretch: &Stretch) -> Option<Outcome>;

    /// The release ended at `at_ms` without an outcome: what becomes of it.
    fn finish(&mut self, at_ms: u64) -> Outcome;
}

/// A judge with its settings.
#[derive(Debug, Clone)]
pub enum Policy {
    /// Kayenta's score, judged again and again over the growing release.
    Kayenta(kayenta::Kayenta),
    /// An Argo Rollouts analysis.
    Argo(argo::Analysis),
    /// A Flagger analysis.
    Flagger(flagger::Analysis),
    /// "More than so many times the baseline's error rate."
    Ratio(ratio::Rule),
}

impl Policy {
    /// The peer's name.
    pub fn peer(&self) -> &'static str {
        match self {
            Self::Kayenta(_) => "kayenta",
            Self::Argo(_) => "argo",
            Self::Flagger(_) => "flagger",
            Self::Ratio(_) => "ratio",
        }
    }

    /// What it decides by on a recording; metrics that are shown only are not among them.
    pub fn signals(&self) -> Vec<&Signal> {
        match self {
            Self::Kayenta(stage) => {
                let metrics = stage.config.metrics.iter().filter(|metric| !metric.muted);
                metrics.filter_map(|metric| stage.signals.get(&metric.name)).collect()
            }
            Self::Argo(analysis) => {
                let metrics = analysis.template.metrics.iter().filter(|metric| !metric.dry_run);
                let signals = metrics.filter_map(|metric| analysis.signals.get(&metric.name));
                signals.map(|(signal, _)| signal).collect()
            }
            Self::Flagger(analysis) => analysis.signals.values().collect(),
            Self::Ratio(_) => vec![&Signal::Errors { scale: 1.0 }],
        }
    }

    /// The judge before a release.
    pub fn start(&self) -> Box<dyn Play + '_> {
        match self {
            Self::Kayenta(settings) => Box::new(settings.start()),
            Self::Argo(analysis) => Box::new(analysis.start()),
            Self::Flagger(analysis) => Box::new(analysis.start()),
            Self::Ratio(rule) => Box::new(rule.start()),
        }
    }

    /// Plays a whole release.
    pub fn judge(&self, stretches: &[Stretch]) -> Outcome {
        let mut play = self.start();
        let decided = stretches.iter().find_map(|stretch| play.feed(stretch));
        decided.unwrap_or_else(|| play.finish(stretches.last().map_or(0, |last| last.until_ms)))
    }
}
