use taxiway_stats::reject::{ALTERNATIVES, FIRST, LATER, RATIOS, WEIGHTS};

use taxiway_stats::threshold::WINDOW_PART;

use super::{Marks, Process, pick};
use crate::random::{Poisson, Random};

/// The evidence of failures at constant share: under the null's boundary only who had each bad request matters, the canary
/// with probability `part`.
#[derive(Debug)]
pub(super) struct Counts {
    part: f64,
    /// Bad requests expected over the horizon.
    errors: f64,
    /// Windows of which a look is taken after each, and bad requests in one; none: a look after every bad request.
    windows: Option<(f64, Poisson)>,
    /// Factors on each alternative's wealth by a bad request of the canary and of the baseline.
    factors: [[f64; ALTERNATIVES]; 2],
    /// The most by which a window may multiply the evidence.
    cap: f64,
}

impl Counts {
    /// Looked at after every bad request, which bounds any windows from above.
    pub(super) fn each(part: f64, errors: f64) -> Self {
        let down = RATIOS.map(|ratio| 1.0 / (1.0 + (ratio - 1.0) * part));
        let mut up = down;
        for (up, ratio) in up.iter_mut().zip(RATIOS) {
            *up *= ratio;
        }
        Self { part, errors, windows: None, factors: [up, down], cap: f64::INFINITY }
    }

    /// Looked at after each of so many windows with `each` bad requests on average, none of which brings more than
    /// [`WINDOW_PART`] of what `threshold` asks for.
    pub(super) fn windows(part: f64, each: f64, windows: f64, threshold: f64) -> Self {
        let cap = libm::pow(threshold, WINDOW_PART);
        Self { windows: Some((windows, Poisson::new(each))), cap, ..Self::each(part, each * windows) }
    }
}

impl Counts {
    /// Follows one run in which a fault of alternative `fault` begins at a part of the horizon; `seen` is told the evidence at
    /// each look, with the likelihood ratio to a healthy run, and says whether that is enough.
    fn follow(&self, begins: f64, fault: usize, random: &mut Random, mut seen: impl FnMut(f64, f64) -> bool) {
        let odds = RATIOS[fault] * self.part;
        let faulty = odds / (odds + 1.0 - self.part);
        let mut wealth = WEIGHTS.map(|weight| weight * FIRST);
        // What the evidence would be without the cap.
        let mut likelihood = wealth;
        let (mut time, mut bet, mut before) = (0.0, 0.0, 1.0);
        loop {
            let (step, bad) = match &self.windows {
                None => (-libm::log(random.uniform()) / self.errors, 1),
                Some((windows, each)) => (1.0 / windows, each.draw(random)),
            };
            let part = if time >= begins { faulty } else { self.part };
            time += step;
            // A window that ends with the horizon counts.
            if time > 1.0 + 1e-9 {
                return;
            }
            bet += step;
            if bad == 0 {
                continue;
            }
            let canary = (0..bad).filter(|_| random.uniform() < part).count() as i32;
            let baseline = bad as i32 - canary;
            for index in 0..ALTERNATIVES {
                let factor = self.factors[0][index].powi(canary) * self.factors[1][index].powi(baseline);
                for wealth in [&mut wealth, &mut likelihood] {
                    wealth[index] = (wealth[index] + LATER[index] * (1.0 - FIRST) * bet) * factor;
                }
            }
            bet = 0.0;
            let kept = (1.0 - FIRST) * (1.0 - time).max(0.0);
            let total = |wealth: &[f64; ALTERNATIVES]| wealth.iter().sum::<f64>() + kept;
            let most = before * self.cap;
            let now = total(&wealth);
            if now > most {
                wealth = wealth.map(|wealth| wealth * most / now);
            }
            before = total(&wealth);
            if seen(before, total(&likelihood)) {
                return;
            }
        }
    }

    /// Whether a healthy canary reaches the threshold.
    #[cfg(test)]
    pub(super) fn is_crossed(&self, threshold: f64, random: &mut Random) -> bool {
        let mut crossed = false;
        self.follow(f64::INFINITY, 0, random, |evidence, _| {
            crossed = evidence >= threshold;
            crossed
        });
        crossed
    }
}

impl Process for Counts {
    fn key(&self) -> [u64; 3] {
        let windows = self.windows.as_ref().map_or(0, |(windows, _)| windows.to_bits());
        [self.part.to_bits(), self.errors.to_bits(), windows]
    }

    fn run(&self, random: &mut Random, marks: &mut Marks) {
        let at_start = random.uniform() < FIRST;
        let fault = pick(if at_start { &WEIGHTS } else { &LATER }, random);
        let begins = if at_start { 0.0 } else { random.uniform() };
        self.follow(begins, fault, random, |evidence, ratio| marks.note(evidence, ratio));
    }
}
