//! Does the pre-flight keep its promise? For random configurations: the duration it asks for, and how often the judge then
//! finds the fault within that time.

use taxiway_stats::math::{exp, ln};
use taxiway_stats::preflight::{Plan, Traffic};
use taxiway_stats::{Window, reject, threshold};

use crate::parallel;
use crate::random::{Poisson, Random};

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
    println!("| base | rps | share | ratio | seconds | power |\n|---|---|---|---|---|---|");
    let mut worst: f64 = 0.0;
    for number in 0..CONFIGURATIONS {
        let configuration = draw(&mut Random::new(&[seed, number]));
        let found = parallel::map(runs, |run| {
            u64::from(configuration.is_found(&mut Random::new(&[seed, number, run, 1])))
        });
        let power = found.iter().sum::<u64>() as f64 / runs as f64;
        worst = worst.max((power - Plan::default().power).abs());
        let Configuration { traffic, share, ratio, seconds } = configuration;
        let percent = |value: f64| (value * 10_000.0).round() / 100.0;
        println!(
            "| {}% | {:.0} | {}% | {ratio:.2}x | {seconds} | {:.1}% |",
            percent(traffic.base),
            traffic.rps,
            percent(share),
            power * 100.0
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
    fn is_found(&self, random: &mut Random) -> bool {
        let Traffic { rps, base } = self.traffic;
        let table =
            |requests: f64, rate: f64| [Poisson::new(requests * (1.0 - rate)), Poisson::new(requests * rate)];
        let [good_c, bad_c] = table(rps * self.share, base * self.ratio);
        let [good_b, bad_b] = table(rps * (1.0 - self.share), base);
        let test = reject::Test::new(1.0, 0.0, self.seconds as f64).expect("a duration above 0");
        let mut state = test.start();
        let mut open = Window::default();
        let mut open_s = 0.0;
        for _ in 0..self.seconds {
            let (bad_c, bad_b) = (bad_c.draw(random), bad_b.draw(random));
            let (n_c, n_b) = (good_c.draw(random) + bad_c, good_b.draw(random) + bad_b);
            open.add(&Window::new(n_c, n_b, bad_c, bad_b));
            open_s += 1.0;
            if !open.is_full(open_s) {
                continue;
            }
            test.fold(&mut state, &open, open_s);
            if open.canary.bad > 0 && test.ln_evidence(&state) >= threshold::ville(Plan::default().alpha) {
                return true;
            }
            (open, open_s) = (Window::default(), 0.0);
        }
        false
    }
}
