//! Programs the tests and benches drive, and how a bare Debian machine gets them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::shell::{self, Error};

/// A program and the Debian package it comes in.
#[derive(Debug)]
pub(crate) struct Need {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
    /// What cannot be checked without it.
    pub(crate) why: &'static str,
}

/// What the suites of the workspace start beside our own binaries.
pub(crate) const FOR_TESTS: &[Need] = &[
    Need { program: "cc", package: "gcc", why: "SQLite and ring are built from C" },
    Need { program: "git", package: "git", why: "tidy reads the list of files from it" },
    Need { program: "prometheus", package: "prometheus", why: "metrics by query are asked of a real one" },
    Need { program: "influxd", package: "influxdb", why: "InfluxQL is asked of a real one" },
    Need {
        program: "prometheus-alertmanager",
        package: "prometheus-alertmanager",
        why: "its webhook is that of a real one",
    },
];

/// Where the programs are, and what could not be had.
#[derive(Debug, Default)]
pub(crate) struct Provided {
    pub(crate) folders: Vec<PathBuf>,
    /// One line per program that is missing, with what that means.
    pub(crate) missing: Vec<String>,
}

impl Provided {
    /// The folders of the provided programs, to be searched before `PATH`.
    pub(crate) fn path(&self) -> OsString {
        let outer = std::env::var_os("PATH").unwrap_or_default();
        let outer: Vec<PathBuf> = std::env::split_paths(&outer).collect();
        let admin = ["/usr/sbin", "/sbin"].map(PathBuf::from);
        let all = self.folders.iter().cloned().chain(outer.iter().cloned()).chain(admin);
        std::env::join_paths(all).unwrap_or_else(|_| std::env::var_os("PATH").unwrap_or_default())
    }

    /// The program's file, if it could be had.
    pub(crate) fn find(&self, program: &str) -> Option<PathBuf> {
        shell::find(program, &self.folders)
    }
}

/// Finds every program of `needs`, installing what is missing: with apt as root, else unpacked under `target/`.
pub(crate) fn provide(root: &Path, needs: &[Need]) -> Result<Provided, Error> {
    let unpacked = shell::target(root).join("xtask/debian");
    let folders = ["usr/bin", "usr/sbin", "bin", "sbin"].map(|folder| unpacked.join(folder)).to_vec();
    let mut provided = Provided { folders, missing: Vec::new() };
    let absent = |provided: &Provided| -> Vec<&Need> {
        needs.iter().filter(|need| provided.find(need.program).is_none()).collect()
    };
    let packages: BTreeSet<&str> = absent(&provided).iter().map(|need| need.package).collect();
    if !packages.is_empty() {
        println!("getting {}", packages.iter().copied().collect::<Vec<_>>().join(", "));
        let got = if is_root()? { install(&packages) } else { unpack(&packages, &unpacked) };
        if let Err(error) = got {
            println!("{error}");
        }
    }
    let missing = absent(&provided);
    provided.missing = missing.iter().map(|need| line(need)).collect();
    println!("{} of {} programs are there", needs.len() - missing.len(), needs.len());
    Ok(provided)
}

fn line(need: &Need) -> String {
    format!(
        "{}: not found, nor could Debian's package `{}` be had ({})",
        need.program, need.package, need.why
    )
}

fn is_root() -> Result<bool, Error> {
    Ok(shell::capture(Command::new("id").arg("-u"))?.trim() == "0")
}

/// Installs one package that a program which is there lacks.
pub(crate) fn install_as_root(package: &str) -> Result<(), Error> {
    if is_root()? {
        return install(&BTreeSet::from([package]));
    }
    Err(Error::new(format!("Debian's package `{package}` is needed, and only root can install it")))
}

fn install(packages: &BTreeSet<&str>) -> Result<(), Error> {
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .args(words)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    };
    let mut words = vec!["install", "-y", "--no-install-recommends"];
    words.extend(packages.iter().copied());
    // The lists may be old or absent; a new attempt after an update finds out.
    if shell::succeeds(&mut apt(&words))? {
        return Ok(());
    }
    shell::run(&mut apt(&["update"]))?;
    shell::run(&mut apt(&words))
}

/// Unpacks the packages themselves; the libraries they need are those of the base system.
fn unpack(packages: &BTreeSet<&str>, into: &Path) -> Result<(), Error> {
    let downloads = into.with_file_name("debian-packages");
    for folder in [&downloads, into] {
        fs::create_dir_all(folder)
            .map_err(|error| Error::new(format!("cannot make {}: {error}", folder.display())))?;
    }
    for package in packages {
        shell::run(
            Command::new("apt-get").current_dir(&downloads).args(["download", package]).stdout(Stdio::null()),
        )?;
    }
    let entries = fs::read_dir(&downloads)
        .map_err(|error| Error::new(format!("cannot list the downloads: {error}")))?;
    for file in entries.flatten().map(|entry| entry.path()) {
        if file.extension().is_some_and(|extension| extension == "deb") {
            shell::run(Command::new("dpkg").arg("-x").args([file.as_path(), into]))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_installed_again() {
        let needs = [Need { program: "sh", package: "no-such-package", why: "never asked for" }];
        let provided = provide(Path::new("nowhere"), &needs).expect("nothing has to be installed");
        assert_eq!(provided.missing, Vec::<String>::new());
        assert!(provided.find("sh").is_some());
    }

    #[test]
    fn a_missing_program_says_what_cannot_be_checked() {
        let told = line(&Need { program: "nginx", package: "nginx", why: "the peer of the proxy bench" });
        assert!(told.contains("`nginx`") && told.contains("peer"), "{told}");
    }

    #[test]
    fn unpacked_programs_come_first() {
        let provided = Provided { folders: vec!["first/bin".into()], missing: Vec::new() };
        let path = provided.path();
        assert_eq!(std::env::split_paths(&path).next(), Some(PathBuf::from("first/bin")));
    }
}
