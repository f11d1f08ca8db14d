//! Every member's Cargo.toml takes lints and dependency versions from the workspace: one feature set is built once, and
//! no crate escapes `unsafe_code = "forbid"`.

use super::{Finding, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.files.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    manifests.flat_map(|file| check_text(&file.path, &file.text)).collect()
}

fn check_text(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut section = "";
    let mut inherits_lints = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        } else if section == "lints" {
            inherits_lints |= line == "workspace = true";
        } else if section.ends_with("dependencies") && names_own_version(line) {
            let told = "a dependency outside [workspace.dependencies]; write `workspace = true`";
            findings.push(Finding::failure(path, number + 1, told));
        }
    }
    if !inherits_lints {
        findings.push(Finding::failure(path, 0, "has no `[lints]` with `workspace = true`"));
    }
    findings
}

fn names_own_version(line: &str) -> bool {
    let line = line.split('#').next().unwrap_or_default();
    // A path has no version; whether the arrow is allowed is for the floors to say.
    line.contains('=') && !line.contains("workspace = true") && !line.contains("path = ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n\n[dependencies]\n# why\na.workspace = true\n\
                        b = { workspace = true, features = [\"x\"] }\n";

    #[test]
    fn a_manifest_that_inherits_passes() {
        assert_eq!(check_text("crates/a/Cargo.toml", GOOD), []);
    }

    #[test]
    fn own_versions_and_own_lints_fail() {
        let own_version = format!("{GOOD}[dev-dependencies]\nc = \"1\"\n");
        assert_eq!(check_text("crates/a/Cargo.toml", &own_version).len(), 1);
        assert_eq!(check_text("crates/a/Cargo.toml", "[lints.rust]\nunsafe_code = \"allow\"\n").len(), 1);
    }
}
