//! Kayenta over a release: points of a fixed length, the growing series judged again and again.

use std::collections::BTreeMap;

use super::{Config, Faith, Judgement, Label, Pair, Thresholds, judge};
use crate::policy::{Act, Outcome, Play, Stretch, Tape, Whose};
use crate::signal::Signal;
use crate::span;

/// A configuration, and how its stage is run.
#[derive(Debug, Clone)]
pub struct Kayenta {
    /// The configuration.
    pub config: Config,
    /// The thresholds of the stage.
    pub thresholds: Thresholds,
    /// Whether its faults are reproduced.
    pub faith: Faith,
    /// Length of a point in milliseconds (the scope's step).
    pub step_ms: u64,
    /// Time between two judgements in milliseconds.
    pub every_ms: u64,
    /// What each metric is on a recording; a metric without one is not judged.
    pub signals: BTreeMap<String, Signal>,
}

impl Kayenta {
    /// A stage with points of a minute, judged every five. Metrics without a signal are taken out, and the weights of
    /// the groups that are left scaled to their old sum: what nobody recorded is neither a pass nor a failure.
    pub fn new(mut config: Config, faith: Faith, signals: BTreeMap<String, Signal>) -> Self {
        config.metrics.retain(|metric| signals.contains_key(&metric.name));
        let before: f64 = config.weights.values().sum();
        let metrics = &config.metrics;
        config.weights.retain(|group, _| metrics.iter().any(|metric| metric.groups.contains(group)));
        let after: f64 = config.weights.values().sum();
        if after > 0.0 {
            for weight in config.weights.values_mut() {
                *weight *= before / after;
            }
        }
        let thresholds = config.thresholds.unwrap_or_default();
        Self { config, thresholds, faith, step_ms: 60_000, every_ms: 300_000, signals }
    }

    /// The stage before a release.
    pub fn start(&self) -> Stage<'_> {
        let pair = |name: &String| Pair { name: name.clone(), canary: Vec::new(), baseline: Vec::new() };
        Stage {
            settings: self,
            tape: Tape::new(self.step_ms),
            pairs: self.signals.keys().map(pair).collect(),
            next_point_ms: self.step_ms,
            next_judgement_ms: self.every_ms,
        }
    }
}

/// The stage at work.
#[derive(Debug)]
pub struct Stage<'a> {
    settings: &'a Kayenta,
    tape: Tape,
    pairs: Vec<Pair>,
    next_point_ms: u64,
    next_judgement_ms: u64,
}

impl Stage<'_> {
    /// The judgement of what has been seen so far.
    pub fn judgement(&self) -> Judgement {
        let settings = self.settings;
        judge(&settings.config, settings.thresholds, &self.pairs, settings.faith)
            .expect("signals are named after metrics of the configuration")
    }

    fn decide(&self, at_ms: u64, is_last: bool) -> Option<Outcome> {
        let judgement = self.judgement();
        let score = judgement.score.summary;
        let word = judgement.grade.word();
        if self.settings.thresholds.stops(score, is_last) {
            let reason = format!("score {score} ({word}): {}", why(&judgement));
            return Some(Outcome { act: Act::Rollback, at_ms, reason });
        }
        is_last.then(|| Outcome { act: Act::Promote, at_ms, reason: format!("score {score} ({word})") })
    }
}

impl Play for Stage<'_> {
    fn feed(&mut self, stretch: &Stretch) -> Option<Outcome> {
        self.tape.push(stretch);
        while self.next_point_ms <= stretch.until_ms {
            let at_ms = self.next_point_ms;
            for pair in &mut self.pairs {
                let Some(signal) = self.settings.signals.get(&pair.name) else { continue };
                let point = |whose| signal.point(&self.tape, whose, at_ms - self.settings.step_ms, at_ms);
                pair.canary.push(point(Whose::Canary));
                pair.baseline.push(point(Whose::Baseline));
            }
            self.next_point_ms += self.settings.step_ms;
        }
        if stretch.until_ms < self.next_judgement_ms {
            return None;
        }
        self.next_judgement_ms += self.settings.every_ms;
        self.decide(stretch.until_ms, false)
    }

    fn finish(&mut self, at_ms: u64) -> Outcome {
        self.decide(at_ms, true).expect("the last judgement decides")
    }
}

/// What brought the score down, in the judge's own words where it has some.
fn why(judgement: &Judgement) -> String {
    if let Some(reason) = &judgement.score.reason {
        return reason.clone();
    }
    let bad = judgement.metrics.iter().filter(|metric| metric.classification.label != Label::Pass);
    let told: Vec<String> = bad
        .map(|metric| match metric.classification.shift {
            Some(shift) => format!(
                "{} is {} (shift {:.4}..{:.4})",
                metric.name,
                metric.classification.label.word(),
                shift.low,
                shift.high
            ),
            None => format!("{} is {}", metric.name, metric.classification.label.word()),
        })
        .collect();
    if told.is_empty() { "every metric passes".to_owned() } else { told.join(", ") }
}

/// What a setting of the stage is called in `--as kayenta:FILE,every=5m`.
pub(crate) fn set(stage: &mut Kayenta, key: &str, value: &str) -> Result<bool, String> {
    let ms = || span::parse_ms(value).filter(|ms| *ms > 0).ok_or(format!("`{value}` is not a time like 5m"));
    let number = || value.parse::<f64>().map_err(|_| format!("`{value}` is not a number"));
    match key {
        "every" => stage.every_ms = ms()?,
        "step" => stage.step_ms = ms()?,
        "pass" => stage.thresholds.pass = number()?,
        "marginal" => stage.thresholds.marginal = number()?,
        "faithful" => {
            stage.faith = match value {
                "true" => Faith::Faithful,
                "false" => Faith::Mended,
                _ => return Err(format!("`{value}` is neither true nor false")),
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}
