//! The signing key's file in the data directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use crate::note::Key;

/// Reads the key, or makes one where there is none. `before_name` runs when a new key is written but
/// not yet under its name.
///
/// # Errors
/// As the file system has them; `InvalidData` for a file that is not a key or that others may read.
pub(crate) fn load_or_make(path: &Path, before_name: impl FnOnce() -> io::Result<()>) -> io::Result<Key> {
    match fs::read(path) {
        Ok(bytes) => read(path, &bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path, before_name),
        Err(error) => Err(error),
    }
}

fn read(path: &Path, bytes: &[u8]) -> io::Result<Key> {
    let invalid = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return invalid(&format!("others may read it (mode {mode:o}): set it to 600"));
    }
    match <&[u8; 32]>::try_from(bytes) {
        Ok(seed) => Ok(Key::from_seed(seed)),
        Err(_) => invalid("it does not hold a key of 32 bytes: put the right file back from a backup"),
    }
}

fn make(path: &Path, before_name: impl FnOnce() -> io::Result<()>) -> io::Result<Key> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
    write_durably(path, &seed, before_name)?;
    Ok(Key::from_seed(&seed))
}

/// Writes a file that is there whole or not at all, readable by its owner only, also after a power loss.
pub(crate) fn write_durably(
    path: &Path,
    bytes: &[u8],
    before_name: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let unnamed = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unnamed)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    before_name()?;
    fs::rename(&unnamed, path)?;
    let folder = path.parent().ok_or_else(|| io::Error::other("a file without a folder"))?;
    File::open(folder)?.sync_all()
}
