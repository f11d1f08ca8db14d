//! What the repository consists of: its root, its files and its packages, as git and cargo see them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell::{self, Error};

/// A file that is, or with the next commit could be, part of the repository.
pub(crate) struct File {
    /// Path from the root, with `/` between its parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// What follows the last dot of the name; empty without one.
    pub(crate) fn extension(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(_, extension)| extension)
    }
}

/// A workspace member as `cargo metadata` describes it.
pub(crate) struct Package {
    pub(crate) name: String,
    /// Folder from the root, with `/` between its parts.
    pub(crate) folder: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a member's dependency tables.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) for_tests_only: bool,
    /// Another member of this workspace, or something outside it.
    pub(crate) is_member: bool,
}

/// The folder that holds the workspace's Cargo.toml.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("xtask lies one folder below the root").to_path_buf()
}

/// Every text file git tracks or would track, in order of path. Files that are not UTF-8 are left out.
pub(crate) fn files(root: &Path) -> Result<Vec<File>, Error> {
    let mut git = Command::new("git");
    git.current_dir(root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--deduplicate",
    ]);
    let listed = shell::capture(&mut git)?;
    let mut files = Vec::new();
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        // A file deleted in the work tree but not yet in the index is listed and cannot be read.
        if let Ok(text) = fs::read_to_string(root.join(path)) {
            files.push(File { path: path.to_owned(), text });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Every member of the workspace, with the dependencies its own Cargo.toml names.
pub(crate) fn packages(root: &Path) -> Result<Vec<Package>, Error> {
    let mut cargo = shell::cargo(root);
    cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
    let text = shell::capture(&mut cargo)?;
    let metadata: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| Error::new(format!("cargo metadata printed no JSON that can be read: {error}")))?;
    let listed = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    listed.iter().map(|package| parse_package(package, root)).collect()
}

fn parse_package(package: &serde_json::Value, root: &Path) -> Result<Package, Error> {
    let unreadable = || Error::new("cargo metadata names a package without name or manifest_path");
    let name = package["name"].as_str().ok_or_else(unreadable)?.to_owned();
    let manifest = Path::new(package["manifest_path"].as_str().ok_or_else(unreadable)?);
    let folder =
        manifest.parent().and_then(|folder| folder.strip_prefix(root).ok()).ok_or_else(unreadable)?;
    let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let dependencies = dependencies
        .iter()
        .map(|one| Dependency {
            name: one["name"].as_str().unwrap_or_default().to_owned(),
            for_tests_only: one["kind"].as_str() == Some("dev"),
            is_member: one["path"].is_string(),
        })
        .collect();
    Ok(Package { name, folder: folder.to_string_lossy().into_owned(), dependencies })
}
