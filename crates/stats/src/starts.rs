//! A mixture over alternatives and over the moment at which a fault begins, for any e-variables.
//!
//! As in [`crate::reject`]: part of the wealth is bet at the start, the rest evenly over the horizon, so that a fault that
//! begins late does not have to win back what was lost before. Every part is a supermartingale that is 1 until it is bet,
//! and a convex combination of those is one too (Ville holds at every look).

use crate::math::{ln, ln_add, ln_sum};
use crate::reject::FIRST;

/// How wealth is spread over `K` alternatives, and over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Starts<const K: usize> {
    ln_weights: [f64; K],
    first: f64,
    horizon_s: f64,
}

/// The running evidence as plain numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wealth<const K: usize> {
    /// Log wealth held by each alternative.
    pub ln: [f64; K],
    /// Wealth kept for later.
    pub cash: f64,
    /// Wealth bet since the evidence last moved.
    pub fresh: f64,
}

impl<const K: usize> Starts<K> {
    /// Weights are normalised to sum 1; a horizon that is not above 0 counts as an hour.
    pub fn new(weights: [f64; K], horizon_s: f64) -> Self {
        let sum: f64 = weights.iter().sum();
        let horizon_s = if horizon_s > 0.0 && horizon_s.is_finite() { horizon_s } else { 3_600.0 };
        Self { ln_weights: weights.map(|weight| ln(weight / sum)), first: FIRST, horizon_s }
    }

    /// The same with the part `first` of the wealth bet at the start; 1 is the plain mixture.
    #[must_use]
    pub fn first(mut self, first: f64) -> Self {
        self.first = if (0.0..=1.0).contains(&first) { first } else { FIRST };
        self
    }

    /// Evidence before the first window: `ln E = 0`.
    pub fn start(&self) -> Wealth<K> {
        Wealth {
            ln: self.ln_weights.map(|weight| weight + ln(self.first)),
            cash: 1.0 - self.first,
            fresh: 0.0,
        }
    }

    /// Time has passed: wealth is bet, and handed out before the next window that moves the evidence.
    pub fn wait(&self, wealth: &mut Wealth<K>, elapsed_s: f64) {
        let elapsed_s = if elapsed_s > 0.0 { elapsed_s.min(self.horizon_s) } else { 0.0 };
        let bet = (elapsed_s / self.horizon_s * (1.0 - self.first)).min(wealth.cash);
        wealth.cash -= bet;
        wealth.fresh += bet;
    }

    /// A window moves the evidence: its log e-variable under each alternative.
    pub fn step(&self, wealth: &mut Wealth<K>, increments: [f64; K]) {
        if wealth.fresh > 0.0 {
            let ln_fresh = ln(wealth.fresh);
            for (held, weight) in wealth.ln.iter_mut().zip(self.ln_weights) {
                *held = ln_add(*held, weight + ln_fresh);
            }
            wealth.fresh = 0.0;
        }
        for (held, more) in wealth.ln.iter_mut().zip(increments) {
            *held += more;
        }
    }
}

impl<const K: usize> Wealth<K> {
    /// Log evidence; compare with `ln(1/alpha)`.
    pub fn ln_evidence(&self) -> f64 {
        ln_add(ln_sum(&self.ln), ln(self.cash + self.fresh))
    }

    /// Takes so much (in nats) off what the alternatives hold: no window is to weigh more than a caller allows.
    pub fn less(&mut self, excess: f64) {
        for held in &mut self.ln {
            *held -= excess.max(0.0);
        }
    }
}
