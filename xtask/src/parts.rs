//! `cargo xtask parts`: adapters against emulations that are too heavy for every run of the suite.

use std::path::Path;
use std::process::Command;

use crate::shell::{self, Error};

/// Emulates Amazon CloudWatch, among many others; a hundred megabytes of Python with what it needs.
const MOTO: &str = "moto[server]==5.2.5";

/// Gets the emulation into a folder of its own under `target/`, and runs the tests that ask it.
pub(crate) fn run(root: &Path) -> Result<(), Error> {
    let folder = shell::target(root).join("xtask/moto");
    let server = folder.join("bin/moto_server");
    if !server.exists() {
        println!("getting {MOTO}");
        shell::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        shell::run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", MOTO]))?;
    }
    let mut cargo = shell::cargo(root);
    cargo.args([
        "test",
        "-p",
        "taxiway-adapters",
        "--features",
        "moto",
        "--test",
        "it",
        "metrics::moto",
        "--",
    ]);
    shell::run(cargo.arg("--nocapture").env("TAXIWAY_MOTO", server))
}
