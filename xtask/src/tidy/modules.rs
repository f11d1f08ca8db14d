//! Every source file is compiled: a test file that no `mod` names would pass for ever without running.

use std::collections::BTreeSet;

use super::rust::Source;
use super::{Finding, Tree};
use crate::repo::File;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let files: Vec<&File> = tree.rust_files().collect();
    let declared: BTreeSet<String> = files.iter().flat_map(|file| declared_by(file)).collect();
    let mut findings = Vec::new();
    for file in &files {
        if !is_root(&file.path) && !declared.contains(&module_path(&file.path)) {
            let told = "no `mod` declares this file, so it is never compiled";
            findings.push(Finding::failure(&file.path, 0, told));
        }
    }
    findings
}

/// Files cargo finds by itself.
fn is_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        parts.as_slice(),
        [.., "src", "lib.rs" | "main.rs"]
            | [.., "build.rs"]
            | [.., "src", "bin", _]
            | [.., "src", "bin", _, "main.rs"]
            | [.., "tests", "it", "main.rs"]
            // An example is a file or a folder with a main.rs; `examples/<name>` at the root is a member of its own.
            | ["crates", _, "examples" | "benches", _]
            | ["crates", _, "examples" | "benches", _, "main.rs"]
    )
}

/// The path of a module without its extension: `src/a.rs` and `src/a/mod.rs` are both `src/a`.
fn module_path(path: &str) -> String {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    path.strip_suffix("/mod").unwrap_or(path).to_owned()
}

/// The module paths that `file` declares.
fn declared_by(file: &File) -> Vec<String> {
    let source = Source::parse(&file.text);
    let folder = match file.path.rsplit_once('/') {
        Some((folder, "lib.rs" | "main.rs" | "mod.rs")) => folder.to_owned(),
        Some((folder, _)) if is_root(&file.path) => folder.to_owned(),
        _ => module_path(&file.path),
    };
    let by_name = source.declared_modules().into_iter().map(|name| format!("{folder}/{name}"));
    let by_path = file.text.lines().filter_map(|line| {
        let quoted = line.trim().strip_prefix("#[path = \"")?.split('"').next()?;
        Some(module_path(&resolve(parent(&file.path), quoted)))
    });
    by_name.chain(by_path).collect()
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn resolve(folder: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{failing_lines, files};
    use super::*;

    #[test]
    fn declared_files_pass() {
        let tree = files(&[
            ("crates/a/src/lib.rs", "mod one;\npub mod two;\n"),
            ("crates/a/src/one.rs", "mod deep;"),
            ("crates/a/src/one/deep.rs", ""),
            ("crates/a/src/two/mod.rs", ""),
            ("crates/a/tests/it/main.rs", "mod split;\n#[path = \"../shared/world.rs\"]\nmod world;"),
            ("crates/a/tests/it/split.rs", ""),
            ("crates/a/tests/shared/world.rs", ""),
            ("crates/a/examples/bench_split.rs", ""),
            ("examples/shop/src/main.rs", ""),
        ]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn forgotten_files_fail() {
        let tree = files(&[
            ("crates/a/src/lib.rs", "// mod gone;\n"),
            ("crates/a/src/gone.rs", ""),
            ("crates/a/tests/it/main.rs", "mod split;"),
            ("crates/a/tests/it/split.rs", ""),
            ("crates/a/tests/it/forgotten.rs", ""),
            ("crates/a/tests/stray.rs", ""),
        ]);
        let paths: Vec<_> = failing_lines(&check(&tree)).into_iter().map(|(path, _)| path).collect();
        assert_eq!(
            paths,
            ["crates/a/src/gone.rs", "crates/a/tests/it/forgotten.rs", "crates/a/tests/stray.rs"]
        );
    }
}
