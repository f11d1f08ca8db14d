//! Real parts in Python that adapters are tested against: an emulation of Amazon CloudWatch, and Graphite.
//!
//! They come from PyPI into one virtual environment under `target/`, without bytecode: most of it is never run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::needs;
use crate::shell::{self, Error};

/// What is installed. `moto_server` is moto with the two packages its server needs, not everything `moto[server]` has.
const PACKAGES: &[&str] = &[
    "moto==5.2.5",
    "flask",
    "flask-cors",
    "graphite-web==1.1.10",
    "carbon==1.1.10",
    "whisper==1.1.10",
    // Graphite's Django is of a time when this had `pkg_resources`.
    "setuptools<81",
];

/// What cannot be checked without it.
const WHY: &str = "CloudWatch is asked of moto, and Graphite of a real one";

/// Beside the packages, what an environment was made of: another list is another environment.
const STAMP: &str = "installed.txt";

/// `cargo xtask parts`: gets the parts, and runs the tests of adapters that ask them.
pub(crate) fn run(root: &Path) -> Result<(), Error> {
    let mut provided = needs::provide(root, needs::FOR_TESTS)?;
    provided.folders.push(provide(root)?);
    let mut cargo = shell::cargo(root);
    cargo.args(["test", "-p", "taxiway-adapters", "--test", "it", "--"]);
    shell::run(cargo.args(["metrics::real", "metrics::emulated"]).env("PATH", provided.path()))
}

/// The folder with the programs, installed if they are not there as they should be.
pub(crate) fn provide(root: &Path) -> Result<PathBuf, Error> {
    let folder = shell::target(root).join("xtask/python");
    let (programs, stamp) = (folder.join("bin"), folder.join(STAMP));
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(programs);
    }
    println!("getting {} from PyPI", PACKAGES.join(", "));
    install(&folder).map_err(|error| Error::new(format!("{error}\n{}", missing())))?;
    fs::write(&stamp, wanted)
        .map_err(|error| Error::new(format!("cannot write {}: {error}", stamp.display())))?;
    Ok(programs)
}

/// The line among the skips.
pub(crate) fn missing() -> String {
    format!("moto and Graphite: could not be had from PyPI ({WHY})")
}

fn install(folder: &Path) -> Result<(), Error> {
    let make = || {
        let mut command = Command::new("python3");
        command.args(["-m", "venv", "--clear"]).arg(folder).stdout(Stdio::null());
        command
    };
    // Debian's Python comes without what makes an environment.
    if !shell::succeeds(&mut make())? {
        needs::install_as_root("python3-venv")?;
        shell::run(&mut make())?;
    }
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--no-compile", "--progress-bar", "off"]).args(PACKAGES);
    // Without this, Graphite installs itself to a folder of the machine.
    shell::run(pip.env("GRAPHITE_NO_PREFIX", "True"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_not_installed_again() {
        let root = std::env::temp_dir().join(format!("taxiway-parts-{}", std::process::id()));
        let folder = shell::target(&root).join("xtask/python");
        // A target folder from outside belongs to somebody else.
        if !folder.starts_with(&root) {
            return;
        }
        fs::create_dir_all(&folder).expect("a folder for temporary files");
        fs::write(folder.join(STAMP), PACKAGES.join("\n")).expect("a file in it");
        assert_eq!(provide(&root).expect("nothing is to be installed"), folder.join("bin"));
        fs::remove_dir_all(&root).expect("it is ours");
    }

    #[test]
    fn every_package_that_decides_the_outcome_is_pinned() {
        for name in ["moto", "graphite-web", "carbon", "whisper"] {
            assert!(PACKAGES.iter().any(|package| package.starts_with(&format!("{name}=="))), "{name}");
        }
    }
}
