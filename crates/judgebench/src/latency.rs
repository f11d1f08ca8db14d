//! The latency table of the design brief (§2.1): seconds until a slower canary is shown.
//!
//! Latencies are log-normal, median 100 ms, sigma 0.6, recorded in scale-6 buckets; 5 % of the traffic; tolerance 20 %,
//! alpha 1 %, threshold 100; a minute of the baseline is known before the canary starts. The canary is slower by a factor, or 5 % of its requests are four times as slow (`tail`). A
//! run lasts an hour, 20 minutes at 1,000 requests per second.

use taxiway_stats::histogram::{self, Bucket, SCALE};
use taxiway_stats::math::{ln, normal_cdf};
use taxiway_stats::{FULL_CANARY, FULL_S, latency, threshold};

use crate::parallel;
use crate::random::{Poisson, Random, Table};
use crate::traffic::SHARE;

const MEDIAN_MS: f64 = 100.0;
const SIGMA: f64 = 0.6;
const TOLERANCE: f64 = 0.2;
const ALPHA: f64 = 0.01;

/// How the canary differs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// All requests take this many times as long.
    Factor(f64),
    /// 5 % of the requests take four times as long.
    Tail,
}

/// Healthy, at the tolerance, and slower.
const FAULTS: [(&str, Fault); 6] = [
    ("1x", Fault::Factor(1.0)),
    ("1.2x", Fault::Factor(1.2)),
    ("1.3x", Fault::Factor(1.3)),
    ("1.5x", Fault::Factor(1.5)),
    ("2x", Fault::Factor(2.0)),
    ("tail", Fault::Tail),
];

/// Prints the table: median seconds per quantile and for their average, with the share detected below 99.5 %.
pub fn print(runs: u64, seed: u64) {
    println!("| rps | canary | p50 | p95 | p99 | average |\n|---|---|---|---|---|---|");
    for rps in [10.0, 100.0, 1_000.0] {
        let (seconds, runs) = if rps < 1_000.0 { (3_600, runs) } else { (1_200, runs / 4) };
        for (name, fault) in FAULTS {
            let times = parallel::map(runs, |run| {
                let random = &mut Random::new(&[seed, rps as u64, run]);
                run_one(rps, fault, seconds, random)
            });
            let columns: Vec<String> =
                (0..4).map(|column| cell(times.iter().map(|times| times[column]).collect())).collect();
            println!("| {rps} | {name} | {} |", columns.join(" | "));
        }
    }
}

fn cell(mut times: Vec<Option<usize>>) -> String {
    times.sort_by_key(|time| time.unwrap_or(usize::MAX));
    let detected = times.iter().flatten().count() as f64 / times.len() as f64;
    let median = times[times.len() / 2].map_or_else(|| "–".to_owned(), |time| time.to_string());
    if detected >= 0.995 { median } else { format!("{median} ({:.1}%)", detected * 100.0) }
}

/// Seconds to detection by p50, p95, p99 and their average.
fn run_one(rps: f64, fault: Fault, seconds: usize, random: &mut Random) -> [Option<usize>; 4] {
    let baseline_law = buckets(Fault::Factor(1.0));
    let canary_law = buckets(fault);
    let (arrivals_c, arrivals_b) = (Poisson::new(rps * SHARE), Poisson::new(rps * (1.0 - SHARE)));
    let test = latency::Test::new(TOLERANCE, seconds as f64).expect("fixed parameters");
    let mut past = Vec::new();
    for _ in 0..60 {
        draw(&baseline_law, arrivals_b.draw(random), &mut past, random);
    }
    let mut state = test.start_after(&past);
    let (mut canary, mut baseline): (Vec<Bucket>, Vec<Bucket>) = (Vec::new(), Vec::new());
    let mut open_s = 0.0;
    let mut alarms = [None; 4];
    for second in 1..=seconds {
        draw(&canary_law, arrivals_c.draw(random), &mut canary, random);
        draw(&baseline_law, arrivals_b.draw(random), &mut baseline, random);
        open_s += 1.0;
        if histogram::total(&canary) < FULL_CANARY && open_s < FULL_S {
            continue;
        }
        test.fold(&mut state, &canary, &baseline, open_s);
        canary.clear();
        baseline.clear();
        open_s = 0.0;
        let mut evidences = test.ln_evidences(&state);
        evidences.push(test.ln_evidence(&state));
        for (alarm, ln_evidence) in alarms.iter_mut().zip(evidences) {
            if alarm.is_none() && ln_evidence >= threshold::ville(ALPHA) {
                *alarm = Some(second);
            }
        }
        if alarms.iter().all(Option::is_some) {
            break;
        }
    }
    alarms
}

fn draw(law: &Table, requests: u64, into: &mut Vec<Bucket>, random: &mut Random) {
    for _ in 0..requests {
        histogram::merge(into, &[(law.draw(random) as i32, 1)]);
    }
}

/// Masses of the buckets from 1 ms to 60 s.
fn buckets(fault: Fault) -> Table {
    let below = |value: f64| normal_cdf(ln(value / MEDIAN_MS) / SIGMA);
    let law = |value: f64| match fault {
        Fault::Factor(factor) => below(value / factor),
        Fault::Tail => 0.95 * below(value) + 0.05 * below(value / 4.0),
    };
    let (first, last) = (histogram::index_of(1.0, SCALE), histogram::index_of(60_000.0, SCALE));
    let masses: Vec<f64> = (first..=last)
        .map(|index| law(histogram::upper_edge(index, SCALE)) - law(histogram::lower_edge(index, SCALE)))
        .collect();
    Table::new(first.into(), &masses)
}
