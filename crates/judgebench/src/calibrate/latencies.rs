use taxiway_stats::latency::{ALTERNATIVES, FIRST, QUANTILES, mixture};
use taxiway_stats::ordered::{Alternative, STRETCHES, Stretches, THRESHOLDS};
use taxiway_stats::{FULL_CANARY, FULL_S};

use super::{HOUR, Marks, Process, pick};
use crate::random::{Poisson, Random};

/// Parts of the baseline's requests beyond the quantiles' thresholds.
const BEYOND: [f64; THRESHOLDS] = [1.0 - QUANTILES[0], 1.0 - QUANTILES[1], 1.0 - QUANTILES[2]];

/// Parts between them, from the fastest up.
const PARTS: [f64; STRETCHES] = [1.0 - BEYOND[0], BEYOND[0] - BEYOND[1], BEYOND[1] - BEYOND[2], BEYOND[2]];

/// The test of latency at one share and traffic, looked at after each window of an hour.
///
/// On the null's boundary, canary / (1 + tolerance) distributed as the baseline, the requests of both sides fall into the
/// same four stretches between the quantiles' thresholds, whatever the distribution; and a faster canary has fewer slow
/// requests at every threshold, so that its evidence is smaller path by path: the boundary is the worst case.
#[derive(Debug)]
pub(super) struct Latencies {
    share: f64,
    sides: [[Poisson; STRETCHES]; 2],
    rps: f64,
}

/// Wealth by alternative, with what is not yet bet.
struct Wealth {
    bet: [f64; ALTERNATIVES],
    cash: f64,
}

/// What one alternative makes of a window: what each request of canary and baseline multiplies the evidence by, by stretch.
struct Factors {
    each: [[f64; STRETCHES]; 2],
}

impl Latencies {
    pub(super) fn new(share: f64, rps: f64) -> Self {
        let side = |rps: f64| PARTS.map(|part| Poisson::new(rps * part));
        Self { share, rps, sides: [side(rps * share), side(rps * (1.0 - share))] }
    }
}

impl Factors {
    fn new(totals: [u64; 2], alternative: &Alternative) -> Self {
        let share = totals[0] as f64 / (totals[0] + totals[1]) as f64;
        let ratios = alternative.ratios(&BEYOND);
        let mean = ratios.map(|ratio| 1.0 + share * (ratio - 1.0));
        Self { each: [core::array::from_fn(|at| ratios[at] / mean[at]), mean.map(|mean| 1.0 / mean)] }
    }

    /// Mean of a side's factor on a healthy canary.
    fn mean(&self, side: usize) -> f64 {
        self.each[side].iter().zip(PARTS).map(|(factor, part)| factor * part).sum()
    }

    /// Logarithm of the evidence's mean over a window of a healthy canary, at most 0.
    fn ln_mean(&self, totals: [u64; 2]) -> f64 {
        (0..2).map(|side| totals[side] as f64 * libm::log(self.mean(side))).sum()
    }

    /// Parts of a side's requests by stretch if runs are as likely as the evidence is large.
    fn parts(&self, side: usize) -> [f64; STRETCHES] {
        let mean = self.mean(side);
        core::array::from_fn(|at| PARTS[at] * self.each[side][at] / mean)
    }
}

impl Wealth {
    fn new() -> Self {
        Self { bet: mixture().map(|(_, weight)| FIRST * weight), cash: 1.0 - FIRST }
    }

    fn pass(&mut self, part: f64) {
        let fresh = (part * (1.0 - FIRST)).min(self.cash);
        self.cash -= fresh;
        for (bet, (_, weight)) in self.bet.iter_mut().zip(mixture()) {
            *bet += fresh * weight;
        }
    }

    fn total(&self) -> f64 {
        self.bet.iter().sum::<f64>() + self.cash
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

/// Moves healthy requests between the stretches so that they fall into them with the probabilities `to`: some leave each
/// stretch that is to have fewer, and go to those that are to have more.
fn tilt(side: &mut [u64; STRETCHES], to: &[f64; STRETCHES], random: &mut Random) {
    let mut moved = 0;
    for ((requests, to), part) in side.iter_mut().zip(to).zip(PARTS) {
        let leave = some(*requests, 1.0 - to / part, random);
        *requests -= leave;
        moved += leave;
    }
    let lacks = |stretch: usize| (to[stretch] - PARTS[stretch]).max(0.0);
    let last = (0..STRETCHES).rev().find(|stretch| lacks(*stretch) > 0.0).unwrap_or(STRETCHES - 1);
    let mut left: f64 = (0..STRETCHES).map(lacks).sum();
    for (stretch, requests) in side.iter_mut().enumerate().take(last + 1) {
        let come = if stretch == last { moved } else { some(moved, lacks(stretch) / left, random) };
        *requests += come;
        moved -= come;
        left -= lacks(stretch);
    }
}

impl Process for Latencies {
    fn key(&self) -> [u64; 3] {
        [self.share.to_bits(), self.rps.to_bits(), 1]
    }

    fn run(&self, random: &mut Random, marks: &mut Marks) {
        let mixture = mixture();
        let fault = pick(&mixture.map(|(_, weight)| weight), random);
        let begins = if random.uniform() < FIRST { 0.0 } else { random.uniform() * HOUR };
        let (mut evidence, mut likelihood) = (Wealth::new(), Wealth::new());
        let (mut open, mut open_s) = ([[0; STRETCHES]; 2], 0.0);
        let mut second = 0.0;
        while second < HOUR {
            second += 1.0;
            open_s += 1.0;
            for (sum, side) in open.iter_mut().zip(&self.sides) {
                for (sum, stretch) in sum.iter_mut().zip(side) {
                    *sum += stretch.draw(random);
                }
            }
            let totals = open.map(|side: [u64; STRETCHES]| side.iter().sum::<u64>());
            if totals[0] < FULL_CANARY && open_s < FULL_S {
                continue;
            }
            for wealth in [&mut evidence, &mut likelihood] {
                wealth.pass(open_s / HOUR);
            }
            if totals[0] > 0 && totals[1] > 0 {
                if second - open_s >= begins {
                    let factors = Factors::new(totals, &mixture[fault].0);
                    for (number, side) in open.iter_mut().enumerate() {
                        tilt(side, &factors.parts(number), random);
                    }
                }
                let window = Stretches { canary: open[0], baseline: open[1] };
                for (index, (alternative, _)) in mixture.iter().enumerate() {
                    let gain = alternative.ln_evidence(&window, &BEYOND);
                    evidence.bet[index] *= libm::exp(gain);
                    likelihood.bet[index] *=
                        libm::exp(gain - Factors::new(totals, alternative).ln_mean(totals));
                }
                if marks.note(evidence.total(), likelihood.total()) {
                    return;
                }
            }
            (open, open_s) = ([[0; STRETCHES]; 2], 0.0);
        }
    }
}
