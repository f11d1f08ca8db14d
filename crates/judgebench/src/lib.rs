//! Benchmark B1: how often does a judge roll back a healthy canary, and how soon a faulty one?
//!
//! `cargo xtask bench judge [--quick] [--json] [--seed N]` runs simulated one-hour canaries past Taxiway's judge (the very
//! functions the product calls, configured as the profile `strict` at alpha 1 %) and past faithful simulations of Kayenta,
//! Argo Rollouts, Flagger, Netflix's count monitoring and the plain ratio rule. All judges see the same canaries, and a seed
//! gives the same figures on every machine, whatever its cores. As measured: `docs/benchmarks/judge.md`.
//!
//! # The trade between early and late faults
//!
//! A judge that bets everything on a fault at the start is fastest there and slow when the fault begins after half an hour.
//! Ours bets 70 % at the start and the rest evenly over the canary's planned time ([`taxiway_stats::reject::FIRST`]). Why
//! there: the calibrated threshold gives back about as much as the late start costs, so that late faults are found at least
//! as fast as by the half-and-half mixture at threshold 100 (`ep-sr`), while a fault at the start takes 6 % longer than with
//! everything bet at once (with half and half 12 %). Everything at once would take twice as long for a late fault.

pub mod calibrate;
pub mod cells;
pub mod dependence;
pub mod golden;
pub mod judges;
pub mod latency;
pub mod look;
pub mod parallel;
pub mod power;
pub mod random;
pub mod report;
pub mod standard;
pub mod traffic;

mod arguments;

use std::process::ExitCode;

pub use arguments::{Arguments, Part};
use traffic::Scenario;

/// Runs the benchmark as the arguments (without the program's name) say; exit code 2 for arguments it does not know, 1 when
/// this build judges otherwise than the test suite's, or when `standard` finds a promise broken.
pub fn run(arguments: &[String]) -> ExitCode {
    let arguments = match Arguments::parse(arguments) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}\n{}", Arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    let digest = match verified() {
        Ok(digest) => digest,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    if !arguments.json {
        println!("judgements as in the test suite: {digest}\n");
    }
    match arguments.part {
        Part::Verdicts => verdicts(&arguments),
        Part::Latency => latency::print(arguments.faulty, arguments.seed),
        Part::Standard if !standard::print(&arguments) => {
            return ExitCode::FAILURE;
        }
        Part::Standard => {}
        Part::Power => power::print(arguments.faulty, arguments.seed),
        Part::Calibrate if !calibrate::TABLES.iter().any(|table| table.contains(&arguments.only)) => {
            eprintln!("there is no table {:?}: --only takes one of {:?}", arguments.only, calibrate::TABLES);
            return ExitCode::from(2);
        }
        Part::Calibrate => {
            calibrate::print(&[0.008, 0.004], &arguments.only, arguments.healthy, arguments.seed);
        }
    }
    ExitCode::SUCCESS
}

/// Fails when this build judges otherwise than the one whose digest the test suite asserts.
fn verified() -> Result<String, String> {
    let found = golden::digest();
    if found == golden::DIGEST {
        return Ok(found);
    }
    Err(format!("judgements differ from the recorded ones: {found} instead of {}", golden::DIGEST))
}

fn verdicts(arguments: &Arguments) {
    let size = cells::Size { healthy: arguments.healthy, faulty: arguments.faulty };
    let mut all = Vec::new();
    // An object does not name its scenario, so that without one being asked for they are benchmark B1's.
    let alone = arguments.json.then_some(Scenario::Constant);
    let asked = arguments.scenario.or(alone);
    let wanted = |group: &cells::Group| {
        asked.is_none_or(|scenario| scenario == group.scenario())
            && group.is_of(arguments.base, arguments.rps)
    };
    for group in cells::groups(arguments.quick).into_iter().filter(wanted) {
        let group = if arguments.own { group.own() } else { group };
        let outcomes = group.run(size, arguments.seed);
        if arguments.json {
            for outcome in &outcomes {
                println!("{}", report::json(outcome));
            }
        } else {
            all.extend(outcomes);
        }
    }
    if !arguments.json {
        println!(
            "seed {}, {} healthy and {} faulty canaries per cell",
            arguments.seed, size.healthy, size.faulty
        );
        println!("{}", report::markdown(&all));
    }
}
