use taxiway_stats::Window;

use super::Judge;
use crate::traffic::Run;

/// Sums of each whole minute.
pub(super) fn minutes(run: &Run) -> impl Iterator<Item = Window> + '_ {
    run.seconds.chunks_exact(60).map(sum)
}

fn sum(windows: &[Window]) -> Window {
    windows.iter().fold(Window::default(), |mut sum, window| {
        sum.canary.total += window.canary.total;
        sum.canary.bad += window.canary.bad;
        sum.baseline.total += window.baseline.total;
        sum.baseline.bad += window.baseline.bad;
        sum
    })
}

/// An Argo Rollouts analysis: the canary's error rate over the last minute against a fixed limit, `interval: 1m`,
/// `failureLimit: 3`, which fails on the fourth failure (`failed > failureLimit`). A minute without requests is NaN, which
/// a failure condition does not match.
#[derive(Debug, Clone, Copy)]
pub struct Argo {
    /// Its name in the output.
    pub name: &'static str,
    /// Highest error rate that counts as success: 5 % as in the documentation, or twice the true rate for an operator
    /// who knows it.
    pub rate_max: f64,
}

impl Judge for Argo {
    fn name(&self) -> &'static str {
        self.name
    }

    fn alarm_s(&self, run: &Run) -> Option<usize> {
        let mut failed = 0;
        for (minute, window) in minutes(run).enumerate() {
            failed += u32::from(window.canary.rate() > self.rate_max);
            if failed > 3 {
                return Some((minute + 1) * 60);
            }
        }
        None
    }
}

/// A Flagger analysis as its documentation shows it: success rate of the last minute at least 99 %, `interval: 1m`,
/// `threshold: 5`. Failed checks add up over the whole release; no data is a failed check; the threshold is looked at on
/// the next tick.
#[derive(Debug, Clone, Copy)]
pub struct Flagger;

impl Judge for Flagger {
    fn name(&self) -> &'static str {
        "flagger-doc"
    }

    fn alarm_s(&self, run: &Run) -> Option<usize> {
        let mut failed = 0;
        for (minute, window) in minutes(run).enumerate() {
            if failed >= 5 {
                return Some((minute + 1) * 60);
            }
            failed += u32::from(window.canary.total == 0 || window.canary.rate() > 0.01);
        }
        None
    }
}

/// "More than twice the baseline's error rate" once the canary has 100 requests, looked at every minute.
#[derive(Debug, Clone, Copy)]
pub struct Ratio {
    /// Its name in the output.
    pub name: &'static str,
    /// Length of the window in minutes; `None` is everything since the start.
    pub minutes: Option<usize>,
}

impl Judge for Ratio {
    fn name(&self) -> &'static str {
        self.name
    }

    fn alarm_s(&self, run: &Run) -> Option<usize> {
        let all: Vec<Window> = minutes(run).collect();
        (1..=all.len())
            .find(|end| {
                let start = self.minutes.map_or(0, |minutes| end.saturating_sub(minutes));
                let window = sum(&all[start..*end]);
                window.canary.total >= 100 && window.canary.rate() > 2.0 * window.baseline.rate()
            })
            .map(|end| end * 60)
    }
}
