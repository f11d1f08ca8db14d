//! Pages of the reference, written from the tables the program itself works by.

use std::fmt::Write as _;

use crate::cli::command;
use crate::error::CODES;
use crate::exit;

const GENERATED: &str = "<!-- Written by `taxiway reference`; a test compares. -->\n";

/// Every exit code.
pub(crate) fn exit_codes() -> String {
    let mut page = format!(
        "# Exit codes\n\n{GENERATED}\nScripts branch on these numbers: one never changes its meaning.\n\n| code | name | meaning |\n|---:|---|---|\n"
    );
    for (exit, name, meaning) in exit::ALL {
        let _ = writeln!(page, "| {} | {name} | {meaning} |", *exit as u8);
    }
    page
}

/// Every error code.
pub(crate) fn errors() -> String {
    let mut page = format!(
        "# Errors\n\n{GENERATED}\nAn error says what was not done, where, why, and what to do next; the word in brackets is its code.\nWith `--json` it is an object on standard error with the keys `code`, `class`, `title`, `why`, `next` and `places`.\n"
    );
    for entry in CODES {
        let _ = write!(
            page,
            "\n## {}\n\n{} Exit code {}.\n\nWhat to do: {}\n",
            entry.word, entry.meaning, entry.exit as u8, entry.next
        );
    }
    page
}

/// Every verb and option.
pub(crate) fn cli() -> String {
    let mut page = format!("# Commands\n\n{GENERATED}\nOptions of every verb stand once, at the end.\n");
    let root = command();
    for verb in root.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        of_verb(&mut page, verb, "taxiway");
    }
    page.push_str("\n## Options of every verb\n\n");
    options(&mut page, &root, true);
    page
}

fn of_verb(page: &mut String, verb: &clap::Command, parent: &str) {
    let name = format!("{parent} {}", verb.get_name());
    let about = verb.get_long_about().or_else(|| verb.get_about());
    let _ = write!(page, "\n## {name}\n\n{}\n", about.map(ToString::to_string).unwrap_or_default());
    options(page, verb, false);
    for inner in verb.get_subcommands() {
        of_verb(page, inner, &name);
    }
}

fn options(page: &mut String, verb: &clap::Command, global: bool) {
    let wanted = |argument: &&clap::Arg| argument.is_global_set() == global && !argument.is_hide_set();
    let mut first = true;
    for argument in verb.get_arguments().filter(wanted) {
        if std::mem::take(&mut first) {
            page.push('\n');
        }
        let value = argument
            .get_value_names()
            .and_then(|names| names.first())
            .filter(|_| argument.get_action().takes_values());
        let value = value.map_or_else(String::new, |name| format!(" <{name}>"));
        let name = match argument.get_long() {
            Some(long) => format!("--{long}{value}"),
            None => argument.get_id().as_str().to_uppercase(),
        };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let words: Vec<String> = argument
            .get_possible_values()
            .iter()
            .filter(|_| argument.get_action().takes_values())
            .map(|value| value.get_name().to_owned())
            .collect();
        let words = if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) };
        let _ = writeln!(page, "- `{name}`: {help}{words}");
    }
}
