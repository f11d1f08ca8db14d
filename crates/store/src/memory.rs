//! The log in memory, for tests and the simulator: the same contract without a disk.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use taxiway_engine::ports::log::{Appended, Checkpoint, Error, Log, Verified};
use taxiway_model::ids::StreamId;
use taxiway_model::record::{NewRecord, StoredRecord};

use crate::head::{Head, admit, admit_epoch, normal};
use crate::note::Key;
use crate::walk::{Payload, Walk};

/// Its checkpoints prove nothing to anybody, so that every run of a simulation signs alike.
const SEED: [u8; 32] = *b"taxiway: the log held in memory.";

/// A log that ends with the process.
pub struct Store {
    state: Mutex<State>,
    key: Key,
}

struct State {
    head: Head,
    records: Vec<StoredRecord>,
    /// Per stream the indexes of its records, in order.
    streams: BTreeMap<StreamId, Vec<usize>>,
    dedup: BTreeMap<(StreamId, String), usize>,
    snapshots: BTreeMap<StreamId, (u32, u64, Vec<u8>)>,
    epoch: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// A log without records.
    pub fn new() -> Self {
        let state = State {
            head: Head::empty(),
            records: Vec::new(),
            streams: BTreeMap::new(),
            dedup: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            epoch: 0,
        };
        Self { state: Mutex::new(state), key: Key::from_seed(&SEED) }
    }

    /// A panic elsewhere cannot leave half a record behind: everything is checked before it is kept.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn seq(&self, stream: &StreamId) -> u64 {
        self.streams.get(stream).map_or(0, |indexes| indexes.len() as u64)
    }

    fn known(&self, stream: &StreamId, record: &NewRecord) -> Option<usize> {
        let key = record.dedup.as_ref()?;
        self.dedup.get(&(stream.clone(), key.clone())).copied()
    }

    fn keep(&mut self, stored: StoredRecord) {
        let index = self.records.len();
        if let Some(key) = &stored.record.dedup {
            self.dedup.insert((stored.stream.clone(), key.clone()), index);
        }
        self.streams.entry(stored.stream.clone()).or_default().push(index);
        self.records.push(stored);
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
        let mut state = self.state();
        admit_epoch(epoch, state.epoch)?;
        let records: Vec<NewRecord> = records.into_iter().map(normal).collect();
        let nothing_new = records.iter().all(|record| state.known(stream, record).is_some());
        admit(stream, expected_seq, state.seq(stream), nothing_new)?;
        let (mut head, mut seq) = (state.head.clone(), state.seq(stream));
        let (mut answer, mut new): (Vec<StoredRecord>, Vec<StoredRecord>) = (Vec::new(), Vec::new());
        for record in records {
            let same_key =
                |other: &&StoredRecord| record.dedup.is_some() && other.record.dedup == record.dedup;
            let earlier = state.known(stream, &record).map(|index| &state.records[index]);
            if let Some(earlier) = earlier.or_else(|| new.iter().find(same_key)) {
                answer.push(earlier.clone());
                continue;
            }
            seq += 1;
            let stored = head.extend(stream, seq, record)?;
            new.push(stored.clone());
            answer.push(stored);
        }
        // Nothing can fail from here on: all of it is kept or, above, none.
        state.head = head;
        for stored in new {
            state.keep(stored);
        }
        Ok(Appended { seq, records: answer })
    }

    fn read(&self, stream: &StreamId, after_seq: u64, limit: usize) -> Result<Vec<StoredRecord>, Error> {
        let state = self.state();
        let indexes = state.streams.get(stream).map(Vec::as_slice).unwrap_or_default();
        let from = usize::try_from(after_seq).unwrap_or(usize::MAX);
        Ok(indexes.iter().skip(from).take(limit).map(|index| state.records[*index].clone()).collect())
    }

    fn read_all(&self, after_global: u64, limit: usize) -> Result<Vec<StoredRecord>, Error> {
        let from = usize::try_from(after_global).unwrap_or(usize::MAX);
        Ok(self.state().records.iter().skip(from).take(limit).cloned().collect())
    }

    fn streams(&self) -> Result<Vec<(StreamId, u64)>, Error> {
        let state = self.state();
        Ok(state.streams.iter().map(|(stream, indexes)| (stream.clone(), indexes.len() as u64)).collect())
    }

    fn snapshot(&self, stream: &StreamId, format: u32) -> Result<Option<(u64, Vec<u8>)>, Error> {
        let state = self.state();
        let at = state.seq(stream);
        let kept = state.snapshots.get(stream).filter(|(kept_as, seq, _)| *kept_as == format && *seq <= at);
        Ok(kept.map(|(_, seq, bytes)| (*seq, bytes.clone())))
    }

    fn keep_snapshot(&self, stream: &StreamId, format: u32, seq: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut state = self.state();
        let newer = state.snapshots.get(stream).is_some_and(|kept| kept.0 == format && kept.1 > seq);
        if !newer {
            state.snapshots.insert(stream.clone(), (format, seq, bytes.to_vec()));
        }
        Ok(())
    }

    fn take_lead(&self, _owner: &str) -> Result<u64, Error> {
        let mut state = self.state();
        state.epoch += 1;
        Ok(state.epoch)
    }

    fn checkpoint(&self) -> Result<Checkpoint, Error> {
        Ok(self.key.checkpoint(&self.state().head.tree))
    }

    fn verify(&self, kept: Option<&str>) -> Result<Verified, Error> {
        let state = self.state();
        let kept = kept.map(|note| self.key.read(note)).transpose();
        let (kept, complaint) = match kept {
            Ok(kept) => (kept, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let mut walk = Walk::new(kept, None);
        if let Some(what) = complaint {
            walk.damage(what);
        }
        state.records.iter().for_each(|stored| walk.step(stored, Payload::Present));
        Ok(walk.finish())
    }
}
