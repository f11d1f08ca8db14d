//! Nothing in the repository may tell on which machine it was written, nor tie its users to one package mirror.

use super::{Finding, Tree};

/// Folders that exist on one machine only; a letter has to follow the last slash.
const FOLDERS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/tm", "p/")];

/// Hosts packages are downloaded from.
const HOSTS: &[&str] = &[
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("registry.npmjs", ".org"),
    concat!("registry.yarnpkg", ".com"),
    concat!("files.pythonhosted", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("repo.maven.apache", ".org"),
    concat!("deb.debian", ".org"),
];

/// The only source a locked package may have.
const LOCKED_SOURCE: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (number, line) in file.text.lines().enumerate() {
            let told = if file.path == "Cargo.lock" { check_locked(line) } else { check_line(line) };
            findings.extend(told.map(|message| Finding::failure(&file.path, number + 1, message)));
        }
    }
    findings
}

fn check_locked(line: &str) -> Option<String> {
    let foreign = line.starts_with("source = ") && line != LOCKED_SOURCE;
    foreign.then(|| "a package from somewhere other than crates.io".to_owned())
}

fn check_line(line: &str) -> Option<String> {
    if let Some(folder) = FOLDERS.iter().find(|folder| names_folder(line, folder)) {
        return Some(format!("`{folder}…` is a folder of one machine"));
    }
    let host = HOSTS.iter().find(|host| line.contains(**host))?;
    Some(format!("`{host}` is a package host"))
}

/// Whether `folder` stands at the beginning of a path (not within one, as in `a/work/b`) and has something in it.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + folder.len()..].chars().next();
        let inside_a_path = |c: char| c.is_alphanumeric() || "_.-/~}>*".contains(c);
        !before.is_some_and(inside_a_path) && after.is_some_and(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::{failing_lines, files};
    use super::*;

    #[test]
    fn folders_of_one_machine_are_found() {
        let text = format!("let a = 1;\nlet b = \"{}ada/x\";\nsee {}hosts\n", FOLDERS[2], FOLDERS[0]);
        let found = check(&files(&[("docs/a.md", &text)]));
        assert_eq!(failing_lines(&found), [("docs/a.md".to_owned(), 2), ("docs/a.md".to_owned(), 3)]);
    }

    #[test]
    fn paths_that_only_look_alike_pass() {
        let text = format!(
            "crates{}a\nhttp://localhost{}x\n\"{}\"\n/etc/passwd\n",
            FOLDERS[0], FOLDERS[2], FOLDERS[3]
        );
        assert_eq!(check(&files(&[("a.rs", &text)])), []);
    }

    #[test]
    fn package_hosts_are_found_and_the_lock_names_one_source() {
        let bad = files(&[
            ("a.toml", &format!("[source]\nregistry = \"https://{}/x\"", HOSTS[0])),
            ("Cargo.lock", "source = \"registry+https://mirror.example/index\""),
        ]);
        assert_eq!(failing_lines(&check(&bad)).len(), 2);
        assert_eq!(
            check(&files(&[("Cargo.lock", LOCKED_SOURCE), ("a.md", "see docs.rs and crates.io")])),
            []
        );
    }
}
