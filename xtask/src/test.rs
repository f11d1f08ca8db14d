//! `cargo xtask test`: everything continuous integration checks, in one command that works on a bare machine.

mod tally;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use crate::needs::{self, Provided, provide};
use crate::parts;
use crate::shell::{self, Error};
use crate::tidy;
use tally::Tally;

/// Tests that cannot run append a line `<test>: <why>` to the file this variable names.
const SKIPS_VARIABLE: &str = "TAXIWAY_SKIPS";

/// What took how long, and what failed.
#[derive(Default)]
struct Phases {
    done: Vec<(&'static str, f64)>,
    failed: Vec<String>,
}

impl Phases {
    fn run(&mut self, name: &'static str, work: impl FnOnce() -> Result<(), Error>) {
        println!("\n── {name}");
        let started = Instant::now();
        if let Err(error) = work() {
            println!("{name}: {error}");
            self.failed.push(name.to_owned());
        }
        self.done.push((name, started.elapsed().as_secs_f64()));
    }

    fn print(&self) {
        println!("\n── times");
        for (name, seconds) in &self.done {
            println!("{name:<10}{seconds:>8.1} s");
        }
        println!("{:<10}{:>8.1} s", "all", self.done.iter().map(|(_, seconds)| seconds).sum::<f64>());
    }
}

/// Runs every phase, also after one has failed, and ends with the line `N passed, N failed`.
///
/// Nothing is printed after that line, whoever reads it may rely on it.
pub(crate) fn run(root: &Path) -> ExitCode {
    let mut phases = Phases::default();
    let mut provided = Provided::default();
    phases.run("needs", || {
        provided = provide(root, needs::FOR_TESTS)?;
        match parts::provide(root) {
            Ok(programs) => provided.folders.push(programs),
            Err(error) => {
                println!("{error}");
                provided.missing.push(parts::missing());
            }
        }
        Ok(())
    });
    let cargo = |words: &[&str]| {
        let mut command = shell::cargo(root);
        command.args(words).env("PATH", provided.path());
        command
    };
    phases.run("fmt", || shell::run(&mut cargo(&["fmt", "--all", "--check"])));
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    phases.run("clippy", || shell::run(&mut cargo(&clippy)));
    phases.run("tidy", || tidy::run(root));
    phases.run("build", || shell::run(&mut cargo(&["test", "--workspace", "--no-run"])));

    let skips = shell::target(root).join("xtask/skips.txt");
    let mut tally = Tally::default();
    phases.run("tests", || {
        prepare(&skips)?;
        let mut tests = cargo(&["test", "--workspace", "--no-fail-fast"]);
        tests.env(SKIPS_VARIABLE, &skips);
        tally = tally::stream(&mut tests)?;
        if tally.succeeded { Ok(()) } else { Err(Error::new("at least one suite failed or was not built")) }
    });

    let skipped = skipped(&provided, &tally, &fs::read_to_string(&skips).unwrap_or_default());
    if report_skips(&skipped) && std::env::var("CI").is_ok_and(|ci| ci == "true") {
        println!("CI=true allows no skips");
        phases.failed.push("skips".to_owned());
    }
    phases.print();
    if !phases.failed.is_empty() {
        println!("failed: {}", phases.failed.join(", "));
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if phases.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn prepare(skips: &Path) -> Result<(), Error> {
    let folder = skips.parent().expect("the path names a file in a folder");
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(skips, ""));
    written.map_err(|error| Error::new(format!("cannot write {}: {error}", skips.display())))
}

fn skipped(provided: &Provided, tally: &Tally, told_by_tests: &str) -> Vec<String> {
    let missing = provided.missing.iter().cloned();
    let ignored = tally.ignored.iter().cloned();
    let told = told_by_tests.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned);
    missing.chain(ignored).chain(told).collect()
}

/// Whether anything was skipped.
fn report_skips(skipped: &[String]) -> bool {
    if !skipped.is_empty() {
        println!("\n── skipped");
        for line in skipped {
            println!("{line}");
        }
    }
    !skipped.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_phase_does_not_stop_the_others() {
        let mut phases = Phases::default();
        phases.run("first", || Err(Error::new("broken")));
        phases.run("second", || Ok(()));
        assert_eq!(phases.failed, ["first"]);
        assert_eq!(phases.done.len(), 2);
    }

    #[test]
    fn every_kind_of_skip_is_listed() {
        let provided = Provided { missing: vec!["nginx: no package".to_owned()], ..Provided::default() };
        let tally = Tally { ignored: vec!["split::slow: ignored, an hour".to_owned()], ..Tally::default() };
        let listed = skipped(&provided, &tally, "cgroup::limits: no cgroup v2\n\n");
        assert_eq!(
            listed,
            ["nginx: no package", "split::slow: ignored, an hour", "cgroup::limits: no cgroup v2"]
        );
        assert!(report_skips(&listed));
        assert!(!report_skips(&[]));
    }
}
