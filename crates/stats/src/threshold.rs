//! When is evidence enough? Ville's bound `1/alpha` holds always; a calibrated threshold gives back what it wastes.
//!
//! On a healthy canary the evidence crosses 100 in 0.1 to 0.5 % of runs instead of 1 %: evidence jumps over a threshold,
//! and most of it is still alive when the canary ends. For a constant share the split of the bad requests under the
//! boundary of the null is binomial whatever their rate, so the plain process's crossing probability within `n` bad
//! requests is an exact dynamic program over (bad requests, canary's part). The result holds for that share, that many bad
//! requests and rare events; use it for a metric judged alone, and raw evidence for averaging.

use crate::Error;
use crate::math::{ln, ln_1p, ln_sum};
use crate::reject::{ALTERNATIVES, RATIOS};

/// Log threshold that is valid for every e-process: `ln(1/alpha)`.
pub fn ville(alpha: f64) -> f64 {
    ln(1.0 / alpha)
}

/// The plain process (no late starts, no slack) at constant share, for [`crossing`] and [`calibrated`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plain {
    ln_weights: [f64; ALTERNATIVES],
    ln_up: [f64; ALTERNATIVES],
    ln_down: [f64; ALTERNATIVES],
    part: f64,
}

impl Plain {
    /// The process with the given weights of [`RATIOS`] (normalised), the canary's `share` of the traffic in (0, 1) and
    /// the tolerated ratio `theta`.
    pub fn new(weights: [f64; ALTERNATIVES], share: f64, theta: f64) -> Result<Self, Error> {
        Error::unless(share > 0.0 && share < 1.0, "share", share, "between 0 and 1")?;
        Error::unless(theta > 0.0 && theta <= 1e3, "theta", theta, "a ratio above 0 and at most 1000")?;
        let sum: f64 = weights.iter().sum();
        Error::unless(
            sum > 0.0 && weights.iter().all(|weight| *weight >= 0.0),
            "sum of weights",
            sum,
            "above 0",
        )?;
        let odds = theta * share / (1.0 - share);
        let part = odds / (1.0 + odds);
        let ln_down = RATIOS.map(|ratio| -ln_1p((ratio - 1.0) * part));
        let mut ln_up = ln_down;
        for (up, ratio) in ln_up.iter_mut().zip(RATIOS) {
            *up += ln(ratio);
        }
        Ok(Self { ln_weights: weights.map(|weight| ln(weight / sum)), ln_up, ln_down, part })
    }

    /// Log evidence after `total` bad requests, `canary` of them the canary's.
    pub fn ln_evidence(&self, total: u64, canary: u64) -> f64 {
        let (up, down) = (canary as f64, total.saturating_sub(canary) as f64);
        let mut parts = self.ln_weights;
        for ((part, ln_up), ln_down) in parts.iter_mut().zip(self.ln_up).zip(self.ln_down) {
            *part += up * ln_up + down * ln_down;
        }
        ln_sum(&parts)
    }

    /// Probability, on the null's boundary, that log evidence reaches `ln_threshold` within `errors_max` bad requests.
    ///
    /// Exact but for states dropped below a probability of 1e-18 each. Time: about `10 errors_max^1.5` steps.
    pub fn crossing(&self, ln_threshold: f64, errors_max: u64) -> f64 {
        let mut alive: Vec<f64> = vec![1.0];
        let mut lowest = 0u64;
        let mut crossed = 0.0;
        let mut barrier = 0u64;
        for total in 1..=errors_max {
            alive.push(0.0);
            for index in (1..alive.len()).rev() {
                alive[index] = alive[index] * (1.0 - self.part) + alive[index - 1] * self.part;
            }
            alive[0] *= 1.0 - self.part;
            // The evidence falls with every bad request of the baseline, so the barrier never moves back.
            while barrier <= total && self.ln_evidence(total, barrier) < ln_threshold {
                barrier += 1;
            }
            while lowest + alive.len() as u64 > barrier {
                crossed += alive.pop().unwrap_or(0.0);
                if alive.is_empty() {
                    return crossed;
                }
            }
            let empty = alive.iter().take_while(|mass| **mass < 1e-18).count().min(alive.len() - 1);
            alive.drain(..empty);
            lowest += empty as u64;
            while alive.len() > 1 && alive.last().is_some_and(|mass| *mass < 1e-18) {
                alive.pop();
            }
        }
        crossed
    }

    /// The smallest log threshold that is reached with probability at most `alpha` within `errors_max` bad requests; never
    /// above [`ville`].
    pub fn calibrated(&self, alpha: f64, errors_max: u64) -> f64 {
        let (mut low, mut high) = (0.0, ville(alpha));
        // To 0.1 % of the threshold; `high` is always a valid one.
        while high - low > 1e-3 {
            let middle = 0.5 * (low + high);
            if self.crossing(middle, errors_max) <= alpha {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }
}

/// The part of the needed evidence that one window may bring where a calibrated threshold is used: what fails within one
/// second may be one event, so that a conviction takes two windows at least. The tables for windows rest on it.
pub const WINDOW_PART: f64 = 0.7;

/// Share of `alpha` spent on the calibrated threshold; the rest pays for the time after the calibrated range.
const SPENT: f64 = 0.8;

/// Factor on the simulated thresholds for what the simulation leaves out: base rates that are guessed, and shares that vary
/// from window to window.
const MARGIN: f64 = 1.04;

/// Probability that a bad request is the canary's, by row of the tables.
const PARTS: [f64; 5] = [0.01, 0.05, 0.1, 0.25, 0.5];

/// Bad requests expected over the horizon, by column of [`Tables`].
const EVENTS: [f64; 9] = [10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5];

/// Bad requests expected in a window, by column of [`IN_WINDOWS`].
const WINDOWS: [f64; 6] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0];

/// Evidence that [`SPENT`] `alpha` of simulated healthy canaries exceed, with [`crate::reject`]'s default weights and start,
/// looking after every bad request, which bounds any windows (`judgebench calibrate`, 3,000 weighted runs an entry: a
/// threshold is good to 2 %).
type Tables = [[f64; EVENTS.len()]; PARTS.len()];

/// What part of that is needed looking after windows that hold several bad requests, of which none brings more than
/// [`WINDOW_PART`]. Simulated for an hour of windows of a second, at both levels of `alpha`, of which the larger is taken; for
/// fewer windows the part is smaller (`judgebench calibrate --only windows`, 3,000 runs, seed 20261121).
#[rustfmt::skip]
const IN_WINDOWS: [[f64; WINDOWS.len()]; PARTS.len()] = [
    [0.98, 0.96, 0.85, 0.71, 0.51, 0.36],
    [0.93, 0.86, 0.63, 0.46, 0.29, 0.20],
    [0.94, 0.83, 0.55, 0.37, 0.22, 0.14],
    [0.92, 0.76, 0.46, 0.29, 0.17, 0.08],
    [0.93, 0.78, 0.50, 0.27, 0.15, 0.07],
];

/// For `alpha` of 1 %.
#[rustfmt::skip]
const WHOLE: Tables = [
    [3.6, 12.1, 22.8, 36.7, 48.7, 57.9, 69.7, 80.8, 85.5],
    [13.8, 25.2, 40.3, 51.1, 62.4, 73.0, 84.9, 89.1, 86.4],
    [19.8, 36.1, 46.5, 58.4, 70.6, 82.9, 91.0, 91.7, 91.8],
    [26.8, 38.4, 56.3, 72.7, 83.6, 90.0, 91.2, 91.3, 92.4],
    [22.5, 43.4, 65.1, 81.5, 95.9, 105.4, 107.5, 107.6, 108.5],
];

/// For `alpha` of 0.5 %: half of a verdict's error, when the other half goes to the other metrics.
#[rustfmt::skip]
const HALF: Tables = [
    [11.6, 17.6, 41.0, 69.9, 91.9, 114.4, 136.1, 159.5, 173.1],
    [23.8, 48.1, 74.5, 96.7, 120.7, 149.0, 165.8, 176.6, 173.7],
    [36.6, 60.7, 94.4, 107.5, 146.5, 160.8, 171.4, 177.2, 175.3],
    [34.1, 79.6, 102.2, 130.7, 167.2, 197.2, 201.1, 201.8, 201.7],
    [32.9, 83.8, 121.0, 157.2, 188.2, 196.9, 203.8, 204.8, 205.4],
];

/// Requests per second of both sides, by column of the latency tables.
const LATENCY_RPS: [f64; 5] = [3.0, 10.0, 100.0, 1e3, 1e4];

/// The same for the test of latency, by the canary's share ([`PARTS`]), looking after each of [`WINDOWS_MAX`] windows
/// (`judgebench calibrate --only latency`, 3,000 runs, seed 20261121).
#[rustfmt::skip]
const LATENCY_WHOLE: [[f64; LATENCY_RPS.len()]; PARTS.len()] = [
    [35.6, 49.0, 83.5, 72.3, 36.7],
    [57.5, 76.2, 79.7, 47.6, 16.4],
    [64.8, 82.2, 73.6, 37.7, 10.8],
    [69.8, 81.8, 64.9, 27.6, 5.4],
    [65.8, 73.6, 56.5, 27.3, 3.8],
];

/// For `alpha` of 0.5 %.
#[rustfmt::skip]
const LATENCY_HALF: [[f64; LATENCY_RPS.len()]; PARTS.len()] = [
    [64.2, 97.0, 162.3, 146.7, 74.1],
    [106.7, 151.0, 158.8, 95.7, 31.9],
    [121.7, 160.4, 149.1, 76.8, 19.6],
    [132.6, 160.2, 129.3, 55.4, 10.9],
    [122.1, 144.4, 107.1, 54.7, 9.6],
];

/// Least evidence that latency needs, whatever the table says: where each window brings much of it, thousands of requests a
/// second, the smallest dependence between them would be enough for less.
const LATENCY_MIN: f64 = 20.0;

/// Most windows that the latency tables are good for.
const WINDOWS_MAX: f64 = 3_600.0;

/// Traffic may fall to this part of what was forecast: fewer requests in a window need more evidence.
const QUIETER: f64 = 0.5;

/// What is known of a canary before it starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Smallest and largest share of the traffic that the plan gives the canary, each in (0, 1).
    pub shares: [f64; 2],
    /// Bad requests of both sides expected over the horizon at the baseline's rate, divided by the dispersion.
    pub errors: f64,
    /// Windows after which a look is taken, over the horizon: its seconds divided by [`crate::Window::expected_s`].
    pub windows: f64,
}

/// The threshold for one metric judged alone by [`crate::reject::Test::new`] with slack 0, as the bad requests add up.
///
/// For constant share and rare events it is exact up to the simulation's error; for a schedule it takes the largest of the
/// shares' thresholds, which is measured and not proved (`docs/benchmarks/judge.md`). With a slack, with other weights, or
/// for averages of metrics use [`ville`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibrated {
    ln_inside: f64,
    ln_after: f64,
    errors_max: f64,
}

impl Calibrated {
    /// `alpha`: false-alarm probability over the whole canary. There are tables for 1 % and 0.5 %; what lies between uses
    /// the smaller, below 0.5 % it is [`ville`]. `theta`: tolerated ratio.
    pub fn new(alpha: f64, theta: f64, forecast: &Forecast) -> Result<Self, Error> {
        Error::unless(alpha > 0.0 && alpha < 1.0, "alpha", alpha, "between 0 and 1")?;
        Error::unless(theta > 0.0 && theta <= 1e3, "theta", theta, "a ratio above 0 and at most 1000")?;
        let Forecast { shares, errors, windows } = *forecast;
        for share in shares {
            Error::unless(share > 0.0 && share < 1.0, "share", share, "between 0 and 1")?;
        }
        Error::unless(errors >= 0.0, "errors", errors, "0 or more bad requests")?;
        Error::unless(windows >= 1.0, "windows", windows, "1 or more")?;
        let plain = Self::none(alpha);
        let tables = if alpha >= 0.01 { &WHOLE } else { &HALF };
        let parts = shares.map(|share| theta * share / (theta * share + 1.0 - share));
        let inside = threshold(tables, parts, errors, errors / windows).map_or(f64::INFINITY, ln);
        if alpha < 0.005 || inside >= plain.ln_inside {
            return Ok(plain);
        }
        // Half as much again, so that a faulty canary's own errors do not end the calibrated range.
        let errors_max = 1.5 * errors + 3.0 * errors.sqrt() + 5.0;
        Ok(Self { ln_inside: inside, ln_after: ville(alpha * (1.0 - SPENT)), errors_max })
    }

    /// The threshold for the evidence of [`crate::latency`] at default weights, for requests that are slow independently of
    /// each other, `rps` of them a second on both sides. Counted in windows: [`Calibrated::ln_at`] takes their number here.
    ///
    /// A canary faster than tolerated has fewer slow requests at every threshold, so its evidence is smaller path by path:
    /// the boundary, on which the table was simulated, is the worst case, and there the counts are the same for every
    /// distribution. Tables as in [`Calibrated::new`]; beyond an hour of windows it is [`ville`].
    pub fn latency(alpha: f64, shares: [f64; 2], rps: f64, windows: f64) -> Result<Self, Error> {
        Error::unless(alpha > 0.0 && alpha < 1.0, "alpha", alpha, "between 0 and 1")?;
        for share in shares {
            Error::unless(share > 0.0 && share < 1.0, "share", share, "between 0 and 1")?;
        }
        Error::unless(rps > 0.0 && rps.is_finite(), "rps", rps, "requests per second above 0")?;
        let plain = Self::none(alpha);
        let table = if alpha >= 0.01 { &LATENCY_WHOLE } else { &LATENCY_HALF };
        let Some(rows) = rows(shares) else { return Ok(plain) };
        let at = |row: usize| {
            let quieter = between(&LATENCY_RPS, &table[row], rps * QUIETER);
            between(&LATENCY_RPS, &table[row], rps).max(quieter)
        };
        let inside = ln(MARGIN * rows.map(at).fold(LATENCY_MIN, f64::max));
        if alpha < 0.005 || windows > WINDOWS_MAX || inside >= plain.ln_inside {
            return Ok(plain);
        }
        Ok(Self { ln_inside: inside, ln_after: ville(alpha * (1.0 - SPENT)), errors_max: WINDOWS_MAX })
    }

    /// No calibration: [`ville`] throughout.
    pub fn none(alpha: f64) -> Self {
        Self { ln_inside: ville(alpha), ln_after: ville(alpha), errors_max: f64::INFINITY }
    }

    /// Log threshold after so many bad requests on both sides (divided by the dispersion).
    pub fn ln_at(&self, errors: f64) -> f64 {
        if errors <= self.errors_max { self.ln_inside } else { self.ln_after }
    }
}

/// The largest threshold over the rows around the range of parts, with so many bad requests in all and in a window.
fn threshold(tables: &Tables, parts: [f64; 2], errors: f64, each: f64) -> Option<f64> {
    let at = |row: usize| {
        let part = if each < 1.0 { 1.0 } else { between(&WINDOWS, &IN_WINDOWS[row], each) };
        after_events(&tables[row], errors) * part
    };
    Some(MARGIN * rows(parts)?.map(at).fold(0.0, f64::max))
}

/// The rows around a range of parts; none beyond the last. Smaller parts overshoot more and need less, so that the first row
/// also bounds what lies below it.
fn rows(parts: [f64; 2]) -> Option<core::ops::RangeInclusive<usize>> {
    let low = PARTS.iter().rposition(|part| *part <= parts[0].min(parts[1])).unwrap_or(0);
    let high = PARTS.iter().position(|part| *part >= parts[0].max(parts[1]) - 1e-12)?;
    Some(low..=high.max(low))
}

/// On the running maximum: the truth rises, the simulation wobbles. Beyond the last column it rises no more.
fn after_events(row: &[f64; EVENTS.len()], errors: f64) -> f64 {
    let mut rising = *row;
    for column in 1..rising.len() {
        rising[column] = rising[column].max(rising[column - 1]);
    }
    between(&EVENTS, &rising, errors)
}

/// A row's value at `x`, even in its logarithm between the columns, and that of the nearest column outside of them.
fn between<const N: usize>(columns: &[f64; N], row: &[f64; N], x: f64) -> f64 {
    let Some(right) = columns.iter().position(|known| *known >= x) else { return row[N - 1] };
    if right == 0 {
        return row[0];
    }
    let inner = ln(x / columns[right - 1]) / ln(columns[right] / columns[right - 1]);
    row[right - 1] + inner * (row[right] - row[right - 1])
}
