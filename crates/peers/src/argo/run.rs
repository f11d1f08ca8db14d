//! An analysis run over a release.

use std::collections::BTreeMap;

use super::template::Metric;
use super::value::{Fault, Value};
use super::{Analysis, Condition};
use crate::policy::{Act, Outcome, Play, Stretch, Tape, Whose};
use crate::signal::{Reading, Signal};
use crate::span;

/// Time after an error until a metric is measured again.
const RETRY_MS: u64 = 10_000;

/// What a measurement, a metric or the whole run came to, the worse the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Good.
    Successful,
    /// Neither good nor bad.
    Inconclusive,
    /// It could not be measured.
    Error,
    /// Bad.
    Failed,
}

/// Counters of one metric.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Measurements that were not errors.
    pub count: u64,
    /// Failed ones.
    pub failed: i64,
    /// Inconclusive ones.
    pub inconclusive: i64,
    /// Errors since the last measurement that was none.
    pub errors_in_a_row: i64,
    /// Successes since the last measurement that was none.
    pub successes_in_a_row: i64,
}

/// The phase of one measurement.
pub fn measure(
    success: Option<&Condition>,
    failure: Option<&Condition>,
    result: &Value,
) -> Result<Phase, Fault> {
    let succeeds = success.map(|condition| condition.holds(result)).transpose()?;
    let fails = failure.map(|condition| condition.holds(result)).transpose()?;
    Ok(match (succeeds, fails) {
        (_, Some(true)) | (Some(false), None) => Phase::Failed,
        (Some(false), Some(false)) => Phase::Inconclusive,
        _ => Phase::Successful,
    })
}

impl Counters {
    /// Counts a measurement.
    pub fn add(&mut self, phase: Phase) {
        if phase == Phase::Error {
            self.errors_in_a_row += 1;
            self.successes_in_a_row = 0;
            return;
        }
        self.count += 1;
        self.errors_in_a_row = 0;
        self.successes_in_a_row = if phase == Phase::Successful { self.successes_in_a_row + 1 } else { 0 };
        self.failed += i64::from(phase == Phase::Failed);
        self.inconclusive += i64::from(phase == Phase::Inconclusive);
    }

    /// What the metric came to, with the reason; none while it runs on.
    pub fn assess(&self, metric: &Metric) -> Option<(Phase, String)> {
        // The later test wins, as in the original.
        if self.errors_in_a_row > metric.error_limit {
            let reason = format!(
                "{} errors in a row, more than consecutiveErrorLimit {}",
                self.errors_in_a_row, metric.error_limit
            );
            return Some((Phase::Error, reason));
        }
        if self.inconclusive > metric.inconclusive_limit {
            let reason = format!(
                "{} inconclusive, more than inconclusiveLimit {}",
                self.inconclusive, metric.inconclusive_limit
            );
            return Some((Phase::Inconclusive, reason));
        }
        if metric.failure_limit >= 0 && self.failed > metric.failure_limit {
            let reason = format!("{} failed, more than failureLimit {}", self.failed, metric.failure_limit);
            return Some((Phase::Failed, reason));
        }
        if metric.success_limit.is_some_and(|limit| self.successes_in_a_row >= limit) {
            return Some((Phase::Successful, format!("{} successes in a row", self.successes_in_a_row)));
        }
        if metric.count.is_none_or(|count| self.count < count) {
            return None;
        }
        Some(match (metric.success_limit, metric.failure_limit >= 0) {
            (Some(_), true) => {
                (Phase::Inconclusive, "neither its success nor its failure limit was reached".to_owned())
            }
            (Some(_), false) => (Phase::Failed, "its success limit was not reached".to_owned()),
            (None, _) => (Phase::Successful, format!("{} measurements", self.count)),
        })
    }
}

/// A run at work.
#[derive(Debug)]
pub struct Run<'a> {
    tape: Tape,
    metrics: Vec<Measured<'a>>,
}

#[derive(Debug)]
struct Measured<'a> {
    metric: &'a Metric,
    signal: &'a Signal,
    members: Option<&'a BTreeMap<String, Signal>>,
    window_ms: u64,
    counters: Counters,
    next_ms: u64,
    ended: Option<Phase>,
    last: String,
}

impl<'a> Run<'a> {
    pub(super) fn new(analysis: &'a Analysis) -> Self {
        let metrics: Vec<Measured<'a>> = analysis
            .template
            .metrics
            .iter()
            .filter_map(|metric| {
                let (signal, window_ms) = analysis.signals.get(&metric.name)?;
                Some(Measured {
                    metric,
                    signal,
                    members: analysis.members.get(&metric.name),
                    window_ms: *window_ms,
                    counters: Counters::default(),
                    next_ms: metric.delay_ms,
                    ended: None,
                    last: String::new(),
                })
            })
            .collect();
        let keep_ms = metrics.iter().map(|metric| metric.window_ms).max().unwrap_or(0);
        Self { tape: Tape::new(keep_ms), metrics }
    }
}

impl Measured<'_> {
    fn take(&mut self, tape: &Tape, at_ms: u64) {
        let reading = self.signal.read(tape, Whose::Canary, at_ms, self.window_ms);
        let result = match self.members {
            None => result(&self.metric.provider, reading),
            Some(members) => {
                let read = |signal: &Signal| signal.read(tape, Whose::Canary, at_ms, self.window_ms);
                object(members.iter().map(|(path, signal)| (path.as_str(), read(signal))))
            }
        };
        let phase = measure(self.metric.success.as_ref(), self.metric.failure.as_ref(), &result);
        self.last = match (&phase, reading) {
            (Err(fault), _) => fault.to_string(),
            _ if self.members.is_some() => format!("the last result was {}", words(&result)),
            (_, Reading::Empty) => "no data".to_owned(),
            (_, Reading::Value(value)) => format!("the last value was {value:.6}"),
        };
        let phase = phase.unwrap_or(Phase::Error);
        self.counters.add(phase);
        let wait = if phase == Phase::Error { RETRY_MS } else { self.metric.interval_ms.unwrap_or(RETRY_MS) };
        self.next_ms = at_ms + wait;
    }
}

/// A reading as a provider hands it over: Prometheus a list of samples, the others a number or nothing.
fn result(provider: &str, reading: Reading) -> Value {
    match (provider, reading) {
        ("prometheus", Reading::Empty) => Value::List(Vec::new()),
        ("prometheus", Reading::Value(value)) => Value::List(vec![Value::Float(value)]),
        (_, Reading::Empty) => Value::Nil,
        (_, Reading::Value(value)) => Value::Float(value),
    }
}

/// An object with a number at each path that has one.
fn object<'a>(members: impl Iterator<Item = (&'a str, Reading)>) -> Value {
    let mut root = BTreeMap::new();
    for (path, reading) in members {
        let Reading::Value(value) = reading else { continue };
        let mut at = &mut root;
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                at.insert(name.to_owned(), Value::Float(value));
                break;
            }
            let inner = at.entry(name.to_owned()).or_insert_with(|| Value::Map(BTreeMap::new()));
            let Value::Map(inner) = inner else { break };
            at = inner;
        }
    }
    Value::Map(root)
}

/// A result of numbers, for people.
fn words(result: &Value) -> String {
    match result {
        Value::Float(value) => format!("{value}"),
        Value::Map(members) => {
            let member = |(name, value): (&String, &Value)| format!("{name} {}", words(value));
            members.iter().map(member).collect::<Vec<_>>().join(", ")
        }
        _ => "nothing".to_owned(),
    }
}

impl Play for Run<'_> {
    fn feed(&mut self, stretch: &Stretch) -> Option<Outcome> {
        self.tape.push(stretch);
        // In the order in which the measurements fall due.
        loop {
            let due =
                |metric: &&mut Measured<'_>| metric.ended.is_none() && metric.next_ms <= stretch.until_ms;
            let next = self.metrics.iter_mut().filter(due).min_by_key(|metric| metric.next_ms);
            let Some(measured) = next else { break };
            let at_ms = measured.next_ms;
            measured.take(&self.tape, at_ms);
            let Some((phase, reason)) = measured.counters.assess(measured.metric) else { continue };
            measured.ended = Some(phase);
            if phase == Phase::Successful || measured.metric.dry_run {
                continue;
            }
            let act = if phase == Phase::Inconclusive { Act::Pause } else { Act::Rollback };
            let reason = format!("{}: {reason}; {}", measured.metric.name, measured.last);
            return Some(Outcome { act, at_ms, reason });
        }
        let is_over = !self.metrics.is_empty() && self.metrics.iter().all(|metric| metric.ended.is_some());
        is_over.then(|| Outcome {
            act: Act::Promote,
            at_ms: stretch.until_ms,
            reason: "every metric was measured as often as asked".to_owned(),
        })
    }

    /// A run that is ended by the rollout's end is a success.
    fn finish(&mut self, at_ms: u64) -> Outcome {
        if self.metrics.is_empty() {
            let reason = "none of its metrics is in the recording".to_owned();
            return Outcome { act: Act::Undecided, at_ms, reason };
        }
        let failed: i64 = self.metrics.iter().map(|metric| metric.counters.failed).sum();
        let reason = format!("ended after {} with {failed} failed measurements", span::show(at_ms));
        Outcome { act: Act::Promote, at_ms, reason }
    }
}
