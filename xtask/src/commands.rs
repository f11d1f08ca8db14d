//! The verbs of `cargo xtask`.

use std::path::Path;
use std::process::ExitCode;

use crate::shell::{self, Error};
use crate::{bench, repo, test, tidy};

/// A verb that is nothing but a binary of another crate, built and given the rest of the words.
struct Forward {
    verb: &'static str,
    about: &'static str,
    /// Arguments of `cargo` before `--`.
    cargo: &'static [&'static str],
}

const FORWARDS: &[Forward] = &[
    Forward {
        verb: "sim",
        about: "[--seeds N] [--seed S]   the whole engine in a fake world under virtual time; prints a repro when it fails",
        cargo: &["run", "-q", "-p", "taxiway-sim", "--bin", "taxiway-sim"],
    },
    Forward {
        verb: "chaos",
        about: "[--kills N]              kill -9 at random moments of real releases, and look whether anything was lost",
        cargo: &["run", "-q", "-p", "taxiway", "--example", "chaos"],
    },
];

/// Runs the verb that `words` begins with.
pub(crate) fn run(words: &[String]) -> Result<ExitCode, Error> {
    let root = repo::root();
    let Some((verb, rest)) = words.split_first() else {
        print!("{}", usage());
        return Ok(ExitCode::SUCCESS);
    };
    match verb.as_str() {
        "test" => return no_more(rest).map(|()| test::run(&root)),
        "tidy" => no_more(rest).and_then(|()| tidy::run(&root)),
        "bench" => bench::run(&root, rest),
        "help" | "--help" | "-h" => {
            print!("{}", usage());
            Ok(())
        }
        other => match FORWARDS.iter().find(|forward| forward.verb == other) {
            Some(forward) => forward_to(&root, forward, rest),
            None => Err(Error::new(format!("no verb `{other}`\n\n{}", usage()))),
        },
    }
    .map(|()| ExitCode::SUCCESS)
}

fn no_more(rest: &[String]) -> Result<(), Error> {
    match rest.first() {
        None => Ok(()),
        Some(word) => Err(Error::new(format!("`{word}` is one word too many; see `cargo xtask help`"))),
    }
}

fn forward_to(root: &Path, forward: &Forward, rest: &[String]) -> Result<(), Error> {
    shell::run(shell::cargo(root).args(forward.cargo).arg("--").args(rest))
}

fn usage() -> String {
    let forwards: Vec<String> =
        FORWARDS.iter().map(|one| format!("  {:<6}{}", one.verb, one.about)).collect();
    format!(
        "usage: cargo xtask <verb>\n\n\
         \x20 test                           everything continuous integration checks; ends with `N passed, N failed`\n\
         \x20 tidy                           the written rules of this repository, checked on its sources\n\
         {}\n{}",
        forwards.join("\n"),
        bench::usage()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_verb_is_refused_with_the_list() {
        let error = run(&["tydi".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("no verb `tydi`") && error.contains("cargo xtask <verb>"), "{error}");
    }

    #[test]
    fn a_verb_without_arguments_refuses_them() {
        let error = run(&["tidy".to_owned(), "--fix".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("`--fix`"), "{error}");
    }
}
