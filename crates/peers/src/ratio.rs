//! The plain rule: an error rate of more than so many times the baseline's.

use crate::policy::{Act, Outcome, Play, Side, Stretch, Tape, Whose};
use crate::span;

/// The rule with its settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Times the baseline's error rate.
    pub times: f64,
    /// Requests of the canary before anything is said.
    pub requests_min: u64,
    /// Window in milliseconds; `None` is everything since the start.
    pub window_ms: Option<u64>,
    /// Time between two looks in milliseconds, above 0.
    pub every_ms: u64,
}

impl Rule {
    /// "Twice the baseline", over everything since the start, once the canary has 100 requests, every minute.
    pub const TWICE: Self = Self { times: 2.0, requests_min: 100, window_ms: None, every_ms: 60_000 };

    /// The rule before a release.
    pub fn start(&self) -> Looks<'_> {
        Looks { rule: self, tape: Tape::new(self.window_ms.unwrap_or(u64::MAX)), next_ms: self.every_ms }
    }
}

/// The rule at work.
#[derive(Debug)]
pub struct Looks<'a> {
    rule: &'a Rule,
    tape: Tape,
    next_ms: u64,
}

impl Play for Looks<'_> {
    fn feed(&mut self, stretch: &Stretch) -> Option<Outcome> {
        self.tape.push(stretch);
        if stretch.until_ms < self.next_ms {
            return None;
        }
        self.next_ms = stretch.until_ms / self.rule.every_ms * self.rule.every_ms + self.rule.every_ms;
        let from = self.rule.window_ms.map_or(0, |window| stretch.until_ms.saturating_sub(window));
        let [canary, baseline] =
            [Whose::Canary, Whose::Baseline].map(|whose| self.tape.sum(whose, from, stretch.until_ms));
        let (above, below) = (rate(&canary), rate(&baseline));
        (canary.total >= self.rule.requests_min && above > self.rule.times * below).then(|| Outcome {
            act: Act::Rollback,
            at_ms: stretch.until_ms,
            reason: format!(
                "error rate {:.3}% is more than {}x the baseline's {:.3}%",
                above * 100.0,
                self.rule.times,
                below * 100.0
            ),
        })
    }

    fn finish(&mut self, at_ms: u64) -> Outcome {
        let reason = format!("never above {}x the baseline in {}", self.rule.times, span::show(at_ms));
        Outcome { act: Act::Promote, at_ms, reason }
    }
}

fn rate(side: &Side) -> f64 {
    if side.total == 0 { 0.0 } else { side.bad.min(side.total) as f64 / side.total as f64 }
}
