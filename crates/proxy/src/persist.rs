//! The last table of each service on disk, so that a restarted proxy serves at once. What is not
//! kept is the lease: after a crash the canary gets nothing until the engine renews it.

use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use taxiway_model::ids::{Generation, StreamId};
use taxiway_model::route::RouteTable;

/// A table as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The table.
    pub table: RouteTable,
    /// At which generation everything was given back, if it was.
    pub returned: Option<Generation>,
}

/// The file of a service. `@` cannot be part of a name, so two services never share one.
pub fn path(directory: &Path, stream: &StreamId) -> PathBuf {
    directory.join(format!("{}@{}.json", stream.service, stream.environment))
}

/// Writes a table so that a crash leaves the old or the new one, never a part.
pub fn keep(directory: &Path, kept: &Kept) -> io::Result<()> {
    fail::fail_point!("proxy.before-table-persist", |_| Err(io::Error::other("injected: disk full")));
    let path = path(directory, &kept.table.stream);
    let partial = path.with_extension("json.new");
    let mut file = File::create(&partial)?;
    file.write_all(&serde_json::to_vec_pretty(kept)?)?;
    file.sync_all()?;
    fs::rename(&partial, &path)?;
    File::open(directory)?.sync_all()?;
    fail::fail_point!("proxy.after-table-persist");
    Ok(())
}

/// Forgets a service.
pub fn forget(directory: &Path, stream: &StreamId) -> io::Result<()> {
    match fs::remove_file(path(directory, stream)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A file that holds no table, and why.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}; the service in it is not served until its table is applied again")]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub why: String,
}

/// Reads every kept table. A file that cannot be read hurts only its own service.
pub fn read_all(directory: &Path) -> io::Result<Vec<Result<Kept, Unreadable>>> {
    let mut paths: Vec<_> = fs::read_dir(directory)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    Ok(paths.into_iter().map(|path| read(&path).map_err(|why| Unreadable { path, why })).collect())
}

fn read(path: &Path) -> Result<Kept, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}
