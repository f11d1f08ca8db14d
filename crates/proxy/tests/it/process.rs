//! A proxy in a process of its own: killed, replaced, loaded. The process is this test program
//! again, asked for one ignored test, so that nothing needs to be built or found besides.

use crate::world::{Control, PATIENCE, eventually};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use taxiway_proxy::Options;

const DIRECTORY: &str = "TAXIWAY_TEST_PROXY_DIR";
const TAKEOVER: &str = "TAXIWAY_TEST_PROXY_TAKEOVER";

/// Not a test: the role that [`Process`] starts.
#[test]
#[ignore = "a role that other tests start, not a test"]
fn serves_as_a_process() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let takeover = std::env::var_os(TAKEOVER).is_some();
    let _crashes = fail::FailScenario::setup();
    let options = Options { dir: dir.into(), cores: Some(2), takeover, ..Options::default() };
    if let Err(error) = taxiway_proxy::run(options) {
        eprintln!("{error}");
        std::process::exit(3);
    }
}

/// A proxy process; killed when dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    dir: PathBuf,
}

impl Process {
    pub(crate) fn start(dir: &Path, takeover: bool) -> Self {
        Self::start_with(dir, takeover, "")
    }

    /// Starts it with fail points, written as for the crate `fail`.
    pub(crate) fn start_with(dir: &Path, takeover: bool, fail_points: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "process::serves_as_a_process", "--ignored", "--nocapture"]);
        command.env("FAILPOINTS", fail_points);
        command.env(DIRECTORY, dir).stdout(Stdio::null()).stderr(Stdio::null());
        if takeover {
            command.env(TAKEOVER, "1");
        }
        Self { child: command.spawn().unwrap(), dir: dir.to_owned() }
    }

    /// A control connection to this very process, once it is up.
    pub(crate) fn control(&self) -> Control {
        let socket = Options { dir: self.dir.clone(), ..Options::default() }.control_socket();
        eventually("the process on its control socket", || {
            let mut control = Control::try_to(&socket)?;
            match control.try_ask(&taxiway_model::control::Ask::Hello)? {
                taxiway_model::control::Reply::Hello { pid, .. } if pid == self.child.id() => Some(control),
                _ => None,
            }
        })
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the process to end by itself.
    pub(crate) fn ends(&mut self) -> bool {
        let deadline = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
