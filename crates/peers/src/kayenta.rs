//! Kayenta's judge `NetflixACAJudge-v1.0`: series of both sides in, a score out.
//!
//! Read in its sources at a69573b. Where it is knowingly different unless [`Faith::Faithful`] is asked for: a metric
//! whose comparison fails counts as failed (there it does not count, and a group of nothing else scores 100), and the
//! interval's ends are found on the scale of the data (there to an absolute 1e-4). In both: constant series are pulled
//! apart by fixed quantiles rather than by unseeded noise, so that the same data always give the same answer.

pub mod classify;
pub mod config;
pub mod mann_whitney;
pub mod play;
pub mod prepare;
pub mod score;

mod brent;

pub use classify::{Classification, Label, Rigour, Settings, classify, is_high};
pub use config::{Config, Metric};
pub use play::Kayenta;
pub use score::{Grade, Score, Thresholds};

use mann_whitney::Precision;
use prepare::{Summary, prepare};
use score::{Errors, Scored};

/// Whether known faults of a peer are reproduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Faith {
    /// All of them.
    Faithful,
    /// Those that pass a canary which nobody looked at are not.
    #[default]
    Mended,
}

impl Faith {
    fn precision(self) -> Precision {
        match self {
            Self::Faithful => Precision::Absolute,
            Self::Mended => Precision::Scaled,
        }
    }

    fn errors(self) -> Errors {
        match self {
            Self::Faithful => Errors::Ignored,
            Self::Mended => Errors::Fail,
        }
    }

    /// How sure the judge's test is.
    pub fn rigour(self) -> Rigour {
        Rigour::judge(self.precision())
    }
}

/// A metric's series on both sides; gaps are NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The metric's name in the configuration.
    pub name: String,
    /// The canary's values.
    pub canary: Vec<f64>,
    /// The baseline's values.
    pub baseline: Vec<f64>,
}

/// What was found of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The metric's name.
    pub name: String,
    /// Its groups.
    pub groups: Vec<String>,
    /// Whether it is shown only.
    pub muted: bool,
    /// Its classification.
    pub classification: Classification,
    /// The canary's values, prepared.
    pub canary: Summary,
    /// The baseline's values, prepared.
    pub baseline: Summary,
}

/// A judgement of a canary.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The metrics in the order of their pairs.
    pub metrics: Vec<Judged>,
    /// The score.
    pub score: Score,
    /// The judge's word for it.
    pub grade: Grade,
}

/// A pair of series whose metric is not in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has no metric `{0}`")]
pub struct UnknownMetric(pub String);

/// Judges a canary by its series.
pub fn judge(
    config: &Config,
    thresholds: Thresholds,
    pairs: &[Pair],
    faith: Faith,
) -> Result<Judgement, UnknownMetric> {
    let metrics = pairs
        .iter()
        .map(|pair| {
            let metric = config.metrics.iter().find(|metric| metric.name == pair.name);
            Ok(judge_metric(metric.ok_or_else(|| UnknownMetric(pair.name.clone()))?, pair, faith))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let scored: Vec<Scored<'_>> = metrics
        .iter()
        .filter(|metric| !metric.muted)
        .map(|metric| Scored {
            label: metric.classification.label,
            critical: metric.classification.critical,
            groups: &metric.groups,
            reason: metric.classification.reason.as_deref(),
        })
        .collect();
    let score = score::score(&scored, &config.weights, faith.errors());
    let grade = thresholds.grade(score.summary);
    Ok(Judgement { metrics, score, grade })
}

fn judge_metric(metric: &Metric, pair: &Pair, faith: Faith) -> Judged {
    let prepared = |values: &[f64]| prepare(values, metric.settings.nan, metric.outliers);
    let (canary, baseline) = (prepared(&pair.canary), prepared(&pair.baseline));
    let mut classification = classify(&metric.name, &baseline, &canary, &metric.settings, &faith.rigour());
    if classification.label == Label::Error && faith == Faith::Mended {
        classification.critical = metric.settings.critical;
    }
    Judged {
        name: metric.name.clone(),
        groups: metric.groups.clone(),
        muted: metric.muted,
        classification,
        canary: Summary::of(&canary),
        baseline: Summary::of(&baseline),
    }
}
