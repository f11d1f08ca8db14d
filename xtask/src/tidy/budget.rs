//! How many packages a default build compiles: each one is somebody else's code on the user's machine.

use std::collections::BTreeSet;
use std::path::Path;

use super::Finding;
use crate::shell::{self, Error};

/// `linkerd2` has 282, `jj` 550, `uv` 753 (2026); the built-in proxy, SQLite and TLS fit into this.
const PACKAGES_MAX: usize = 350;

/// The finding, if any, and how many packages there are.
pub(super) fn check(root: &Path) -> Result<(Vec<Finding>, usize), Error> {
    let mut tree = shell::cargo(root);
    tree.args(["tree", "-p", "taxiway", "-e", "normal,build", "--prefix", "none", "--format", "{p}"]);
    let packages = distinct(&shell::capture(&mut tree)?);
    Ok((judge(packages), packages))
}

fn judge(packages: usize) -> Vec<Finding> {
    let told = || format!("{packages} packages in the default build; at most {PACKAGES_MAX}");
    (packages > PACKAGES_MAX).then(|| Finding::failure("Cargo.toml", 0, told())).into_iter().collect()
}

/// Lines of `cargo tree` are `name vVERSION [(path or (*))]`; the same package may stand there often.
fn distinct(tree: &str) -> usize {
    let packages: BTreeSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?))
        })
        .collect();
    packages.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_counts_once_per_version() {
        assert_eq!(distinct("a v1.0.0 (crates/a)\nb v1.0.0\nb v1.0.0 (*)\nb v2.0.0\n\n"), 3);
    }

    #[test]
    fn the_budget_holds_to_the_last_package() {
        assert!(judge(PACKAGES_MAX).is_empty());
        assert_eq!(judge(PACKAGES_MAX + 1).len(), 1);
    }
}
