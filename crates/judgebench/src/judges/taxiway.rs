use taxiway_decide::judge::{self, Outlook, Question, State};
use taxiway_model::counts::Counts;
use taxiway_model::evidence::{self, Classes};
use taxiway_model::normal::Normal;
use taxiway_model::policy::{AnalysisPolicy, Measure, Profile};
use taxiway_model::verdict::Verdict;
use taxiway_model::weight::WeightBp;
use taxiway_stats::{Arm, Window, dispersion, reject, softrank, threshold};

use super::Judge;
use crate::dependence::PAST_WINDOW_S;
use crate::traffic::{Cell, HORIZON_S, Run};

/// False-alarm probability of the textbook's judges.
const ALPHA: f64 = 0.01;

/// The endpoint class of requests that none is declared for.
pub const CLASS: &str = "other";

/// Our judge as a release runs it: `taxiway_decide::judge`, windows closed by its rule, evidence folded, a look at every
/// window. The policy is the profile `strict` for the error rate, alpha 1 %.
///
/// Two things are taken off the profile, for the sake of the comparison. Its absolute limit of 1 %, since half of the cells
/// begin above it. And its second metric: benchmark B1 has no latencies, and a metric without evidence would still hold its
/// half of alpha.
#[derive(Debug, Clone)]
pub struct Strict {
    policy: AnalysisPolicy,
    outlook: Outlook,
    weights: Vec<WeightBp>,
}

impl Strict {
    /// Knows of the cell what a plan says of its steps; what else the product knows before a canary it learns from
    /// `Run::before`.
    pub fn new(cell: &Cell) -> Self {
        let policy = strict();
        let weight = |second| {
            WeightBp::new((cell.scenario.share(second) * 1e4).round() as u16).expect("a share of the traffic")
        };
        let weights: Vec<WeightBp> = (0..HORIZON_S).map(weight).collect();
        let shares = weights.iter().min().zip(weights.iter().max());
        let outlook = Outlook {
            shares: shares.map(|(least, most)| [*least, *most]),
            compared_ms: HORIZON_S as u64 * 1_000,
            canary_instances: 1,
            ..Outlook::default()
        };
        Self { policy, outlook, weights }
    }
}

/// The policy of [`Strict`].
pub fn strict() -> AnalysisPolicy {
    let mut policy = AnalysisPolicy::of(Profile::Strict);
    policy.metrics.retain(|metric| metric.measure == Measure::ErrorRate);
    for metric in &mut policy.metrics {
        (metric.hold_above, metric.rollback_above) = (None, None);
    }
    policy
}

impl Judge for Strict {
    fn name(&self) -> &'static str {
        "taxiway"
    }

    fn alarm_s(&self, run: &Run) -> Option<usize> {
        let normal = normal(&run.before);
        let mut state = State::expecting(&self.policy, normal.as_ref(), &self.outlook);
        let mut open = Window::default();
        let mut window = evidence::Window::default();
        let mut open_ms = 0;
        for (second, seen) in run.seconds.iter().enumerate() {
            open.add(seen);
            open_ms += 1_000;
            if !judge::is_full(open.canary.total, open_ms) {
                continue;
            }
            window.number += 1;
            window.span_ms = open_ms;
            put(&mut window.canary, open.canary);
            put(&mut window.baseline, open.baseline);
            let weight = self.weights[second];
            state.take(&self.policy, &window, weight);
            let question = Question { step: 0, exclude_bp: self.policy.exclusion_at(weight) };
            if judge::look(&self.policy, &state, question) == Verdict::Rollback {
                return Some(second + 1);
            }
            (open, open_ms) = (Window::default(), 0);
        }
        None
    }
}

/// One side's counts as the proxy would have told them.
pub fn put(classes: &mut Classes, arm: Arm) {
    if !classes.contains_key(CLASS) {
        classes.insert(CLASS.to_owned(), Counts::default());
    }
    let Some(counts) = classes.get_mut(CLASS) else { return };
    counts.requests = arm.total;
    counts.status = [0, arm.total - arm.bad, 0, 0, arm.bad];
}

/// The normal profile of the time before the canary, as the product records it.
fn normal(before: &[Vec<Arm>]) -> Option<Normal> {
    let instances = before.first()?.len();
    let mut whole = Counts::default();
    for arm in before.iter().flatten() {
        whole.requests += arm.total;
        whole.status[1] += arm.total - arm.bad;
        whole.status[4] += arm.bad;
    }
    let learned = dispersion::learn(before, &[10, 60, 300].map(|seconds| seconds / PAST_WINDOW_S));
    let milli = |value: f64| Some((value * 1e3).round() as u64);
    Some(Normal {
        span_ms: (before.len() * PAST_WINDOW_S) as u64 * 1_000,
        classes: Classes::from([(CLASS.to_owned(), whole)]),
        error_dispersion_milli: milli(learned.phi),
        instances: u32::try_from(instances).ok()?,
        instance_noise_milli: milli(learned.tau),
        ..Normal::default()
    })
}

/// The design brief's processes, a look every second at the threshold 100: what ours is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Textbook {
    name: &'static str,
    test: reject::Test,
}

impl Textbook {
    /// All wealth bet at the start.
    pub fn plain() -> Self {
        Self { name: "ep", test: Self::test(1.0) }
    }

    /// Half of it bet over the hour.
    pub fn late() -> Self {
        Self { name: "ep-sr", test: Self::test(0.5) }
    }

    fn test(first: f64) -> reject::Test {
        reject::Test::new(1.0, 0.0, HORIZON_S as f64)
            .and_then(|test| test.weighted(reject::MINIMAX))
            .and_then(|test| test.first(first))
            .expect("fixed parameters")
            .rare()
    }
}

impl Judge for Textbook {
    fn name(&self) -> &'static str {
        self.name
    }

    fn alarm_s(&self, run: &Run) -> Option<usize> {
        let mut state = self.test.start();
        run.seconds
            .iter()
            .position(|window| {
                self.test.fold(&mut state, window, 1.0);
                window.canary.bad > 0 && self.test.ln_evidence(&state) >= threshold::ville(ALPHA)
            })
            .map(|second| second + 1)
    }
}

/// Our soft-rank process over instances: needs no past, only counts per instance.
#[derive(Debug, Clone, Copy)]
pub struct SoftRank;

impl Judge for SoftRank {
    fn name(&self) -> &'static str {
        "taxiway-rank"
    }

    fn alarm_s(&self, run: &Run) -> Option<usize> {
        let mut state = softrank::State::default();
        run.seconds
            .iter()
            .zip(&run.instances)
            .position(|(window, others)| {
                if window.canary.bad > 0 || window.baseline.bad > 0 {
                    state.fold(window.canary.bad, others);
                }
                state.ln_evidence() >= threshold::ville(ALPHA)
            })
            .map(|second| second + 1)
    }
}
