//! Counting what libtest prints, while showing it.

use std::io::Read;
use std::process::{Command, Stdio};

use crate::shell::{self, Error};

/// Some tests start their own binary again as a helper process; what that runs is marked as ignored with a reason that
/// begins like this. Nothing is skipped by it.
const ROLE: &str = "a role ";

/// The sum over all suites of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    /// Tests marked `#[ignore]`, each with its reason.
    pub(super) ignored: Vec<String>,
    /// Whether cargo itself ended well; a suite that does not compile or is killed prints no count.
    pub(super) succeeded: bool,
}

impl Tally {
    fn count(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += number_before(result, " passed");
            self.failed += number_before(result, " failed");
        } else if let Some((test, reason)) = ignored(line)
            && !reason.starts_with(ROLE)
        {
            self.ignored.push(format!("{test}: ignored, {reason}"));
        }
    }
}

/// The number that stands directly before `word`.
fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split_once(word).map_or("", |(before, _)| before);
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

/// Name and reason in `test name ... ignored, reason`.
fn ignored(line: &str) -> Option<(&str, &str)> {
    let (test, outcome) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
    Some((test, outcome.strip_prefix(", ").unwrap_or("without a reason")))
}

/// Runs the suites, passing their output on; fails only when they cannot be started or read.
pub(super) fn stream(command: &mut Command) -> Result<Tally, Error> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| shell::cannot_start(command, &error))?;
    let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
    let mut tally =
        read(stdout).map_err(|error| Error::new(format!("cannot read what the tests print: {error}")))?;
    let status = child.wait().map_err(|error| Error::new(format!("cannot wait for the tests: {error}")))?;
    tally.succeeded = status.success();
    Ok(tally)
}

fn read(output: impl Read) -> std::io::Result<Tally> {
    let mut tally = Tally::default();
    shell::each_line(output, |line| {
        print!("{line}");
        tally.count(line.trim_end());
    })?;
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_summed_and_ignored_tests_named() {
        let output = b"test a::b ... ok\ntest slow ... ignored, needs an hour\n\
            test worker ... ignored, a role that other tests start\ntest bare ... ignored\nnoise \xff\n\
            test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s\n\
            test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n";
        let tally = read(&output[..]).expect("a slice can be read");
        assert_eq!((tally.passed, tally.failed), (15, 2));
        assert_eq!(tally.ignored, ["slow: ignored, needs an hour", "bare: ignored, without a reason"]);
    }

    #[test]
    fn a_suite_that_dies_is_a_failure_without_a_count() {
        let tally = stream(Command::new("sh").args(["-c", "exit 101"])).expect("sh starts");
        assert_eq!(tally, Tally::default());
        let tally = stream(Command::new("sh").args(["-c", "exit 0"])).expect("sh starts");
        assert!(tally.succeeded);
    }
}
