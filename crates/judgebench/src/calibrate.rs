//! Thresholds for the start-time mixture by simulation: the table in `taxiway_stats::threshold` is this module's output.
//!
//! Under the null at constant share only the order of the bad requests matters: each is the canary's with probability
//! `part`, and they are spread evenly over the horizon. The evidence is followed in plain numbers (it is stopped long before
//! it could overflow), and the quantile of its maximum is the threshold. [`Events`] looks after every bad request, which
//! bounds any windows from above; [`Windows`] looks after each of 3,600 windows, which needs less where a window holds many.

use taxiway_stats::reject::{self, ALTERNATIVES, FIRST, RATIOS, WEIGHTS};
use taxiway_stats::{Arm, FULL_CANARY, FULL_S, Window, latency};

use crate::random::{Poisson, Random};

/// Evidence at which a simulated path is stopped; above every threshold asked for.
const CEILING: f64 = 2_000.0;

/// A process whose maximum can be drawn.
trait Process: Sync {
    /// Largest evidence of one healthy canary.
    fn maximum(&self, random: &mut Random) -> f64;

    /// Numbers that tell its random stream from others.
    fn key(&self) -> [u64; 2];
}

/// The evidence that each share of `alphas` of `runs` healthy canaries exceeds. Runs are spread over the machine's cores;
/// the result depends on `seed` alone.
fn thresholds(process: &impl Process, alphas: &[f64], runs: u64, seed: u64) -> Vec<f64> {
    let key = process.key();
    let mut maxima =
        crate::parallel::map(runs, |run| process.maximum(&mut Random::new(&[seed, key[0], key[1], run])));
    maxima.sort_by(|a, b| b.total_cmp(a));
    alphas.iter().map(|alpha| maxima[(alpha * runs as f64) as usize]).collect()
}

/// Factors on an alternative's wealth by a bad request of the canary and of the baseline.
fn factors(part: f64) -> [[f64; ALTERNATIVES]; 2] {
    let down = RATIOS.map(|ratio| 1.0 / (1.0 + (ratio - 1.0) * part));
    let mut up = down;
    for (up, ratio) in up.iter_mut().zip(RATIOS) {
        *up *= ratio;
    }
    [up, down]
}

/// The process at one part, looked at after every bad request of an expected number.
#[derive(Debug, Clone, Copy)]
struct Events {
    /// Probability that a bad request is the canary's, on the null's boundary.
    part: f64,
    /// Expected bad requests over the horizon, both sides.
    errors: f64,
}

impl Process for Events {
    fn key(&self) -> [u64; 2] {
        [self.part.to_bits(), self.errors.to_bits()]
    }

    fn maximum(&self, random: &mut Random) -> f64 {
        let [up, down] = factors(self.part);
        let mut wealth = WEIGHTS.map(|weight| weight * FIRST);
        let mut largest: f64 = 1.0;
        let mut time = 0.0;
        loop {
            let gap = -libm::log(random.uniform()) / self.errors;
            time += gap;
            if time >= 1.0 {
                return largest;
            }
            let factor = if random.uniform() < self.part { &up } else { &down };
            let mut evidence = (1.0 - FIRST) * (1.0 - time);
            for (index, wealth) in wealth.iter_mut().enumerate() {
                *wealth = (*wealth + WEIGHTS[index] * (1.0 - FIRST) * gap) * factor[index];
                evidence += *wealth;
            }
            largest = largest.max(evidence);
            if evidence >= CEILING {
                return largest;
            }
        }
    }
}

/// Windows of an hour's canary at one a second.
const WINDOWS: usize = 3_600;

/// The process at one part, looked at after each of [`WINDOWS`] windows.
#[derive(Debug)]
struct Windows {
    part: f64,
    /// Expected bad requests in a window, both sides.
    errors: f64,
    canary: Poisson,
    baseline: Poisson,
    /// Powers of the factors, `[alternative][bad requests]`.
    up: Vec<Vec<f64>>,
    down: Vec<Vec<f64>>,
}

impl Windows {
    fn new(part: f64, errors: f64) -> Self {
        let powers = |factors: [f64; ALTERNATIVES]| -> Vec<Vec<f64>> {
            let highest = (errors + 12.0 * errors.sqrt() + 60.0) as usize;
            factors
                .iter()
                .map(|factor| {
                    core::iter::successors(Some(1.0), |power| Some(power * factor)).take(highest).collect()
                })
                .collect()
        };
        let [up, down] = factors(part).map(powers);
        let (canary, baseline) = (Poisson::new(errors * part), Poisson::new(errors * (1.0 - part)));
        Self { part, errors, canary, baseline, up, down }
    }
}

impl Process for Windows {
    fn key(&self) -> [u64; 2] {
        [self.part.to_bits(), !self.errors.to_bits()]
    }

    fn maximum(&self, random: &mut Random) -> f64 {
        let mut wealth = WEIGHTS.map(|weight| weight * FIRST);
        let mut largest: f64 = 1.0;
        let bet = (1.0 - FIRST) / WINDOWS as f64;
        for window in 1..=WINDOWS {
            let canary = self.canary.draw(random) as usize;
            let baseline = self.baseline.draw(random) as usize;
            let mut evidence = bet * (WINDOWS - window) as f64;
            for (index, wealth) in wealth.iter_mut().enumerate() {
                *wealth =
                    (*wealth + WEIGHTS[index] * bet) * self.up[index][canary] * self.down[index][baseline];
                evidence += *wealth;
            }
            largest = largest.max(evidence);
            if evidence >= CEILING {
                break;
            }
        }
        largest
    }
}

/// The average over quantiles of latency at one share and traffic, looked at after each of [`WINDOWS`] windows.
///
/// On the null's boundary, canary / (1 + tolerance) distributed as the baseline, the requests of both sides fall into the
/// same four stretches between the quantiles' thresholds, whatever the distribution; and a faster canary has fewer slow
/// requests at every threshold, so that its evidence is smaller path by path: the boundary is the worst case.
#[derive(Debug)]
struct Latencies {
    share: f64,
    rps: f64,
    test: reject::Test,
    /// Requests of canary and baseline in each stretch, from the median up.
    stretches: [[Poisson; 4]; 2],
}

impl Latencies {
    fn new(share: f64, rps: f64) -> Self {
        let test =
            reject::Test::new(1.0, 0.0, WINDOWS as f64).and_then(|test| test.weighted(latency::WEIGHTS));
        let side = |rps: f64| [0.5, 0.45, 0.04, 0.01].map(|part| Poisson::new(rps * part));
        let stretches = [side(rps * share), side(rps * (1.0 - share))];
        Self { share, rps, test: test.expect("fixed numbers within bounds"), stretches }
    }
}

impl Process for Latencies {
    fn key(&self) -> [u64; 2] {
        [self.share.to_bits(), self.rps.to_bits()]
    }

    fn maximum(&self, random: &mut Random) -> f64 {
        let mut states = [self.test.start(), self.test.start(), self.test.start()];
        let mut largest: f64 = 1.0;
        let (mut open, mut open_s) = ([[0; 4]; 2], 0.0);
        for _ in 0..WINDOWS {
            for (sum, side) in open.iter_mut().zip(&self.stretches) {
                for (sum, stretch) in sum.iter_mut().zip(side) {
                    *sum += stretch.draw(random);
                }
            }
            open_s += 1.0;
            let total = |side: [u64; 4]| side.iter().sum::<u64>();
            if total(open[0]) < FULL_CANARY && open_s < FULL_S {
                continue;
            }
            let mut evidence = 0.0;
            for (number, (state, q)) in states.iter_mut().zip(latency::QUANTILES).enumerate() {
                let arm = |side: [u64; 4]| Arm { total: total(side), bad: side[number + 1..].iter().sum() };
                let window = Window { canary: arm(open[0]), baseline: arm(open[1]) };
                self.test.fold_expecting(state, &window, 1.0 - q, open_s);
                evidence += libm::exp(self.test.ln_evidence(state)) / latency::QUANTILES.len() as f64;
            }
            largest = largest.max(evidence);
            if evidence >= CEILING {
                break;
            }
            (open, open_s) = ([[0; 4]; 2], 0.0);
        }
        largest
    }
}

/// Parts and expected bad requests of the table.
pub const PARTS: [f64; 5] = [0.01, 0.05, 0.1, 0.25, 0.5];
/// Columns of the table.
pub const ERRORS: [f64; 9] = [10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5];

/// Columns of the windows' table: bad requests expected in a window.
pub const WINDOW_ERRORS: [f64; 4] = [3.0, 10.0, 30.0, 100.0];

/// Requests per second of both sides: columns of the latency table.
pub const RPS: [f64; 3] = [10.0, 100.0, 1_000.0];

/// Prints the tables for each of `alphas`, a row per part; `runs` for up to 3,000 bad requests, a tenth beyond, half for
/// windows, a fiftieth for latency.
pub fn print(alphas: &[f64], runs: u64, seed: u64) {
    for share in PARTS {
        let columns = RPS.map(|rps| thresholds(&Latencies::new(share, rps), alphas, runs / 50, seed));
        print_rows("latency", share, alphas, &columns);
    }
    for part in PARTS {
        let columns =
            WINDOW_ERRORS.map(|errors| thresholds(&Windows::new(part, errors), alphas, runs / 2, seed));
        print_rows("windows", part, alphas, &columns);
    }
    for part in PARTS {
        let columns = ERRORS.map(|errors| {
            let runs = if errors > 3e3 { runs / 10 } else { runs };
            thresholds(&Events { part, errors }, alphas, runs, seed)
        });
        print_rows("events", part, alphas, &columns);
    }
}

fn print_rows(table: &str, part: f64, alphas: &[f64], columns: &[Vec<f64>]) {
    for (index, alpha) in alphas.iter().enumerate() {
        let row: Vec<String> = columns.iter().map(|column| format!("{:.1}", column[index])).collect();
        println!("{table}, alpha {alpha}, part {part}: [{}]", row.join(", "));
    }
}
