//! Many classifications to one score, and the score to a decision.

use std::collections::BTreeMap;

use super::classify::Label;

/// Share of metrics without data from which on the score is 0, in percent.
const NODATA_PERCENT: f64 = 50.0;

/// A classified metric as the scorer sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored<'a> {
    /// What it came to.
    pub label: Label,
    /// Whether that fails the whole canary, unless it is a pass.
    pub critical: bool,
    /// The groups it belongs to; it counts in each.
    pub groups: &'a [String],
    /// Why, for the reason of the score.
    pub reason: Option<&'a str>,
}

/// A group's score.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupScore {
    /// The group.
    pub name: String,
    /// Share of its metrics that pass, in percent; 0 without any.
    pub score: f64,
    /// Whether none of its metrics was compared; the sum then counts it as 100.
    pub no_data: bool,
}

/// The whole score.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// 0 to 100, rounded to two decimals.
    pub summary: f64,
    /// By group, in the order of their names.
    pub groups: Vec<GroupScore>,
    /// Why it is 0, where that was not the sum's doing.
    pub reason: Option<String>,
}

/// What a metric that could not be compared means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Errors {
    /// It does not count at all, so that a group of nothing else scores 100: Kayenta's doing.
    Ignored,
    /// It counts as a metric that did not pass, and fails the canary where the metric is critical.
    #[default]
    Fail,
}

/// The score of all metrics that are not muted. `weights` are in percent; groups without one share what is left.
pub fn score(metrics: &[Scored<'_>], weights: &BTreeMap<String, f64>, errors: Errors) -> Score {
    let groups = groups(metrics, errors);
    let failed = |metric: &&Scored<'_>| metric.critical && metric.label != Label::Pass;
    if let Some(metric) = metrics.iter().find(failed) {
        let reason = format!("canary failed: {}", metric.reason.unwrap_or("a critical metric did not pass"));
        return Score { summary: 0.0, groups, reason: Some(reason) };
    }
    let nodata = metrics.iter().filter(|metric| metric.label == Label::Nodata).count() as f64;
    if nodata / metrics.len() as f64 * 100.0 >= NODATA_PERCENT {
        let reason = format!("canary failed: {NODATA_PERCENT}% or more of the metrics returned no data");
        return Score { summary: 0.0, groups, reason: Some(reason) };
    }
    Score { summary: summary(&groups, weights), groups, reason: None }
}

fn groups(metrics: &[Scored<'_>], errors: Errors) -> Vec<GroupScore> {
    let mut labels: BTreeMap<&str, Vec<Label>> = BTreeMap::new();
    for metric in metrics {
        for group in metric.groups {
            labels.entry(group).or_default().push(metric.label);
        }
    }
    let counts = |label: &&Label| match label {
        Label::Nodata => false,
        Label::Error => errors == Errors::Fail,
        _ => true,
    };
    labels
        .into_iter()
        .map(|(name, labels)| {
            let all = labels.iter().filter(counts).count();
            let passed = labels.iter().filter(|label| **label == Label::Pass).count();
            let score = if all == 0 { 0.0 } else { passed as f64 / all as f64 * 100.0 };
            GroupScore { name: name.to_owned(), score, no_data: all == 0 }
        })
        .collect()
}

fn summary(groups: &[GroupScore], weights: &BTreeMap<String, f64>) -> f64 {
    let without = groups.iter().filter(|group| !weights.contains_key(&group.name)).count();
    let rest = if without == 0 { 0.0 } else { (100.0 - weights.values().sum::<f64>()) / without as f64 };
    let parts = groups.iter().map(|group| {
        let score = if group.no_data { 100.0 } else { group.score };
        score * (weights.get(&group.name).copied().unwrap_or(rest) / 100.0)
    });
    rounded(parts.sum())
}

/// Two decimals, a half away from zero, of the shortest decimal that is the number.
fn rounded(value: f64) -> f64 {
    if !value.is_finite() {
        return value;
    }
    let text = format!("{}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digit = |at: usize| fraction.as_bytes().get(at).map_or(0.0, |digit| f64::from(digit - b'0'));
    let Ok(whole) = whole.parse::<f64>() else { return value };
    let up = if digit(2) >= 5.0 { 1.0 } else { 0.0 };
    (whole * 100.0 + digit(0) * 10.0 + digit(1) + up) / 100.0 * value.signum()
}

/// From which score on a canary passes, and from which it is marginal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// At least this passes.
    pub pass: f64,
    /// At least this is marginal.
    pub marginal: f64,
}

impl Default for Thresholds {
    /// What Spinnaker's stage fills in.
    fn default() -> Self {
        Self { pass: 75.0, marginal: 50.0 }
    }
}

/// The judge's word for a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// At least the pass threshold.
    Pass,
    /// At least the marginal one.
    Marginal,
    /// Below.
    Fail,
}

impl Grade {
    /// The word in Kayenta's results.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Marginal => "Marginal",
            Self::Fail => "Fail",
        }
    }
}

impl Thresholds {
    /// The judge's word.
    pub fn grade(&self, score: f64) -> Grade {
        if score >= self.pass {
            Grade::Pass
        } else if score >= self.marginal {
            Grade::Marginal
        } else {
            Grade::Fail
        }
    }

    /// Whether the pipeline stops at a score: at every judgement but the last one at or below `marginal`, although the
    /// judge calls that very score marginal; at the last one below `pass`.
    pub fn stops(&self, score: f64, is_last: bool) -> bool {
        score <= self.marginal || (is_last && score < self.pass)
    }
}
