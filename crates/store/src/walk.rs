//! Whether records follow from each other: the check both logs make of what they hold.

use std::collections::BTreeMap;

use taxiway_engine::ports::log::Verified;
use taxiway_model::ids::{Digest, StreamId};
use taxiway_model::record::{StoredRecord, chain_hash};
use taxiway_model::time::Timestamp;

use crate::note::Stated;
use crate::tree::Tree;

/// Damages listed; a log that is damaged in more places is named damaged just as well.
const DAMAGES_MAX: usize = 100;

/// What a record's payload was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    /// The bytes are there.
    Present,
    /// Redacted or expired, and properly so.
    Withheld,
}

/// A record checked by itself: its payload against its digest, its hash against its fields.
pub(crate) fn check(stored: &StoredRecord, payload: Payload) -> Result<(), String> {
    let place =
        |what: &str| Err(format!("record {} ({} #{}): {what}", stored.global, stored.stream, stored.seq));
    if payload == Payload::Present && Digest::of(&stored.record.payload) != stored.payload_digest {
        return place("its payload is not the one it was stored with");
    }
    let StoredRecord { global, stream, seq, record, payload_digest, prev_hash, hash } = stored;
    if record.dedup.as_deref() == Some("") {
        return place("its dedup key is empty");
    }
    if chain_hash(*prev_hash, *global, stream, *seq, record, *payload_digest) != *hash {
        return place("its hash does not belong to its fields");
    }
    Ok(())
}

/// Goes through the records of a log in their order and notes everything that is wrong.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    tree: Tree,
    last: Option<(u64, Timestamp, Digest)>,
    streams: BTreeMap<StreamId, u64>,
    /// Checkpoints, each with the root the log had at its size.
    kept: Vec<(Stated, Option<Digest>)>,
    /// Size of the checkpoint the caller gave.
    given: Option<u64>,
    damages: Vec<String>,
    damages_left_out: u64,
    records: u64,
}

impl Walk {
    /// A walk that also looks whether the log contains what checkpoints state: the one a caller gave
    /// and the one the log keeps itself.
    pub(crate) fn new(given: Option<Stated>, own: Option<Stated>) -> Self {
        let kept = given.into_iter().chain(own).map(|stated| (stated, None)).collect();
        let mut walk = Self { kept, given: given.map(|stated| stated.size), ..Self::default() };
        walk.compare_kept();
        walk
    }

    /// Notes a damage.
    pub(crate) fn damage(&mut self, what: impl Into<String>) {
        if self.damages.len() < DAMAGES_MAX {
            self.damages.push(what.into());
        } else {
            self.damages_left_out += 1;
        }
    }

    /// The last record's place, hash and time as far as the walk came.
    pub(crate) fn last_global(&self) -> u64 {
        self.last.map_or(0, |(global, ..)| global)
    }

    /// The tree over the records so far.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The streams met, with the sequence each is at.
    pub(crate) fn streams(&self) -> &BTreeMap<StreamId, u64> {
        &self.streams
    }

    /// Takes in the record that stands next in the log.
    pub(crate) fn step(&mut self, stored: &StoredRecord, payload: Payload) {
        self.records += 1;
        if let Err(what) = check(stored, payload) {
            self.damage(what);
        }
        let (before, before_at, before_hash) = self.last.unwrap_or((0, Timestamp(i64::MIN), Digest([0; 32])));
        let here = format!("record {}", stored.global);
        if stored.global != before + 1 {
            self.damage(format!("{here} follows record {before}: what stood between them is gone"));
        }
        if stored.prev_hash != before_hash {
            self.damage(format!("{here} is not chained to the record before it"));
        }
        if self.last.is_some() && stored.record.at <= before_at {
            self.damage(format!("{here} is not later than the record before it"));
        }
        let seq = self.streams.insert(stored.stream.clone(), stored.seq).unwrap_or(0);
        if stored.seq != seq + 1 {
            self.damage(format!("{here} is #{} of {}, after #{seq}", stored.seq, stored.stream));
        }
        self.advance(stored.global, stored.record.at, stored.hash);
    }

    /// Takes in a record that cannot be read; the damage is noted by the caller.
    pub(crate) fn skip(&mut self, global: u64) {
        let at = self.last.map_or(Timestamp(i64::MIN), |(_, at, _)| at);
        self.records += 1;
        self.advance(global, at, Digest([0; 32]));
    }

    fn advance(&mut self, global: u64, at: Timestamp, hash: Digest) {
        self.last = Some((global, at, hash));
        self.tree.push(hash);
        self.compare_kept();
    }

    fn compare_kept(&mut self) {
        for (stated, found) in &mut self.kept {
            if stated.size == self.tree.size() {
                *found = Some(self.tree.root());
            }
        }
    }

    /// What the walk found.
    pub(crate) fn finish(mut self) -> Verified {
        for (stated, found) in std::mem::take(&mut self.kept) {
            match found {
                None => self.damage(format!(
                    "the end is missing: the kept checkpoint covers {} records, the log has {}",
                    stated.size, self.records
                )),
                Some(root) if root != stated.root => self.damage(format!(
                    "history was rewritten: the first {} records are not those the kept checkpoint covers",
                    stated.size
                )),
                Some(_) => {}
            }
        }
        if self.damages_left_out > 0 {
            self.damages.push(format!("and {} more", self.damages_left_out));
        }
        Verified { records: self.records, damages: self.damages, checkpoint: self.given }
    }
}
