//! The latency table of the design brief (§2.1): seconds until a slower canary is rolled back.
//!
//! Latencies are log-normal, median 100 ms, sigma 0.6, recorded in scale-6 buckets; 5 % of the traffic. The judge is the
//! product's, with the latency metric of the profile `strict` alone: tolerance 20 %, alpha 1 %; its normal profile is what
//! the product records of the ten minutes before. The canary is slower by a factor, or 5 % of its requests are four times
//! as slow (`tail`). A run lasts an hour, 20 minutes at 1,000 requests per second. The field's judges of latency see the same
//! requests minute by minute.

mod peers;

use taxiway_decide::judge::{self, Outlook, Question, State};
use taxiway_decide::normal::{Reading, Record};
use taxiway_model::counts::{Counts, Histogram};
use taxiway_model::evidence::{self, Classes, Window, total};
use taxiway_model::normal::Normal;
use taxiway_model::policy::{AnalysisPolicy, Measure, Profile};
use taxiway_model::verdict::Verdict;
use taxiway_model::weight::WeightBp;
use taxiway_stats::histogram::{self, SCALE};
use taxiway_stats::math::{exp, ln, normal_cdf, normal_quantile};

use crate::judges::CLASS;
use crate::parallel;
use crate::random::{Poisson, Random, Table};
use crate::traffic::SHARE;

const MEDIAN_MS: f64 = 100.0;
const SIGMA: f64 = 0.6;

/// Stretches of the past that the normal profile is made of, in seconds and in number.
const PAST_S: u64 = 10;
const PAST_WINDOWS: u64 = 60;

/// Medians of the brief's average of three quantiles (column `EP avg3`), where it has one.
const BRIEF: [(f64, &str, &str); 9] = [
    (10.0, "1.3x", "2552 (76%)"),
    (10.0, "1.5x", "303"),
    (10.0, "2x", "58"),
    (10.0, "tail", "2710 (64%)"),
    (100.0, "1.3x", "237"),
    (100.0, "1.5x", "28"),
    (100.0, "2x", "6"),
    (100.0, "tail", "245"),
    (1_000.0, "1.3x", "23"),
];

/// How the canary differs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
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

/// Judges of the table: ours, then the peers.
const JUDGES: usize = 1 + peers::NAMES.len();

/// Prints the table: median seconds with the share rolled back below 99.5 %, the brief's own figure for the test in the last
/// column.
pub fn print(runs: u64, seed: u64) {
    println!("| rps | canary | runs | taxiway | {} | brief |", peers::NAMES.join(" | "));
    println!("|---|---|---|---|{}---|", "---|".repeat(peers::NAMES.len()));
    for rps in [10.0, 100.0, 1_000.0] {
        let (seconds, runs) = if rps < 1_000.0 { (3_600, runs) } else { (1_200, runs / 4) };
        for (name, fault) in FAULTS {
            let bench = Bench::new(rps, fault, seconds);
            let times = parallel::map(runs, |run| bench.run(&mut Random::new(&[seed, rps as u64, run])));
            let brief = BRIEF.iter().find(|(known, fault, _)| *known == rps && *fault == name);
            let brief = if rps == 1_000.0 && name == "tail" { "23" } else { brief.map_or("", |row| row.2) };
            let judge = |judge: usize| cell(times.iter().map(|times| times[judge]).collect());
            let cells: Vec<String> = (0..JUDGES).map(judge).collect();
            println!("| {rps} | {name} | {runs} | {} | {brief} |", cells.join(" | "));
        }
    }
}

fn cell(mut times: Vec<Option<usize>>) -> String {
    times.sort_by_key(|time| time.unwrap_or(usize::MAX));
    let detected = times.iter().flatten().count() as f64 / times.len() as f64;
    let median = times[times.len() / 2].map_or_else(|| "–".to_owned(), |time| time.to_string());
    if detected >= 0.995 { median } else { format!("{median} ({:.1}%)", detected * 100.0) }
}

/// Both sides' traffic and the judge of one line.
struct Bench {
    policy: AnalysisPolicy,
    outlook: Outlook,
    share: WeightBp,
    laws: [Table; 2],
    arrivals: [Poisson; 2],
    before: Poisson,
    seconds: usize,
    peers: peers::Peers,
}

impl Bench {
    fn new(rps: f64, fault: Fault, seconds: usize) -> Self {
        let mut policy = AnalysisPolicy::of(Profile::Strict);
        policy.metrics.retain(|metric| matches!(metric.measure, Measure::Latency { .. }));
        let share = WeightBp::new((SHARE * 1e4) as u16).expect("a share of the traffic");
        let outlook = Outlook {
            shares: Some([share; 2]),
            compared_ms: seconds as u64 * 1_000,
            canary_instances: 1,
            ..Outlook::default()
        };
        Self {
            policy,
            outlook,
            share,
            laws: [law(fault), law(Fault::Factor(1.0))],
            arrivals: [Poisson::new(rps * SHARE), Poisson::new(rps * (1.0 - SHARE))],
            before: Poisson::new(rps * PAST_S as f64),
            seconds,
            peers: peers::Peers::new(MEDIAN_MS * exp(SIGMA * normal_quantile(0.95))),
        }
    }

    /// The second of each judge's rollback, if it comes.
    fn run(&self, random: &mut Random) -> [Option<usize>; JUDGES] {
        let mut own = Own::new(self, self.normal(random).as_ref());
        let mut watch = self.peers.watch();
        let mut minute = <[Classes; 2]>::default();
        for second in 1..=self.seconds {
            let mut seen = <[Classes; 2]>::default();
            for (side, classes) in seen.iter_mut().enumerate() {
                answer(classes, &self.laws[side], self.arrivals[side].draw(random), random);
                evidence::merge(&mut minute[side], classes);
            }
            own.second(self, second, seen);
            if second.is_multiple_of(60) {
                let sides = core::mem::take(&mut minute).map(|classes| total(&classes).latency);
                watch.minute(sides.each_ref());
            }
            if own.alarm.is_some() && watch.alarms.iter().all(Option::is_some) {
                break;
            }
        }
        let [argo, flagger, kayenta] = watch.alarms;
        [own.alarm, argo, flagger, kayenta]
    }

    /// What the product would have on record of the time before.
    fn normal(&self, random: &mut Random) -> Option<Normal> {
        let (mut record, mut reading) = (Record::default(), Reading::default());
        record.see(0, || reading.clone());
        for window in 1..=PAST_WINDOWS {
            answer(&mut reading.classes, &self.laws[1], self.before.draw(random), random);
            record.see(window * PAST_S * 1_000, || reading.clone());
        }
        record.profile()
    }
}

/// The product's judge on one canary.
struct Own {
    state: State,
    question: Question,
    window: Window,
    alarm: Option<usize>,
}

impl Own {
    fn new(bench: &Bench, normal: Option<&Normal>) -> Self {
        let state = State::expecting(&bench.policy, normal, &bench.outlook);
        let question = Question { step: 0, exclude_bp: bench.policy.exclusion_at(bench.share) };
        Self { state, question, window: Window { number: 1, ..Window::default() }, alarm: None }
    }

    fn second(&mut self, bench: &Bench, second: usize, [canary, baseline]: [Classes; 2]) {
        if self.alarm.is_some() {
            return;
        }
        evidence::merge(&mut self.window.canary, &canary);
        evidence::merge(&mut self.window.baseline, &baseline);
        self.window.span_ms += 1_000;
        if !judge::is_full(self.window.canary_total().requests, self.window.span_ms) {
            return;
        }
        self.state.take(&bench.policy, &self.window, bench.share);
        if judge::look(&bench.policy, &self.state, self.question) == Verdict::Rollback {
            self.alarm = Some(second);
        }
        self.window = Window { number: self.window.number + 1, ..Window::default() };
    }
}

/// Adds answered requests with their latencies.
pub(crate) fn answer(classes: &mut Classes, law: &Table, requests: u64, random: &mut Random) {
    let mut more = Histogram::default();
    for _ in 0..requests {
        let bucket = i16::try_from(law.draw(random)).expect("a bucket of milliseconds to minutes");
        *more.buckets.entry(bucket).or_default() += 1;
    }
    let counts = Counts { requests, status: [0, requests, 0, 0, 0], latency: more, ..Counts::default() };
    classes.entry(CLASS.to_owned()).or_default().merge(&counts);
}

/// Masses of the buckets from 1 ms to 60 s; a bucket's number is in milliseconds, which the judge, who compares ratios, does
/// not mind.
pub(crate) fn law(fault: Fault) -> Table {
    let below = |value: f64| normal_cdf(ln(value / MEDIAN_MS) / SIGMA);
    let share_below = |value: f64| match fault {
        Fault::Factor(factor) => below(value / factor),
        Fault::Tail => 0.95 * below(value) + 0.05 * below(value / 4.0),
    };
    let (first, last) = (histogram::index_of(1.0, SCALE), histogram::index_of(60_000.0, SCALE));
    let masses: Vec<f64> = (first..=last)
        .map(|index| {
            share_below(histogram::upper_edge(index, SCALE))
                - share_below(histogram::lower_edge(index, SCALE))
        })
        .collect();
    Table::new(first.into(), &masses)
}
