//! `cargo xtask tidy`: the rules of ARCHITECTURE.md that no compiler holds, each as a check with a good and a bad sample.

mod arrows;
mod budget;
mod changelog;
mod errors;
mod invariants;
mod manifests;
mod modules;
mod places;
mod purity;
mod rust;
mod sizes;

use std::fmt;
use std::path::Path;

use crate::repo::{self, File, Package};
use crate::shell::Error;

/// Something that has to be changed, or (`Weight::Remark`) that a reviewer should ask about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    /// From 1; 0 where the finding is about the whole file.
    line: usize,
    message: String,
    weight: Weight,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Failure,
    Remark,
}

impl Finding {
    fn failure(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into(), weight: Weight::Failure }
    }

    fn remark(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: 0, message: message.into(), weight: Weight::Remark }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.path, self.message),
            line => write!(formatter, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// What the checks look at.
struct Tree {
    files: Vec<File>,
    packages: Vec<Package>,
}

impl Tree {
    fn rust_files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.extension() == "rs")
    }
}

type Check = fn(&Tree) -> Vec<Finding>;

const CHECKS: &[(&str, Check)] = &[
    ("floors", arrows::check),
    ("manifests", manifests::check),
    ("sizes", sizes::check),
    ("purity", purity::check),
    ("unsafe", purity::check_unsafe),
    ("places", places::check),
    ("modules", modules::check),
    ("error pages", errors::check),
    ("changelog", changelog::check),
    ("invariants", invariants::check),
];

/// The check that asks cargo instead of looking at the tree.
const PACKAGES: &str = "packages";

/// Whether a check of that name is run.
fn is_check(name: &str) -> bool {
    name == PACKAGES || CHECKS.iter().any(|(check, _)| *check == name)
}

/// Runs every check and prints what it finds; an error if anything has to be changed.
pub(crate) fn run(root: &Path) -> Result<(), Error> {
    let tree = Tree { files: repo::files(root)?, packages: repo::packages(root)? };
    let mut failures = 0;
    for (name, check) in CHECKS {
        failures += report(name, &check(&tree));
    }
    let (findings, packages) = budget::check(root)?;
    failures += report(PACKAGES, &findings);
    println!(
        "tidy: {} files, {} members, {packages} packages in the default build, {failures} to change",
        tree.files.len(),
        tree.packages.len()
    );
    if failures == 0 { Ok(()) } else { Err(Error::new(format!("tidy: {failures} to change"))) }
}

fn report(name: &str, findings: &[Finding]) -> usize {
    for finding in findings {
        let word = if finding.weight == Weight::Failure { "error" } else { "note" };
        println!("{word}[{name}] {finding}");
    }
    findings.iter().filter(|finding| finding.weight == Weight::Failure).count()
}

#[cfg(test)]
mod samples {
    //! Small trees for the tests of the checks.
    use super::*;
    use crate::repo::Dependency;

    pub(super) fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    pub(super) fn files(files: &[(&str, &str)]) -> Tree {
        Tree { files: files.iter().map(|(path, text)| file(path, text)).collect(), packages: Vec::new() }
    }

    pub(super) fn package(name: &str, dependencies: &[&str], for_tests: &[&str]) -> Package {
        let arrow = |name: &&str, for_tests_only| Dependency {
            name: (*name).to_owned(),
            for_tests_only,
            is_member: true,
        };
        Package {
            name: name.to_owned(),
            folder: format!("crates/{}", name.trim_start_matches("taxiway-")),
            dependencies: (dependencies.iter().map(|name| arrow(name, false)))
                .chain(for_tests.iter().map(|name| arrow(name, true)))
                .collect(),
        }
    }

    pub(super) fn failing_lines(findings: &[Finding]) -> Vec<(String, usize)> {
        let failures = findings.iter().filter(|finding| finding.weight == Weight::Failure);
        failures.map(|finding| (finding.path.clone(), finding.line)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_count() {
        let findings = [Finding::failure("a.rs", 3, "wrong"), Finding::remark("b.rs", "long")];
        assert_eq!(report("sample", &findings), 1);
        assert_eq!(findings[0].to_string(), "a.rs:3: wrong");
        assert_eq!(findings[1].to_string(), "b.rs: long");
    }
}
