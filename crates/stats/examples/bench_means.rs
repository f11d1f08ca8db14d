//! Means and drops of shares: false alarms and time to detection, beside a t test at the end and one at every window.
//!
//! Revenue per session (3 % of the sessions buy, log-normal orders) and plain log-normal values, 5 % canary, windows of 20
//! canary values, an hour at 5 values a second of the canary. Seeds are fixed: run `n` of cell `c` is seeded with both.
//! Arguments: number of healthy and of faulty runs a cell (4000 and 500 unless said otherwise).

use taxiway_stats::means::{Moments, WARM_UP};
use taxiway_stats::{Arm, Window, exclude, fewer, math, shift};

const WINDOWS: usize = 900;
const WINDOW_S: f64 = 4.0;
const CANARY: u64 = 20;
const BASELINE: u64 = 380;
const ALPHA: f64 = 0.01;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// How many of `n` happen, each with a small probability, by the gaps between them.
    fn binomial(&mut self, n: u64, p: f64) -> u64 {
        let (mut at, mut count) = (0.0, 0);
        loop {
            at += (self.unit().ln() / (-p).ln_1p()).floor() + 1.0;
            if at > n as f64 {
                return count;
            }
            count += 1;
        }
    }
}

/// A law of values: the share that is not zero, and the spread of its logarithm.
#[derive(Clone, Copy)]
struct Law {
    name: &'static str,
    buys: f64,
    sigma: f64,
}

const LAWS: [Law; 4] = [
    Law { name: "revenue, 3% buy, sigma 1", buys: 0.03, sigma: 1.0 },
    Law { name: "revenue, 3% buy, sigma 1.5", buys: 0.03, sigma: 1.5 },
    Law { name: "log-normal, sigma 0.6", buys: 1.0, sigma: 0.6 },
    Law { name: "log-normal, sigma 2", buys: 1.0, sigma: 2.0 },
];

impl Law {
    fn window(self, random: &mut Random, count: u64, times: f64) -> Moments {
        let buyers = if self.buys < 1.0 { random.binomial(count, self.buys) } else { count };
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..buyers {
            let value = times * 50.0 * (self.sigma * random.normal()).exp();
            sum += value;
            squares += value * value;
        }
        Moments { count, sum, squares }
    }
}

/// What a run ended with: when each judge alarmed, in seconds.
#[derive(Default, Clone, Copy)]
struct Ended {
    ours: Option<f64>,
    batches: Option<f64>,
    t_at_end: bool,
    t_peeking: Option<f64>,
}

/// One run: the canary's values are `times` the baseline's from window `onset` on.
fn run(law: Law, lower: bool, times: f64, onset: usize, seed: u64) -> Ended {
    let mut random = Random(seed);
    let test = shift::Test::new(0.0, 0.0, lower, WINDOWS as f64 * WINDOW_S).expect("in range");
    let (mut ours, mut batches) = (test.start(), test.start());
    let mut sums = [Moments::default(); 2];
    let mut ended = Ended::default();
    let (needed, z) = ((1.0 / ALPHA).ln(), math::normal_quantile(1.0 - ALPHA));
    for window in 0..WINDOWS {
        let at_s = (window + 1) as f64 * WINDOW_S;
        let now = if window >= onset { times } else { 1.0 };
        let sides = [law.window(&mut random, CANARY, now), law.window(&mut random, BASELINE, 1.0)];
        test.fold(&mut ours, &sides[0], &sides[1], true, WINDOW_S);
        test.fold(&mut batches, &sides[0], &sides[1], false, WINDOW_S);
        sums = [sums[0].merged(&sides[0]), sums[1].merged(&sides[1])];
        let t = welch(&sums) * if lower { -1.0 } else { 1.0 };
        let first = |known: Option<f64>, alarm: bool| known.or(alarm.then_some(at_s));
        ended.ours = first(ended.ours, test.ln_evidence(&ours) >= needed);
        ended.batches = first(ended.batches, test.ln_evidence(&batches) >= needed);
        ended.t_peeking = first(ended.t_peeking, window as u64 >= WARM_UP && t > z);
        ended.t_at_end = t > z;
    }
    ended
}

fn welch([canary, baseline]: &[Moments; 2]) -> f64 {
    let part = |side: &Moments| side.variance().unwrap_or(0.0) / side.count as f64;
    let spread = (part(canary) + part(baseline)).sqrt();
    let means = canary.mean().zip(baseline.mean());
    means.filter(|_| spread > 0.0).map_or(0.0, |(ours, theirs)| (ours - theirs) / spread)
}

fn cell(law: Law, lower: bool, times: f64, onset: usize, runs: u64) {
    let seed = |n: u64| {
        n ^ ((times * 1e4) as u64) << 20 ^ ((law.sigma * 10.0) as u64) << 40 ^ u64::from(lower) << 50
    };
    let ended: Vec<Ended> = (0..runs).map(|n| run(law, lower, times, onset, seed(n))).collect();
    let onset_s = onset as f64 * WINDOW_S;
    let shown = |of: fn(&Ended) -> Option<f64>| {
        let mut late: Vec<f64> =
            ended.iter().filter_map(of).filter(|at_s| *at_s > onset_s || times == 1.0).collect();
        late.sort_by(f64::total_cmp);
        let share = late.len() as f64 / runs as f64;
        if times == 1.0 {
            return format!("{:.2}%", share * 100.0);
        }
        let middle =
            late.get(runs as usize / 2).map_or("-".to_owned(), |at_s| format!("{:.0} s", at_s - onset_s));
        format!("{middle} ({:.0}%)", share * 100.0)
    };
    let at_end = ended.iter().filter(|one| one.t_at_end).count() as f64 / runs as f64;
    println!(
        "| {} | {} | {} | {} | {} | {} | {:.1}% | {} |",
        law.name,
        if lower { "lower" } else { "higher" },
        if times == 1.0 { "healthy".to_owned() } else { format!("{times}x") },
        if onset == 0 { "start".to_owned() } else { format!("{onset_s:.0} s") },
        shown(|one| one.ours),
        shown(|one| one.batches),
        at_end * 100.0,
        shown(|one| one.t_peeking),
    );
}

/// Orders among sessions: the share of 3 % drops to `times` of it at `onset`.
fn shares(times: f64, onset: usize, runs: u64) {
    let (plain, late) = (
        exclude::Test::fewer_successes(0.0).expect("in range"),
        fewer::Test::new(0.0, WINDOWS as f64 * WINDOW_S).expect("in range"),
    );
    let mut found: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for n in 0..runs {
        let mut random = Random(n ^ ((times * 1e4) as u64) << 20 ^ 1 << 60);
        let (mut one, mut other) = (plain.start(), late.start());
        let mut at = [None; 2];
        for window in 0..WINDOWS {
            let p = 0.03 * if window >= onset { times } else { 1.0 };
            let arm = |total, bad| Arm { total, bad };
            let canary = arm(5 * CANARY, random.binomial(5 * CANARY, p));
            let baseline = arm(5 * BASELINE, random.binomial(5 * BASELINE, 0.03));
            let both = Window { canary, baseline };
            plain.fold(&mut one, &both, WINDOW_S);
            late.fold(&mut other, &both, WINDOW_S);
            let at_s = (window + 1) as f64 * WINDOW_S;
            for (at, ln) in at.iter_mut().zip([plain.ln_evidence(&one), late.ln_evidence(&other)]) {
                *at = at.or((ln >= (1.0 / ALPHA).ln()).then_some(at_s));
            }
        }
        let onset_s = onset as f64 * WINDOW_S;
        for (found, at) in found.iter_mut().zip(at) {
            found.extend(at.filter(|at_s| *at_s > onset_s || times == 1.0).map(|at_s| at_s - onset_s));
        }
    }
    let said = found.map(|mut found| {
        found.sort_by(f64::total_cmp);
        let share = found.len() as f64 / runs as f64 * 100.0;
        let middle = found.get(runs as usize / 2).map_or("-".to_owned(), |at_s| format!("{at_s:.0} s"));
        if times == 1.0 { format!("{share:.2}%") } else { format!("{middle} ({share:.0}%)") }
    });
    let what = if times == 1.0 { "healthy".to_owned() } else { format!("{times}x") };
    println!("| {what} | {:.0} s | {} | {} |", onset as f64 * WINDOW_S, said[0], said[1]);
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse::<u64>().ok());
    let (healthy, faulty) = (arguments.next().unwrap_or(4_000), arguments.next().unwrap_or(500));
    println!(
        "Means; {healthy} healthy and {faulty} faulty runs a line, alpha 1 %; median time and share found within the hour.\n"
    );
    println!(
        "| values | worse is | canary | from | taxiway | without squares | t test at the end | t test at every window |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for law in LAWS {
        for lower in [true, false] {
            cell(law, lower, 1.0, 0, healthy);
        }
    }
    for (law, lower, times) in [
        (LAWS[0], true, 0.5),
        (LAWS[0], true, 0.7),
        (LAWS[1], true, 0.5),
        (LAWS[2], true, 0.95),
        (LAWS[2], true, 0.9),
        (LAWS[2], true, 0.8),
        (LAWS[2], false, 1.1),
        (LAWS[2], false, 1.25),
        (LAWS[3], true, 0.7),
        (LAWS[3], false, 1.5),
    ] {
        cell(law, lower, times, 0, faulty);
        cell(law, lower, times, WINDOWS / 2, faulty);
    }
    println!("\nA share of 3 % that drops, 25 canary sessions a second.\n");
    println!("| canary | from | without late starts | taxiway |\n|---|---|---|---|");
    shares(1.0, 0, healthy);
    for times in [0.9, 0.7, 0.5] {
        shares(times, 0, faulty);
        shares(times, WINDOWS / 2, faulty);
    }
}
