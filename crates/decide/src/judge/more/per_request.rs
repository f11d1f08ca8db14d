//! What a request costs in CPU or money, canary against baseline: a sequential test on the means of
//! windows (stats: means), each merged until the canary has enough requests for one.
//!
//! Two things confound it, and both are told apart rather than guessed away. Instances or the share
//! of the traffic change: what lies just behind such a change is left out. The load of an instance
//! differs between the sides: what idling costs then falls on fewer requests, and a small canary
//! looks dear whatever its version; beyond twice the load nothing is concluded.

use taxiway_model::evidence::{Gauge, Window};
use taxiway_model::weight::WeightBp;
use taxiway_stats::means::{Moments, State, Test, WARM_UP};

/// Requests of the canary in one merged window: a mean of fewer is too far from normal.
const REQUESTS_MIN: u64 = 50;

/// What is left out after instances or weight have changed.
const SETTLE_MS: u64 = 30_000;

/// Loads of an instance further apart than this are not compared.
const LOAD_RATIO_MAX: f64 = 2.0;

/// Merged windows that the test is tuned for.
const WINDOWS_OPT: u64 = 300;

/// What one side used in a window.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Used {
    pub(super) requests: u64,
    pub(super) instances: u64,
    /// Core-microseconds.
    pub(super) cpu_us: u64,
    /// Byte-milliseconds.
    pub(super) memory_byte_ms: f64,
    pub(super) span_ms: u64,
}

impl Used {
    pub(super) fn of(gauges: &[Gauge], requests: u64, span_ms: u64) -> Self {
        // A thousandth of a core over a millisecond is a core-microsecond.
        let cpu_us = gauges
            .iter()
            .map(|gauge| u64::from(gauge.cpu_milli).saturating_mul(span_ms))
            .fold(0, u64::saturating_add);
        let bytes: f64 = gauges.iter().map(|gauge| gauge.memory_bytes as f64).sum();
        let memory_byte_ms = bytes * span_ms as f64;
        Self { requests, instances: gauges.len() as u64, cpu_us, memory_byte_ms, span_ms }
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.instances = more.instances;
        self.cpu_us = self.cpu_us.saturating_add(more.cpu_us);
        self.memory_byte_ms += more.memory_byte_ms;
        self.span_ms += more.span_ms;
    }

    /// Requests per instance and second.
    pub(super) fn load(&self) -> Option<f64> {
        (self.instances > 0 && self.span_ms > 0)
            .then(|| self.requests as f64 * 1e3 / self.instances as f64 / self.span_ms as f64)
    }
}

/// The fold of both sides.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Compared {
    test: Test,
    state: State,
    open: [Used; 2],
    /// Everything that was compared.
    pub(super) all: [Used; 2],
    before: Option<(usize, usize, WeightBp)>,
    settle_ms: u64,
    pub(super) changes: u32,
    pub(super) left_out_ms: u64,
    pub(super) judged_ms: u64,
}

/// What can be concluded of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Known {
    /// Too little was seen yet; merged windows still needed.
    NotYet(u64),
    /// The load of an instance differs too much: requests per instance and second of both sides.
    UnequalLoad(f64, f64),
    /// It was compared: log evidence that the canary's is higher than tolerated.
    Tested(f64),
}

impl Compared {
    /// `more`: tolerated increase (0.2 is 20 %). `alpha`: level the test is tuned for.
    pub(super) fn new(more: f64, alpha: f64) -> Self {
        let test = Test::new(more.clamp(0.0, 1e3), alpha.clamp(1e-6, 0.49), WINDOWS_OPT)
            .expect("clamped to what the test takes");
        Self {
            test,
            state: State::default(),
            open: [Used::default(); 2],
            all: [Used::default(); 2],
            before: None,
            settle_ms: 0,
            changes: 0,
            left_out_ms: 0,
            judged_ms: 0,
        }
    }

    /// Folds a window in. `worth`: what a side's use is worth per request, given the load at which
    /// it is to be reckoned.
    pub(super) fn fold(&mut self, window: &Window, weight: WeightBp, worth: impl Fn(&Used, f64) -> f64) {
        let gauges = &window.gauges;
        if gauges.canary.is_empty() || gauges.baseline.is_empty() {
            return;
        }
        let shape = (gauges.canary.len(), gauges.baseline.len(), weight);
        if self.before.replace(shape).is_some_and(|before| before != shape) {
            self.changes += 1;
            self.settle_ms = SETTLE_MS;
            self.open = [Used::default(); 2];
        }
        if self.settle_ms > 0 {
            self.settle_ms = self.settle_ms.saturating_sub(window.span_ms);
            self.left_out_ms += window.span_ms;
            return;
        }
        let sides = [
            Used::of(&gauges.canary, window.canary_total().requests, window.span_ms),
            Used::of(&gauges.baseline, window.baseline_total().requests, window.span_ms),
        ];
        for ((open, all), more) in self.open.iter_mut().zip(&mut self.all).zip(&sides) {
            open.add(more);
            all.add(more);
        }
        self.judged_ms += window.span_ms;
        let [canary, baseline] = self.open;
        if canary.requests < REQUESTS_MIN || baseline.requests == 0 {
            return;
        }
        let load = baseline.load().unwrap_or_default();
        let moments = |used: &Used| Moments {
            count: used.requests,
            sum: worth(used, load) * used.requests as f64,
            squares: 0.0,
        };
        self.test.fold(&mut self.state, &moments(&canary), &moments(&baseline));
        self.open = [Used::default(); 2];
    }

    pub(super) fn known(&self) -> Known {
        let [canary, baseline] = &self.all;
        if let (Some(ours), Some(theirs)) = (canary.load(), baseline.load())
            && (ours > theirs * LOAD_RATIO_MAX || theirs > ours * LOAD_RATIO_MAX)
        {
            return Known::UnequalLoad(ours, theirs);
        }
        match (WARM_UP + 1).saturating_sub(self.state.windows) {
            0 => Known::Tested(self.test.ln_evidence(&self.state)),
            left => Known::NotYet(left),
        }
    }

    /// At this pace, how long until so many more merged windows are there.
    pub(super) fn wait_ms(&self, left: u64) -> Option<u64> {
        (self.state.windows > 0).then(|| left * self.judged_ms / self.state.windows)
    }

    /// What was left out and why, for people; empty where nothing was.
    pub(super) fn confounded(&self) -> String {
        match self.changes {
            0 => String::new(),
            changes => format!(
                "; instances or weight changed {changes} times, {} after it left out",
                taxiway_model::time::ForPeople(self.left_out_ms)
            ),
        }
    }
}
