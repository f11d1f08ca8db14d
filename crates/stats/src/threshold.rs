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

/// Share of `alpha` spent on the calibrated threshold; the rest pays for the time after the calibrated range.
const SPENT: f64 = 0.9;

/// Factor on the simulated thresholds for what the simulation leaves out: shares that vary from window to window and the
/// Bernoulli form. Without it healthy canaries of benchmark B1 alarmed in up to 1.1 %.
const MARGIN: f64 = 1.125;

/// Probability that a bad request is the canary's, by row of the tables.
const PARTS: [f64; 5] = [0.01, 0.05, 0.1, 0.25, 0.5];

/// Bad requests expected over the horizon, by column of [`Tables::events`].
const EVENTS: [f64; 9] = [10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5];

/// Bad requests expected in a window, by column of [`Tables::windows`].
const WINDOWS: [f64; 4] = [3.0, 10.0, 30.0, 100.0];

/// Most windows that [`Tables::windows`] is good for.
const WINDOWS_MAX: f64 = 3_600.0;

/// Evidence that 0.9 `alpha` of simulated healthy canaries exceed, with [`crate::reject`]'s default weights and start
/// (`judgebench calibrate`, seed 20261120).
struct Tables {
    /// Looking after every bad request, which bounds any windows: 200,000 canaries an entry, 20,000 beyond 3,000 errors.
    events: [[f64; EVENTS.len()]; PARTS.len()],
    /// Looking after each of 3,600 windows, where a window holds several bad requests: 100,000 canaries an entry.
    windows: [[f64; WINDOWS.len()]; PARTS.len()],
}

/// For `alpha` of 1 %.
#[rustfmt::skip]
const WHOLE: Tables = Tables { events: [
    [3.3, 9.6, 20.2, 34.5, 44.3, 54.1, 60.7, 72.4, 80.3],
    [11.3, 23.4, 36.5, 46.0, 57.3, 67.7, 72.0, 77.6, 78.9],
    [15.2, 29.8, 43.9, 52.8, 66.9, 74.0, 82.0, 79.2, 84.9],
    [21.8, 35.0, 56.0, 62.1, 71.0, 79.7, 84.4, 77.2, 72.8],
    [18.6, 41.3, 54.1, 69.9, 79.0, 88.3, 88.6, 102.1, 101.0],
], windows: [
    [60.8, 64.3, 56.8, 42.2],
    [67.4, 57.2, 41.0, 25.1],
    [67.9, 52.1, 33.0, 20.7],
    [60.8, 44.0, 30.2, 14.5],
    [69.2, 49.4, 29.4, 15.1],
] };

/// For `alpha` of 0.5 %: half of a verdict's error, when the other half goes to the other metrics.
#[rustfmt::skip]
const HALF: Tables = Tables { events: [
    [3.6, 13.4, 36.0, 64.7, 82.9, 108.3, 111.0, 134.9, 157.4],
    [19.4, 40.5, 70.9, 87.4, 110.2, 131.5, 131.5, 167.3, 158.2],
    [26.5, 52.2, 77.7, 105.3, 124.7, 139.8, 189.6, 196.8, 152.2],
    [29.0, 66.9, 94.7, 116.2, 153.6, 166.9, 197.0, 152.4, 156.2],
    [27.1, 73.8, 110.4, 126.9, 160.3, 182.2, 169.4, 239.8, 192.0],
], windows: [
    [115.4, 133.1, 111.8, 91.4],
    [131.3, 119.2, 82.4, 51.9],
    [127.8, 100.5, 63.7, 42.6],
    [109.0, 87.8, 58.7, 29.2],
    [139.3, 95.7, 60.3, 30.6],
] };

/// The same for the average over quantiles of latency, by the canary's share ([`PARTS`]): the largest of 10, 100 and 1,000
/// requests per second, 2,400 canaries each (`judgebench calibrate`, seed 20261120). At one half it was not simulated to the
/// end, and Ville's stands.
const LATENCY_WHOLE: [f64; PARTS.len()] = [61.4, 67.0, 79.9, 66.5, 100.0];

/// For `alpha` of 0.5 %.
const LATENCY_HALF: [f64; PARTS.len()] = [135.2, 142.0, 175.7, 155.9, 200.0];

/// What is known of a canary before it starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Smallest and largest share of the traffic that the plan gives the canary, each in (0, 1).
    pub shares: [f64; 2],
    /// Bad requests of both sides expected over the horizon at the baseline's rate, divided by the dispersion.
    pub errors: f64,
    /// Most windows that the horizon can hold: its seconds divided by a window's shortest time.
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
        let inside = tables.threshold(parts, errors, windows).map_or(f64::INFINITY, ln);
        if alpha < 0.005 || inside >= plain.ln_inside {
            return Ok(plain);
        }
        // Half as much again, so that a faulty canary's own errors do not end the calibrated range.
        let errors_max = 1.5 * errors + 3.0 * errors.sqrt() + 5.0;
        Ok(Self { ln_inside: inside, ln_after: ville(alpha * (1.0 - SPENT)), errors_max })
    }

    /// The threshold for the average over the quantiles of [`crate::latency`] at default weights, for requests that are slow
    /// independently of each other. Counted in windows: [`Calibrated::ln_at`] takes their number here.
    ///
    /// A canary faster than tolerated has fewer slow requests at every threshold, so its evidence is smaller path by path:
    /// the boundary, on which the table was simulated, is the worst case, and there the counts are the same for every
    /// distribution. Tables as in [`Calibrated::new`]; beyond an hour of windows it is [`ville`].
    pub fn latency(alpha: f64, shares: [f64; 2], windows: f64) -> Result<Self, Error> {
        Error::unless(alpha > 0.0 && alpha < 1.0, "alpha", alpha, "between 0 and 1")?;
        for share in shares {
            Error::unless(share > 0.0 && share < 1.0, "share", share, "between 0 and 1")?;
        }
        let plain = Self::none(alpha);
        let row = if alpha >= 0.01 { &LATENCY_WHOLE } else { &LATENCY_HALF };
        let (low, high) = (shares[0].min(shares[1]), shares[0].max(shares[1]));
        let first = PARTS.iter().rposition(|part| *part <= low).unwrap_or(0);
        let Some(last) = PARTS.iter().position(|part| *part >= high - 1e-12) else { return Ok(plain) };
        let inside = row[first..=last.max(first)].iter().copied().fold(0.0, f64::max);
        let inside = ln(MARGIN * inside);
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

impl Tables {
    /// The largest threshold over the rows around the range of parts; the lower of both tables, since both hold.
    fn threshold(&self, parts: [f64; 2], errors: f64, windows: f64) -> Option<f64> {
        // Smaller parts overshoot more and need less, so the first row also bounds what lies below it.
        let low = PARTS.iter().rposition(|part| *part <= parts[0].min(parts[1])).unwrap_or(0);
        let high = PARTS.iter().position(|part| *part >= parts[0].max(parts[1]) - 1e-12)?.max(low);
        let rows = low..=high;
        let events = rows.clone().map(|row| after_events(&self.events[row], errors)).fold(0.0, f64::max);
        let windows = rows.map(|row| after_windows(&self.windows[row], errors, windows)).fold(0.0, f64::max);
        Some(MARGIN * events.min(windows)).filter(|threshold| threshold.is_finite())
    }
}

/// Interpolated in the logarithm of the number, on the running maximum: the truth rises, the simulation wobbles.
fn after_events(row: &[f64; EVENTS.len()], errors: f64) -> f64 {
    let Some(right) = EVENTS.iter().position(|known| *known >= errors) else { return f64::INFINITY };
    let highest = |column: usize| row[..=column].iter().copied().fold(0.0, f64::max);
    if right == 0 {
        return highest(0);
    }
    let [below, above] = [EVENTS[right - 1], EVENTS[right]];
    let inner = ln(errors / below) / ln(above / below);
    highest(right - 1) + inner * (highest(right) - highest(right - 1))
}

/// Interpolated in the logarithm of the number in a window; it falls from some number on, so the last column bounds the
/// rest.
fn after_windows(row: &[f64; WINDOWS.len()], errors: f64, windows: f64) -> f64 {
    let each = errors / windows;
    if windows > WINDOWS_MAX || each < WINDOWS[0] {
        return f64::INFINITY;
    }
    let left = WINDOWS.iter().rposition(|known| *known <= each).unwrap_or(0);
    let Some(above) = WINDOWS.get(left + 1) else { return row[left] };
    row[left] + ln(each / WINDOWS[left]) / ln(above / WINDOWS[left]) * (row[left + 1] - row[left])
}
