//! Running other programs: always with the repository's own cargo, never with the variables of the outer one.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What went wrong, in a sentence a person can act on.
#[derive(Debug)]
pub(crate) struct Error(String);

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// `cargo` in the repository's root.
///
/// `cargo run` hands its child `CARGO_PKG_*` and the like; some build scripts (ring's) ask to be run again when these
/// change, so passing them on would rebuild half of the workspace at every switch between `cargo` and `cargo xtask`.
pub(crate) fn cargo(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        if belongs_to_outer_cargo(&name) {
            command.env_remove(name);
        }
    }
    command
}

fn belongs_to_outer_cargo(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.starts_with(prefix))
        || ["CARGO_CRATE_NAME", "CARGO_BIN_NAME", "CARGO_PRIMARY_PACKAGE"].contains(&name.as_ref())
}

/// Runs to the end with inherited output; whether it succeeded.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool, Error> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    Ok(status.success())
}

/// Runs to the end with inherited output; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    if succeeds(command)? { Ok(()) } else { Err(Error::new(format!("`{}` failed", line(command)))) }
}

/// Runs to the end and returns stdout; stderr is shown only when it fails.
pub(crate) fn capture(command: &mut Command) -> Result<String, Error> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| cannot_start(command, &error))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(format!("`{}` failed:\n{}", line(command), told.trim_end())));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| Error::new(format!("`{}` printed something that is not UTF-8", line(command))))
}

/// Runs to the end with its stdout shown as it comes, and returned.
pub(crate) fn tee(command: &mut Command) -> Result<String, Error> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| cannot_start(command, &error))?;
    let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
    let mut printed = String::new();
    each_line(stdout, |text| {
        print!("{text}");
        printed.push_str(text);
    })
    .map_err(|error| Error::new(format!("cannot read what `{}` prints: {error}", line(command))))?;
    match child.wait() {
        Ok(status) if status.success() => Ok(printed),
        Ok(status) => Err(Error::new(format!("`{}` failed ({status})", line(command)))),
        Err(error) => Err(Error::new(format!("cannot wait for `{}`: {error}", line(command)))),
    }
}

/// Hands every line to `use_line`, with its line break; bytes that are not UTF-8 are replaced.
pub(crate) fn each_line(output: impl Read, mut use_line: impl FnMut(&str)) -> std::io::Result<()> {
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        use_line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(())
}

/// The folder cargo builds into.
pub(crate) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}

pub(crate) fn cannot_start(command: &Command, error: &std::io::Error) -> Error {
    Error::new(format!("cannot start `{}`: {error}", line(command)))
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Where `program` is found on `PATH`, in the administrator's folders (which a user's `PATH` often lacks), or in `more`.
pub(crate) fn find(program: &str, more: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.chain(more.iter().cloned()).map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_named_with_what_it_said() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo broken >&2; exit 3"]);
        let error = capture(&mut command).unwrap_err().to_string();
        assert!(error.contains("`sh -c") && error.ends_with("broken"), "{error}");
    }

    #[test]
    fn programs_are_found_or_not() {
        assert!(find("sh", &[]).is_some());
        assert!(find("no-such-program-anywhere", &[]).is_none());
    }

    #[test]
    fn only_the_outer_cargos_variables_are_taken_away() {
        assert!(belongs_to_outer_cargo(OsStr::new("CARGO_PKG_NAME")));
        assert!(!belongs_to_outer_cargo(OsStr::new("CARGO_HOME")));
        assert!(!belongs_to_outer_cargo(OsStr::new("CARGO_TARGET_DIR")));
    }
}
