//! `cargo xtask bench`: measurements beside their peers, written down as measured.
//!
//! A bench of one crate is its `examples/bench_<name>.rs`, found by its file name; what it prints is the record. Only
//! the proxy's bench lives here, because it starts other people's programs and looks at them from outside.

mod clients;
mod machine;
mod options;
mod peers;
mod process;
mod proxy;
mod record;

use std::fs;
use std::path::Path;

use crate::repo;
use crate::shell::{self, Error};

/// A bench that a crate brings as an example.
struct Example {
    name: String,
    /// Folder of the crate from the root.
    folder: String,
    /// First sentence of its documentation.
    about: String,
}

/// Runs the bench that `words` begins with.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), Error> {
    let Some((name, rest)) = words.split_first() else {
        return Err(Error::new(format!("which bench?\n\n{}", usage())));
    };
    match name.as_str() {
        "proxy" => proxy::run(root, rest),
        "judge" => measure(root, name, rest, &["--manifest-path", "crates/judgebench/Cargo.toml"]),
        "standard" => standard(root, rest),
        other => {
            let examples = examples(root);
            let Some(found) = examples.iter().find(|example| example.name == other) else {
                return Err(Error::new(format!("no bench `{other}`\n\n{}", usage())));
            };
            let manifest = format!("{}/Cargo.toml", found.folder);
            measure(
                root,
                other,
                rest,
                &["--manifest-path", &manifest, "--example", &format!("bench_{other}")],
            )
        }
    }
}

/// The part of the judge's bench on whole releases, with a record of its own.
fn standard(root: &Path, rest: &[String]) -> Result<(), Error> {
    let mut command = shell::cargo(root);
    command.args([
        "run",
        "-q",
        "--release",
        "--manifest-path",
        "crates/judgebench/Cargo.toml",
        "--",
        "standard",
    ]);
    let printed = shell::tee(command.args(rest))?;
    if rest.is_empty() { record::append(root, "standard", printed.trim_end()) } else { Ok(()) }
}

/// Runs a bench built for release. Without arguments it is the agreed measurement and goes on record.
fn measure(root: &Path, name: &str, rest: &[String], what: &[&str]) -> Result<(), Error> {
    let mut command = shell::cargo(root);
    command.args(["run", "-q", "--release"]).args(what).arg("--").args(rest);
    let printed = shell::tee(&mut command)?;
    if rest.is_empty() {
        record::append(root, name, &format!("```text\n{}\n```", printed.trim_end()))
    } else {
        Ok(())
    }
}

/// Every `crates/*/examples/bench_*.rs`, by name.
fn examples(root: &Path) -> Vec<Example> {
    let files = repo::files(root).unwrap_or_default();
    let examples = files.iter().filter_map(|file| {
        let (folder, name) = file.path.strip_suffix(".rs")?.split_once("/examples/bench_")?;
        Some(Example { name: name.to_owned(), folder: folder.to_owned(), about: first_sentence(&file.text) })
    });
    let mut examples: Vec<Example> = examples.filter(|example| !example.name.contains('/')).collect();
    examples.sort_by(|a, b| a.name.cmp(&b.name));
    examples
}

/// The first sentence of a file's documentation, in one line and without its full stop.
fn first_sentence(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//! "));
    let joined = lines.collect::<Vec<_>>().join(" ");
    joined.split(['.', ':']).next().unwrap_or_default().to_owned()
}

/// The benches there are, a line each.
pub(crate) fn usage() -> String {
    let mut lines = vec![
        "  bench proxy [--real-time]                throughput per core and p99 beside nginx and HAProxy"
            .to_owned(),
        "  bench judge [--quick] [--json]           false alarms and time to detection beside the peers"
            .to_owned(),
        "  bench standard                           verdicts of the profile `standard` on whole releases"
            .to_owned(),
    ];
    lines.extend(examples(&repo::root()).iter().map(|one| format!("  bench {:<35}{}", one.name, one.about)));
    lines.join("\n") + "\n"
}

/// Makes an empty folder under `target/` for the files of a run.
fn scratch(root: &Path, name: &str) -> Result<std::path::PathBuf, Error> {
    let folder = shell::target(root).join("xtask").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)
        .map_err(|error| Error::new(format!("cannot make {}: {error}", folder.display())))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bench_is_told_by_its_first_sentence() {
        assert_eq!(
            first_sentence("//! Appends per second,\n//! with and without. More.\n//!\n//! x"),
            "Appends per second, with and without"
        );
        assert_eq!(first_sentence("fn main() {}"), "");
    }

    #[test]
    fn an_unknown_bench_is_refused_with_the_list() {
        let error = run(&repo::root(), &["warp".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("no bench `warp`") && error.contains("bench proxy"), "{error}");
    }
}
