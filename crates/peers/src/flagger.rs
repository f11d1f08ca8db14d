//! Flagger's analysis loop: one tick, one check, failed checks added up.
//!
//! Read in its sources at 15bd6ad (`pkg/controller/scheduler.go`, `scheduler_metrics.go`). Reproduced as they are: no
//! data, an error of the source and a bad value all count alike, good checks take nothing back, the threshold is looked
//! at on the tick after it was reached, and the first bad metric hides the ones after it.

pub mod canary;

use std::collections::{BTreeMap, BTreeSet};

pub use canary::{Canary, Check, Template, Webhook};

use crate::policy::{Act, Outcome, Play, Stretch, Tape, Whose};
use crate::signal::{Reading, Signal};

/// A canary's analysis with what its metrics are on a recording.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// The analysis.
    pub canary: Canary,
    /// What each metric is; a metric without one is not checked.
    pub signals: BTreeMap<String, Signal>,
    /// Webhooks that answer otherwise than as expected: checks that fail, gates that stay closed, a rollback that is
    /// asked for. All others pass, and no rollback is asked for.
    pub against: BTreeSet<String>,
}

impl Analysis {
    /// An analysis with the signals its metrics are recognised as, changed by `named`. The names of metrics that nothing
    /// is known of are answered beside it.
    pub fn new(canary: Canary, named: &BTreeMap<String, Signal>) -> (Self, Vec<String>) {
        let mut signals = BTreeMap::new();
        let mut unknown = Vec::new();
        for check in &canary.checks {
            let built_in = match check.name.as_str() {
                "request-success-rate" => Some(Signal::Successes { scale: 100.0 }),
                "request-duration" => Some(Signal::Latency { quantile: 0.99, unit_us: 1e3 }),
                _ => check.query.as_deref().and_then(Signal::of_query),
            };
            match named.get(&check.name).cloned().or(built_in) {
                Some(signal) => _ = signals.insert(check.name.clone(), signal),
                None => unknown.push(check.name.clone()),
            }
        }
        (Self { canary, signals, against: BTreeSet::new() }, unknown)
    }

    /// The loop before a release: its first check falls on the tick after the canary got its first traffic.
    pub fn start(&self) -> Loop<'_> {
        let longest = self.canary.checks.iter().map(|check| check.window_ms).max().unwrap_or(0);
        Loop {
            settings: self,
            tape: Tape::new(longest),
            next_ms: self.canary.interval_ms,
            failed: 0,
            good: 0,
            last: String::new(),
        }
    }
}

/// The loop at work.
#[derive(Debug)]
pub struct Loop<'a> {
    settings: &'a Analysis,
    tape: Tape,
    next_ms: u64,
    failed: u64,
    good: u64,
    last: String,
}

impl Loop<'_> {
    /// The first bad metric, built-in ones first.
    fn problem(&self, at_ms: u64) -> Option<String> {
        let checks = &self.settings.canary.checks;
        let built_in = checks.iter().filter(|check| check.is_built_in());
        built_in.chain(checks.iter().filter(|check| !check.is_built_in())).find_map(|check| {
            let signal = self.settings.signals.get(&check.name)?;
            let reading = signal.read(&self.tape, Whose::Canary, at_ms, check.window_ms);
            check.problem(reading).map(|problem| format!("{} {problem}", check.name))
        })
    }

    /// The first webhook of a kind that answers otherwise than as expected.
    fn against(&self, kind: &str) -> Option<&str> {
        let webhooks = self.settings.canary.webhooks.iter().filter(|webhook| webhook.kind == kind);
        webhooks.map(|webhook| webhook.name.as_str()).find(|name| self.settings.against.contains(*name))
    }

    /// What gates and hooks decide before anything is measured.
    fn hooks(&mut self, at_ms: u64) -> Option<Outcome> {
        if let Some(name) = self.against("confirm-rollout") {
            let reason = format!("the gate `{name}` (confirm-rollout) is closed");
            return Some(Outcome { act: Act::Pause, at_ms, reason });
        }
        let name = self.against("rollback")?;
        let reason = format!("the webhook `{name}` asks for a rollback");
        Some(Outcome { act: Act::Rollback, at_ms, reason })
    }

    /// A gate that is closed after a good check.
    fn gate(&self, at_ms: u64, is_last: bool) -> Option<Outcome> {
        let kind = if is_last { "confirm-promotion" } else { "confirm-traffic-increase" };
        if !is_last && self.settings.canary.strategy != canary::Strategy::Weights {
            return None;
        }
        let name = self.against(kind)?;
        let reason = format!("the gate `{name}` ({kind}) is closed");
        Some(Outcome { act: Act::Pause, at_ms, reason })
    }

    fn tick(&mut self, at_ms: u64) -> Option<Outcome> {
        if let Some(outcome) = self.hooks(at_ms) {
            return Some(outcome);
        }
        let canary = &self.settings.canary;
        if self.failed >= canary.threshold {
            let reason = format!(
                "{} failed checks, threshold {}; the last: {}",
                self.failed, canary.threshold, self.last
            );
            return Some(Outcome { act: Act::Rollback, at_ms, reason });
        }
        let hook = self.against("pre-rollout").or_else(|| self.against("rollout"));
        let hook = hook.map(|name| format!("the webhook `{name}` failed"));
        if let Some(problem) = hook.or_else(|| self.problem(at_ms)) {
            self.failed += 1;
            self.last = problem;
            return None;
        }
        self.good += 1;
        let is_done = canary.advances.is_some_and(|advances| self.good >= advances);
        if let Some(outcome) = self.gate(at_ms, is_done) {
            return Some(outcome);
        }
        is_done.then(|| Outcome { act: Act::Promote, at_ms, reason: format!("{} good checks", self.good) })
    }
}

impl Play for Loop<'_> {
    fn feed(&mut self, stretch: &Stretch) -> Option<Outcome> {
        self.tape.push(stretch);
        while self.next_ms <= stretch.until_ms {
            let at_ms = self.next_ms;
            self.next_ms += self.settings.canary.interval_ms;
            if let Some(outcome) = self.tick(at_ms) {
                return Some(outcome);
            }
        }
        None
    }

    fn finish(&mut self, at_ms: u64) -> Outcome {
        let reason = format!(
            "{} good and {} failed checks of {}",
            self.good, self.failed, self.settings.canary.threshold
        );
        Outcome { act: Act::Undecided, at_ms, reason }
    }
}

impl Check {
    /// What is wrong with a reading, if anything.
    pub fn problem(&self, reading: Reading) -> Option<String> {
        let Reading::Value(mut value) = reading else { return Some("has no values".to_owned()) };
        if value.is_nan() {
            return Some("has no values".to_owned());
        }
        if self.name == "request-duration" {
            // Whole milliseconds, as its observers cut them.
            value = value.trunc();
        }
        let [min, max] = self.range;
        match (min, max) {
            (Some(min), _) if value < min => Some(format!("{value:.2} < {min}")),
            (_, Some(max)) if value > max => Some(format!("{value:.2} > {max}")),
            _ => None,
        }
    }
}
