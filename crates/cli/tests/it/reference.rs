//! The pages of the reference are what the program would write now.

use crate::bed::Bed;

#[test]
fn the_pages_are_current() {
    let bed = Bed::new("");
    for page in ["cli", "exit-codes", "errors"] {
        let path = format!("{}/../../docs/reference/{page}.md", env!("CARGO_MANIFEST_DIR"));
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let written = bed.ok(&["reference", page]).out;
        assert!(kept == written, "write it again: taxiway reference {page} > docs/reference/{page}.md");
    }
}

#[test]
fn help_begins_with_examples_and_names_the_exit_codes() {
    let bed = Bed::new("");
    let help = bed.ok(&["--help"]).out;
    for wanted in ["Examples:", "taxiway demo", "Exit codes:", "rollback"] {
        assert!(help.contains(wanted), "{wanted} is missing in\n{help}");
    }
    for hidden in ["  resident", "  keep", "  proxy"] {
        assert!(!help.contains(hidden), "{hidden} is not for people");
    }
}

#[test]
fn completions_and_the_manual_are_written() {
    let bed = Bed::new("");
    for shell in ["bash", "zsh", "fish"] {
        assert!(bed.ok(&["completions", shell]).out.contains("taxiway"));
    }
    assert!(bed.ok(&["man"]).out.contains(".TH taxiway"));
    bed.ok(&["man", "--dir", "man"]);
    assert!(bed.folder().join("man/taxiway-release.1").is_file());
}
