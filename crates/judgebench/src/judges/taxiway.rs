use taxiway_stats::{Window, dispersion, reject, softrank, threshold};

use super::Judge;
use crate::dependence::{INSTANCES, PAST_WINDOW_S};
use crate::traffic::{Cell, HORIZON_S, Run, Scenario};

/// False-alarm probability of all our judges here.
const ALPHA: f64 = 0.01;

/// Our judge as the profile `strict` runs it on the error rate: tolerance 0, slack 0, alpha 1 %, start-time mixture,
/// calibrated threshold, windows as the product closes them, dispersion and instance noise learned before the canary.
#[derive(Debug, Clone)]
pub struct Strict {
    test: reject::Test,
    threshold: threshold::Calibrated,
    cell: Cell,
}

impl Strict {
    /// Knows of the cell what the product knows before a canary: the plan's shares, the traffic, and the normal profile
    /// (base rate and, in `Run::before`, the baseline's instances).
    pub fn new(cell: &Cell) -> Self {
        let test = Self::test(cell, 1.0, 1.0);
        Self { test, threshold: Self::threshold(cell), cell: *cell }
    }

    fn test(cell: &Cell, theta: f64, phi: f64) -> reject::Test {
        reject::Test::new(theta, 0.0, HORIZON_S as f64)
            .and_then(|test| test.expecting(cell.base))
            .and_then(|test| test.dispersed(phi))
            .expect("a cell's numbers are proper")
    }

    fn threshold(cell: &Cell) -> threshold::Calibrated {
        let shares = (0..HORIZON_S).step_by(60).map(|second| cell.scenario.share(second));
        let (low, high) =
            shares.fold((1.0_f64, 0.0_f64), |(low, high), share| (low.min(share), high.max(share)));
        let errors = cell.base * cell.rps * HORIZON_S as f64;
        let forecast = threshold::Forecast { shares: [low, high], errors, windows: HORIZON_S as f64 };
        threshold::Calibrated::new(ALPHA, 1.0, &forecast).expect("a cell's numbers are proper")
    }

    /// Test and threshold after learning how the baseline's instances fail.
    fn learned(&self, run: &Run) -> (reject::Test, threshold::Calibrated) {
        if run.before.is_empty() {
            return (self.test, self.threshold);
        }
        let sizes = [10, 60, 300].map(|seconds| seconds / PAST_WINDOW_S);
        let learned = dispersion::learn(&run.before, &sizes);
        let theta = dispersion::attributable(1.0, learned.tau, 1, INSTANCES as u64 - 1, ALPHA);
        let test = Self::test(&self.cell, theta, learned.phi);
        // The calibration is for requests that fail independently; where they do not, only the universal bound holds.
        let independent = learned.phi == 1.0 && learned.tau == 0.0;
        let threshold = if independent { self.threshold } else { threshold::Calibrated::none(ALPHA) };
        (test, threshold)
    }
}

impl Judge for Strict {
    fn name(&self) -> &'static str {
        "taxiway"
    }

    fn alarm_s(&self, run: &Run) -> Option<usize> {
        let (test, threshold) = self.learned(run);
        // Scrape skew is a property of pulled metrics, so there a verdict waits for one more complete window.
        let confirm = self.cell.scenario == Scenario::Skew;
        let mut state = test.start();
        let mut open = Window::default();
        let (mut open_s, mut errors, mut shown) = (0.0, 0u64, false);
        for (second, window) in run.seconds.iter().enumerate() {
            open.add(window);
            open_s += 1.0;
            if !open.is_full(open_s) {
                continue;
            }
            test.fold(&mut state, &open, open_s);
            errors += open.canary.bad + open.baseline.bad;
            // Without a bad request of the canary the evidence does not rise, and skipping a look is always valid.
            let rose = open.canary.bad > 0;
            (open, open_s) = (Window::default(), 0.0);
            if !rose && !shown {
                continue;
            }
            let crossed = test.ln_evidence(&state) >= threshold.ln_at(errors as f64);
            if crossed && (shown || !confirm) {
                return Some(second + 1);
            }
            shown = crossed;
        }
        None
    }
}

/// The design brief's processes, a look every second at the threshold 100: what ours is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Textbook {
    name: &'static str,
    test: reject::Test,
}

impl Textbook {
    /// All wealth bet at the start.
    pub fn plain() -> Self {
        Self { name: "ep", test: Self::test(1.0) }
    }

    /// Half of it bet over the hour.
    pub fn late() -> Self {
        Self { name: "ep-sr", test: Self::test(0.5) }
    }

    fn test(first: f64) -> reject::Test {
        reject::Test::new(1.0, 0.0, HORIZON_S as f64)
            .and_then(|test| test.weighted(reject::MINIMAX))
            .and_then(|test| test.first(first))
            .expect("fixed parameters")
            .rare()
    }
}

impl Judge for Textbook {
    fn name(&self) -> &'static str {
        self.name
    }

    fn alarm_s(&self, run: &Run) -> Option<usize> {
        let mut state = self.test.start();
        run.seconds
            .iter()
            .position(|window| {
                self.test.fold(&mut state, window, 1.0);
                window.canary.bad > 0 && self.test.ln_evidence(&state) >= threshold::ville(ALPHA)
            })
            .map(|second| second + 1)
    }
}

/// Our soft-rank process over instances: needs no past, only counts per instance.
#[derive(Debug, Clone, Copy)]
pub struct SoftRank;

impl Judge for SoftRank {
    fn name(&self) -> &'static str {
        "taxiway-rank"
    }

    fn alarm_s(&self, run: &Run) -> Option<usize> {
        let mut state = softrank::State::default();
        run.seconds
            .iter()
            .zip(&run.instances)
            .position(|(window, others)| {
                if window.canary.bad > 0 || window.baseline.bad > 0 {
                    state.fold(window.canary.bad, others);
                }
                state.ln_evidence() >= threshold::ville(ALPHA)
            })
            .map(|second| second + 1)
    }
}
