//! The programs the demo needs beside `taxiway`: the shop and the load generator.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::scene::Scene;
use crate::error::{CliError, Code};
use crate::output;

/// Packages that have them.
const PACKAGES: [&str; 2] = ["taxiway-example-shop", "taxiway-example-load"];

/// Traffic stops by itself after this time, also when nobody is left to stop it.
const LOAD_S_MAX: u32 = 600;

/// Connections of the load generator: at 10 ms a request enough for some thousand requests a second.
const CONNECTIONS: &str = "64";

/// Where the two programs are.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) shop: PathBuf,
    load: PathBuf,
}

impl Parts {
    /// Finds them beside this program; in a clone of the repository they are built when missing.
    pub(super) fn find() -> Result<Self, CliError> {
        let missing = |why: String| {
            CliError::new(Code::DemoParts, why).hint(format!(
                "in a clone of the repository: cargo build --release -p {} -p {}",
                PACKAGES[0], PACKAGES[1]
            ))
        };
        let program = std::env::current_exe().map_err(|error| missing(error.to_string()))?;
        let folder = program.parent().unwrap_or(Path::new("."));
        let parts = Self { shop: folder.join("shop"), load: folder.join("load") };
        if !parts.are_there() {
            Self::build(folder).map_err(missing)?;
        }
        if parts.are_there() {
            return Ok(parts);
        }
        Err(missing(format!("there is no shop and load in {}", folder.display())))
    }

    fn are_there(&self) -> bool {
        self.shop.is_file() && self.load.is_file()
    }

    /// Builds them where this program was built, with the same profile.
    fn build(folder: &Path) -> Result<(), String> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        if !repository.join("examples/shop/Cargo.toml").is_file() {
            return Err(format!("there is no shop and load in {}", folder.display()));
        }
        output::say("building the example service and the load generator …");
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&repository).args(["build", "--quiet"]);
        if folder.file_name().is_some_and(|name| name == "release") {
            command.arg("--release");
        }
        if let Some(target) = folder.parent() {
            command.arg("--target-dir").arg(target);
        }
        for package in PACKAGES {
            command.args(["-p", package]);
        }
        let status = command.stdout(Stdio::null()).status().map_err(|error| format!("cargo: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("cargo build ended with {status}")) }
    }
}

/// Traffic on the shop. Ends with this value, unless it is left running.
#[derive(Debug)]
pub(super) struct Load {
    child: Option<Child>,
}

impl Load {
    /// Starts sending `rate` requests per second.
    pub(super) fn start(parts: &Parts, scene: &Scene, rate: u32) -> Result<Self, CliError> {
        let failed =
            |error: std::io::Error| CliError::new(Code::DemoFailed, format!("the load generator: {error}"));
        let output = File::create(scene.load_output()).map_err(failed)?;
        let child = Command::new(&parts.load)
            .arg(scene.url())
            .args(["--rate", &rate.to_string(), "--connections", CONNECTIONS])
            .args(["--seconds", &LOAD_S_MAX.to_string()])
            .stdin(Stdio::null())
            .stderr(output.try_clone().map_err(failed)?)
            .stdout(output)
            .spawn()
            .map_err(failed)?;
        Ok(Self { child: Some(child) })
    }

    /// Lets it go on after this process has ended.
    pub(super) fn leave_running(&mut self) {
        self.child = None;
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            if let Ok(pid) = i32::try_from(child.id()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
            let _ = child.wait();
        }
    }
}
