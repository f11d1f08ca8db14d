//! Every error code has its section in the reference, which says what happened and what to do; and no section is left of
//! a code that is gone.

use std::collections::BTreeMap;

use super::{Finding, Tree};

/// Where the codes are listed: each entry is `Code::Name, "word"`.
const TABLE: &str = "crates/cli/src/error_codes.rs";
/// Written by `taxiway reference errors`, a section per code.
const PAGE: &str = "docs/reference/errors.md";
/// What a person in trouble looks for first.
const ADVICE: &str = "What to do: ";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let text = |path: &str| tree.files.iter().find(|file| file.path == path).map(|file| file.text.as_str());
    let (Some(table), Some(page)) = (text(TABLE), text(PAGE)) else {
        let missing = if text(TABLE).is_none() { TABLE } else { PAGE };
        return vec![Finding::failure(
            missing,
            0,
            "is missing: without it nobody learns what an error means",
        )];
    };
    let codes: BTreeMap<&str, usize> =
        (1..).zip(table.lines()).filter_map(|(n, line)| Some((code_in(line)?, n))).collect();
    let sections = sections(page);
    let mut findings = Vec::new();
    for (code, line) in &codes {
        match sections.get(code) {
            None => {
                findings.push(Finding::failure(TABLE, *line, format!("`{code}` has no section in {PAGE}")));
            }
            Some((line, text)) if !says_what_to_do(text) => {
                findings.push(Finding::failure(PAGE, *line, format!("`{code}` does not say what to do")));
            }
            Some(_) => {}
        }
    }
    let gone = sections.iter().filter(|(code, _)| !codes.contains_key(*code));
    findings.extend(
        gone.map(|(code, (line, _))| {
            Finding::failure(PAGE, *line, format!("`{code}` is no code of {TABLE}"))
        }),
    );
    if codes.is_empty() {
        findings.push(Finding::failure(TABLE, 0, "lists no code that this check understands"));
    }
    findings
}

fn code_in(line: &str) -> Option<&str> {
    let (_, after) = line.split_once("(Code::")?;
    let (_, word) = after.split_once(", \"")?;
    word.split('"').next()
}

/// Headings of the second level, each with its line and the text beneath.
fn sections(page: &str) -> BTreeMap<&str, (usize, String)> {
    let mut sections: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    let mut current = None;
    for (number, line) in (1..).zip(page.lines()) {
        if let Some(heading) = line.strip_prefix("## ") {
            current = Some(heading);
            sections.insert(heading, (number, String::new()));
        } else if let Some((_, text)) = current.and_then(|heading| sections.get_mut(heading)) {
            text.push_str(line);
            text.push('\n');
        }
    }
    sections
}

fn says_what_to_do(text: &str) -> bool {
    text.split_once(ADVICE).is_some_and(|(_, advice)| !advice.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::samples::{failing_lines, files};
    use super::*;

    const CODES: &str = "const CODES: &[Entry] = &[\n    entry(Code::BadYaml, \"bad_yaml\", Exit::BadInput, \"x\"),\n    refusal(Code::Held, \"held\", Exit::Refused),\n];\n";

    fn lines(table: &str, page: &str) -> Vec<(String, usize)> {
        failing_lines(&check(&files(&[(TABLE, table), (PAGE, page)])))
    }

    #[test]
    fn codes_with_their_sections_pass() {
        let page = "# Errors\n\n## bad_yaml\n\nIt is bad.\n\nWhat to do: mend it.\n\n## held\n\nWhat to do: resume.\n";
        assert_eq!(lines(CODES, page), []);
    }

    #[test]
    fn a_code_without_section_advice_or_table_fails() {
        let page = "# Errors\n\n## bad_yaml\n\nIt is bad.\n\n## gone\n\nWhat to do: nothing.\n";
        let found = [(PAGE.to_owned(), 3), (TABLE.to_owned(), 3), (PAGE.to_owned(), 7)];
        assert_eq!(lines(CODES, page), found);
        assert_eq!(lines("", "").len(), 1);
        assert_eq!(check(&files(&[(TABLE, CODES)])).len(), 1);
    }
}
