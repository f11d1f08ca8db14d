//! ARCHITECTURE.md claims nothing that no test holds: every invariant names its tests, and they exist.

use std::collections::BTreeSet;

use super::rust::Source;
use super::{Finding, Tree};

const PATH: &str = "ARCHITECTURE.md";
const MARK: &str = "- **Invariant:";
const HELD_BY: &str = "Held by ";
/// How the checks of tidy are named there.
const OWN: &str = "tidy ";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.files.iter().find(|file| file.path == PATH) else {
        return vec![Finding::failure(PATH, 0, "is missing")];
    };
    let sources: Vec<Source> = tree.rust_files().map(|file| Source::parse(&file.text)).collect();
    let functions: BTreeSet<&str> =
        sources.iter().flat_map(Source::functions).map(|function| function.name).collect();
    let exists = |name: &str| match name.strip_prefix(OWN) {
        Some(check) => super::is_check(check),
        None => functions.contains(name),
    };
    let invariants = paragraphs(&page.text);
    if invariants.is_empty() {
        return vec![Finding::failure(PATH, 0, format!("has no line that begins with `{MARK}`"))];
    }
    invariants.into_iter().flat_map(|(line, text)| check_invariant(line, &text, exists)).collect()
}

fn check_invariant(line: usize, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let held_by = text.split_once(HELD_BY).map_or("", |(_, after)| after);
    // Every second piece between backticks is inside of a pair.
    let names: Vec<&str> = held_by.split('`').skip(1).step_by(2).collect();
    if names.is_empty() {
        return vec![Finding::failure(
            PATH,
            line,
            format!("an invariant without `{HELD_BY}` and the name of a test"),
        )];
    }
    let missing = names.into_iter().filter(|name| !exists(name));
    missing.map(|name| Finding::failure(PATH, line, format!("no test or check is called `{name}`"))).collect()
}

/// The list items that are invariants, each with the line it begins on, its own lines joined.
fn paragraphs(page: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for (number, line) in page.lines().enumerate() {
        if line.starts_with(MARK) {
            found.push((number + 1, line.to_owned()));
            inside = true;
        } else if inside && line.starts_with("  ") {
            let (_, text) = found.last_mut().expect("inside is set with the first one");
            text.push(' ');
            text.push_str(line.trim());
        } else {
            inside = false;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::samples::{failing_lines, files};
    use super::*;

    #[test]
    fn invariants_with_their_tests_pass() {
        let page = "# A\n- **Invariant: it holds.** Because.\n  Held by `it_holds` and `tidy purity`.\n- Something else.\n";
        let tree = files(&[(PATH, page), ("crates/a/src/lib.rs", "fn it_holds() {}")]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn invariants_without_tests_fail() {
        let page = "- **Invariant: one.** Held by `gone`.\n- **Invariant: two.** Surely.\n- **Invariant: three.** Held by `tidy gone`.\n";
        let found = check(&files(&[(PATH, page), ("a.rs", "// fn gone() {}")]));
        let lines: Vec<_> = failing_lines(&found).into_iter().map(|(_, line)| line).collect();
        assert_eq!(lines, [1, 2, 3]);
        assert_eq!(check(&files(&[(PATH, "# Nothing\n")])).len(), 1);
        assert_eq!(check(&files(&[])).len(), 1);
    }
}
