//! The directory the log lives in, and the lock that keeps it to one process.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use taxiway_engine::ports::log::{Checkpoint, Error};

use super::open;
use crate::key::write_durably;
use crate::note::{Key, Stated};
use crate::points::{CHECKPOINT_BEFORE_KEEP, reach};
use crate::tree::Tree;

/// A data directory, locked while this value lives.
pub(super) struct DataDir {
    path: PathBuf,
    /// The lock goes with the file, also when the process is killed.
    _lock: File,
    /// Held while the kept checkpoint is replaced.
    keeping: Mutex<()>,
}

impl DataDir {
    /// Makes the directory where it is missing, and locks it.
    pub(super) fn lock(path: &Path) -> Result<Self, open::Error> {
        let fault = |what| move |source| open::Error::Io { what, path: path.to_owned(), source };
        make(path).map_err(fault("make"))?;
        let file = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&file)
            .map_err(fault("open the lock in"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(open::Error::Held { path: path.to_owned(), pid: holder(&mut lock) });
            }
            Err(TryLockError::Error(source)) => return Err(fault("lock")(source)),
        }
        // Who cannot write the pid still holds the lock: a full disk must not keep the log from being read.
        if let Err(error) = sign(&mut lock) {
            tracing::warn!(%error, path = %file.display(), "the lock cannot be signed with this process's id");
        }
        Ok(Self { path: path.to_owned(), _lock: lock, keeping: Mutex::new(()) })
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join("log.db")
    }

    pub(super) fn key(&self) -> PathBuf {
        self.path.join("log.key")
    }

    fn checkpoint(&self) -> PathBuf {
        self.path.join("log.checkpoint")
    }

    /// The checkpoint kept beside the log, as text; `None` when none was.
    pub(super) fn kept(&self) -> Result<Option<String>, Error> {
        match fs::read_to_string(self.checkpoint()) {
            Ok(note) => Ok(Some(note)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(Error::Damaged(format!("{} is not text", self.checkpoint().display())))
            }
            Err(error) => Err(told("read the kept checkpoint", &error)),
        }
    }

    /// What the kept checkpoint states; damaged when its signature is not this log's.
    pub(super) fn stated(&self, key: &Key) -> Result<Option<Stated>, Error> {
        let Some(note) = self.kept()? else { return Ok(None) };
        let told = |error| Error::Damaged(format!("{}: {error}", self.checkpoint().display()));
        key.read(&note).map(Some).map_err(told)
    }

    /// Signs the tree as it is now and keeps that, unless what is kept covers more: then the log has
    /// lost its end, and the proof of it must not be overwritten.
    pub(super) fn keep_checkpoint(
        &self,
        key: &Key,
        tree: impl FnOnce() -> Result<Tree, Error>,
    ) -> Result<Checkpoint, Error> {
        let _alone = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.stated(key)?;
        let checkpoint = key.checkpoint(&tree()?);
        not_shorter(kept, checkpoint.size)?;
        reach(CHECKPOINT_BEFORE_KEEP)?;
        write_durably(&self.checkpoint(), checkpoint.note.as_bytes(), || Ok(()))
            .map_err(|error| told("keep the checkpoint", &error))?;
        Ok(checkpoint)
    }
}

/// Refuses a log that has fewer records than a checkpoint kept beside it covers.
pub(super) fn not_shorter(kept: Option<Stated>, records: u64) -> Result<(), Error> {
    match kept {
        Some(stated) if stated.size > records => Err(Error::Damaged(format!(
            "its end is missing: the checkpoint kept beside it covers {} records, it has {records}; \
             restore the log from a backup, or remove log.checkpoint to go on without what is lost",
            stated.size
        ))),
        _ => Ok(()),
    }
}

fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // The directory's own name is durable only once the folder above it is.
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(above)?.sync_all()
}

fn sign(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

fn holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The engine's word for a failure of the file system.
fn told(what: &str, error: &io::Error) -> Error {
    let text = format!("cannot {what}: {error}");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Error::Full(text)
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Error::ReadOnly(text),
        _ => Error::Unavailable(text),
    }
}
