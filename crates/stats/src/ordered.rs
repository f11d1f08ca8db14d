//! The log e-variable of one window of values in ordered stretches: are the canary's more often in the higher ones?
//!
//! Null hypothesis of a window, given the past and the totals: beyond each threshold lies at most as large a part of the
//! canary's values as of the baseline's (it is stochastically no larger); values of a side need not be alike, means count.
//! An alternative names for each stretch between thresholds the ratio `r_i` of canary to baseline probability, rising from
//! stretch to stretch. With `a` the canary's part of the window's values and `m_i = 1 + a (r_i - 1)`,
//!
//! `e = prod_i (r_i / m_i)^x_ci (1 / m_i)^x_bi`.
//!
//! Why it is valid: `r_i / m_i` rises with `r_i`, so that under the null its mean over the canary's values is at most the
//! mean over the baseline's, `sum_i p_i r_i / m_i`. With the baseline's `sum_i p_i / m_i`, weighted `a` and `1 - a`, the two
//! means add to `sum_i p_i = 1`; a weighted geometric mean is no larger than the arithmetic one, so the mean of `e` is at
//! most 1, whatever the `p_i` are. Ratios that suit other probabilities cost power, never validity. With one threshold this
//! is the Bernoulli form of [`crate::increment`] at `theta = 1` (Turner, Ly and Gruenwald, arXiv 2106.02693).
//!
//! The ratios here are those of proportional odds (McCullagh, J. R. Stat. Soc. B 42, 1980): the odds of lying beyond each
//! threshold are so many times the baseline's. Where they begin at a higher threshold only what lies beyond it is compared.

use crate::increment::times;
use crate::logs::ln_each;

/// Thresholds, lowest first.
pub const THRESHOLDS: usize = 3;

/// Stretches between and beyond them.
pub const STRETCHES: usize = THRESHOLDS + 1;

/// How many values of canary and baseline a window has in each stretch, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stretches {
    /// The version under judgement.
    pub canary: [u64; STRETCHES],
    /// The version it is compared with.
    pub baseline: [u64; STRETCHES],
}

/// The odds of lying beyond a threshold are `odds` times the baseline's, at threshold number `from` and all above it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alternative {
    /// Lowest threshold compared, below [`THRESHOLDS`].
    pub from: usize,
    /// Odds ratio, above 1.
    pub odds: f64,
}

impl Alternative {
    /// Ratios of canary to baseline probability by stretch, if such parts of the baseline lie beyond the thresholds
    /// (falling, each from 0 to 1). Ratio `i` is good for all stretches up to `from` where it is the lowest.
    pub fn ratios(&self, beyond: &[f64; THRESHOLDS]) -> [f64; STRETCHES] {
        // Beyond a part s lies then odds s / g(s), of which these are the differences over those of s, without cancellation.
        let g = |part: f64| 1.0 + (self.odds - 1.0) * part;
        core::array::from_fn(|stretch| {
            if stretch <= self.from {
                return 1.0 / g(beyond[self.from]);
            }
            let above = if stretch < THRESHOLDS { g(beyond[stretch]) } else { 1.0 };
            self.odds / (g(beyond[stretch - 1]) * above)
        })
    }

    /// Log e-variable of a window; 0 where a side has no values. `beyond` are guesses made before the window was seen.
    pub fn ln_evidence(&self, window: &Stretches, beyond: &[f64; THRESHOLDS]) -> f64 {
        ln_evidence_each(window, beyond, self.from, &[self.odds])[0]
    }
}

/// [`Alternative::ln_evidence`] of several that begin at the same threshold.
pub(crate) fn ln_evidence_each<const N: usize>(
    window: &Stretches,
    beyond: &[f64; THRESHOLDS],
    from: usize,
    odds: &[f64; N],
) -> [f64; N] {
    let totals = [window.canary, window.baseline].map(|side| side.iter().map(|n| *n as f64).sum::<f64>());
    if totals[0] <= 0.0 || totals[1] <= 0.0 {
        return [0.0; N];
    }
    let share = totals[0] / (totals[0] + totals[1]);
    let ratios: [_; N] = odds.map(|odds| Alternative { from, odds }.ratios(beyond));
    let mut sum = [0.0; N];
    for stretch in from..STRETCHES {
        let first = if stretch == from { 0 } else { stretch };
        let pooled = |side: &[u64; STRETCHES]| side[first..=stretch].iter().map(|n| *n as f64).sum::<f64>();
        let (canary, both) = (pooled(&window.canary), pooled(&window.canary) + pooled(&window.baseline));
        let ratio: [f64; N] = ratios.map(|ratios| ratios[stretch]);
        let means: [f64; N] = times(both, || ln_each(ratio.map(|ratio| 1.0 + share * (ratio - 1.0))));
        let gains: [f64; N] = times(canary, || ln_each(ratio));
        for ((sum, gain), mean) in sum.iter_mut().zip(gains).zip(means) {
            *sum += gain - mean;
        }
    }
    sum
}
