//! Reading the log, verifying it, and judging again from it.

use taxiway_api::{LogEntry, Problem, Replayed, Verified};
use taxiway_decide::replay::replay;
use taxiway_engine::Engine;
use taxiway_model::event::Event;
use taxiway_model::ids::{Digest, ReleaseId, StreamId};
use taxiway_model::record::{Recorded, StoredRecord};

use crate::desk::Desk;
use crate::problems::{bad_argument, no_stream, of_log};
use crate::sentence;

/// Records read at once.
const READ_MAX: usize = 1_000;

impl Desk {
    /// Records after a place in the whole log, oldest first, of one stream or all.
    pub fn log(&self, after: u64, limit: usize, only: Option<&StreamId>) -> Result<Vec<LogEntry>, Problem> {
        let mut entries = Vec::new();
        let mut after = after;
        while entries.len() < limit {
            let records = self.engine.log().read_all(after, READ_MAX).map_err(|error| of_log(&error))?;
            let Some(last) = records.last() else { break };
            after = last.global;
            let wanted = records.iter().filter(|record| only.is_none_or(|only| &record.stream == only));
            entries.extend(wanted.take(limit - entries.len()).map(|record| self.entry(record)));
        }
        Ok(entries)
    }

    /// A record for people.
    pub(crate) fn entry(&self, stored: &StoredRecord) -> LogEntry {
        let plan = self.engine.state(&stored.stream).plan;
        let event = Event::from_bytes(stored.record.format, &stored.record.payload);
        LogEntry {
            global: stored.global,
            stream: stored.stream.clone(),
            seq: stored.seq,
            at: stored.record.at,
            actor: stored.record.actor.clone(),
            origin: stored.record.origin.clone(),
            reason: stored.record.reason.clone(),
            kind: stored.record.kind.clone(),
            sentence: match &event {
                Ok(event) => sentence::of(event, plan.as_ref()),
                Err(error) => error.to_string(),
            },
            event: serde_json::from_slice(&stored.record.payload).unwrap_or_default(),
            hash: stored.hash,
        }
    }

    /// Reads everything and compares every hash; with a kept checkpoint also that nothing of what
    /// it covered is missing.
    pub fn verify(&self, kept: Option<&str>) -> Result<Verified, Problem> {
        let log = self.engine.log();
        let verified = log.verify(kept).map_err(|error| of_log(&error))?;
        let last = log.read_all(verified.records.saturating_sub(1), 1).unwrap_or_default();
        Ok(Verified {
            ok: verified.damages.is_empty(),
            records: verified.records,
            head: last.first().map_or(Digest([0; 32]), |record| record.hash),
            checkpoint: verified.checkpoint,
            problems: verified.damages,
        })
    }

    /// The judgements of a stream (or of one release of it) made again from the evidence on record.
    pub fn replay(&self, stream: &StreamId, only: Option<&ReleaseId>) -> Result<Replayed, Problem> {
        let mut events: Vec<Recorded<Event>> = Vec::new();
        let mut belongs: Option<ReleaseId> = None;
        let mut places = Vec::new();
        each(&self.engine, stream, |recorded| {
            if let Event::ReleaseStarted { release } = &recorded.event {
                belongs = Some(release.clone());
            }
            if only.is_none() || belongs.as_ref() == only {
                places.push(recorded.seq);
            }
            events.push(recorded.clone());
            Ok(())
        })?;
        let release = match only {
            Some(release) => release.clone(),
            None => belongs.ok_or_else(|| no_stream(stream))?,
        };
        if places.is_empty() {
            let why = format!("{stream} has no release {release}");
            return Err(Problem { next: "`taxiway history` lists them".to_owned(), ..bad_argument(why) });
        }
        let replayed = replay(stream.clone(), &events);
        let mine = |seq: &u64| places.binary_search(seq).is_ok();
        let judged = |recorded: &&Recorded<Event>| matches!(recorded.event, Event::Judged { .. });
        let judgements = events.iter().filter(judged).filter(|recorded| mine(&recorded.seq)).count() as u64;
        let different: Vec<String> = replayed
            .different
            .iter()
            .filter(|difference| mine(&difference.seq))
            .map(|difference| {
                format!(
                    "event {}: recorded {}; now {}",
                    difference.seq, difference.recorded, difference.again
                )
            })
            .collect();
        let same = judgements - different.len() as u64;
        Ok(Replayed { release, events: places.len() as u64, judgements, same, different })
    }
}

/// Every event of a stream, oldest first.
pub(crate) fn each(
    engine: &Engine,
    stream: &StreamId,
    mut take: impl FnMut(&Recorded<Event>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut after = 0;
    loop {
        let records = engine.log().read(stream, after, READ_MAX).map_err(|error| of_log(&error))?;
        let Some(last) = records.last() else { return Ok(()) };
        after = last.seq;
        for stored in &records {
            take(&understood(stored)?)?;
        }
    }
}

fn understood(stored: &StoredRecord) -> Result<Recorded<Event>, Problem> {
    let event = Event::from_bytes(stored.record.format, &stored.record.payload).map_err(|error| {
        let why = format!("event {} of {}: {error}", stored.seq, stored.stream);
        of_log(&taxiway_engine::ports::log::Error::Damaged(why))
    })?;
    Ok(Recorded {
        global: stored.global,
        stream: stored.stream.clone(),
        seq: stored.seq,
        at: stored.record.at,
        actor: stored.record.actor.clone(),
        origin: stored.record.origin.clone(),
        reason: stored.record.reason.clone(),
        event,
    })
}
