//! The profile `standard` on whole releases: how often and how soon each verdict falls.
//!
//! Both metrics of the profile are judged, the latencies log-normal as in [`crate::latency`], the normal profile what the
//! product records of the ten minutes before. Steps are left as `taxiway_decide::next` leaves them: PROCEED when the time is
//! up; else the time once more; then a person. HOLD asks a person, too, and is still rolled back when that becomes the
//! verdict before the step's time has passed twice. The step with all the traffic is not compared and
//! left out. Beside it stands what the pre-flight says of the same plan and traffic.

mod promise;

use taxiway_decide::judge::{self, Outlook, Question, State};
use taxiway_decide::normal::{Reading, Record};
use taxiway_model::evidence::{Classes, Window};
use taxiway_model::normal::Normal;
use taxiway_model::policy::{AnalysisPolicy, Profile};
use taxiway_model::verdict::Verdict;
use taxiway_model::weight::WeightBp;

use crate::judges::CLASS;
use crate::latency::{Fault, answer, law};
use crate::parallel;
use crate::random::{Poisson, Random, Table};

/// A plan: its name, and its steps with a live baseline as share in basis points and seconds.
type Steps = (&'static str, &'static [(u16, usize)]);

const PLANS: [Steps; 2] =
    [("canary", &[(100, 300), (500, 300), (2_500, 600)]), ("one hour at 5%", &[(500, 3_600)])];

/// What the canary does: the factor on its failures, and its latencies.
const FAULTS: [(&str, f64, Fault); 4] = [
    ("healthy", 1.0, Fault::Factor(1.0)),
    ("errors 5x", 5.0, Fault::Factor(1.0)),
    ("latency 2x", 1.0, Fault::Factor(2.0)),
    ("errors 1.5x", 1.5, Fault::Factor(1.0)),
];

/// How a release ended, and after how many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Through all compared steps.
    Released(usize),
    /// Rolled back.
    Rollback(usize),
    /// A person is asked because the verdict is HOLD.
    Hold(usize),
    /// A person is asked because the evidence does not suffice.
    Evidence(usize),
}

/// Prints a line per plan, traffic and fault; a twentieth of the runs at 1,000 requests per second.
pub fn print(runs: u64, seed: u64) {
    println!(
        "| plan | base | rps | pre-flight | canary | runs | released | rolled back | hold | too little evidence |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (name, steps) in PLANS {
        for (rps, part) in [(10.0, 1), (100.0, 4), (1_000.0, 20)] {
            for base in [0.001, 0.01] {
                for (fault, ratio, slow) in FAULTS {
                    let bench = Bench::new(steps, rps, base, ratio, slow);
                    let runs = (runs / part).max(20);
                    let key = [seed, rps as u64, (base * 1e6) as u64, ratio.to_bits()];
                    let ends = parallel::map(runs, |run| {
                        bench.run(&mut Random::new(&[key[0], key[1], key[2], key[3], run]))
                    });
                    let told = told(&ends);
                    let asks =
                        bench.is_told_to_ask(&mut Random::new(&[seed, rps as u64, (base * 1e6) as u64]));
                    let promise = if asks { "may ask" } else { "passes" };
                    println!(
                        "| {name} | {}% | {rps} | {promise} | {fault} | {runs} | {told} |",
                        base * 100.0
                    );
                }
            }
        }
    }
}

/// Per kind of end: its share and the median second.
fn told(ends: &[End]) -> String {
    let kinds: [fn(&End) -> Option<usize>; 4] = [
        |end| if let End::Released(at) = end { Some(*at) } else { None },
        |end| if let End::Rollback(at) = end { Some(*at) } else { None },
        |end| if let End::Hold(at) = end { Some(*at) } else { None },
        |end| if let End::Evidence(at) = end { Some(*at) } else { None },
    ];
    let column = |kind: &fn(&End) -> Option<usize>| {
        let mut times: Vec<usize> = ends.iter().filter_map(kind).collect();
        times.sort_unstable();
        let share = times.len() as f64 * 100.0 / ends.len().max(1) as f64;
        times.get(times.len() / 2).map_or_else(|| "–".to_owned(), |at| format!("{share:.1}% ({at} s)"))
    };
    kinds.iter().map(column).collect::<Vec<_>>().join(" | ")
}

struct Bench {
    policy: AnalysisPolicy,
    steps: &'static [(u16, usize)],
    rps: f64,
    failing: [f64; 2],
    laws: [Table; 2],
}

impl Bench {
    fn new(steps: &'static [(u16, usize)], rps: f64, base: f64, ratio: f64, slow: Fault) -> Self {
        let policy = AnalysisPolicy::of(Profile::Standard);
        let laws = [law(slow), law(Fault::Factor(1.0))];
        Self { policy, steps, rps, failing: [base * ratio, base], laws }
    }

    fn run(&self, random: &mut Random) -> End {
        let share = |bp: u16| WeightBp::new(bp).expect("a share of the traffic");
        let (first, last) = (self.steps[0].0, self.steps[self.steps.len() - 1].0);
        let outlook = Outlook {
            shares: Some([share(first), share(last)]),
            compared_ms: self.steps.iter().map(|(_, seconds)| *seconds as u64 * 1_000).sum(),
            canary_instances: 1,
        };
        let normal = self.normal(random);
        let mut state = State::expecting(&self.policy, normal.as_ref(), &outlook);
        let (mut window, mut now) = (Window { number: 1, ..Window::default() }, 0);
        for (step, (bp, seconds)) in self.steps.iter().enumerate() {
            let weight = share(*bp);
            let part = f64::from(*bp) / 1e4;
            let arrivals = [Poisson::new(self.rps * part), Poisson::new(self.rps * (1.0 - part))];
            let step = u16::try_from(step).unwrap_or(u16::MAX);
            let question = Question { step, exclude_bp: self.policy.exclusion_at(weight) };
            let (mut baked, mut held, mut asked) = (0, 0, None);
            window.step = step;
            loop {
                now += 1;
                self.second(&mut window.canary, 0, &arrivals, random);
                self.second(&mut window.baseline, 1, &arrivals, random);
                window.span_ms += 1_000;
                if !judge::is_full(window.canary_total().requests, window.span_ms) {
                    continue;
                }
                state.take(&self.policy, &window, weight);
                let span_s = window.span_ms as usize / 1_000;
                window = Window { number: window.number + 1, step, ..Window::default() };
                baked += span_s;
                let verdict = judge::look(&self.policy, &state, question);
                held = if verdict == Verdict::Hold { held + span_s } else { 0 };
                match verdict {
                    Verdict::Rollback => return End::Rollback(now),
                    Verdict::Hold if held > HOLD_SETTLES_S => asked = asked.or(Some(now)),
                    Verdict::Proceed if baked >= *seconds && asked.is_none() => break,
                    _ => {}
                }
                match asked {
                    Some(at) if baked >= 2 * seconds => return End::Hold(at),
                    None if baked >= 2 * seconds => return End::Evidence(now),
                    _ => {}
                }
            }
        }
        End::Released(now)
    }

    fn second(&self, classes: &mut Classes, side: usize, arrivals: &[Poisson; 2], random: &mut Random) {
        let requests = arrivals[side].draw(random);
        answer(classes, &self.laws[side], requests, random);
        let bad = random.poisson(requests as f64 * self.failing[side]).min(requests);
        if let Some(counts) = classes.get_mut(CLASS) {
            counts.status[1] -= bad;
            counts.status[4] += bad;
        }
    }

    /// Whether the pre-flight would have warned that even a healthy canary may have to ask a person.
    fn is_told_to_ask(&self, random: &mut Random) -> bool {
        promise::asks(self.steps, self.normal(random).as_ref())
    }

    /// What the product would have on record of the ten minutes before.
    fn normal(&self, random: &mut Random) -> Option<Normal> {
        let (mut record, mut reading) = (Record::default(), Reading::default());
        let arrivals = [Poisson::new(0.0), Poisson::new(self.rps * 10.0)];
        record.see(0, || reading.clone());
        for window in 1..=60 {
            self.second(&mut reading.classes, 1, &arrivals, random);
            record.see(window * 10_000, || reading.clone());
        }
        record.profile()
    }
}

/// A HOLD that passes sooner asks nobody.
const HOLD_SETTLES_S: usize = (taxiway_decide::next::HOLD_SETTLES_MS / 1_000) as usize;
