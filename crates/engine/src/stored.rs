//! Between events and the log's envelope.

use taxiway_model::event::{Event, FORMAT, NotUnderstood};
use taxiway_model::record::{Actor, NewRecord, Recorded, StoredRecord};
use taxiway_model::time::Timestamp;

/// Who wants something recorded, and why.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    pub(crate) actor: Actor,
    pub(crate) origin: String,
    pub(crate) reason: String,
}

impl Cause {
    pub(crate) fn engine() -> Self {
        Self { actor: Actor::Engine, origin: "engine".to_owned(), reason: String::new() }
    }
}

pub(crate) fn to_record(event: &Event, cause: &Cause, at: Timestamp) -> NewRecord {
    NewRecord {
        at,
        actor: cause.actor.clone(),
        origin: cause.origin.clone(),
        reason: cause.reason.clone(),
        dedup: None,
        kind: event.kind().to_owned(),
        format: FORMAT,
        payload: event.to_bytes(),
    }
}

pub(crate) fn from_record(stored: &StoredRecord) -> Result<Recorded<Event>, NotUnderstood> {
    let event = Event::from_bytes(stored.record.format, &stored.record.payload)?;
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
