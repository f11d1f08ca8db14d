//! What a look of the product's judge costs, and what it keeps in memory.
//!
//! A canary of 5 % at 1,000 requests per second, one-second windows with latencies, profile `standard`: with the two
//! metrics it has (error rate and p95), and with ten (eight error rates more), with one endpoint class and with eight.

use std::fs;
use std::hint::black_box;

use taxiway_decide::judge::{self, Question, State};
use taxiway_model::counts::{Counts, Histogram};
use taxiway_model::evidence::{Classes, Window};
use taxiway_model::ids::MetricName;
use taxiway_model::policy::{AnalysisPolicy, MetricPolicy, Profile};
use taxiway_model::weight::WeightBp;
use taxiway_peers::kayenta::mann_whitney::Precision;
use taxiway_peers::kayenta::{Rigour, is_high};
use taxiway_stats::histogram::{SCALE, index_of};

use crate::random::Random;

/// Looks that are timed at a stretch, and stretches of which the median counts.
const LOOKS: usize = 2_000;
const STRETCHES: usize = 9;

/// The same for what takes so little that the kernel's count of a thread's time, which it keeps by the tick, would not see it.
const SHORT_LOOKS: usize = 40_000;

/// Windows before the timing starts and before a state is weighed: ten minutes.
const PAST: usize = 600;

/// Different windows, taken in turn.
const WINDOWS: u32 = 200;

/// States that are weighed together.
const STATES: usize = 1_000;

/// Endpoint classes, so that error rates are stratified.
const CLASSES: [&str; 8] = ["cart", "checkout", "home", "images", "login", "orders", "search", "other"];

/// One policy on one traffic.
#[derive(Debug)]
pub struct Case {
    policy: AnalysisPolicy,
    windows: Vec<Window>,
    classes: usize,
}

/// Microseconds of CPU time.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// A window of every metric is folded in and the verdict given.
    pub look_us: f64,
    /// The same with the window's digest chained, as for the record.
    pub recorded_us: f64,
    /// The verdict is asked for and there is no new window.
    pub idle_us: f64,
    /// The words and figures of all metrics are written.
    pub words_us: f64,
    /// Kayenta's judge on as many metrics: ten points of a minute a side.
    pub kayenta_us: f64,
}

/// Bytes of resident memory that a state takes, after ten minutes.
#[derive(Debug, Clone, Copy)]
pub struct Weight {
    /// The whole state of a release.
    pub release: usize,
    /// What its error rate adds to a state without metrics, and what its latency does.
    pub errors: usize,
    /// See `errors`.
    pub latency: usize,
}

/// The four cases.
pub fn cases() -> Vec<Case> {
    let two = AnalysisPolicy::of(Profile::Standard);
    let of = |classes: &[&str], policy: AnalysisPolicy| Case {
        policy,
        windows: windows(classes),
        classes: classes.len(),
    };
    [&CLASSES[..1], &CLASSES]
        .into_iter()
        .flat_map(|classes| [of(classes, two.clone()), of(classes, with_eight_more(&two, classes))])
        .collect()
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

impl Case {
    /// Endpoint classes and metrics.
    pub fn size(&self) -> (usize, usize) {
        (self.classes, self.policy.metrics.len())
    }

    /// What it costs.
    pub fn cost(&self) -> Cost {
        let (policy, question) = (&self.policy, question(&self.policy));
        let mut state = self.folded(policy);
        let look_us = median_us(LOOKS, |at| {
            state.take(policy, self.window(at), weight());
            black_box(judge::look(policy, &state, question));
        });
        let recorded_us = median_us(LOOKS, |at| {
            state.fold(policy, self.window(at), weight());
            black_box(judge::look(policy, &state, question));
        });
        let idle_us = median_us(SHORT_LOOKS, |_| {
            black_box(judge::look(policy, black_box(&state), question));
        });
        let words_us = median_us(LOOKS, |_| {
            black_box(judge::judge(policy, black_box(&state), question));
        });
        Cost { look_us, recorded_us, idle_us, words_us, kayenta_us: self.kayenta_us() }
    }

    /// Kayenta's classification of each metric by the failure rates of its ten minutes, as it stands in memory: it asks
    /// the source for all of them anew at every judgement, which is not counted.
    fn kayenta_us(&self) -> f64 {
        let rates = |classes: fn(&Window) -> Counts| -> Vec<f64> {
            let minute = |from: usize| {
                let counts = (0..60).map(|at| classes(self.window(from * 60 + at)));
                let (bad, all) =
                    counts.fold((0, 0), |sum, more| (sum.0 + more.errors(), sum.1 + more.requests));
                bad as f64 / all.max(1) as f64
            };
            (0..10).map(minute).collect()
        };
        let (canary, baseline) = (rates(Window::canary_total), rates(Window::baseline_total));
        let rigour = Rigour::judge(Precision::Absolute);
        median_us(SHORT_LOOKS, |_| {
            for _ in &self.policy.metrics {
                black_box(is_high(black_box(&baseline), black_box(&canary), &rigour));
            }
        })
    }

    /// What a state of it weighs.
    pub fn weight(&self) -> Weight {
        let with = |wanted: &dyn Fn(usize) -> bool| {
            let mut policy = self.policy.clone();
            let mut place = 0..;
            policy.metrics.retain(|_| place.next().is_some_and(wanted));
            self.bytes(&policy)
        };
        let none = with(&|_| false);
        // The profile's own two stand first: the error rate, then the latency.
        let [errors, latency] = [0, 1].map(|only| with(&|place| place == only).saturating_sub(none));
        Weight { release: self.bytes(&self.policy), errors, latency }
    }

    fn bytes(&self, policy: &AnalysisPolicy) -> usize {
        let state = self.folded(policy);
        let before = resident_bytes();
        let states: Vec<State> = (0..STATES).map(|_| state.clone()).collect();
        let after = resident_bytes();
        // Kept to the end, so that nothing freed is taken for free by the next ones.
        std::mem::forget(states);
        after.saturating_sub(before) / STATES
    }

    fn folded(&self, policy: &AnalysisPolicy) -> State {
        let mut state = State::new(policy, None);
        (0..PAST).for_each(|at| state.take(policy, self.window(at), weight()));
        state
    }

    fn window(&self, at: usize) -> &Window {
        &self.windows[at % self.windows.len()]
    }
}

/// The median of several stretches, in CPU time, since others use the machine.
fn median_us(looks: usize, mut once: impl FnMut(usize)) -> f64 {
    let mut stretches = [0.0; STRETCHES].map(|_: f64| {
        let start = cpu_ns();
        (0..looks).for_each(&mut once);
        (cpu_ns() - start) as f64 / 1e3 / looks as f64
    });
    stretches.sort_by(f64::total_cmp);
    stretches[STRETCHES / 2]
}

/// Nanoseconds that this thread has run.
fn cpu_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread its time");
    text.split(' ').next().and_then(|ran| ran.parse().ok()).expect("the first figure")
}

fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux tells a process its size");
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
    (1..=WINDOWS)
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
