//! Starting a process of ours so that it outlives its starter and its terminal.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::Role;
use crate::data::Data;

/// When the output of a process is put aside: enough for a post-mortem, too little to fill a disk.
const OUTPUT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The program that is running, remembered by its path: after an upgrade the new one is started.
#[derive(Debug, Clone)]
pub(crate) struct Program(PathBuf);

impl Program {
    /// This very program.
    pub(crate) fn this() -> std::io::Result<Self> {
        let path = std::env::current_exe()?;
        // What was replaced while it ran is called "… (deleted)"; its place has the new one.
        let text = path.to_string_lossy();
        let path = text.strip_suffix(" (deleted)").map_or(path.clone(), PathBuf::from);
        Ok(Self(path))
    }
}

/// Starts a role with output to its file. The child leaves our session by itself, see
/// [`detach_from_terminal`].
pub(crate) fn spawn(program: &Program, data: &Data, role: Role, more: &[&str]) -> std::io::Result<Child> {
    let output = output(data, role)?;
    let errors = output.try_clone()?;
    let mut command = Command::new(&program.0);
    let data_argument: OsString = data.path().into();
    command.arg(role.verb()).arg("--data").arg(data_argument).args(more);
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    // Not the user's folder: that could not be unmounted or removed any more.
    command.current_dir(data.path());
    command.spawn()
}

fn output(data: &Data, role: Role) -> std::io::Result<File> {
    let path = data.output(role);
    if path.metadata().is_ok_and(|metadata| metadata.len() > OUTPUT_BYTES_MAX) {
        std::fs::rename(&path, path.with_extension("log.old"))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Begins a session of its own, so that neither Ctrl-C nor the end of the terminal reaches us.
pub(crate) fn detach_from_terminal() {
    // It fails for the leader of a process group only, which a shell's child in the foreground may
    // be; then somebody runs this verb by hand and wants Ctrl-C to work.
    let _ = nix::unistd::setsid();
}
