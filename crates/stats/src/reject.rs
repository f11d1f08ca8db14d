//! Evidence that the canary is worse than tolerated: an e-process that may be looked at after every window.
//!
//! For each alternative ratio the windows' log e-variables ([`crate::increment`]) add up; the evidence is a weighted mean
//! over alternatives and over the second the fault began (a start-time mixture, after Shiryaev and Roberts). It is a
//! convex combination of supermartingales that start at 1, so the chance that it ever reaches `1/alpha` while the canary
//! is within tolerance is at most `alpha` (Ville), at any number of looks, for any share schedule and any drift of the
//! baseline. The start-time mixture is the default because a release's faults begin late as often as early: at 100 rps,
//! 1 % errors and a 2x fault after 30 min it answers in half the time of the plain process, for a tenth more at onset 0.

use crate::increment::{Boundary, RARE, bernoulli_each};
use crate::math::{exp, ln, ln_add, ln_sum};
use crate::{Error, Window};

/// How many alternative ratios the mixture holds; unused ones have weight 0.
pub const ALTERNATIVES: usize = 6;

/// Alternatives as multiples of the tolerated ratio.
pub const RATIOS: [f64; ALTERNATIVES] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0];

/// Weights of [`RATIOS`], chosen by simulation so that the mean time to detection is about 1.3 times the information bound
/// for every ratio from 1.25 to 5 at base rates from 0.1 to 5 % (`docs/benchmarks/judge.md`).
///
/// Against the minimax weights for the threshold 100 (see [`MINIMAX`]) wealth moves from 10x, which only paid for the
/// overshoot that a calibrated threshold gives back, to 5x, which has the fewest bad requests to learn from.
pub const WEIGHTS: [f64; ALTERNATIVES] = [0.14, 0.11, 0.14, 0.09, 0.31, 0.21];

/// Weights of [`RATIOS`] for the wealth that is bet later: chosen so that a fault in the middle of an hour is found as soon
/// as by the half-and-half mixture, whatever its ratio. A small fault needs more of it, a large one is found soon anyway,
/// except that at 5x it must not lose the very first seconds.
pub const LATER: [f64; ALTERNATIVES] = [0.09, 0.17, 0.18, 0.12, 0.34, 0.1];

/// Numerical minimax of (mean time to detection / information bound) for the plain process at threshold 100 and a share
/// of 5 %.
pub const MINIMAX: [f64; ALTERNATIVES] = [0.15, 0.13, 0.13, 0.12, 0.06, 0.41];

/// Share of the wealth bet at the start; the rest is bet evenly over the horizon.
///
/// The trade between early and late faults: with this, a calibrated threshold and [`LATER`], a late fault is found as fast
/// as at 0.5 with the threshold 100 or faster, and a fault at the start costs 5 % more time than with everything bet at
/// once (0.5: 12 %; 1 % errors, 100 rps, 2x and 5x).
pub const FIRST: f64 = 0.77;

/// Largest alternative (as a multiple of the tolerated ratio) against clustered errors.
pub const DISPERSED_RATIO_MAX: f64 = 2.0;

/// What is tested: `p_c <= theta p_b + delta` in every window and stratum, against the alternatives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    null: Boundary,
    ratios: [f64; ALTERNATIVES],
    ln_weights: [f64; ALTERNATIVES],
    ln_later: [f64; ALTERNATIVES],
    first: f64,
    horizon_s: f64,
    trailing_s: f64,
    past: [f64; 2],
    phi: f64,
}

/// The running evidence. Plain numbers, so that a caller can store and restore it bit by bit ([`State::to_bits`]).
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Log wealth held by each alternative.
    pub ln_wealth: [f64; ALTERNATIVES],
    /// Wealth not yet bet, kept for later start times; in `[0, 1]`.
    pub cash: f64,
    /// Wealth bet since the evidence last moved; it is spread over the alternatives when it next does.
    pub fresh: f64,
    /// Per stratum: decayed baseline totals and bad counts, from which the next window's base rate is guessed.
    pub baselines: Vec<[f64; 2]>,
}

impl Test {
    /// A test with the default alternatives and a start-time mixture over `horizon_s` seconds, [`FIRST`] at the start.
    ///
    /// `theta`: tolerated ratio canary / baseline (1 = no worse). `delta`: absolute slack in probability (0.001 = 0.1 %).
    /// `horizon_s`: how long the whole comparison may last; later faults are still found, with the wealth then left.
    pub fn new(theta: f64, delta: f64, horizon_s: f64) -> Result<Self, Error> {
        Error::unless(theta > 0.0 && theta <= 1e3, "theta", theta, "a ratio above 0 and at most 1000")?;
        Error::unless((0.0..1.0).contains(&delta), "delta", delta, "a probability from 0 to below 1")?;
        Error::unless(horizon_s > 0.0 && horizon_s.is_finite(), "horizon_s", horizon_s, "seconds above 0")?;
        let test = Self {
            null: Boundary { theta, delta },
            ratios: RATIOS.map(|ratio| ratio * theta),
            ln_weights: [0.0; ALTERNATIVES],
            ln_later: [0.0; ALTERNATIVES],
            first: FIRST,
            horizon_s,
            trailing_s: 600.0,
            past: [0.0; 2],
            phi: 1.0,
        };
        test.weighted(WEIGHTS)?.later(LATER)
    }

    /// The same test with other weights of [`RATIOS`], at the start and later; they are normalised to sum 1.
    pub fn weighted(mut self, weights: [f64; ALTERNATIVES]) -> Result<Self, Error> {
        self.ln_weights = ln_parts(weights)?;
        self.ln_later = self.ln_weights;
        Ok(self)
    }

    /// The same test with other weights of [`RATIOS`] for what is bet after the start.
    pub fn later(mut self, weights: [f64; ALTERNATIVES]) -> Result<Self, Error> {
        self.ln_later = ln_parts(weights)?;
        Ok(self)
    }

    /// The same test with the part `first` (0 to 1) of the wealth bet at the start; 1 is the plain process without late
    /// starts, fastest for a fault that is there from the first second.
    pub fn first(mut self, first: f64) -> Result<Self, Error> {
        Error::unless((0.0..=1.0).contains(&first), "first", first, "a share from 0 to 1")?;
        self.first = first;
        Ok(self)
    }

    /// The same test, told the baseline's bad rate before it starts (from a normal profile), so that its first windows need
    /// not guess. A wrong rate costs power, never validity; it fades as the baseline's own counts come in.
    pub fn expecting(mut self, base_rate: f64) -> Result<Self, Error> {
        Error::unless((0.0..=1.0).contains(&base_rate), "base_rate", base_rate, "a probability")?;
        self.past = [PAST_WEIGHT, PAST_WEIGHT * base_rate];
        Ok(self)
    }

    /// The same test in the Poisson form only (no guess of the base rate): less power above 2 % base rate.
    #[must_use]
    pub fn rare(mut self) -> Self {
        self.trailing_s = 0.0;
        self.past = [0.0; 2];
        self
    }

    /// The same test with every window's information divided by `phi` (1 or more), for requests that fail in clusters
    /// ([`crate::dispersion`]).
    ///
    /// Above 1 the alternatives beyond [`DISPERSED_RATIO_MAX`] are dropped: dividing corrects for the variance of
    /// clusters, but `r^(K/phi)` of a long one still has a mean far above what the division assumes (for geometric
    /// clusters an infinite one at 10x), and one burst would pass for a fault.
    pub fn dispersed(mut self, phi: f64) -> Result<Self, Error> {
        Error::unless((1.0..=1e6).contains(&phi), "phi", phi, "from 1 to 1e6")?;
        self.phi = phi;
        if phi == 1.0 {
            return Ok(self);
        }
        let small = |ln_weights: [f64; ALTERNATIVES]| {
            core::array::from_fn(|index| {
                if RATIOS[index] <= DISPERSED_RATIO_MAX { exp(ln_weights[index]) } else { 0.0 }
            })
        };
        let later = small(self.ln_later);
        self.weighted(small(self.ln_weights))?.later(later)
    }

    /// The null hypothesis's boundary.
    pub fn null(&self) -> Boundary {
        self.null
    }

    /// Evidence before the first window: `ln E = 0`.
    pub fn start(&self) -> State {
        State {
            ln_wealth: self.ln_weights.map(|weight| weight + ln(self.first)),
            cash: 1.0 - self.first,
            fresh: 0.0,
            baselines: Vec::new(),
        }
    }

    /// Folds one window of one stratum in. `elapsed_s` is the time since the previous fold (it sets how much wealth is
    /// newly bet); NaN and negative values count as 0.
    pub fn fold(&self, state: &mut State, window: &Window, elapsed_s: f64) {
        self.fold_strata(state, core::slice::from_ref(window), elapsed_s);
    }

    /// Folds one window, split in strata (endpoint, zone), always in the same order: the null is then "within tolerance
    /// in every stratum", which a shift of the mix cannot fake. Answers whether the evidence can have moved.
    pub fn fold_strata(&self, state: &mut State, strata: &[Window], elapsed_s: f64) -> bool {
        let mut moved = false;
        let elapsed_s = self.bet(state, elapsed_s);
        if state.baselines.len() < strata.len() {
            state.baselines.resize(strata.len(), self.past);
        }
        for (stratum, window) in strata.iter().enumerate() {
            let base_rate = guess(state.baselines[stratum]);
            moved |= self.step(state, window, base_rate);
            self.remember(&mut state.baselines[stratum], window, elapsed_s);
        }
        moved
    }

    /// Bets what the time passed calls for; answers the time, cleaned.
    fn bet(&self, state: &mut State, elapsed_s: f64) -> f64 {
        let elapsed_s = if elapsed_s > 0.0 { elapsed_s.min(self.horizon_s) } else { 0.0 };
        let bet = (elapsed_s / self.horizon_s * (1.0 - self.first)).min(state.cash);
        state.cash -= bet;
        state.fresh += bet;
        elapsed_s
    }

    fn step(&self, state: &mut State, window: &Window, base_rate: f64) -> bool {
        let moves = self.moves(window, base_rate);
        if moves {
            self.spread(&mut state.ln_wealth, &mut state.fresh);
            let gains = bernoulli_each(window, self.null, &self.ratios, base_rate);
            for (wealth, gain) in state.ln_wealth.iter_mut().zip(gains) {
                *wealth += gain / self.phi;
            }
        }
        moves
    }

    /// Hands freshly bet wealth to the alternatives, just before the window that moves them.
    fn spread(&self, ln_wealth: &mut [f64; ALTERNATIVES], fresh: &mut f64) {
        if *fresh > 0.0 {
            let ln_fresh = ln(*fresh);
            for (wealth, weight) in ln_wealth.iter_mut().zip(self.ln_later) {
                *wealth = ln_add(*wealth, weight + ln_fresh);
            }
            *fresh = 0.0;
        }
    }

    /// Whether the window can change the evidence at all.
    fn moves(&self, window: &Window, base_rate: f64) -> bool {
        window.is_comparable()
            && (window.canary.bad > 0
                || window.baseline.bad > 0
                || self.null.delta > 0.0
                || base_rate >= RARE)
    }

    fn remember(&self, baseline: &mut [f64; 2], window: &Window, elapsed_s: f64) {
        if self.trailing_s > 0.0 {
            let keep = exp(-elapsed_s / self.trailing_s);
            let (total, bad) = window.baseline.floats();
            *baseline = [baseline[0] * keep + total, baseline[1] * keep + bad];
        }
    }

    /// Log evidence against "within tolerance"; compare with `ln(1/alpha)` or a calibrated threshold
    /// ([`crate::threshold`]). `exp` of it is the e-value for averaging over metrics ([`crate::combine`]).
    pub fn ln_evidence(&self, state: &State) -> f64 {
        ln_add(ln_sum(&state.ln_wealth), ln(state.cash + state.fresh))
    }

    /// The alternative ratio that holds the most wealth: a rough name for the size of the fault.
    pub fn likeliest(&self, state: &State) -> f64 {
        let mut best = 0;
        for (index, wealth) in state.ln_wealth.iter().enumerate() {
            if *wealth > state.ln_wealth[best] {
                best = index;
            }
        }
        self.ratios[best]
    }
}

impl State {
    /// The state as raw bits: `ln_wealth`, `cash`, `fresh`, then two numbers per stratum.
    pub fn to_bits(&self) -> Vec<u64> {
        let plain = self.ln_wealth.iter().chain([&self.cash, &self.fresh]);
        plain.chain(self.baselines.iter().flatten()).map(|number| number.to_bits()).collect()
    }

    /// The inverse of [`State::to_bits`]; `None` when the length fits no state or a number is NaN.
    pub fn from_bits(bits: &[u64]) -> Option<Self> {
        let numbers: Vec<f64> = bits.iter().map(|bits| f64::from_bits(*bits)).collect();
        if numbers.iter().any(|number| number.is_nan()) {
            return None;
        }
        let (wealth, rest) = numbers.split_first_chunk::<ALTERNATIVES>()?;
        let ([cash, fresh], rest) = rest.split_first_chunk::<2>()?;
        let (baselines, rest) = rest.as_chunks::<2>();
        rest.is_empty().then(|| Self {
            ln_wealth: *wealth,
            cash: *cash,
            fresh: *fresh,
            baselines: baselines.to_vec(),
        })
    }
}

/// Logarithms of weights as parts of their sum.
fn ln_parts(weights: [f64; ALTERNATIVES]) -> Result<[f64; ALTERNATIVES], Error> {
    for weight in weights {
        Error::unless(weight >= 0.0 && weight.is_finite(), "weight", weight, "0 or more")?;
    }
    let sum: f64 = weights.iter().sum();
    Error::unless(sum > 0.0 && sum.is_finite(), "sum of weights", sum, "above 0")?;
    Ok(weights.map(|weight| ln(weight / sum)))
}

/// Requests that a rate known beforehand counts for: enough to drown the draw to 0 in [`guess`], few enough to be outvoted
/// within the trailing time.
const PAST_WEIGHT: f64 = 5_000.0;

/// Base rate guessed from the past; drawn to 0 (the Poisson form) while the past is short.
fn guess([total, bad]: [f64; 2]) -> f64 {
    bad / (total + 100.0)
}
