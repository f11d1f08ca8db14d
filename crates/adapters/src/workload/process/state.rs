//! What the supervisor remembers on disk, so that its successor can go on: desired states, and a record per instance.
//!
//! Files are replaced by rename but not synced: what is lost with the power is lost together with the processes it
//! speaks of, and the log still holds the intent.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use taxiway_model::decision::{DesiredVersion, DesiredWorkload};
use taxiway_model::ids::StreamId;
use taxiway_model::time::Timestamp;

use crate::proc::{Identity, since_ticks};

/// How long a lock may be held by nobody: a child of a process that has just died keeps it from its fork to its exec.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// One instance, written before it is started and again when it has a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The value of `TAXIWAY_RUN` in its environment, unique for every start.
    pub(super) marker: String,
    /// What it runs.
    pub(super) spec: DesiredVersion,
    pub(super) number: u32,
    pub(super) port: u16,
    /// None from the moment before the start until the moment after it.
    pub(super) identity: Option<Identity>,
    pub(super) restarts: u32,
    pub(super) ready_since: Option<Timestamp>,
    /// Control groups that are its own.
    pub(super) groups: Vec<PathBuf>,
    pub(super) output: PathBuf,
}

/// The directory of all this.
#[derive(Debug)]
pub(super) struct State {
    directory: PathBuf,
    /// Held for as long as this supervisor lives; the kernel frees it when the process dies.
    _lock: File,
}

impl State {
    /// Opens (or makes) the directory; `None` when another supervisor holds it.
    pub(super) fn open(directory: PathBuf) -> io::Result<Option<Self>> {
        fs::create_dir_all(&directory)?;
        let lock = File::options().create(true).truncate(false).write(true).open(directory.join("lock"))?;
        let patience = Instant::now() + LOCK_PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Some(Self { directory, _lock: lock })),
                Err(fs::TryLockError::WouldBlock) if Instant::now() >= patience => return Ok(None),
                Err(fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// Clock ticks at which the first supervisor of this directory in this boot began.
    pub(super) fn since_ticks(&self) -> u64 {
        since_ticks(&self.directory.join("since"))
    }

    /// Streams that have a directory here.
    pub(super) fn streams(&self) -> Vec<StreamId> {
        let names = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        names.filter_map(|entry| entry.file_name().to_str()?.replacen('~', "/", 1).parse().ok()).collect()
    }

    pub(super) fn desired(&self, stream: &StreamId) -> Option<DesiredWorkload> {
        read(&self.stream(stream).join("desired.json"))
    }

    pub(super) fn keep_desired(&self, desired: &DesiredWorkload) {
        write_or_warn(&self.stream(&desired.stream).join("desired.json"), desired);
    }

    /// Every readable instance record of a stream.
    pub(super) fn records(&self, stream: &StreamId) -> Vec<Record> {
        let directory = self.stream(stream).join("instances");
        let files = fs::read_dir(directory).into_iter().flatten().flatten();
        files
            .filter(|file| file.path().extension().is_some_and(|end| end == "json"))
            .filter_map(|file| read(&file.path()))
            .collect()
    }

    /// Keeps a record. On a full disk the instance runs all the same: its environment still tells whose it is.
    pub(super) fn keep(&self, stream: &StreamId, record: &Record) {
        write_or_warn(&self.record(stream, record), record);
    }

    pub(super) fn forget(&self, stream: &StreamId, record: &Record) {
        let path = self.record(stream, record);
        // Another start of the same number may have replaced it.
        if read::<Record>(&path).is_none_or(|kept| kept.marker == record.marker) {
            drop(fs::remove_file(path));
        }
    }

    pub(super) fn forget_stream(&self, stream: &StreamId) {
        drop(fs::remove_dir_all(self.stream(stream)));
    }

    fn stream(&self, stream: &StreamId) -> PathBuf {
        self.directory.join(file_name(stream))
    }

    fn record(&self, stream: &StreamId, record: &Record) -> PathBuf {
        let version = &record.spec.version.name;
        self.stream(stream).join("instances").join(format!("{version}.{}.json", record.number))
    }
}

/// A stream as one path component: names cannot contain `~`.
pub(super) fn file_name(stream: &StreamId) -> String {
    format!("{}~{}", stream.service, stream.environment)
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let bytes = fs::read(path).ok()?;
    match serde_json::from_slice(&bytes) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "not readable, taken as missing");
            None
        }
    }
}

fn write_or_warn<T: Serialize>(path: &Path, value: &T) {
    if let Err(error) = write(path, value) {
        tracing::warn!(path = %path.display(), %error, "not kept; a restart of the supervisor would have to ask the log");
    }
}

fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let aside = path.with_extension("new");
    let mut file = File::create(&aside)?;
    file.write_all(&serde_json::to_vec_pretty(value)?)?;
    drop(file);
    fs::rename(aside, path)
}

impl Record {
    /// An instance that is yet to be started for the first time.
    pub(super) fn planned(spec: DesiredVersion, number: u32) -> Self {
        Self {
            marker: String::new(),
            spec,
            number,
            port: 0,
            identity: None,
            restarts: 0,
            ready_since: None,
            groups: Vec::new(),
            output: PathBuf::new(),
        }
    }
}
