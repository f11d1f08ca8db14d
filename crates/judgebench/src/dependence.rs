//! Scenarios in which requests do not fail independently of each other: where most judges go wrong.

use taxiway_stats::{Arm, Window};

use crate::random::{Poisson, Random};
use crate::traffic::{Cell, HORIZON_S, Run, SHARE};

/// Instances in all; one of them is the canary, so that it serves the 5 % of the constant scenarios.
pub const INSTANCES: usize = 20;

/// Seconds per window of the past that the judge learns from.
pub const PAST_WINDOW_S: usize = 10;

/// Mean length of an error burst.
const BURST_MEAN: f64 = 3.0;

/// Counts of instances before the canary, when all the traffic was theirs: `draw(window, instance)` gives one window's arm.
fn past(mut draw: impl FnMut(usize, usize) -> Arm) -> Vec<Vec<Arm>> {
    (0..HORIZON_S / PAST_WINDOW_S)
        .map(|window| (0..INSTANCES - 1).map(|instance| draw(window, instance)).collect())
        .collect()
}

/// Before the canary: requests that fail independently of each other, alike at all instances.
pub fn quiet([good, bad]: &[Poisson; 2], random: &mut Random) -> Vec<Vec<Arm>> {
    past(|_, _| {
        let bad = bad.draw(random);
        Arm { total: good.draw(random) + bad, bad }
    })
}

/// Errors come in bursts of geometric length on one instance within a second (retries, poison messages); the mean error
/// rate stays the cell's.
pub fn bursts(cell: &Cell, random: &mut Random) -> Run {
    let each = cell.rps * SHARE;
    let requests = Poisson::new(each);
    let bursts = |ratio: f64| Poisson::new(each * cell.base * ratio / BURST_MEAN);
    let (healthy, faulty) = (bursts(1.0), bursts(cell.ratio));
    let errors = |bursts: &Poisson, random: &mut Random| -> u64 {
        (0..bursts.draw(random)).map(|_| random.geometric(BURST_MEAN)).sum()
    };
    let mut run = Run::default();
    for _ in 0..HORIZON_S {
        let canary_bad = errors(&faulty, random);
        let canary_total = requests.draw(random).max(canary_bad);
        let others: Vec<u64> = (0..INSTANCES - 1).map(|_| errors(&healthy, random)).collect();
        let (mut baseline_bad, mut baseline_total) = (0, 0);
        for bad in &others {
            baseline_bad += bad;
            baseline_total += requests.draw(random).max(*bad);
        }
        run.seconds.push(Window::new(canary_total, baseline_total, canary_bad, baseline_bad));
        run.shares.push(SHARE);
        run.instances.push(others);
    }
    let before = cell.rps / (INSTANCES - 1) as f64 * PAST_WINDOW_S as f64;
    let window = Poisson::new(before);
    let window_bursts = Poisson::new(before * cell.base / BURST_MEAN);
    run.before = past(|_, _| {
        let bad = errors(&window_bursts, random);
        Arm { total: window.draw(random).max(bad), bad }
    });
    run
}

/// Each failed request is sent once more within the second and fails again.
pub fn retries(before: &[Poisson; 2], mut run: Run, random: &mut Random) -> Run {
    let twice = |arm: Arm| Arm { total: arm.total + arm.bad, bad: 2 * arm.bad };
    for window in &mut run.seconds {
        *window = Window { canary: twice(window.canary), baseline: twice(window.baseline) };
    }
    run.before = quiet(before, random);
    for arm in run.before.iter_mut().flatten() {
        *arm = twice(*arm);
    }
    run
}

/// Good and bad requests of an instance in a window of the past, while they are independent.
pub fn before(cell: &Cell) -> [Poisson; 2] {
    let mean = cell.rps / (INSTANCES - 1) as f64 * PAST_WINDOW_S as f64;
    [Poisson::new(mean * (1.0 - cell.base)), Poisson::new(mean * cell.base)]
}

/// Every instance's error rate wanders: log-normal AR(1) from minute to minute, as noisy neighbours and shards make it.
pub fn noise(cell: &Cell, random: &mut Random) -> Run {
    let each = cell.rps * SHARE;
    let mut wander = Wander::new(random);
    let past_windows = 60 / PAST_WINDOW_S;
    let before = past(|window, instance| {
        if instance == 0 && window.is_multiple_of(past_windows) {
            wander.step(random);
        }
        let mean = cell.rps / (INSTANCES - 1) as f64 * PAST_WINDOW_S as f64;
        let rate = cell.base * wander.factor(instance + 1);
        let bad = random.poisson(mean * rate);
        Arm { total: random.poisson(mean * (1.0 - rate)) + bad, bad }
    });
    let mut run = Run { before, ..Run::default() };
    let requests = Poisson::new(cell.rps * (1.0 - SHARE) * (1.0 - cell.base));
    let canary_requests = Poisson::new(each * (1.0 - cell.base));
    for second in 0..HORIZON_S {
        if second.is_multiple_of(60) {
            wander.step(random);
        }
        let others: f64 = (1..INSTANCES).map(|instance| wander.factor(instance)).sum();
        let canary_bad = random.poisson(each * cell.base * cell.ratio * wander.factor(0));
        let baseline_bad = random.poisson(each * cell.base * others);
        run.seconds.push(Window::new(
            canary_requests.draw(random) + canary_bad,
            requests.draw(random) + baseline_bad,
            canary_bad,
            baseline_bad,
        ));
        run.shares.push(SHARE);
    }
    run
}

/// Stationary AR(1) of each instance's log rate.
struct Wander {
    logs: [f64; INSTANCES],
}

impl Wander {
    const DEVIATION: f64 = 0.2;
    const MEMORY: f64 = 0.9;

    fn new(random: &mut Random) -> Self {
        Self { logs: core::array::from_fn(|_| Self::DEVIATION * random.normal()) }
    }

    fn step(&mut self, random: &mut Random) {
        let fresh = Self::DEVIATION * (1.0 - Self::MEMORY * Self::MEMORY).sqrt();
        for log in &mut self.logs {
            *log = Self::MEMORY * *log + fresh * random.normal();
        }
    }

    /// Mean 1 over time.
    fn factor(&self, instance: usize) -> f64 {
        libm::exp(self.logs[instance] - 0.5 * Self::DEVIATION * Self::DEVIATION)
    }
}
