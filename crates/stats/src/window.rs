use crate::math::exp;

/// Canary requests that close a window. With fewer the share within a window is so noisy that evidence is lost; with more
/// a verdict waits. Measured on benchmark B1 from 1 to 20: 2 is best where traffic is thin, and the same elsewhere.
pub const FULL_CANARY: u64 = 2;

/// Seconds after which a window closes whatever came.
pub const FULL_S: f64 = 15.0;

/// Counts of one side of a comparison over one window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arm {
    /// Requests (or sessions, jobs) that ended in the window.
    pub total: u64,
    /// Those of them that were bad (errors, or slower than a threshold). More than `total` is read as `total`.
    pub bad: u64,
}

impl Arm {
    /// `(total, bad)` as numbers, `bad <= total`.
    pub(crate) fn floats(self) -> (f64, f64) {
        (self.total as f64, self.bad.min(self.total) as f64)
    }

    /// Bad share of the total, in `[0, 1]`; 0 for an empty arm.
    pub fn rate(self) -> f64 {
        let (total, bad) = self.floats();
        if total > 0.0 { bad / total } else { 0.0 }
    }
}

/// Canary and baseline over the same seconds. Where a window ends may depend on totals and time, never on how many were bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// The version under judgement.
    pub canary: Arm,
    /// The version it is compared with, over the same seconds.
    pub baseline: Arm,
}

impl Window {
    /// A window in the order the formulae use: `n_c, n_b, x_c, x_b`.
    pub const fn new(canary_total: u64, baseline_total: u64, canary_bad: u64, baseline_bad: u64) -> Self {
        Self {
            canary: Arm { total: canary_total, bad: canary_bad },
            baseline: Arm { total: baseline_total, bad: baseline_bad },
        }
    }

    /// The inverse of [`Window::counts`].
    pub const fn of_counts([n_c, n_b, x_c, x_b]: [u64; 4]) -> Self {
        Self::new(n_c, n_b, x_c, x_b)
    }

    /// Its four counts in the order of [`Window::new`].
    pub const fn counts(&self) -> [u64; 4] {
        [self.canary.total, self.baseline.total, self.canary.bad, self.baseline.bad]
    }

    /// Adds the counts of another window to this one; saturates.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in [(&mut self.canary, &other.canary), (&mut self.baseline, &other.baseline)] {
            sum.total = sum.total.saturating_add(more.total);
            sum.bad = sum.bad.saturating_add(more.bad);
        }
    }

    /// Whether a window that has been open for `open_s` seconds is to be closed and judged: at [`FULL_CANARY`] canary
    /// requests or after [`FULL_S`] seconds.
    pub fn is_full(&self, open_s: f64) -> bool {
        self.canary.total >= FULL_CANARY || open_s >= FULL_S
    }

    /// Seconds after which a window closes on average, where the canary has so many requests a second.
    pub fn expected_s(canary_rps: f64) -> f64 {
        // FULL_CANARY is 2: open after t seconds with probability e^-m (1 + m), m = t requests expected.
        let open = |second: u32| {
            let mean = f64::from(second) * canary_rps.max(0.0);
            exp(-mean) * (1.0 + mean)
        };
        (0..FULL_S as u32).map(open).sum()
    }

    /// Whether both sides saw traffic; a window without one of them says nothing about the ratio.
    pub fn is_comparable(&self) -> bool {
        self.canary.total > 0 && self.baseline.total > 0
    }
}
