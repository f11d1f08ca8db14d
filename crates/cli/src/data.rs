//! The data directory: what lies where, and how one is found.

use std::path::{Path, PathBuf};

use crate::error::{CliError, Code};
use crate::family::Role;

/// Its name beside `taxiway.yaml`.
pub(crate) const NAME: &str = ".taxiway";

/// Longest path of a Unix socket on Linux, without the closing zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// What the mark of `stop` says once nothing is left; until then it is empty.
const ALL_STOPPED: &str = "all\n";

/// A data directory: one resident process, one log, any number of services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Data(PathBuf);

impl Data {
    /// The directory that `--data` or `TAXIWAY_DATA` names, else the one beside `file`.
    pub(crate) fn for_file(given: Option<&Path>, file: &Path) -> Result<Self, CliError> {
        if let Some(path) = given {
            Self::at(path)
        } else {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            Self::at(&folder.unwrap_or(Path::new(".")).join(NAME))
        }
    }

    /// The directory that is named, else the nearest existing one here or above.
    pub(crate) fn find(given: Option<&Path>) -> Result<Self, CliError> {
        if let Some(path) = given {
            let data = Self::at(path)?;
            return if data.0.is_dir() { Ok(data) } else { Err(none_there(&data.0)) };
        }
        let here = std::env::current_dir().map_err(|error| unusable(Path::new("."), &error))?;
        let found = here.ancestors().map(|folder| folder.join(NAME)).find(|path| path.is_dir());
        match found {
            Some(path) => Self::at(&path),
            None => Err(none_there(&here.join(NAME))),
        }
    }

    /// Exactly this directory, which need not exist yet.
    pub(crate) fn at(path: &Path) -> Result<Self, CliError> {
        let path = std::path::absolute(path).map_err(|error| unusable(path, &error))?;
        // One directory has one name: whoever comes over a link finds the same sockets and locks.
        let path = path.canonicalize().unwrap_or(path);
        let data = Self(path);
        let longest = data.proxy_socket().as_os_str().len().max(data.socket().as_os_str().len());
        if longest > SOCKET_PATH_BYTES_MAX {
            let why = format!(
                "the path {} is {} bytes too long for the sockets in it",
                data.0.display(),
                longest - SOCKET_PATH_BYTES_MAX
            );
            return Err(CliError::new(Code::DataUnusable, why).hint("name a shorter one with --data"));
        }
        Ok(data)
    }

    /// Makes sure that it exists and that only its owner can look into it.
    pub(crate) fn create(&self) -> Result<(), CliError> {
        use std::os::unix::fs::DirBuilderExt;
        if self.0.is_dir() {
            return Ok(());
        }
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0);
        made.map_err(|error| unusable(&self.0, &error))
    }

    /// Where it is, absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The socket of the resident process.
    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("taxiway.sock")
    }

    /// The control socket of the proxy.
    pub(crate) fn proxy_socket(&self) -> PathBuf {
        self.proxy_folder().join("control.sock")
    }

    /// Where the proxy keeps its tables.
    pub(crate) fn proxy_folder(&self) -> PathBuf {
        self.0.join("proxy")
    }

    /// Who holds a role: a file that is locked as long as its process lives.
    pub(crate) fn seat(&self, role: Role) -> PathBuf {
        self.0.join(format!("{role}.lock"))
    }

    /// What a process of ours writes on its standard output and error.
    pub(crate) fn output(&self, role: Role) -> PathBuf {
        self.0.join(format!("{role}.log"))
    }

    /// The address of `start --listen`, and where its token lies.
    pub(crate) fn hooks(&self) -> PathBuf {
        self.0.join("hooks.json")
    }

    /// Reports of machines that did nothing.
    pub(crate) fn reports(&self) -> PathBuf {
        self.0.join("reports.json")
    }

    /// Why the resident process could not start, left for whoever started it.
    pub(crate) fn failure(&self) -> PathBuf {
        self.0.join("resident.failed")
    }

    /// Exists from the beginning of `stop` on until something is to run again.
    pub(crate) fn stopped(&self) -> PathBuf {
        self.0.join("stopped")
    }

    /// Notes that everything is stopped, down to the last instance.
    pub(crate) fn note_all_stopped(&self) -> std::io::Result<()> {
        std::fs::write(self.stopped(), ALL_STOPPED)
    }

    /// Whether a `stop` has come to its end, and nothing was to run since.
    pub(crate) fn is_all_stopped(&self) -> bool {
        std::fs::read_to_string(self.stopped()).is_ok_and(|text| text == ALL_STOPPED)
    }

    /// Whether nothing is to run here at the moment.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped().exists() || !self.0.is_dir()
    }
}

fn none_there(path: &Path) -> CliError {
    let why = format!("there is no data directory {}", path.display());
    CliError::new(Code::NoData, why)
        .hint("run this where taxiway.yaml lies, or name the directory with --data")
        .hint("nothing released yet? begin with `taxiway release taxiway.yaml --version v1`")
}

fn unusable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::new(Code::DataUnusable, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lies_beside_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let data = Data::for_file(None, &folder.path().join("taxiway.yaml")).unwrap();
        assert_eq!(data.path().file_name().unwrap(), NAME);
        assert_eq!(data.path().parent().unwrap(), folder.path());
    }

    #[test]
    fn a_path_that_is_too_long_for_a_socket_is_refused() {
        let long = PathBuf::from("/").join("x".repeat(100));
        assert_eq!(Data::at(&long).unwrap_err().code(), Code::DataUnusable);
    }
}
