//! The log on SQLite: one writer thread, several readers, one data directory.
//!
//! Every write goes through the writer (`writer`), which puts what many callers want into one
//! transaction and answers each of them once it is durable. Reads go past it on connections of
//! their own (`readers`). Nothing read is believed: each record is checked against its hashes
//! (`rows`) before it leaves the store.

mod append;
mod data_dir;
mod failure;
mod group;
pub mod open;
mod readers;
mod rows;
mod schema;
mod snapshots;
mod verify;
mod withhold;
mod writer;

use std::path::Path;
use std::sync::Arc;

use taxiway_engine::ports::log::{Appended, Checkpoint, Error, Log, Verified};
use taxiway_model::ids::{Digest, StreamId};
use taxiway_model::record::{NewRecord, StoredRecord};
use taxiway_model::time::Timestamp;

use crate::note::Key;
use crate::points::{CHECKPOINT_BEFORE_SIGN, reach};
use data_dir::DataDir;
use readers::Readers;
use writer::{Ask, Writer};

/// How a log is opened; the defaults are those of the product.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections that read at the same time; further readers wait for one of them.
    pub readers_max: usize,
    /// Writes that go into one transaction at most; what is beyond goes into the next.
    pub group_max: usize,
    /// Pages of 4 KiB the database may have; for drills with a full disk. `None`: as many as fit.
    pub pages_max: Option<u32>,
    /// Pages the write-ahead log may have before it is moved into the database; 0 for never.
    pub wal_pages_max: u32,
}

impl Default for Options {
    fn default() -> Self {
        // Four readers: status, UI and projections beside the engine. 512 writes a group: at 64 writers
        // never reached, and short enough (some 20 ms) to bound a caller's wait. 1,000 pages are SQLite's own.
        Self { readers_max: 4, group_max: 512, pages_max: None, wal_pages_max: 1_000 }
    }
}

/// A log in a data directory, which nobody else can open meanwhile.
pub struct Store {
    // Dropped in this order: the writer's connection goes last, so that it can tidy up the
    // write-ahead log, and only then the lock on the directory.
    readers: Readers,
    writer: Writer,
    key: Arc<Key>,
    data_dir: DataDir,
}

impl Store {
    /// Opens the log in `dir`, creating both where they are missing.
    ///
    /// # Errors
    /// See [`open::Error`]: most of all, that another process has the directory open.
    pub fn open(dir: &Path, options: Options) -> Result<Self, open::Error> {
        open::open(dir, options)
    }

    /// The public key of this log's checkpoints, in the form verifiers of signed notes take.
    pub fn verifier(&self) -> String {
        self.key.verifier()
    }

    /// Takes the payload with this digest out of the log for good, in every record that has it, for
    /// the reason `why`; what surrounded it stays and the chain still holds. Returns how many records
    /// that are. Snapshots are left alone: they hold what was made of it.
    ///
    /// # Errors
    /// As of any write.
    pub fn redact(&self, digest: Digest, why: &str) -> Result<u64, Error> {
        self.writer.ask(Ask::Redact { digest, why: why.to_owned() })?.count("redact")
    }

    /// Takes out the payloads of one kind of event from before a log time; returns how many, at most
    /// 10,000 a call, so that appends need not wait long.
    ///
    /// # Errors
    /// As of any write.
    pub fn expire(&self, kind: &str, before: Timestamp) -> Result<u64, Error> {
        self.writer.ask(Ask::Expire { kind: kind.to_owned(), before })?.count("expire")
    }
}

impl Drop for Store {
    /// What the log is at its closing is kept beside it, to be compared when it is opened again.
    fn drop(&mut self) {
        if let Err(error) = self.data_dir.keep_checkpoint(&self.key, || self.readers.with(rows::tree)) {
            tracing::warn!(%error, "the log is closed without a checkpoint");
        }
    }
}

impl Log for Store {
    fn append(
        &self,
        stream: &StreamId,
        expected_seq: u64,
        epoch: u64,
        records: Vec<NewRecord>,
    ) -> Result<Appended, Error> {
        let stream = stream.clone();
        self.writer.ask(Ask::Append { stream, expected_seq, epoch, records })?.appended()
    }

    fn read(&self, stream: &StreamId, after_seq: u64, limit: usize) -> Result<Vec<StoredRecord>, Error> {
        self.readers.with(|db| rows::of_stream(db, stream, after_seq, limit))
    }

    fn read_all(&self, after_global: u64, limit: usize) -> Result<Vec<StoredRecord>, Error> {
        self.readers.with(|db| rows::of_all(db, after_global, limit))
    }

    fn streams(&self) -> Result<Vec<(StreamId, u64)>, Error> {
        self.readers.with(rows::streams)
    }

    fn snapshot(&self, stream: &StreamId, format: u32) -> Result<Option<(u64, Vec<u8>)>, Error> {
        self.readers.with(|db| snapshots::get(db, stream, format))
    }

    fn keep_snapshot(&self, stream: &StreamId, format: u32, seq: u64, bytes: &[u8]) -> Result<(), Error> {
        let (stream, bytes) = (stream.clone(), bytes.to_vec());
        self.writer.ask(Ask::Snapshot { stream, format, seq, bytes })?.count("keep a snapshot").map(drop)
    }

    fn take_lead(&self, owner: &str) -> Result<u64, Error> {
        self.writer.ask(Ask::Lead { owner: owner.to_owned() })?.count("take the lead")
    }

    fn checkpoint(&self) -> Result<Checkpoint, Error> {
        reach(CHECKPOINT_BEFORE_SIGN)?;
        self.data_dir.keep_checkpoint(&self.key, || self.readers.with(rows::tree))
    }

    fn verify(&self, kept: Option<&str>) -> Result<Verified, Error> {
        verify::verify(&self.data_dir, &self.key, kept)
    }
}
