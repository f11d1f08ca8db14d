//! What an earlier supervisor of the same data directory left: running instances are taken over as they are, and what
//! nobody knows any more is ended.

use std::fs;
use std::time::Instant;

use nix::sys::signal::Signal;
use taxiway_model::decision::{DesiredVersion, DesiredWorkload};
use taxiway_model::ids::{Generation, StreamId};

use crate::proc::{self, Identity, Stat};

use super::command::MARKER;
use super::limits::Confinement;
use super::probe::Answers;
use super::slot::{Life, Slot, Up, members};
use super::state::Record;
use super::world::{Stream, World};

impl World {
    /// Reads the state directory and `/proc`, and takes over what belongs to it.
    pub(super) fn adopt(&mut self) {
        fail::fail_point!("workload.adopt.before");
        let since = self.starter.state.since_ticks();
        let stats = proc::all();
        let prefix = format!("{}.", self.starter.prefix);
        let marked: Vec<(Stat, String)> = proc::marked(&stats, since, MARKER, &prefix)
            .map(|(stat, marker)| (stat.clone(), marker))
            .collect();
        let mut known = Vec::new();
        for id in self.starter.state.streams() {
            let records = self.starter.state.records(&id);
            let desired = self.starter.state.desired(&id);
            if desired.is_none() && records.is_empty() {
                continue;
            }
            known.extend(records.iter().map(|record| record.marker.clone()));
            for record in &records {
                self.starter.ports.keep(record.port);
            }
            let slots: Vec<Slot> = records.into_iter().map(|record| take_over(record, &marked)).collect();
            // Without a readable desired state the instances go on until somebody says what shall run.
            let desired = desired.unwrap_or_else(|| as_found(&id, &slots));
            self.streams.insert(id, Stream { desired, slots, ending: false });
        }
        let orphans = marked.iter().filter(|(_, marker)| !known.contains(marker));
        for (stat, _) in orphans {
            tracing::warn!(pid = stat.pid, "ended: it was started here, but nothing says what for");
            proc::signal(stat, Signal::SIGKILL);
        }
        fail::fail_point!("workload.adopt.after");
    }
}

/// A desired state that says: as it is.
fn as_found(stream: &StreamId, slots: &[Slot]) -> DesiredWorkload {
    let mut desired =
        DesiredWorkload { stream: stream.clone(), generation: Generation(0), versions: Vec::new() };
    for slot in slots {
        let spec = &slot.record.spec;
        let replicas = slot.record.number + 1;
        if let Some(one) = desired.versions.iter_mut().find(|one| one.version.name == spec.version.name) {
            one.replicas = one.replicas.max(replicas);
        } else {
            desired.versions.push(DesiredVersion { replicas, ..spec.clone() });
        }
    }
    desired
}

fn take_over(mut record: Record, marked: &[(Stat, String)]) -> Slot {
    let now = Instant::now();
    let found = record.identity.clone().filter(Identity::is_alive).or_else(|| {
        // Written before the start and never after it: the process may be there without its record knowing.
        let leads = |stat: &Stat| stat.pid == stat.group;
        let (stat, _) = marked.iter().find(|(stat, marker)| *marker == record.marker && leads(stat))?;
        Identity::of(stat.pid)
    });
    if let Some(identity) = found {
        let ready = record.ready_since.is_some();
        let up = Up {
            child: None,
            started: now,
            confinement: Confinement::adopted(record.groups.clone(), &record.spec.version.target.limits),
            output_from: fs::metadata(&record.output).map_or(0, |file| file.len()),
            readiness: Answers::new(ready, now),
            health: Answers::new(true, now),
            identity: identity.clone(),
        };
        tracing::info!(pid = identity.pid, version = %record.spec.version.name, number = record.number, "adopted");
        record.identity = Some(identity);
        return Slot::new(record, Life::Up(Box::new(up)));
    }
    let leader = record.identity.take();
    let since = leader.as_ref().map_or(0, |identity| identity.start_ticks);
    for (stat, _) in
        marked.iter().filter(|(stat, marker)| *marker == record.marker && stat.start_ticks >= since)
    {
        proc::signal(stat, Signal::SIGKILL);
    }
    if let Some(leader) = &leader {
        for stat in members(leader, &record.marker, false) {
            proc::signal(&stat, Signal::SIGKILL);
        }
    }
    Confinement::adopted(record.groups.clone(), &record.spec.version.target.limits).remove();
    record.ready_since = None;
    let mut slot = Slot::new(record, Life::Down { again_at: now });
    if leader.is_some() {
        slot.ended_unseen();
    }
    slot
}
