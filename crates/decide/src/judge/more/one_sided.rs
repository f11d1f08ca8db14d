//! An absolute band from below, as a test: is the canary's rate lower than it must be?

use taxiway_stats::{Arm, Window};

/// Alternatives: parts of the least rate. Below, the factor of an event is less than 1, and the
/// exponent makes up for it: `x ln g + n rate (1 - g)` has mean at most 1 while the rate is kept.
const PARTS: [f64; 5] = [0.25, 0.5, 0.7, 0.85, 0.95];

/// Anytime-valid test of "the rate is at least this".
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Below {
    rate: f64,
    ln_wealth: [f64; PARTS.len()],
}

impl Below {
    pub(super) fn new(rate: f64) -> Self {
        Self { rate, ln_wealth: [-libm::log(PARTS.len() as f64); PARTS.len()] }
    }

    pub(super) fn fold(&mut self, arm: Arm) {
        let (total, events) = (arm.total as f64, arm.bad as f64);
        for (wealth, part) in self.ln_wealth.iter_mut().zip(PARTS) {
            *wealth += events * libm::log(part) + total * self.rate * (1.0 - part);
        }
    }

    /// Log evidence that the rate is lower.
    pub(super) fn ln_evidence(&self) -> f64 {
        ln_sum(&self.ln_wealth)
    }
}

/// The logarithm of the sum of numbers given by their logarithms.
pub(super) fn ln_sum(logs: &[f64]) -> f64 {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    most + libm::log(logs.iter().map(|log| libm::exp(log - most)).sum::<f64>())
}

/// Parts of its age that an entry of a [`Trail`] may be long: windows far back are only ever
/// asked for in long sums, so that days of seconds fit in a few hundred entries.
const AGE_PARTS: u64 = 16;

/// Entries above which old ones are merged; with forty bytes each a metric stays below 16 KiB.
const ENTRIES_MAX: usize = 320;

/// What both sides counted over the time just past, coarser the longer ago.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Trail {
    /// Oldest first: how long, and what was counted.
    entries: Vec<(u64, Window)>,
}

impl Trail {
    pub(super) fn push(&mut self, span_ms: u64, window: Window) {
        self.entries.push((span_ms, window));
        if self.entries.len() > ENTRIES_MAX {
            self.thin();
        }
    }

    /// Merges neighbours that together are short for their age.
    fn thin(&mut self) {
        let mut age_ms: u64 = 0;
        let mut kept: Vec<(u64, Window)> = Vec::with_capacity(self.entries.len());
        for (span_ms, window) in self.entries.drain(..).rev() {
            match kept.last_mut() {
                Some((last_ms, last)) if *last_ms + span_ms <= age_ms / AGE_PARTS => {
                    *last_ms += span_ms;
                    for (sum, more) in
                        [(&mut last.canary, window.canary), (&mut last.baseline, window.baseline)]
                    {
                        sum.total = sum.total.saturating_add(more.total);
                        sum.bad = sum.bad.saturating_add(more.bad);
                    }
                }
                _ => kept.push((span_ms, window)),
            }
            age_ms += span_ms;
        }
        kept.reverse();
        self.entries = kept;
    }

    /// The sum over the last so many milliseconds, whole entries, the newest at least.
    pub(super) fn last(&self, ms: u64) -> Window {
        let mut sum = Window::default();
        let mut had_ms = 0;
        for (span_ms, window) in self.entries.iter().rev() {
            if had_ms >= ms.max(1) {
                break;
            }
            had_ms += span_ms;
            for (sum, more) in [(&mut sum.canary, window.canary), (&mut sum.baseline, window.baseline)] {
                sum.total = sum.total.saturating_add(more.total);
                sum.bad = sum.bad.saturating_add(more.bad);
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_below_its_least_is_shown_and_one_that_keeps_it_is_not() {
        let mut kept = Below::new(0.03);
        let mut fallen = Below::new(0.03);
        for _ in 0..100 {
            kept.fold(Arm { total: 1_000, bad: 31 });
            fallen.fold(Arm { total: 1_000, bad: 20 });
        }
        assert!(kept.ln_evidence() < 0.5, "{}", kept.ln_evidence());
        assert!(fallen.ln_evidence() > 100.0, "{}", fallen.ln_evidence());
    }

    #[test]
    fn days_of_seconds_stay_small_and_their_sums_near() {
        let mut trail = Trail::default();
        let one = Arm { total: 10, bad: 1 };
        for _ in 0..200_000 {
            trail.push(1_000, Window { canary: one, baseline: one });
        }
        assert!(trail.entries.len() <= ENTRIES_MAX + 1, "{}", trail.entries.len());
        for seconds in [1_u64, 5, 300, 3_600, 21_600] {
            let total = trail.last(seconds * 1_000).canary.total;
            assert!((seconds * 10..=seconds * 11).contains(&total), "{seconds} s: {total}");
        }
        assert_eq!(trail.last(u64::MAX).canary.total, 2_000_000);
    }
}
