//! The command line: `--seeds N`, `--from S`, `--seed S`, `--trace`.

use crate::run::{Outcome, run};
use crate::scenario::Scenario;
use std::collections::BTreeMap;
use std::process::ExitCode;

const USAGE: &str = "usage: taxiway-sim [--seeds N] [--from S] [--seed S] [--trace]\n\
    \x20 --seeds N   run N seeds (default 200)\n\
    \x20 --from S    beginning with seed S (default 0)\n\
    \x20 --seed S    run this seed only\n\
    \x20 --trace     print the log of each run\n";

#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    from: u64,
    seeds: u64,
    trace: bool,
}

/// Runs what the words ask for; fails when an invariant was broken.
pub fn main(words: impl Iterator<Item = String>) -> ExitCode {
    let wanted = match read(words) {
        Ok(wanted) => wanted,
        Err(why) => {
            eprint!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut tally = Tally::default();
    for seed in wanted.from..wanted.from + wanted.seeds {
        let scenario = Scenario::of(seed);
        let outcome = run(&scenario, None);
        if wanted.trace {
            let Scenario { rps_milli, faults, deeds, source, .. } = &scenario;
            println!("seed {seed}: {rps_milli} requests in 1,000 s; {faults:?}; {deeds:?}; {source:?}");
            outcome.trace.iter().for_each(|line| println!("{line}"));
        }
        if let Some(broken) = &outcome.broken {
            println!("seed {seed}: {broken}\n  repro: cargo xtask sim --seed {seed} --trace");
        }
        tally.add(&outcome);
    }
    println!("{tally}");
    if tally.broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read(mut words: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut wanted = Wanted { from: 0, seeds: 200, trace: false };
    while let Some(word) = words.next() {
        let mut number = || {
            let text = words.next().ok_or_else(|| format!("{word} needs a number"))?;
            text.parse::<u64>().map_err(|_| format!("{word} needs a number, {text:?} is none"))
        };
        match word.as_str() {
            "--seeds" => wanted.seeds = number()?,
            "--from" => wanted.from = number()?,
            "--seed" => (wanted.from, wanted.seeds) = (number()?, 1),
            "--trace" => wanted.trace = true,
            other => return Err(format!("{other:?} is not known")),
        }
    }
    Ok(wanted)
}

/// What came of many runs.
#[derive(Debug, Default)]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// Runs in which an invariant did not hold.
    pub broken: u64,
    /// Runs in which the judge sent a healthy version back.
    pub false_alarms: u64,
    /// Times an engine died.
    pub crashes: u64,
    ticks: u64,
    virtual_ms: u64,
    ends: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts a run.
    pub fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.broken += u64::from(outcome.broken.is_some());
        self.false_alarms += u64::from(outcome.false_alarms > 0);
        self.crashes += u64::from(outcome.crashes);
        self.ticks += outcome.ticks;
        self.virtual_ms += outcome.virtual_ms;
        for past in &outcome.history {
            let cause = past.cause.map_or_else(String::new, |cause| format!(" ({cause:?})"));
            *self.ends.entry(format!("{:?}{cause}", past.outcome)).or_default() += 1;
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hours = self.virtual_ms / 3_600_000;
        write!(
            f,
            "{} runs, {} broken, {} with a false alarm, {} crashes, {} ticks in {hours} virtual hours;",
            self.runs, self.broken, self.false_alarms, self.crashes, self.ticks
        )?;
        for (end, count) in &self.ends {
            write!(f, " {end} {count};")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Wanted, String> {
        read(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn one_seed_is_a_range_of_one() {
        assert_eq!(words("--seed 7 --trace"), Ok(Wanted { from: 7, seeds: 1, trace: true }));
        assert_eq!(words("--from 5 --seeds 9"), Ok(Wanted { from: 5, seeds: 9, trace: false }));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert_eq!(words("--seed x").unwrap_err(), "--seed needs a number, \"x\" is none");
        assert_eq!(words("--sede 7").unwrap_err(), "\"--sede\" is not known");
    }
}
