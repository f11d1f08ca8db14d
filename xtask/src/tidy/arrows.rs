//! Which member may import which: the floors of ARCHITECTURE.md.

use super::{Finding, Tree};
use crate::repo::{Dependency, Package};

/// What each member may import directly. A crate that is missing here has no floor yet and fails.
const FLOORS: &[(&str, &[&str])] = &[
    ("taxiway-model", &[]),
    ("taxiway-stats", &[]),
    ("taxiway-gates", &["taxiway-model"]),
    ("taxiway-flags", &["taxiway-model"]),
    ("taxiway-proxy", &["taxiway-model"]),
    ("taxiway-api", &["taxiway-model"]),
    ("taxiway-decide", &["taxiway-model", "taxiway-stats", "taxiway-gates", "taxiway-flags"]),
    (
        "taxiway-engine",
        &["taxiway-model", "taxiway-stats", "taxiway-gates", "taxiway-flags", "taxiway-decide"],
    ),
    ("taxiway-store", &["taxiway-model", "taxiway-engine"]),
    ("taxiway-kube", &["taxiway-model", "taxiway-engine"]),
    ("taxiway-adapters", &["taxiway-model", "taxiway-engine"]),
    // What the server shows is the environment that decide folds.
    ("taxiway-server", &["taxiway-model", "taxiway-decide", "taxiway-engine", "taxiway-api"]),
    // The world of the simulation is fake; the log under it is the real one, and so is what counts the
    // answers of its source of metrics.
    (
        "taxiway-sim",
        &["taxiway-model", "taxiway-decide", "taxiway-engine", "taxiway-store", "taxiway-adapters"],
    ),
    // The field's judges as they are: pure, so that the bench and the binary play the same ones.
    ("taxiway-peers", &["taxiway-model", "taxiway-stats"]),
    // Judgements written for people: text, JSON, HTML with charts. Pure as well.
    ("taxiway-report", &["taxiway-model", "taxiway-stats", "taxiway-decide", "taxiway-peers"]),
    ("taxiway-judgebench", &["taxiway-model", "taxiway-stats", "taxiway-decide", "taxiway-peers"]),
    ("xtask", &[]),
];

/// The binary, where everything is joined.
const TOP: &str = "taxiway";

/// The edges: they meet in the binary and nowhere else, also not in each other's tests.
const EDGES: &[&str] = &["taxiway-store", "taxiway-kube", "taxiway-adapters", "taxiway-server"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.packages.iter().flat_map(check_package).collect()
}

fn check_package(package: &Package) -> Vec<Finding> {
    let path = format!("{}/Cargo.toml", package.folder);
    let Some(allowed) = allowed(package) else {
        let message =
            format!("`{}` has no floor: add it to FLOORS in xtask/src/tidy/arrows.rs", package.name);
        return vec![Finding::failure(&path, 0, message)];
    };
    let members = package.dependencies.iter().filter(|dependency| dependency.is_member);
    let forbidden = members.filter(|dependency| !may_import(package, dependency, allowed));
    forbidden
        .map(|dependency| {
            let told = match (allowed, dependency.for_tests_only) {
                (_, true) => "edges meet only in the binary, also in tests".to_owned(),
                (Allowed::Only([]), _) => "it stands alone".to_owned(),
                (Allowed::Only(names), _) => format!("it may import {}", names.join(", ")),
                (Allowed::Everything, _) => "nothing imports the binary or xtask".to_owned(),
            };
            Finding::failure(
                &path,
                0,
                format!("`{}` may not import `{}`: {told}", package.name, dependency.name),
            )
        })
        .collect()
}

#[derive(Clone, Copy)]
enum Allowed {
    Everything,
    Only(&'static [&'static str]),
}

fn allowed(package: &Package) -> Option<Allowed> {
    if package.name == TOP {
        return Some(Allowed::Everything);
    }
    if package.folder.starts_with("examples/") {
        return Some(Allowed::Only(&[]));
    }
    FLOORS.iter().find(|(name, _)| *name == package.name).map(|(_, names)| Allowed::Only(names))
}

fn may_import(package: &Package, dependency: &Dependency, allowed: Allowed) -> bool {
    let name = dependency.name.as_str();
    if dependency.for_tests_only && matches!(allowed, Allowed::Only(_)) {
        return !(EDGES.contains(&package.name.as_str()) && EDGES.contains(&name) && name != package.name);
    }
    match allowed {
        Allowed::Everything => ![TOP, "xtask"].contains(&name),
        Allowed::Only(names) => names.contains(&name),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::package;
    use super::*;

    fn findings(package: &Package) -> Vec<String> {
        check_package(package).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn arrows_that_point_down_pass() {
        assert!(findings(&package("taxiway-decide", &["taxiway-model", "taxiway-stats"], &[])).is_empty());
        assert!(
            findings(&package("taxiway", &["taxiway-store", "taxiway-server", "taxiway-proxy"], &[]))
                .is_empty()
        );
        assert!(findings(&package("taxiway-proxy", &["taxiway-model"], &["taxiway-stats"])).is_empty());
    }

    #[test]
    fn arrows_that_point_up_or_sideways_fail() {
        assert_eq!(
            findings(&package("taxiway-decide", &["taxiway-engine"], &[])),
            [
                "`taxiway-decide` may not import `taxiway-engine`: it may import taxiway-model, taxiway-stats, taxiway-gates, taxiway-flags"
            ]
        );
        assert_eq!(findings(&package("taxiway-stats", &["taxiway-model"], &[])).len(), 1);
        assert_eq!(findings(&package("taxiway-store", &["taxiway-adapters"], &[])).len(), 1);
        assert_eq!(findings(&package("taxiway-proxy", &["taxiway-engine"], &[])).len(), 1);
        assert_eq!(findings(&package("taxiway", &["xtask"], &[])).len(), 1);
    }

    #[test]
    fn edges_do_not_meet_in_tests_either() {
        assert_eq!(findings(&package("taxiway-store", &[], &["taxiway-server"])).len(), 1);
        assert!(findings(&package("taxiway-store", &[], &["taxiway-store"])).is_empty());
    }

    #[test]
    fn examples_stand_alone_and_a_new_crate_needs_a_floor() {
        let mut shop = package("shop", &["taxiway-model"], &[]);
        shop.folder = "examples/shop".to_owned();
        assert_eq!(findings(&shop).len(), 1);
        assert!(findings(&package("taxiway-tower", &[], &[]))[0].contains("has no floor"));
    }
}
