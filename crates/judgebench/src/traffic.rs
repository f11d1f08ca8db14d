//! The traffic of one simulated canary, second by second.
//!
//! Arrivals are Poisson, so good and bad requests of each side are four independent Poisson counts: the same law as
//! `n ~ Poisson, x ~ Binomial(n, p)` of the design brief, drawn from tables.

use taxiway_stats::{Arm, Window};

use crate::random::{Poisson, Random};

/// Length of a canary in seconds.
pub const HORIZON_S: usize = 3_600;

/// Steps of the ramp: seconds each, and the canary's shares.
pub const RAMP_STEP_S: usize = HORIZON_S / 4;
const RAMP: [f64; 4] = [0.01, 0.05, 0.25, 0.5];

/// Share of the constant scenarios.
pub const SHARE: f64 = 0.05;

/// What happens around the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// 5 % for an hour, fault from the first second.
    Constant,
    /// 1, 5, 25 and 50 % for a quarter of an hour each, fault from the first second.
    Ramp,
    /// 5 % for an hour, fault from minute 30 on.
    Late,
    /// Errors in bursts of geometric length, mean 3, within one side and a second.
    Bursts,
    /// Every request that fails is sent again and fails again: errors counted twice.
    Retries,
    /// 20 instances of one log-normal AR(1) noise each: 20 % deviation, 0.9 from minute to minute; one is the canary.
    Noise,
    /// The base rate swings by 60 % over the hour, for both sides.
    Diurnal,
    /// Both sides fail 20 times as often for two minutes.
    Outage,
    /// The ramp, while the base rate doubles at each step for both sides.
    Drift,
    /// The two-minute outage, seen one second earlier on the canary's side.
    Skew,
}

impl Scenario {
    /// All of them, with the names used in the output.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Constant, "constant"),
        (Self::Ramp, "ramp"),
        (Self::Late, "late"),
        (Self::Bursts, "bursts"),
        (Self::Retries, "retries"),
        (Self::Noise, "noise"),
        (Self::Diurnal, "diurnal"),
        (Self::Outage, "outage"),
        (Self::Drift, "drift"),
        (Self::Skew, "skew"),
    ];

    /// Its name in the output.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(scenario, _)| *scenario == self).map_or("", |(_, name)| name)
    }

    /// Whether requests fail in ways that depend on the side, so that a judge needs the instances' past.
    pub fn is_dependent(self) -> bool {
        matches!(self, Self::Bursts | Self::Retries | Self::Noise)
    }

    /// Second at which a faulty canary's fault begins.
    pub fn onset_s(self) -> usize {
        if self == Self::Late { HORIZON_S / 2 } else { 0 }
    }

    /// The canary's share in a second.
    pub fn share(self, second: usize) -> f64 {
        match self {
            Self::Ramp | Self::Drift => RAMP[(second / RAMP_STEP_S).min(RAMP.len() - 1)],
            _ => SHARE,
        }
    }

    /// Factor on both sides' error rate in a second (canary, baseline).
    pub fn factors(self, second: usize) -> [f64; 2] {
        let outage = |second: usize| if (1_200..1_320).contains(&second) { 20.0 } else { 1.0 };
        match self {
            Self::Diurnal => {
                let phase = second as f64 / HORIZON_S as f64 * 2.0 * core::f64::consts::PI;
                [1.0 + 0.6 * libm::sin(phase); 2]
            }
            Self::Outage => [outage(second); 2],
            Self::Skew => [outage(second + 1), outage(second)],
            Self::Drift => [(1u32 << (second / RAMP_STEP_S).min(3)).into(); 2],
            _ => [1.0; 2],
        }
    }
}

/// One cell of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Baseline's probability that a request fails.
    pub base: f64,
    /// Requests per second, both sides.
    pub rps: f64,
    /// True ratio canary / baseline; 1 is healthy.
    pub ratio: f64,
    /// What happens around the fault.
    pub scenario: Scenario,
}

impl Cell {
    /// Probability that the canary's request fails in a second, before the scenario's factor.
    fn canary_rate(&self, second: usize) -> f64 {
        if second >= self.scenario.onset_s() { self.base * self.ratio } else { self.base }
    }
}

/// What a judge sees.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// Counts of each second.
    pub seconds: Vec<Window>,
    /// Canary's share by the routing table in each second.
    pub shares: Vec<f64>,
    /// Before the canary: 10-second windows of the baseline's instances, for an hour.
    pub before: Vec<Vec<Arm>>,
    /// During the canary: bad requests of each baseline instance in each second (bursts only).
    pub instances: Vec<Vec<u64>>,
}

/// Draws runs of a cell; tables are built once.
#[derive(Debug)]
pub struct Source {
    cell: Cell,
    /// Per distinct second: good and bad of canary and baseline. Seconds with equal rates share one entry.
    tables: Vec<[Poisson; 4]>,
    before: [Poisson; 2],
    which: Vec<usize>,
}

impl Source {
    /// Prepares a cell.
    pub fn new(cell: Cell) -> Self {
        let mut tables = Vec::new();
        let mut keys: Vec<[u64; 4]> = Vec::new();
        let mut which = Vec::with_capacity(HORIZON_S);
        for second in 0..HORIZON_S {
            // The swing is followed in steps of 10 s, which keeps the tables few.
            let time = if cell.scenario == Scenario::Diurnal { second / 10 * 10 } else { second };
            let share = cell.scenario.share(time);
            let [canary, baseline] = cell.scenario.factors(time);
            let canary_rate = (cell.canary_rate(second) * canary).min(1.0);
            let baseline_rate = (cell.base * baseline).min(1.0);
            let (n_c, n_b) = (cell.rps * share, cell.rps * (1.0 - share));
            let means = [
                n_c * (1.0 - canary_rate),
                n_c * canary_rate,
                n_b * (1.0 - baseline_rate),
                n_b * baseline_rate,
            ];
            let key = means.map(f64::to_bits);
            let at = keys.iter().position(|known| *known == key).unwrap_or_else(|| {
                keys.push(key);
                tables.push(means.map(Poisson::new));
                keys.len() - 1
            });
            which.push(at);
        }
        Self { cell, tables, before: crate::dependence::before(&cell), which }
    }

    /// One canary.
    pub fn run(&self, random: &mut Random) -> Run {
        match self.cell.scenario {
            Scenario::Bursts => crate::dependence::bursts(&self.cell, random),
            Scenario::Noise => crate::dependence::noise(&self.cell, random),
            Scenario::Retries => crate::dependence::retries(&self.before, self.plain(random), random),
            _ => {
                let run = self.plain(random);
                Run { before: crate::dependence::quiet(&self.before, random), ..run }
            }
        }
    }

    fn plain(&self, random: &mut Random) -> Run {
        let mut run = Run::default();
        run.seconds.reserve(HORIZON_S);
        for (second, at) in self.which.iter().enumerate() {
            let [good_c, bad_c, good_b, bad_b] = &self.tables[*at];
            let (good_c, bad_c) = (good_c.draw(random), bad_c.draw(random));
            let (good_b, bad_b) = (good_b.draw(random), bad_b.draw(random));
            run.seconds.push(Window::new(good_c + bad_c, good_b + bad_b, bad_c, bad_b));
            run.shares.push(self.cell.scenario.share(second));
        }
        run
    }
}
