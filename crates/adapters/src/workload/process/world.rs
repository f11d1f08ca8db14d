//! All streams with their slots, and the round that moves each of them one step towards what is desired.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use taxiway_model::decision::DesiredWorkload;
use taxiway_model::ids::{Generation, StreamId};
use taxiway_model::observation::{InstancePhase, WorkloadStatus};
use tokio::runtime::Handle;

use crate::proc;

use super::slot::{Life, Round, Slot, spec_digest};
use super::start::Starter;
use super::state::Record;
use super::usage::Groups;

/// Time between two measurements of memory and CPU.
const MEASURE_EVERY: Duration = Duration::from_secs(2);

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) desired: DesiredWorkload,
    pub(super) slots: Vec<Slot>,
    /// Everything shall stop and be forgotten.
    pub(super) ending: bool,
}

/// Everything under this supervisor.
#[derive(Debug)]
pub(super) struct World {
    pub(super) streams: BTreeMap<StreamId, Stream>,
    pub(super) starter: Starter,
    pub(super) runtime: Handle,
    pub(super) measured_at: Option<Instant>,
    pub(super) closing: bool,
}

impl World {
    /// Takes an order in; `Err` with the newest generation when it is an older one.
    pub(super) fn apply(&mut self, desired: &DesiredWorkload) -> Result<(), Generation> {
        let current = self.streams.get(&desired.stream).filter(|stream| !stream.ending);
        if let Some(stream) = current {
            if desired.generation < stream.desired.generation {
                return Err(stream.desired.generation);
            }
            if *desired == stream.desired {
                return Ok(());
            }
        }
        fail::fail_point!("workload.apply.before_keep");
        self.starter.state.keep_desired(desired);
        fail::fail_point!("workload.apply.after_keep");
        let fresh = || Stream { desired: desired.clone(), slots: Vec::new(), ending: false };
        let stream = self.streams.entry(desired.stream.clone()).or_insert_with(fresh);
        stream.desired = desired.clone();
        stream.ending = false;
        // What shall run is there to be observed from now on, not from the next round.
        stream.reconcile(Instant::now());
        Ok(())
    }

    /// One round. Returns the streams in which an instance changed its phase, and how long to wait for the next.
    pub(super) fn round(&mut self, now: Instant) -> (BTreeSet<StreamId>, Duration) {
        let measure = self.measured_at.is_none_or(|at| now - at >= MEASURE_EVERY);
        let busy = self.streams.values().any(|stream| !stream.slots.is_empty());
        let groups = (measure && busy).then(|| {
            self.measured_at = Some(now);
            Groups::measure(&proc::all(), now)
        });
        let mut changed = BTreeSet::new();
        for (id, stream) in &mut self.streams {
            let before = stream.phases(now);
            stream.reconcile(now);
            let round = Round { stream: id, now, runtime: &self.runtime, groups: groups.as_ref() };
            for slot in &mut stream.slots {
                if slot.step(&round) {
                    self.starter.state.keep(id, &slot.record);
                }
                if slot.is_due(now) {
                    start(slot, id, &mut self.starter, &self.runtime);
                }
            }
            for slot in stream.slots.extract_if(.., |slot| matches!(slot.life, Life::Gone)) {
                fail::fail_point!("workload.gone.before_forget");
                self.starter.state.forget(id, &slot.record);
                fail::fail_point!("workload.gone.after_forget");
                self.starter.ports.release(slot.record.port, now);
            }
            if before != stream.phases(now) {
                changed.insert(id.clone());
            }
        }
        self.forget_ended();
        let moving = self.streams.values().flat_map(|stream| &stream.slots).any(Slot::is_moving);
        (changed, Duration::from_millis(if moving { 25 } else { 200 }))
    }

    fn forget_ended(&mut self) {
        let state = &self.starter.state;
        self.streams.retain(|id, stream| {
            let over = stream.ending && stream.slots.is_empty();
            if over {
                state.forget_stream(id);
            }
            !over
        });
    }

    /// What runs of a stream; nothing for one that is not known.
    pub(super) fn observe(&self, stream: &StreamId, now: Instant) -> WorkloadStatus {
        let Some(stream) = self.streams.get(stream) else { return WorkloadStatus::default() };
        let broken = stream.slots.iter().filter(|slot| slot.wanted).filter_map(|slot| {
            let problem = slot.problem.as_ref().filter(|problem| problem.is_permanent())?;
            Some((slot.record.spec.version.name.clone(), problem.to_string()))
        });
        WorkloadStatus {
            generation: stream.desired.generation,
            instances: stream.slots.iter().map(|slot| slot.observe(now)).collect(),
            broken: broken.collect(),
        }
    }
}

impl Stream {
    /// Marks what is not wanted (any more) and adds what is missing. A place whose old process is still stopping is
    /// filled when that is gone.
    pub(super) fn reconcile(&mut self, now: Instant) {
        for slot in &mut self.slots {
            let same = self.desired.versions.iter().find(|desired| {
                desired.version.name == slot.record.spec.version.name
                    && slot.record.number < desired.replicas
                    && spec_digest(desired) == slot.digest
            });
            slot.wanted = !self.ending && same.is_some();
            if let Some(same) = same.filter(|same| **same != slot.record.spec) {
                slot.record.spec = same.clone();
            }
        }
        if self.ending {
            return;
        }
        for desired in &self.desired.versions {
            for number in 0..desired.replicas {
                let name = &desired.version.name;
                let there =
                    |slot: &Slot| slot.record.number == number && slot.record.spec.version.name == *name;
                if !self.slots.iter().any(there) {
                    let record = Record::planned(desired.clone(), number);
                    self.slots.push(Slot::new(record, Life::Down { again_at: now }));
                }
            }
        }
    }

    fn phases(&self, now: Instant) -> Vec<(String, InstancePhase)> {
        self.slots.iter().map(|slot| (slot.name(), slot.observe(now).phase)).collect()
    }
}

fn start(slot: &mut Slot, stream: &StreamId, starter: &mut Starter, runtime: &Handle) {
    match starter.start(stream, &mut slot.record, runtime) {
        None => (),
        Some(Ok(up)) => {
            tracing::info!(instance = %slot.name(), pid = up.identity.pid, port = slot.record.port, "started");
            slot.life = Life::Up(Box::new(up));
        }
        Some(Err(problem)) => {
            tracing::warn!(instance = %slot.name(), %problem, "not started");
            slot.problem = Some(problem);
            slot.wait_longer(Instant::now());
        }
    }
}
