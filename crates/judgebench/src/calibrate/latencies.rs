use taxiway_stats::increment::{Boundary, bernoulli};
use taxiway_stats::latency::{FIRST, QUANTILES, WEIGHTS};
use taxiway_stats::reject::{ALTERNATIVES, RATIOS};
use taxiway_stats::{FULL_CANARY, FULL_S, Window};

use super::{HOUR, Marks, Process, pick};
use crate::random::{Poisson, Random};

const KINDS: usize = QUANTILES.len();

/// Parts of the requests between the quantiles' thresholds, from the fastest up.
const STRETCHES: [f64; KINDS + 1] = [0.5, 0.45, 0.04, 0.01];

const NULL: Boundary = Boundary { theta: 1.0, delta: 0.0 };

/// The average over quantiles of latency at one share and traffic, looked at after each window of an hour.
///
/// On the null's boundary, canary / (1 + tolerance) distributed as the baseline, the requests of both sides fall into the
/// same four stretches between the quantiles' thresholds, whatever the distribution; and a faster canary has fewer slow
/// requests at every threshold, so that its evidence is smaller path by path: the boundary is the worst case.
#[derive(Debug)]
pub(super) struct Latencies {
    share: f64,
    rps: f64,
    sides: [[Poisson; KINDS + 1]; 2],
}

/// Wealth by quantile and alternative, with what is not yet bet.
struct Wealth {
    bet: [[f64; ALTERNATIVES]; KINDS],
    cash: f64,
}

/// What one alternative makes of a window: the log e-variable of none being slow, and what each slow request of canary and
/// baseline adds.
struct Factors {
    none: f64,
    slow: [f64; 2],
}

impl Latencies {
    pub(super) fn new(share: f64, rps: f64) -> Self {
        let side = |rps: f64| STRETCHES.map(|part| Poisson::new(rps * part));
        Self { share, rps, sides: [side(rps * share), side(rps * (1.0 - share))] }
    }
}

impl Factors {
    fn new(totals: [u64; 2], ratio: f64, rate: f64) -> Self {
        let evidence = |slow: [u64; 2]| {
            bernoulli(&Window::new(totals[0], totals[1], slow[0], slow[1]), NULL, ratio, rate)
        };
        let none = evidence([0, 0]);
        Self { none, slow: [evidence([1, 0]) - none, evidence([0, 1]) - none] }
    }

    fn ln_evidence(&self, slow: [u64; 2]) -> f64 {
        self.none + slow[0] as f64 * self.slow[0] + slow[1] as f64 * self.slow[1]
    }

    /// Logarithm of its mean on a healthy canary, at most 0.
    fn ln_mean(&self, totals: [u64; 2], rate: f64) -> f64 {
        let side = |side: usize| totals[side] as f64 * libm::log1p(rate * libm::expm1(self.slow[side]));
        self.none + side(0) + side(1)
    }

    /// The share of slow requests of a side if runs are as likely as the e-variable is large.
    fn rate(&self, side: usize, rate: f64) -> f64 {
        let odds = rate / (1.0 - rate) * libm::exp(self.slow[side]);
        odds / (1.0 + odds)
    }
}

impl Wealth {
    fn new() -> Self {
        let sum: f64 = WEIGHTS.iter().sum();
        Self { bet: [WEIGHTS.map(|weight| FIRST * weight / sum / KINDS as f64); KINDS], cash: 1.0 - FIRST }
    }

    fn pass(&mut self, part: f64) {
        let sum: f64 = WEIGHTS.iter().sum();
        let fresh = (part * (1.0 - FIRST)).min(self.cash);
        self.cash -= fresh;
        for bet in &mut self.bet {
            for (bet, weight) in bet.iter_mut().zip(WEIGHTS) {
                *bet += fresh * weight / sum / KINDS as f64;
            }
        }
    }

    fn total(&self) -> f64 {
        self.bet.iter().flatten().sum::<f64>() + self.cash
    }
}

/// How many of `count` an event of probability `part` happens to.
fn some(count: u64, part: f64, random: &mut Random) -> u64 {
    if part <= 0.0 {
        return 0;
    }
    let scale = libm::log1p(-part.min(1.0 - 1e-12));
    let (mut seen, mut found) = (0.0, 0);
    loop {
        seen += 1.0 + libm::floor(libm::log(random.uniform()) / scale);
        if seen > count as f64 {
            return found;
        }
        found += 1;
    }
}

/// Moves requests between the stretches up to and beyond quantile `kind` so that a part `to` instead of `from` is beyond.
fn tilt(side: &mut [u64; KINDS + 1], kind: usize, from: f64, to: f64, random: &mut Random) {
    let below = 0..=kind;
    let beyond = kind + 1..=KINDS;
    let up = to > from;
    let (sources, targets) = if up { (below, beyond) } else { (beyond, below) };
    let part = if up { (to - from) / (1.0 - from) } else { 1.0 - to / from };
    let mut moved = 0;
    for stretch in sources {
        let some = some(side[stretch], part, random);
        side[stretch] -= some;
        moved += some;
    }
    let mut left: f64 = STRETCHES[targets.clone()].iter().sum();
    for stretch in targets {
        let some = if left - STRETCHES[stretch] < 1e-12 {
            moved
        } else {
            some(moved, STRETCHES[stretch] / left, random)
        };
        side[stretch] += some;
        moved -= some;
        left -= STRETCHES[stretch];
    }
}

impl Process for Latencies {
    fn key(&self) -> [u64; 3] {
        [self.share.to_bits(), self.rps.to_bits(), 1]
    }

    fn run(&self, random: &mut Random, marks: &mut Marks) {
        let kind = (random.uniform() * KINDS as f64) as usize;
        let fault = pick(&WEIGHTS, random);
        let begins = if random.uniform() < FIRST { 0.0 } else { random.uniform() * HOUR };
        let (mut evidence, mut likelihood) = (Wealth::new(), Wealth::new());
        let (mut open, mut open_s) = ([[0; KINDS + 1]; 2], 0.0);
        let mut second = 0.0;
        while second < HOUR {
            second += 1.0;
            open_s += 1.0;
            for (sum, side) in open.iter_mut().zip(&self.sides) {
                for (sum, stretch) in sum.iter_mut().zip(side) {
                    *sum += stretch.draw(random);
                }
            }
            let totals = open.map(|side: [u64; KINDS + 1]| side.iter().sum::<u64>());
            if totals[0] < FULL_CANARY && open_s < FULL_S {
                continue;
            }
            for wealth in [&mut evidence, &mut likelihood] {
                wealth.pass(open_s / HOUR);
            }
            if totals[0] > 0 && totals[1] > 0 {
                if second - open_s >= begins {
                    let rate = 1.0 - QUANTILES[kind];
                    let factors = Factors::new(totals, RATIOS[fault], rate);
                    for (number, side) in open.iter_mut().enumerate() {
                        tilt(side, kind, rate, factors.rate(number, rate), random);
                    }
                }
                for (kind, quantile) in QUANTILES.iter().enumerate() {
                    let slow = open.map(|side| side[kind + 1..].iter().sum::<u64>());
                    for (index, ratio) in RATIOS.iter().enumerate() {
                        let rate = 1.0 - quantile;
                        let factors = Factors::new(totals, *ratio, rate);
                        let gain = factors.ln_evidence(slow);
                        evidence.bet[kind][index] *= libm::exp(gain);
                        likelihood.bet[kind][index] *= libm::exp(gain - factors.ln_mean(totals, rate));
                    }
                }
                if marks.note(evidence.total(), likelihood.total()) {
                    return;
                }
            }
            (open, open_s) = ([[0; KINDS + 1]; 2], 0.0);
        }
    }
}
