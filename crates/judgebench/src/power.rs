//! Does the pre-flight keep its promise? For random configurations: the duration it asks for, and how often the
//! product's judge then rolls back within that time, and how often Kayenta's, looking each minute, on the same canaries.
//! (Argo and Flagger look at one side only; what they find depends on the limit somebody chose.)

use taxiway_decide::judge::{self, Outlook, Question, State};
use taxiway_model::evidence::{self, Classes};
use taxiway_model::normal::Normal;
use taxiway_model::verdict::Verdict;
use taxiway_model::weight::WeightBp;
use taxiway_stats::math::{exp, ln};
use taxiway_stats::preflight::{Plan, Traffic};
use taxiway_stats::{Arm, Window};

use crate::judges::{Judge, Kayenta, put, strict};
use crate::parallel;
use crate::random::{Poisson, Random};
use crate::traffic::Run;

/// Configurations checked.
const CONFIGURATIONS: u64 = 50;

#[derive(Debug, Clone, Copy)]
struct Configuration {
    traffic: Traffic,
    share: f64,
    ratio: f64,
    seconds: usize,
}

/// Prints a line per configuration and the largest deviation from the promised 90 %.
pub fn print(runs: u64, seed: u64) {
    println!("| base | rps | share | ratio | seconds | power | kay60 |\n|---|---|---|---|---|---|---|");
    let mut worst: f64 = 0.0;
    for number in 0..CONFIGURATIONS {
        let configuration = draw(&mut Random::new(&[seed, number]));
        let found =
            parallel::map(runs, |run| configuration.is_found(&mut Random::new(&[seed, number, run, 1])));
        let share_found =
            |judge: usize| found.iter().filter(|found| found[judge]).count() as f64 / runs as f64;
        let power = share_found(0);
        worst = worst.max((power - Plan::default().power).abs());
        let Configuration { traffic, share, ratio, seconds } = configuration;
        let percent = |value: f64| (value * 10_000.0).round() / 100.0;
        println!(
            "| {}% | {:.0} | {}% | {ratio:.2}x | {seconds} | {:.1}% | {:.1}% |",
            percent(traffic.base),
            traffic.rps,
            percent(share),
            power * 100.0,
            share_found(1) * 100.0
        );
    }
    println!("\nlargest deviation from 90 %: {:.1} points", worst * 100.0);
}

/// Even in the logarithm of each figure; drawn again until the duration is between a minute and four hours.
fn draw(random: &mut Random) -> Configuration {
    let mut between = |low: f64, high: f64| exp(ln(low) + random.uniform() * ln(high / low));
    loop {
        let traffic = Traffic { rps: between(20.0, 1_000.0), base: between(0.001, 0.03) };
        let (share, ratio) = (between(0.01, 0.5), between(1.25, 8.0));
        let seconds = Plan::default().seconds(&traffic, share, ratio);
        if (60.0..14_400.0).contains(&seconds) {
            return Configuration { traffic, share, ratio, seconds: libm::ceil(seconds) as usize };
        }
    }
}

impl Configuration {
    /// Whether our judge finds the fault, and whether Kayenta's does.
    fn is_found(&self, random: &mut Random) -> [bool; 2] {
        let run = self.traffic(random);
        [self.is_ours(&run), Kayenta::EVERY_MINUTE.alarm_s(&run).is_some()]
    }

    fn traffic(&self, random: &mut Random) -> Run {
        let Traffic { rps, base } = self.traffic;
        let table =
            |requests: f64, rate: f64| [Poisson::new(requests * (1.0 - rate)), Poisson::new(requests * rate)];
        let [good_c, bad_c] = table(rps * self.share, base * self.ratio);
        let [good_b, bad_b] = table(rps * (1.0 - self.share), base);
        let seconds = (0..self.seconds).map(|_| {
            let (bad_c, bad_b) = (bad_c.draw(random), bad_b.draw(random));
            Window::new(good_c.draw(random) + bad_c, good_b.draw(random) + bad_b, bad_c, bad_b)
        });
        Run { seconds: seconds.collect(), ..Run::default() }
    }

    fn is_ours(&self, run: &Run) -> bool {
        let (policy, normal) = (strict(), self.normal());
        let weight = WeightBp::new((self.share * 1e4) as u16).expect("a share of the traffic");
        let outlook = Outlook {
            shares: Some([weight; 2]),
            compared_ms: self.seconds as u64 * 1_000,
            canary_instances: 1,
            ..Outlook::default()
        };
        let mut state = State::expecting(&policy, Some(&normal), &outlook);
        let question = Question { step: 0, exclude_bp: policy.exclusion_at(weight) };
        let mut window = evidence::Window::default();
        let mut open = Window::default();
        for seen in &run.seconds {
            open.add(seen);
            window.span_ms += 1_000;
            if !judge::is_full(open.canary.total, window.span_ms) {
                continue;
            }
            window.number += 1;
            put(&mut window.canary, open.canary);
            put(&mut window.baseline, open.baseline);
            state.take(&policy, &window, weight);
            if judge::look(&policy, &state, question) == Verdict::Rollback {
                return true;
            }
            (open, window.span_ms) = (Window::default(), 0);
        }
        false
    }

    /// A profile that knows the rate and not how clustered failures are, so that Ville's threshold stands, with which the
    /// pre-flight reckons.
    fn normal(&self) -> Normal {
        let (requests, seconds) = (self.traffic.rps * 600.0, 600);
        let bad = (requests * self.traffic.base) as u64;
        let mut classes = Classes::new();
        put(&mut classes, Arm { total: requests as u64, bad });
        Normal { span_ms: seconds * 1_000, classes, instances: 4, ..Normal::default() }
    }
}
