//! Which cells are run, and what a judge did in one.

use taxiway_stats::bounds::{self, Case};
use taxiway_stats::math::ln;
use taxiway_stats::{Arm, interval};

use crate::judges::{self, Judge};
use crate::parallel;
use crate::random::Random;
use crate::traffic::{Cell, HORIZON_S, Scenario, Source};

/// False-alarm probability that the bounds are for.
const ALPHA: f64 = 0.01;

/// How much to run.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Simulated canaries of a healthy cell.
    pub healthy: u64,
    /// Simulated canaries of a faulty cell.
    pub faulty: u64,
}

/// What one judge did in one cell.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The cell.
    pub cell: Cell,
    /// The judge's name.
    pub judge: &'static str,
    /// Canaries simulated.
    pub runs: u64,
    /// Share of healthy canaries of this traffic and scenario that it rolled back.
    pub false_alarm: f64,
    /// Upper end of the 95 % Clopper-Pearson interval of `false_alarm`.
    pub false_alarm_high: f64,
    /// Share of faulty canaries rolled back after the fault began and before the end; `None` in a healthy cell.
    pub detected: Option<f64>,
    /// Median seconds from the fault to the rollback; `None` if fewer than half were rolled back.
    pub median_s: Option<f64>,
    /// Mean seconds, a canary that was let through counted with all the time it had; `None` in a healthy cell.
    pub mean_s: Option<f64>,
    /// Least mean seconds that any judge with this false-alarm rate can have; `None` in a healthy cell.
    pub bound_s: Option<f64>,
}

/// A traffic and scenario with the ratios to run, the healthy one first.
#[derive(Debug, Clone)]
pub struct Group {
    base: f64,
    rps: f64,
    scenario: Scenario,
    ratios: &'static [f64],
    own: bool,
}

/// Benchmark B1: all of it, or the two cells of the quick run.
pub fn groups(quick: bool) -> Vec<Group> {
    const RATIOS: &[f64] = &[1.0, 1.25, 1.5, 2.0, 5.0];
    let group = |scenario, base, rps, ratios| Group { base, rps, scenario, ratios, own: false };
    if quick {
        return vec![
            group(Scenario::Constant, 0.01, 100.0, RATIOS),
            group(Scenario::Constant, 0.001, 1_000.0, RATIOS),
        ];
    }
    let mut groups = Vec::new();
    for base in [0.001, 0.01, 0.05] {
        for rps in [10.0, 100.0, 1_000.0] {
            groups.push(group(Scenario::Constant, base, rps, RATIOS));
        }
    }
    for (base, rps) in [(0.001, 1_000.0), (0.01, 10.0), (0.01, 100.0), (0.01, 1_000.0)] {
        groups.push(group(Scenario::Ramp, base, rps, RATIOS));
    }
    for (scenario, _) in Scenario::ALL {
        if !matches!(scenario, Scenario::Constant | Scenario::Ramp) {
            groups.push(group(scenario, 0.01, 100.0, &[1.0, 1.5, 2.0, 5.0]));
            groups.push(group(scenario, 0.01, 1_000.0, &[1.0, 1.5, 2.0, 5.0]));
        }
    }
    groups
}

impl Group {
    /// What happens in its cells.
    pub fn scenario(&self) -> Scenario {
        self.scenario
    }

    /// Whether it is of this base rate and traffic, where they are named.
    pub fn is_of(&self, base: Option<f64>, rps: Option<f64>) -> bool {
        base.is_none_or(|base| base == self.base) && rps.is_none_or(|rps| rps == self.rps)
    }

    /// The same without the peers.
    #[must_use]
    pub fn own(self) -> Self {
        Self { own: true, ..self }
    }

    /// How much of it is run: the scenarios with a bound to be held all of it, the others, of which there are more, less.
    fn of(&self, size: Size) -> Size {
        if matches!(self.scenario, Scenario::Constant | Scenario::Ramp | Scenario::Late) {
            return size;
        }
        Size { healthy: (size.healthy * 2 / 5).max(1), faulty: (size.faulty / 4).max(1) }
    }

    /// Runs the group's cells, all judges on the same canaries.
    pub fn run(&self, size: Size, seed: u64) -> Vec<Outcome> {
        let size = self.of(size);
        let mut healthy: Vec<Arm> = Vec::new();
        let mut outcomes = Vec::new();
        for ratio in self.ratios {
            let cell = Cell { base: self.base, rps: self.rps, ratio: *ratio, scenario: self.scenario };
            let is_healthy = *ratio == 1.0;
            let runs = if is_healthy { size.healthy } else { size.faulty };
            let mut judges = judges::all(&cell);
            // Ours comes first.
            judges.truncate(if self.own { 1 } else { judges.len() });
            let alarms = alarms(&cell, &judges, runs, seed);
            if is_healthy {
                healthy = judges.iter().enumerate().map(|(index, _)| count(&alarms, index)).collect();
            }
            for (index, judge) in judges.iter().enumerate() {
                let times = alarms.iter().map(|alarms| alarms[index]);
                outcomes.push(outcome(&cell, judge.name(), runs, healthy[index], times));
            }
        }
        outcomes
    }
}

/// Per run, per judge: the second of its alarm.
fn alarms(cell: &Cell, judges: &[Box<dyn Judge>], runs: u64, seed: u64) -> Vec<Vec<Option<usize>>> {
    let source = Source::new(*cell);
    let scenario =
        Scenario::ALL.iter().position(|(scenario, _)| *scenario == cell.scenario).unwrap_or(0) as u64;
    let key = [seed, scenario, cell.base.to_bits(), cell.rps.to_bits(), cell.ratio.to_bits()];
    parallel::map(runs, |run| {
        let run = source.run(&mut Random::new(&[key[0], key[1], key[2], key[3], key[4], run]));
        judges.iter().map(|judge| judge.alarm_s(&run)).collect()
    })
}

fn count(alarms: &[Vec<Option<usize>>], judge: usize) -> Arm {
    let bad = alarms.iter().filter(|alarms| alarms[judge].is_some()).count() as u64;
    Arm { total: alarms.len() as u64, bad }
}

fn outcome(
    cell: &Cell,
    judge: &'static str,
    runs: u64,
    healthy: Arm,
    alarms: impl Iterator<Item = Option<usize>>,
) -> Outcome {
    let onset = cell.scenario.onset_s();
    let left = (HORIZON_S - onset) as f64;
    // An alarm before the fault is a false one; that canary is not counted, neither for nor against the judge.
    let mut times: Vec<Option<f64>> = alarms
        .filter(|alarm| alarm.is_none_or(|alarm| alarm > onset))
        .map(|alarm| alarm.map(|alarm| (alarm - onset) as f64))
        .collect();
    times.sort_by(|a, b| a.unwrap_or(f64::INFINITY).total_cmp(&b.unwrap_or(f64::INFINITY)));
    let is_faulty = cell.ratio > 1.0;
    let all = times.len().max(1) as f64;
    Outcome {
        cell: *cell,
        judge,
        runs,
        false_alarm: healthy.rate(),
        false_alarm_high: interval::clopper_pearson(healthy, 0.95)[1],
        detected: is_faulty.then(|| times.iter().flatten().count() as f64 / all),
        median_s: times.get(times.len() / 2).copied().flatten().filter(|_| is_faulty),
        mean_s: is_faulty.then(|| times.iter().map(|time| time.unwrap_or(left)).sum::<f64>() / all),
        bound_s: is_faulty.then(|| bound_s(cell)),
    }
}

/// Seconds after the fault's beginning until the information adds up to `ln(1/alpha)`; shares and base rates as the
/// scenario's steps have them, the last one's for ever.
pub fn bound_s(cell: &Cell) -> f64 {
    let information = |second: usize| {
        let case = Case {
            share: cell.scenario.share(second),
            base: cell.base * cell.scenario.factors(second)[1],
            ratio: cell.ratio,
            tolerated: 1.0,
        };
        cell.rps * bounds::information(&case)
    };
    let mut needed = ln(1.0 / ALPHA);
    let onset = cell.scenario.onset_s();
    for second in onset..HORIZON_S {
        let gained = information(second);
        if gained >= needed {
            return (second - onset) as f64 + needed / gained;
        }
        needed -= gained;
    }
    (HORIZON_S - onset) as f64 + needed / information(HORIZON_S - 1)
}
