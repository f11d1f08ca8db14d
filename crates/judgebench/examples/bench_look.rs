//! Microseconds per look of the product's judge (fold one window, give the verdict), canaries a core can judge each second, and bytes of state.
//!
//! A canary of 5 % at 1,000 requests per second, one-second windows with their latencies, the profile `standard`: with the two metrics it
//! has, and with ten (eight error rates more), with one endpoint class and with eight. Bytes are what 1,000 such states of ten minutes take of
//! this process's resident memory.

use std::hint::black_box;
use std::time::Instant;

use taxiway_decide::judge::{self, Question, State};
use taxiway_judgebench::random::Random;
use taxiway_model::counts::{Counts, Histogram};
use taxiway_model::evidence::{Classes, Window};
use taxiway_model::ids::MetricName;
use taxiway_model::policy::{AnalysisPolicy, MetricPolicy, Profile};
use taxiway_model::weight::WeightBp;
use taxiway_stats::histogram::{SCALE, index_of};

/// Looks that are timed: an hour and a half of windows.
const LOOKS: usize = 5_000;

/// Windows before the timing starts and before a state is weighed: ten minutes.
const PAST: usize = 600;

/// States that are weighed together.
const STATES: usize = 1_000;

/// Endpoint classes, so that error rates are stratified.
const CLASSES: [&str; 8] = ["cart", "checkout", "home", "images", "login", "orders", "search", "other"];

fn main() {
    let two = AnalysisPolicy::of(Profile::Standard);
    for classes in [&CLASSES[..1], &CLASSES] {
        let windows = windows(classes);
        let ten = with_eight_more(&two, classes);
        for policy in [&two, &ten] {
            let (us, bytes) = (look_us(policy, &windows), bytes(policy, &windows));
            println!(
                "{} classes, {:2} metrics {us:7.1} us a look  {:8.0} canaries a core and second  {bytes:7} bytes of state, {:6} a metric",
                classes.len(),
                policy.metrics.len(),
                1e6 / us,
                bytes / policy.metrics.len()
            );
        }
    }
}

/// An error rate for each class, or eight of the same where there is one.
fn with_eight_more(policy: &AnalysisPolicy, classes: &[&str]) -> AnalysisPolicy {
    let mut policy = policy.clone();
    let more: Vec<MetricPolicy> = CLASSES
        .iter()
        .map(|class| MetricPolicy {
            name: MetricName::new(format!("errors_{class}")).expect("a short valid name"),
            endpoint: (classes.len() > 1).then(|| (*class).to_owned()),
            ..policy.metrics[0].clone()
        })
        .collect();
    policy.metrics.extend(more);
    policy
}

/// One after the other, as the engine takes windows in.
fn look_us(policy: &AnalysisPolicy, windows: &[Window]) -> f64 {
    let mut state = folded(policy, windows);
    let start = Instant::now();
    for look in 0..LOOKS {
        state.take(policy, &windows[look % windows.len()], weight());
        black_box(judge::look(policy, &state, question(policy)));
    }
    start.elapsed().as_secs_f64() * 1e6 / LOOKS as f64
}

fn bytes(policy: &AnalysisPolicy, windows: &[Window]) -> usize {
    let state = folded(policy, windows);
    let before = resident_bytes();
    let states: Vec<State> = (0..STATES).map(|_| state.clone()).collect();
    let after = resident_bytes();
    // Kept to the end, so that nothing freed is taken for free by the next ones.
    std::mem::forget(states);
    after.saturating_sub(before) / STATES
}

fn folded(policy: &AnalysisPolicy, windows: &[Window]) -> State {
    let mut state = State::new(policy, None);
    for number in 0..PAST {
        state.take(policy, &windows[number % windows.len()], weight());
    }
    state
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells a process its size");
    let pages: usize =
        statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("the second figure");
    pages * 4_096
}

fn weight() -> WeightBp {
    WeightBp::new(500).expect("a share of the traffic")
}

fn question(policy: &AnalysisPolicy) -> Question {
    Question { step: 0, exclude_bp: policy.exclusion_at(weight()) }
}

fn windows(classes: &[&str]) -> Vec<Window> {
    let mut random = Random::new(&[1]);
    (1..=200)
        .map(|number| Window {
            number,
            span_ms: 1_000,
            canary: side(50, classes, &mut random),
            baseline: side(950, classes, &mut random),
            ..Window::default()
        })
        .collect()
}

/// Requests spread over the classes, one in a hundred failed, latencies log-normal around 100 ms.
fn side(requests: u64, classes: &[&str], random: &mut Random) -> Classes {
    let share = |place: usize| {
        let (each, rest) = (requests / classes.len() as u64, requests % classes.len() as u64);
        each + u64::from((place as u64) < rest)
    };
    classes
        .iter()
        .enumerate()
        .map(|(place, class)| {
            let requests = share(place);
            let bad = random.poisson(requests as f64 * 0.01).min(requests);
            let mut latency = Histogram::default();
            for _ in 0..requests {
                let index = index_of(100_000.0 * libm::exp(0.6 * random.normal()), SCALE);
                let index = i16::try_from(index).expect("far below what a histogram holds");
                *latency.buckets.entry(index).or_default() += 1;
            }
            let status = [0, requests - bad, 0, 0, bad];
            ((*class).to_owned(), Counts { requests, status, latency, ..Counts::default() })
        })
        .collect()
}
