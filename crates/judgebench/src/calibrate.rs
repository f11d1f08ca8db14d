//! Calibrated thresholds by simulation: the tables in `taxiway_stats::threshold` are this module's output.
//!
//! Healthy canaries cross a threshold in one run of a hundred, so that counting them needs hundreds of thousands. Here
//! faulty ones are simulated instead, of a fault and a beginning drawn as the evidence itself bets on them, and each
//! crossing counts with how likely it was on a healthy canary (importance sampling). Where the evidence is the likelihood
//! ratio of the drawn runs to healthy ones, that weight is one over the evidence at the crossing; for latency, whose tests
//! stand against the nearest healthy canary and not against this one, the ratio is followed beside it. A few thousand runs
//! then tell a crossing probability to 2 %.

mod counts;
mod latencies;

use crate::random::Random;
use counts::Counts;
use latencies::Latencies;

/// A process of evidence whose crossings can be drawn.
trait Process: Sync {
    /// Follows one run and marks each threshold as the evidence reaches it.
    fn run(&self, random: &mut Random, marks: &mut Marks);

    /// Numbers that tell its random stream from others.
    fn key(&self) -> [u64; 3];
}

/// Thresholds for which crossings are counted: 4 % apart, from 3 to 380.
const MARKS: usize = 124;

fn mark(index: usize) -> f64 {
    3.0 * libm::exp(0.04 * index as f64)
}

/// Which thresholds a run has reached, with its weight there.
struct Marks {
    weights: [f64; MARKS],
    reached: usize,
    next: f64,
}

impl Marks {
    fn new() -> Self {
        Self { weights: [0.0; MARKS], reached: 0, next: mark(0) }
    }

    /// Notes the evidence and the likelihood ratio of this run to a healthy one; answers whether it is done.
    fn note(&mut self, evidence: f64, ratio: f64) -> bool {
        while evidence >= self.next && self.reached < MARKS {
            self.weights[self.reached] = 1.0 / ratio;
            self.reached += 1;
            self.next = mark(self.reached);
        }
        self.reached == MARKS
    }
}

/// The thresholds that healthy canaries cross with each probability of `alphas`; the result depends on `seed` alone.
fn thresholds(process: &impl Process, alphas: &[f64], runs: u64, seed: u64) -> Vec<f64> {
    let [a, b, c] = process.key();
    let rows = crate::parallel::map(runs, |run| {
        let mut marks = Marks::new();
        process.run(&mut Random::new(&[seed, a, b, c, run]), &mut marks);
        marks.weights
    });
    let crossing = |index: usize| rows.iter().map(|row| row[index]).sum::<f64>() / runs as f64;
    let crossings: Vec<f64> = (0..MARKS).map(crossing).collect();
    alphas.iter().map(|alpha| threshold(&crossings, *alpha)).collect()
}

/// Where the crossing probability falls to `alpha`: even in logarithms between two marks.
fn threshold(crossings: &[f64], alpha: f64) -> f64 {
    let Some(after) = crossings.iter().position(|crossing| *crossing <= alpha) else { return mark(MARKS) };
    if after == 0 {
        return mark(0);
    }
    let [before, behind] = [crossings[after - 1], crossings[after].max(1e-12)];
    let inner = libm::log(before / alpha) / libm::log(before / behind);
    mark(after - 1) * libm::exp(0.04 * inner)
}

/// One of the alternatives, as often as it is weighted.
fn pick(weights: &[f64], random: &mut Random) -> usize {
    let mut left = random.uniform() * weights.iter().sum::<f64>();
    for (index, weight) in weights.iter().enumerate() {
        left -= weight;
        if left <= 0.0 {
            return index;
        }
    }
    weights.len() - 1
}

/// Shares of the bad requests (or of the traffic): rows of the tables.
const PARTS: [f64; 5] = [0.01, 0.05, 0.1, 0.25, 0.5];
/// Bad requests expected over the horizon.
const EVENTS: [f64; 9] = [10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5];
/// Bad requests expected in a window.
const WINDOWS: [f64; 6] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0];
/// Requests per second of both sides, for latency.
const RPS: [f64; 5] = [3.0, 10.0, 100.0, 1e3, 1e4];
/// Windows of an hour.
const HOUR: f64 = 3_600.0;

/// Names of the tables.
pub const TABLES: [&str; 3] = ["events", "windows", "latency"];

/// Prints the [`TABLES`] in whose name `only` occurs for each of `alphas`, a row per part;
/// `runs` an entry, half beyond 10,000 bad requests, a quarter for latency.
pub fn print(alphas: &[f64], only: &str, runs: u64, seed: u64) {
    let parts = |table: &str| if table.contains(only) { &PARTS[..] } else { &[] };
    for part in parts("events").iter().copied() {
        let columns = EVENTS.map(|errors| {
            let runs = if errors > 1e4 { runs / 2 } else { runs };
            thresholds(&Counts::each(part, errors), alphas, runs, seed)
        });
        print_rows("events", part, alphas, &columns);
    }
    for part in parts("windows").iter().copied() {
        let columns = WINDOWS.map(|each| {
            // Beyond that many it rises no more.
            let whole = Counts::each(part, (each * HOUR).min(1e5));
            let whole = thresholds(&whole, alphas, runs / 2, seed);
            let one = |(alpha, whole): (&f64, &f64)| {
                let windows = Counts::windows(part, each, HOUR, *whole);
                thresholds(&windows, &[*alpha], runs, seed)[0] / whole
            };
            alphas.iter().zip(&whole).map(one).collect()
        });
        print_rows("windows", part, alphas, &columns);
    }
    for share in parts("latency").iter().copied() {
        let columns = RPS.map(|rps| thresholds(&Latencies::new(share, rps), alphas, runs / 4, seed));
        print_rows("latency", share, alphas, &columns);
    }
}

fn print_rows(table: &str, part: f64, alphas: &[f64], columns: &[Vec<f64>]) {
    for (index, alpha) in alphas.iter().enumerate() {
        let row: Vec<String> = columns.iter().map(|column| format!("{:.2}", column[index])).collect();
        println!("{table}, alpha {alpha}, part {part}: [{}]", row.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taxiway_stats::threshold::{Calibrated, Forecast};

    /// The tables are what this module prints, and a threshold found by weighted runs is the same whatever their seed.
    #[test]
    fn the_tables_are_what_is_printed() {
        for (part, errors) in [(0.05, 100.0), (0.25, 300.0)] {
            let forecast = Forecast { shares: [part; 2], errors, windows: 1e9 };
            let table = Calibrated::new(0.01, 1.0, &forecast).unwrap().ln_at(0.0).exp();
            let found = thresholds(&Counts::each(part, errors), &[0.008], 1_500, 7)[0];
            assert!((1.0..1.09).contains(&(table / found)), "{part} {errors}: {table} {found}");
        }
    }

    /// Counted the plain way: of 40,000 healthy canaries as many cross as the weighted runs say, within three deviations.
    #[test]
    fn weighted_runs_agree_with_counting() {
        let process = Counts::each(0.25, 30.0);
        let wanted = 0.008;
        let threshold = thresholds(&process, &[wanted], 4_000, 3)[0];
        let crossed =
            (0..40_000).filter(|run| process.is_crossed(threshold, &mut Random::new(&[9, *run]))).count();
        assert!((240..400).contains(&crossed), "{crossed} of 40,000 at {threshold}");
    }
}
