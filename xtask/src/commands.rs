//! The verbs of `cargo xtask`.

use std::path::Path;
use std::process::ExitCode;

use crate::shell::{self, Error};
use crate::{bench, parts, repo, test, tidy};

/// A verb that is nothing but a program of another crate, built and told what the user wants.
struct Forward {
    verb: &'static str,
    about: &'static str,
    /// Arguments of `cargo`.
    cargo: &'static [&'static str],
    told: Told,
}

/// How the program learns what the user wants.
enum Told {
    /// It gets the user's words.
    InWords,
    /// It is a test, which takes no words: each option's number goes into a variable.
    InVariables(&'static [(&'static str, &'static str)]),
}

const FORWARDS: &[Forward] = &[
    Forward {
        verb: "sim",
        about: "[--seeds N] [--seed S]    the whole engine in a fake world under virtual time; prints a repro when it fails",
        cargo: &["run", "-q", "-p", "taxiway-sim", "--bin", "taxiway-sim", "--"],
        told: Told::InWords,
    },
    Forward {
        verb: "chaos",
        about: "[--kills N] [--seed S]    kill -9 at random moments of real releases, and look whether anything was lost",
        cargo: &["test", "-q", "-p", "taxiway", "--test", "it", "chaos::", "--", "--nocapture"],
        told: Told::InVariables(&[("--kills", "TAXIWAY_CHAOS_KILLS"), ("--seed", "TAXIWAY_CHAOS_SEED")]),
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
        "parts" => no_more(rest).and_then(|()| parts::run(&root)),
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
    let mut cargo = shell::cargo(root);
    cargo.args(forward.cargo);
    match forward.told {
        Told::InWords => drop(cargo.args(rest)),
        Told::InVariables(options) => drop(cargo.envs(variables(options, rest)?)),
    }
    shell::run(&mut cargo)
}

fn variables<'a>(options: &[(&str, &'a str)], words: &'a [String]) -> Result<Vec<(&'a str, &'a str)>, Error> {
    let mut found = Vec::new();
    for pair in words.chunks(2) {
        let name = pair[0].as_str();
        let Some((_, variable)) = options.iter().find(|(option, _)| *option == name) else {
            let known: Vec<&str> = options.iter().map(|(option, _)| *option).collect();
            return Err(Error::new(format!("`{name}` is not known; there are {}", known.join(" and "))));
        };
        let number = pair.get(1).filter(|value| value.parse::<u64>().is_ok());
        let number = number.ok_or_else(|| Error::new(format!("`{name}` takes a whole number")))?;
        found.push((*variable, number.as_str()));
    }
    Ok(found)
}

fn usage() -> String {
    let forwards: Vec<String> =
        FORWARDS.iter().map(|one| format!("  {:<6}{}", one.verb, one.about)).collect();
    format!(
        "usage: cargo xtask <verb>\n\n\
         \x20 test                           everything continuous integration checks; ends with `N passed, N failed`\n\
         \x20 tidy                           the written rules of this repository, checked on its sources\n\
         \x20 parts                          adapters against what is not ours: Prometheus, InfluxDB, Graphite, moto (also part of `test`)\n\
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
    fn options_become_variables_or_are_refused() {
        let options = [("--kills", "KILLS"), ("--seed", "SEED")];
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let given = words("--seed 7 --kills 200");
        assert_eq!(variables(&options, &given).expect("both are known"), [("SEED", "7"), ("KILLS", "200")]);
        for wrong in ["--kils 3", "--kills", "--kills many", "--kills 3 --seed"] {
            assert!(variables(&options, &words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_verb_without_arguments_refuses_them() {
        let error = run(&["tidy".to_owned(), "--fix".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("`--fix`"), "{error}");
    }
}
