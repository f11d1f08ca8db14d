//! The stream of what happens, one JSON object per line.
//!
//! Events come from the log, never from memory: a client that was cut off names the last place it
//! has seen and misses nothing. What the engine appends only wakes the reader.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use taxiway_api::{Status, Update};
use taxiway_model::event::Event;
use taxiway_model::ids::StreamId;
use tokio::sync::mpsc;

use crate::desk::Desk;

/// Time between two looks at the log and the figures. Short enough for a live view, and a look
/// that finds nothing new costs one read of an index.
const LOOK_MS: u64 = 200;

/// Looks after which an unchanged connection gets a sign of life.
const ALIVE_EVERY: u32 = 50;

/// Lines that may wait for a slow client; beyond it the reader waits too, nothing is dropped.
const LINES_MAX: usize = 64;

/// Records read at once.
const READ_MAX: usize = 200;

/// Who follows what, from where.
pub(crate) struct Following {
    pub(crate) desk: Desk,
    pub(crate) from: u64,
    pub(crate) only: Option<StreamId>,
    /// Whether figures are wanted beside events.
    pub(crate) figures: bool,
}

/// The lines as a body.
pub(crate) fn lines(following: Following) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let (sender, receiver) = mpsc::channel(LINES_MAX);
    tokio::spawn(run(following, sender));
    stream::unfold(receiver, |mut receiver| async move {
        let line: Bytes = receiver.recv().await?;
        Some((Ok(line), receiver))
    })
}

async fn run(following: Following, sender: mpsc::Sender<Bytes>) {
    let mut reader = Reader { following, statuses: BTreeMap::new(), quiet: 0 };
    loop {
        let Ok((back, updates)) = tokio::task::spawn_blocking(move || reader.look()).await else { return };
        reader = back;
        for update in updates {
            let mut line = serde_json::to_vec(&update).unwrap_or_default();
            line.push(b'\n');
            if sender.send(line.into()).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(LOOK_MS)) => {}
            () = sender.closed() => return,
        }
    }
}

struct Reader {
    following: Following,
    statuses: BTreeMap<StreamId, Status>,
    quiet: u32,
}

impl Reader {
    fn look(mut self) -> (Self, Vec<Update>) {
        let mut updates = self.events();
        if self.following.figures {
            self.figures(&mut updates);
        }
        self.quiet = if updates.is_empty() { self.quiet + 1 } else { 0 };
        if self.quiet >= ALIVE_EVERY {
            self.quiet = 0;
            updates.push(Update::Alive { at: self.following.desk.now() });
        }
        (self, updates)
    }

    fn events(&mut self) -> Vec<Update> {
        let Following { desk, from, only, .. } = &mut self.following;
        let mut updates = Vec::new();
        let Ok(records) = desk.engine.log().read_all(*from, READ_MAX) else { return updates };
        for stored in &records {
            *from = stored.global;
            if only.as_ref().is_some_and(|only| only != &stored.stream) {
                continue;
            }
            updates.push(Update::Event { entry: Box::new(desk.entry(stored)) });
            let event = Event::from_bytes(stored.record.format, &stored.record.payload);
            if matches!(event, Ok(Event::ReleaseEnded { .. }))
                && let Some(entry) = ended(desk, stored)
            {
                updates.push(Update::Ended { entry: Box::new(entry) });
            }
        }
        updates
    }

    fn figures(&mut self, updates: &mut Vec<Update>) {
        let desk = &self.following.desk;
        let wanted = match &self.following.only {
            Some(only) => vec![only.clone()],
            None => desk.engine.streams(),
        };
        for stream in wanted {
            let Ok(status) = desk.status(&stream) else { continue };
            let known = self.statuses.get(&stream);
            if known.is_none_or(|known| !same(known, &status)) {
                updates.push(Update::Status { status: Box::new(status.clone()) });
                self.statuses.insert(stream, status);
            }
        }
    }
}

/// The history entry of a release whose end was just read. The state may already be further.
fn ended(desk: &Desk, stored: &taxiway_model::record::StoredRecord) -> Option<taxiway_api::HistoryEntry> {
    let entries = desk.history(&stored.stream, usize::MAX).ok()?;
    entries.into_iter().find(|entry| entry.ended_at == Some(stored.record.at))
}

/// Whether two statuses differ in nothing but when they were read.
fn same(a: &Status, b: &Status) -> bool {
    let mut a = a.clone();
    a.at = b.at;
    a == *b
}
