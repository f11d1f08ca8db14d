//! Every error code has a page that says what happened and what to do.

use std::collections::BTreeMap;

use super::{Finding, Tree};

const PAGES: &str = "docs/errors/";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut codes: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for file in
        tree.rust_files().filter(|file| file.path.starts_with("crates/") && file.path.contains("/src/"))
    {
        for (number, line) in file.text.lines().enumerate() {
            for code in codes_in(line) {
                codes.entry(code).or_insert((&file.path, number + 1));
            }
        }
    }
    let pages: BTreeMap<&str, &str> = tree
        .files
        .iter()
        .filter_map(|file| Some((file.path.strip_prefix(PAGES)?.strip_suffix(".md")?, file.text.as_str())))
        .filter(|(name, _)| *name != "README")
        .collect();
    let mut findings = Vec::new();
    for (code, (path, line)) in &codes {
        match pages.get(code) {
            None => {
                findings.push(Finding::failure(
                    path,
                    *line,
                    format!("`{code}` has no page {PAGES}{code}.md"),
                ));
            }
            Some(page) if page.lines().count() < 3 => {
                findings.push(Finding::failure(
                    &format!("{PAGES}{code}.md"),
                    0,
                    "says too little to help anyone",
                ));
            }
            Some(_) => {}
        }
    }
    for name in pages.keys().filter(|name| !codes.contains_key(**name)) {
        findings.push(Finding::failure(&format!("{PAGES}{name}.md"), 0, "no code in crates/ has this name"));
    }
    findings
}

/// Codes are written as strings of their own: `"TW-` and four digits.
fn codes_in(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("\"TW-").filter_map(|(at, _)| {
        let code = line.get(at + 1..at + 8)?;
        let digits = code[3..].bytes().all(|byte| byte.is_ascii_digit());
        (digits && line[at + 8..].starts_with('"')).then_some(code)
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::{failing_lines, files};
    use super::*;

    const PAGE: &str = "# TW-0001\n\nThe port is taken.\n";

    #[test]
    fn a_code_with_its_page_passes() {
        let tree = files(&[
            ("crates/a/src/lib.rs", "const A: &str = \"TW-0001\";"),
            ("docs/errors/TW-0001.md", PAGE),
        ]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn a_code_without_page_and_a_page_without_code_fail() {
        let tree = files(&[("crates/a/src/lib.rs", "\n&[\"TW-0002\"]"), ("docs/errors/TW-0001.md", PAGE)]);
        let found = failing_lines(&check(&tree));
        assert_eq!(found, [("crates/a/src/lib.rs".to_owned(), 2), ("docs/errors/TW-0001.md".to_owned(), 0)]);
    }

    #[test]
    fn an_empty_page_fails() {
        let tree =
            files(&[("crates/a/src/lib.rs", "\"TW-0001\""), ("docs/errors/TW-0001.md", "# TW-0001\n")]);
        assert_eq!(check(&tree).len(), 1);
    }
}
