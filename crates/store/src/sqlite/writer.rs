//! The one thread that writes: what many callers ask for meanwhile goes into one transaction, and
//! each is answered once that is on the disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use taxiway_engine::ports::log::{Appended, Error};
use taxiway_model::ids::{Digest, StreamId};
use taxiway_model::record::NewRecord;
use taxiway_model::time::Timestamp;

use super::Options;
use super::group::Group;
use crate::note::{Key, Stated};
use crate::points::{APPEND_BEFORE_REPLY, reach};

/// Callers that wait beyond this are held at the door until there is room.
const WAITING_MAX: usize = 4_096;

/// What a caller wants written.
#[derive(Clone)]
pub(super) enum Ask {
    Append { stream: StreamId, expected_seq: u64, epoch: u64, records: Vec<NewRecord> },
    Snapshot { stream: StreamId, format: u32, seq: u64, bytes: Vec<u8> },
    Lead { owner: String },
    Redact { digest: Digest, why: String },
    Expire { kind: String, before: Timestamp },
}

/// What came of it.
pub(super) enum Answer {
    Appended(Appended),
    /// The epoch taken, or how many were withheld.
    Count(u64),
}

impl Answer {
    pub(super) fn count(self, asked: &str) -> Result<u64, Error> {
        match self {
            Self::Count(count) => Ok(count),
            Self::Appended(_) => Err(unexpected(asked)),
        }
    }

    pub(super) fn appended(self) -> Result<Appended, Error> {
        match self {
            Self::Appended(appended) => Ok(appended),
            Self::Count(_) => Err(unexpected("append")),
        }
    }
}

fn unexpected(asked: &str) -> Error {
    Error::Unavailable(format!("the writer answered something else when asked to {asked}"))
}

struct Request {
    ask: Ask,
    reply: SyncSender<Result<Answer, Error>>,
}

/// The door to the thread; closing it ends the thread after what it has at hand.
pub(super) struct Writer {
    door: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread on a connection that is already set up.
    pub(super) fn start(
        db: Connection,
        path: PathBuf,
        options: Options,
        key: Arc<Key>,
        kept: Result<Option<Stated>, Error>,
    ) -> Result<Self, Error> {
        let (door, requests) = sync_channel(WAITING_MAX);
        let group_max = options.group_max.max(1);
        let mut group = Group::new(db, path, options, key, kept);
        let thread = thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || serve(&requests, &mut group, group_max))
            .map_err(|error| Error::Unavailable(format!("the writer's thread does not start: {error}")))?;
        Ok(Self { door: Some(door), thread: Some(thread) })
    }

    /// Has something written; returns when it is durable, or certainly not acknowledged.
    pub(super) fn ask(&self, ask: Ask) -> Result<Answer, Error> {
        let gone = || Error::Unavailable("the writer has ended: restart the process".to_owned());
        let (reply, answer) = sync_channel(1);
        let door = self.door.as_ref().ok_or_else(gone)?;
        door.send(Request { ask, reply }).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.door = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the log's writer had panicked");
        }
    }
}

fn serve(requests: &Receiver<Request>, group: &mut Group, group_max: usize) {
    while let Ok(first) = requests.recv() {
        // Whoever came while the last group was on its way to the disk is in this one.
        let more = requests.try_iter().take(group_max - 1);
        let (asks, replies): (Vec<Ask>, Vec<_>) =
            std::iter::once(first).chain(more).map(|request| (request.ask, request.reply)).unzip();
        let answers = group.write(asks);
        let lost = reach(APPEND_BEFORE_REPLY).err();
        for (reply, answer) in replies.into_iter().zip(answers) {
            // A caller that is gone needs no answer.
            let _ = reply.send(lost.clone().map_or(answer, Err));
        }
    }
}
