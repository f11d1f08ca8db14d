//! How long files and functions may be.

use super::rust::Source;
use super::{Finding, Tree};

/// A file longer than this fails.
const FILE_LINES_MAX: usize = 1_000;
/// A file longer than this is listed: it needs a reason in review.
const FILE_LINES_REMARK: usize = 600;
/// A function fits on a screen.
const FUNCTION_LINES_MAX: usize = 70;
/// A `main.rs` wires and hands over.
const MAIN_LINES_MAX: usize = 39;

const COUNTED: &[&str] = &["rs", "md", "js", "css", "html", "sh", "toml"];
/// Written by our own generators from the code.
const GENERATED: &str = "docs/reference/";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        if COUNTED.contains(&file.extension()) && !file.path.starts_with(GENERATED) {
            findings.extend(check_file(&file.path, file.text.lines().count()));
        }
    }
    for file in tree.rust_files() {
        findings.extend(check_functions(&file.path, &file.text));
    }
    findings
}

fn check_file(path: &str, lines: usize) -> Option<Finding> {
    let is_main = path.ends_with("src/main.rs");
    match lines {
        _ if is_main && lines > MAIN_LINES_MAX => {
            Some(Finding::failure(path, 0, format!("{lines} lines; a main.rs has at most {MAIN_LINES_MAX}")))
        }
        _ if lines > FILE_LINES_MAX => {
            Some(Finding::failure(path, 0, format!("{lines} lines; a file has at most {FILE_LINES_MAX}")))
        }
        _ if lines > FILE_LINES_REMARK => Some(Finding::remark(
            path,
            format!("{lines} lines; beyond {FILE_LINES_REMARK} a file needs a reason"),
        )),
        _ => None,
    }
}

fn check_functions(path: &str, text: &str) -> Vec<Finding> {
    let source = Source::parse(text);
    let long = source.functions().into_iter().filter(|function| function.lines > FUNCTION_LINES_MAX);
    long.map(|function| {
        let told = format!("`{}` has {} lines; at most {FUNCTION_LINES_MAX}", function.name, function.lines);
        Finding::failure(path, function.line, told)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{failing_lines, files};
    use super::*;

    #[test]
    fn files_are_bounded() {
        assert_eq!(check_file("crates/a/src/lib.rs", 600), None);
        let listed = check_file("crates/a/src/lib.rs", 601).expect("a remark");
        assert!(failing_lines(&[listed]).is_empty());
        let failed = check_file("crates/a/src/lib.rs", 1_001).expect("a failure");
        assert_eq!(failing_lines(&[failed]).len(), 1);
    }

    #[test]
    fn a_main_only_hands_over() {
        assert_eq!(check_file("crates/cli/src/main.rs", 39), None);
        assert!(check_file("crates/cli/src/main.rs", 40).is_some());
        assert_eq!(check_file("crates/cli/tests/it/main.rs", 40), None);
    }

    #[test]
    fn functions_are_bounded() {
        let function = |lines: usize| format!("\nfn long() {{\n{}}}\n", "    work();\n".repeat(lines));
        assert!(check_functions("a.rs", &function(70)).is_empty());
        assert_eq!(failing_lines(&check_functions("a.rs", &function(71))), [("a.rs".to_owned(), 2)]);
    }

    #[test]
    fn generated_pages_and_data_are_not_counted() {
        let long = "x\n".repeat(2_000);
        let tree = files(&[("docs/reference/schema.md", &long), ("crates/a/tests/golden.jsonl", &long)]);
        assert!(check(&tree).is_empty());
    }
}
