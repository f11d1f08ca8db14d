//! CHANGELOG.md in the form of keepachangelog.com, so that release notes can be cut from it.

use super::{Finding, Tree};

const PATH: &str = "CHANGELOG.md";
const KINDS: &[&str] = &["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];
/// The version of a workspace that was never released.
const NEVER_RELEASED: &str = "0.0.0";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let text = |path: &str| tree.files.iter().find(|file| file.path == path).map(|file| file.text.as_str());
    match text(PATH) {
        Some(changelog) => check_text(changelog, workspace_version(text("Cargo.toml").unwrap_or_default())),
        None => vec![Finding::failure(PATH, 0, "is missing")],
    }
}

fn workspace_version(manifest: &str) -> &str {
    let package = manifest.split("[workspace.package]").nth(1).unwrap_or_default();
    let line = package.lines().find_map(|line| line.strip_prefix("version = \""));
    line.and_then(|rest| rest.split('"').next()).unwrap_or(NEVER_RELEASED)
}

fn check_text(changelog: &str, version: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut versions = Vec::new();
    let mut kind = None;
    for (number, line) in changelog.lines().enumerate() {
        if let Some(heading) = line.strip_prefix("## ") {
            versions.push(heading.trim_start_matches('[').split([']', ' ']).next().unwrap_or_default());
            kind = None;
        } else if let Some(heading) = line.strip_prefix("### ") {
            kind = Some(heading);
            if !KINDS.contains(&heading) {
                let told = format!("`{heading}` is none of {}", KINDS.join(", "));
                findings.push(Finding::failure(PATH, number + 1, told));
            }
        } else if line.starts_with("- ") && kind.is_none() {
            findings.push(Finding::failure(
                PATH,
                number + 1,
                "a change stands under no `### Added`, `### Fixed`, …",
            ));
        }
    }
    if versions.first() != Some(&"Unreleased") {
        findings.push(Finding::failure(PATH, 0, "the first section is not `## [Unreleased]`"));
    }
    if version != NEVER_RELEASED && !versions.contains(&version) {
        findings.push(Finding::failure(
            PATH,
            0,
            format!("has no section for version {version} of Cargo.toml"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n## [0.1.0] - 2026-01-01\n\n### Fixed\n\n- It.\n";

    #[test]
    fn a_kept_changelog_passes() {
        assert_eq!(check_text(GOOD, "0.1.0"), []);
        assert_eq!(check_text(GOOD, NEVER_RELEASED), []);
    }

    #[test]
    fn a_version_without_notes_and_a_change_without_kind_fail() {
        assert_eq!(check_text(GOOD, "0.2.0").len(), 1);
        assert_eq!(check_text("## [0.1.0]\n- Loose.\n### Improved\n", "0.1.0").len(), 3);
    }

    #[test]
    fn the_version_is_the_workspaces() {
        assert_eq!(workspace_version("[workspace]\n\n[workspace.package]\nversion = \"1.2.3\"\n"), "1.2.3");
    }
}
