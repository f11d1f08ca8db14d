//! Microseconds per look of the judge's arithmetic: fold one window and read the evidence, and bytes of state.
//!
//! Ten metrics are nine counts (against, for, and the ratio's profile each) and a latency histogram with three quantiles, on a canary of 5 % at 1,000 requests per second and one-second windows.

use std::hint::black_box;
use std::mem::size_of_val;
use std::time::Instant;

use taxiway_judgebench::random::Random;
use taxiway_stats::histogram::{self, Bucket};
use taxiway_stats::{Window, exclude, latency, profile, reject};

const LOOKS: u64 = 20_000;
const COUNTS: usize = 9;
const LATENCIES: usize = 1;

fn main() {
    let count_us = counts();
    let (latency_us, latency_bytes) = latencies();
    let all = COUNTS as f64 * count_us + LATENCIES as f64 * latency_us;
    println!("count metric     {count_us:8.3} us a look  {:6} bytes", count_bytes());
    println!("latency metric   {latency_us:8.3} us a look  {latency_bytes:6} bytes");
    println!("ten metrics      {all:8.3} us a look");
    println!("canaries a core  {:8.0} judged each second", 1e6 / all);
}

/// One count metric in the product: is it worse, how bad can it still be, and the ratio's profile.
fn counts() -> f64 {
    let worse = reject::Test::new(1.1, 0.001, 3_600.0).expect("fixed parameters");
    let bad = exclude::Test::new(2.0, 0.001).expect("fixed parameters");
    let (mut against, mut not_bad) = (worse.start(), bad.start());
    let mut ratio = profile::Profile::default();
    let mut random = Random::new(&[1]);
    let windows: Vec<Window> =
        (0..1_000).map(|_| Window::new(50, 950, random.poisson(0.5), random.poisson(9.5))).collect();
    let start = Instant::now();
    for look in 0..LOOKS {
        let window = &windows[look as usize % windows.len()];
        worse.fold(&mut against, window, 1.0);
        bad.fold(&mut not_bad, window, 1.0);
        ratio.fold(window);
        black_box((worse.ln_evidence(&against), bad.ln_evidence(&not_bad)));
    }
    micros(start)
}

fn count_bytes() -> usize {
    let worse = reject::Test::new(1.1, 0.001, 3_600.0).expect("fixed parameters");
    8 * (worse.start().to_bits().len() + 2) + size_of_val(&profile::Profile::default())
}

fn latencies() -> (f64, usize) {
    let test = latency::Test::new(0.2, 3_600.0).expect("fixed parameters");
    let mut state = test.start();
    let mut random = Random::new(&[2]);
    let mut side = |count: u32| -> Vec<Bucket> {
        let mut buckets = Vec::new();
        for _ in 0..count {
            let index = histogram::index_of(100.0 * libm::exp(0.6 * random.normal()), histogram::SCALE);
            histogram::merge(&mut buckets, &[(index, 1)]);
        }
        buckets
    };
    let windows: Vec<(Vec<Bucket>, Vec<Bucket>)> = (0..200).map(|_| (side(50), side(950))).collect();
    let start = Instant::now();
    for look in 0..LOOKS {
        let (canary, baseline) = &windows[look as usize % windows.len()];
        test.fold(&mut state, canary, baseline, 1.0);
        black_box(test.ln_evidence(&state));
    }
    let past = (state.past.recent.len() + state.past.before.len()) * size_of_val(&state.past.recent[0]);
    let evidence: usize = state.worse.iter().map(|state| 8 * state.to_bits().len()).sum();
    (micros(start), past + evidence)
}

fn micros(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e6 / LOOKS as f64
}
