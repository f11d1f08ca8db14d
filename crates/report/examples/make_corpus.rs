//! Writes the corpus of recordings again: `cargo run -p taxiway-report --example make_corpus -- DIRECTORY`.
//!
//! Twelve releases over 5, 25 and 50 % of the traffic, drawn with fixed seeds: arrivals are Poisson,
//! latencies log-normal. Nothing is cut off at a verdict, so that a judge that decides later can be
//! seen to do so. Windows are as long as the engine lets them be, to keep the files small.

use std::path::PathBuf;
use taxiway_model::counts::{Counts, Histogram};
use taxiway_model::evidence::{Classes, Window};
use taxiway_model::weight::WeightBp;
use taxiway_report::recording::{FORMAT, Head, Lack, Recording, Seen, Step, Truth};
use taxiway_stats::histogram::{SCALE, index_of};

const WINDOW_S: u64 = 15;
const STEPS: [(&str, u16, u64); 3] = [("canary-5", 5, 180), ("canary-25", 25, 240), ("canary-50", 50, 300)];

/// Chance that a request fails at a second, from the base rate: canary, baseline.
type Rates = fn(f64, u64) -> [f64; 2];

/// What a recording is made of.
struct Scenario {
    name: &'static str,
    note: &'static str,
    truth: Truth,
    rps: f64,
    base: f64,
    rates: Rates,
    /// Median and spread (log) of the canary's latencies in milliseconds; none: not recorded.
    latency: Option<fn(u64) -> [f64; 2]>,
}

fn scenarios() -> Vec<Scenario> {
    let mut all = healthy();
    all.extend(bad());
    all.push(timed("latency-healthy", "both sides equally fast", Truth::Healthy, |_| [20.0, 0.5]));
    all.push(timed("latency-slower", "the canary takes 1.7 times as long", Truth::Bad, |_| [34.0, 0.5]));
    all
}

fn healthy() -> Vec<Scenario> {
    let alike: Rates = |base, _| [base, base];
    let of = |name, note, rps, base, rates| counted(name, note, Truth::Healthy, [rps, base], rates);
    vec![
        of("healthy-10rps", "1% of both sides fail, 10 requests a second", 10.0, 0.01, alike),
        of("healthy-100rps", "1% of both sides fail, 100 requests a second", 100.0, 0.01, alike),
        of("healthy-1000rps", "0.1% of both sides fail, 1,000 requests a second", 1_000.0, 0.001, alike),
        of("no-errors", "not one request fails, 100 a second", 100.0, 0.0, alike),
        of(
            "outage-of-both",
            "a dependency fails for a minute: 30% of both sides fail",
            100.0,
            0.005,
            |base, second| if (360..420).contains(&second) { [0.3, 0.3] } else { [base, base] },
        ),
        of(
            "one-burst",
            "within one second every request of the canary fails, and never again",
            100.0,
            0.01,
            |base, second| [if second == 100 { 1.0 } else { base }, base],
        ),
    ]
}

fn bad() -> Vec<Scenario> {
    let of = |name, note, rps, base, rates| counted(name, note, Truth::Bad, [rps, base], rates);
    vec![
        of("errors-3x", "the canary fails three times as often, from the start", 100.0, 0.01, |base, _| {
            [3.0 * base, base]
        }),
        of(
            "errors-slight",
            "the canary fails 1.6 times as often: more than tolerated, less than red",
            1_000.0,
            0.005,
            |base, _| [1.6 * base, base],
        ),
        of(
            "errors-late",
            "the canary fails five times as often from the sixth minute on",
            100.0,
            0.01,
            |base, second| [if second >= 330 { 5.0 * base } else { base }, base],
        ),
        of(
            "errors-from-none",
            "the baseline never fails, the canary in 2% of requests",
            50.0,
            0.0,
            |_, _| [0.02, 0.0],
        ),
    ]
}

fn counted(
    name: &'static str,
    note: &'static str,
    truth: Truth,
    [rps, base]: [f64; 2],
    rates: Rates,
) -> Scenario {
    Scenario { name, note, truth, rps, base, rates, latency: None }
}

fn timed(name: &'static str, note: &'static str, truth: Truth, latency: fn(u64) -> [f64; 2]) -> Scenario {
    let rates: Rates = |base, _| [base, base];
    Scenario { name, note, truth, rps: 60.0, base: 0.002, rates, latency: Some(latency) }
}

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("the directory to write to"));
    for (index, scenario) in scenarios().iter().enumerate() {
        let recording = record(scenario, &mut Random(0x7A71 + index as u64));
        let path = folder.join(format!("{}.ndjson", scenario.name));
        std::fs::write(&path, recording.to_lines()).expect("the directory can be written");
        println!("{}", path.display());
    }
}

fn record(scenario: &Scenario, random: &mut Random) -> Recording {
    let step = |(name, percent, bake_s): (&str, u16, u64)| {
        Step::of_weight(name, WeightBp::percent(percent), bake_s * 1_000)
    };
    let mut lacks = Vec::new();
    if scenario.latency.is_none() {
        lacks.push(Lack::Latency);
    }
    let head = Head {
        format: FORMAT,
        name: scenario.name.to_owned(),
        of: "simulated".to_owned(),
        canary: "v2".to_owned(),
        baseline: Some("v1".to_owned()),
        started_us: None,
        steps: STEPS.map(step).to_vec(),
        policy: None,
        normal: None,
        lacks,
        truth: Some(scenario.truth),
        note: scenario.note.to_owned(),
    };
    let mut windows = Vec::new();
    let mut second = 0;
    for (place, (_, percent, bake_s)) in STEPS.into_iter().enumerate() {
        for _ in 0..bake_s / WINDOW_S {
            let share = f64::from(percent) / 100.0;
            let [canary, baseline] = seconds(scenario, second, share, random);
            second += WINDOW_S;
            let window = Window {
                number: windows.len() as u32 + 1,
                step: place as u16,
                span_ms: WINDOW_S * 1_000,
                warm_up: false,
                canary,
                baseline,
                ..Window::default()
            };
            windows.push(Seen { at_ms: second * 1_000, window });
        }
    }
    Recording { head, windows, ended: None }
}

/// Both sides over the seconds of a window.
fn seconds(scenario: &Scenario, from: u64, share: f64, random: &mut Random) -> [Classes; 2] {
    let mut sides = [Counts::default(), Counts::default()];
    for second in from..from + WINDOW_S {
        let rates = (scenario.rates)(scenario.base, second);
        let usual = scenario.latency.map(|_| [20.0, 0.5]);
        let latencies = [scenario.latency.map(|of| of(second)), usual];
        let shares = [share, 1.0 - share];
        for (side, counts) in sides.iter_mut().enumerate() {
            for _ in 0..random.poisson(scenario.rps * shares[side]) {
                request(counts, rates[side], latencies[side], random);
            }
        }
    }
    sides.map(|counts| Classes::from([(String::new(), counts)]))
}

fn request(counts: &mut Counts, rate: f64, latency: Option<[f64; 2]>, random: &mut Random) {
    counts.requests += 1;
    let failed = random.uniform() < rate;
    counts.status[if failed { 4 } else { 1 }] += 1;
    if let Some([median_ms, spread]) = latency {
        let us = median_ms * 1e3 * libm::exp(spread * random.normal());
        // Every fourth bucket, to keep the files small: 4.4 % wide.
        let index = (index_of(us.max(1.0), SCALE) / 4 * 4) as i16;
        let Histogram { buckets } = &mut counts.latency;
        *buckets.entry(index).or_default() += 1;
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ (mixed >> 31)) >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.uniform(), self.uniform());
        libm::sqrt(-2.0 * libm::log(radius)) * libm::cos(2.0 * std::f64::consts::PI * angle)
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        let (mut rest, mut count) = (mean, 0);
        while rest > 0.0 {
            let slice = rest.min(16.0);
            rest -= slice;
            let (floor, mut product) = (libm::exp(-slice), self.uniform());
            while product > floor {
                count += 1;
                product *= self.uniform();
            }
        }
        count
    }
}
