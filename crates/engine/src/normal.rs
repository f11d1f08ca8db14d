//! Watching the running version while nothing is released: what the router counts goes into a
//! rolling record, from which the normal profile is made (R4.2).

use crate::stream::Stream;
use crate::{Engine, lock};
use taxiway_decide::normal::{Reading, Record};
use taxiway_model::control::Snapshot;
use taxiway_model::ids::{StreamId, VersionName};
use taxiway_model::normal::Normal;
use taxiway_model::time::Timestamp;

/// The record of one stream, and of what it is one.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    version: Option<VersionName>,
    start: Timestamp,
    record: Record,
}

impl Engine {
    /// How the running version of a stream has answered lately; none while nothing is known.
    pub fn normal(&self, id: &StreamId) -> Option<Normal> {
        let stream = lock(&self.inner.streams).get(id).cloned()?;
        let stream = lock(&stream);
        of(&stream)
    }
}

/// The profile of the version that runs now.
pub(crate) fn of(stream: &Stream) -> Option<Normal> {
    let watch = &stream.normal;
    watch.record.profile().filter(|_| watch.version.is_some() && watch.version == stream.state.stable)
}

/// Takes in what the router has counted.
pub(crate) fn watch(stream: &mut Stream, snapshot: &Snapshot, monotonic_ms: u64) {
    let Some(stable) = stream.state.stable.clone() else { return };
    let watch = &mut stream.normal;
    let reading = || Reading {
        classes: snapshot.versions.get(&stable).cloned().unwrap_or_default(),
        instances: snapshot.answered_at.get(&stable).cloned().unwrap_or_default(),
    };
    if stream.state.flight.is_some() {
        if watch.version.as_ref() == Some(&stable) && watch.start == snapshot.start {
            watch.record.interrupt(monotonic_ms, reading);
        }
        watch.record.pause();
        return;
    }
    if watch.version.as_ref() != Some(&stable) {
        // After a restart of this process the router still has what it counted since it began. Of a
        // version that has just taken over, that is what it answered as a canary.
        let mut record = Record::default();
        if watch.version.is_none()
            && let Some((classes, first)) =
                snapshot.versions.get(&stable).zip(snapshot.first_routed.get(&stable))
        {
            record.inherit(snapshot.at.since_ms(*first), classes.clone());
        }
        *watch = Watch { version: Some(stable.clone()), start: snapshot.start, record };
    }
    if watch.start != snapshot.start {
        watch.start = snapshot.start;
        watch.record.pause();
    }
    watch.record.see(monotonic_ms, reading);
}
