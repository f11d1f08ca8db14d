//! One engine's seat in the world: every port, with the faults in force and a place to die at each
//! boundary. What a dead engine still wants has no effect.

use crate::scenario::Fault;
use crate::world::{Inner, World};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, MutexGuard};
use taxiway_engine::Ports;
use taxiway_engine::ports::checks::Checks;
use taxiway_engine::ports::clock::Clock;
use taxiway_engine::ports::log::{self, Appended, Checkpoint, Log, Verified};
use taxiway_engine::ports::metrics::Metrics;
use taxiway_engine::ports::traffic::{self, Traffic};
use taxiway_engine::ports::workload::{self, Workload};
use taxiway_model::control::Snapshot;
use taxiway_model::decision::{CheckOrder, DesiredWorkload};
use taxiway_model::ids::{Generation, StreamId};
use taxiway_model::metrics::{Order, Reading};
use taxiway_model::observation::{CheckStatus, WorkloadStatus};
use taxiway_model::record::{NewRecord, StoredRecord};
use taxiway_model::route::{Applied, RouteTable};
use taxiway_model::time::Timestamp;
use taxiway_store::memory::Store;

/// What unwinds out of an engine that dies.
#[derive(Debug)]
pub(crate) struct Crash;

/// How long a slow append takes.
const SLOW_MS: u64 = 3_000;

/// One engine's life.
pub(crate) struct Seat {
    /// Its number in the world.
    number: u64,
    world: Arc<World>,
    log: Arc<Store>,
    dead: AtomicBool,
    /// Boundaries until it dies; `u32::MAX`: it does not.
    dies_in: AtomicU32,
    /// Boundaries crossed so far.
    crossed: AtomicU32,
}

impl Seat {
    pub(crate) fn new(world: Arc<World>, log: Arc<Store>, dies_in: u32) -> Arc<Self> {
        let (dead, crossed) = (AtomicBool::new(false), AtomicU32::new(0));
        let number = world.next_seat();
        Arc::new(Self { number, world, log, dead, dies_in: AtomicU32::new(dies_in), crossed })
    }

    pub(crate) fn ports(self: &Arc<Self>) -> Ports {
        Ports {
            log: self.clone(),
            workload: self.clone(),
            traffic: self.clone(),
            checks: self.clone(),
            clock: self.clone(),
        }
    }

    /// Lets the engine die after so many more boundaries.
    pub(crate) fn dies_in(&self, boundaries: u32) {
        self.dies_in.store(boundaries, Relaxed);
    }

    pub(crate) fn crossed(&self) -> u32 {
        self.crossed.load(Relaxed)
    }

    fn alive(&self) {
        if self.dead.load(Relaxed) {
            resume_unwind(Box::new(Crash));
        }
    }

    /// A place between an effect and what follows it.
    fn boundary(&self) {
        self.alive();
        self.crossed.fetch_add(1, Relaxed);
        match self.dies_in.load(Relaxed) {
            u32::MAX => {}
            0 => {
                self.dead.store(true, Relaxed);
                resume_unwind(Box::new(Crash));
            }
            left => self.dies_in.store(left - 1, Relaxed),
        }
    }

    fn world(&self) -> MutexGuard<'_, Inner> {
        self.alive();
        self.world.lock()
    }

    fn read_fails(&self) -> Result<(), log::Error> {
        if self.world().suffers(Fault::LogDead) {
            return Err(log::Error::Unavailable("injected: the disk does not answer".to_owned()));
        }
        Ok(())
    }

    fn append_fails(&self) -> Result<(), log::Error> {
        self.read_fails()?;
        let world = self.world();
        if world.suffers(Fault::LogFull) {
            return Err(log::Error::Full("injected: no space left on device".to_owned()));
        }
        if world.suffers(Fault::LogReadOnly) {
            return Err(log::Error::ReadOnly("injected: read-only file system".to_owned()));
        }
        Ok(())
    }
}

impl Clock for Seat {
    fn now(&self) -> Timestamp {
        self.world().wall
    }

    fn monotonic_ms(&self) -> u64 {
        self.world().now_ms
    }
}

impl Log for Seat {
    fn append(
        &self,
        stream: &StreamId,
        expected_seq: u64,
        epoch: u64,
        records: Vec<NewRecord>,
    ) -> Result<Appended, log::Error> {
        self.boundary();
        if self.world().suffers(Fault::LogSlow) {
            self.world.advance(SLOW_MS);
        }
        self.append_fails()?;
        let appended = self.log.append(stream, expected_seq, epoch, records)?;
        let mut world = self.world();
        let Inner { witness, router, now_ms, .. } = &mut *world;
        witness.appended(&*self.log, router, *now_ms);
        let unknown = world.suffers(Fault::CommitUnknown) && world.random.chance(500_000);
        drop(world);
        self.boundary();
        if unknown {
            return Err(log::Error::Unavailable("injected: the answer was lost".to_owned()));
        }
        Ok(appended)
    }

    fn read(&self, stream: &StreamId, after_seq: u64, limit: usize) -> Result<Vec<StoredRecord>, log::Error> {
        self.read_fails()?;
        self.log.read(stream, after_seq, limit)
    }

    fn read_all(&self, after_global: u64, limit: usize) -> Result<Vec<StoredRecord>, log::Error> {
        self.read_fails()?;
        self.log.read_all(after_global, limit)
    }

    fn streams(&self) -> Result<Vec<(StreamId, u64)>, log::Error> {
        self.read_fails()?;
        self.log.streams()
    }

    fn snapshot(&self, stream: &StreamId, format: u32) -> Result<Option<(u64, Vec<u8>)>, log::Error> {
        self.read_fails()?;
        self.log.snapshot(stream, format)
    }

    fn keep_snapshot(
        &self,
        stream: &StreamId,
        format: u32,
        seq: u64,
        bytes: &[u8],
    ) -> Result<(), log::Error> {
        self.append_fails()?;
        self.log.keep_snapshot(stream, format, seq, bytes)?;
        self.boundary();
        Ok(())
    }

    fn take_lead(&self, owner: &str) -> Result<u64, log::Error> {
        self.append_fails()?;
        let epoch = self.log.take_lead(owner)?;
        self.boundary();
        Ok(epoch)
    }

    fn checkpoint(&self) -> Result<Checkpoint, log::Error> {
        self.log.checkpoint()
    }

    fn verify(&self, kept: Option<&str>) -> Result<Verified, log::Error> {
        self.log.verify(kept)
    }
}

impl Workload for Seat {
    fn apply(&self, desired: &DesiredWorkload) -> Result<(), workload::Error> {
        self.boundary();
        let mut world = self.world();
        if world.suffers(Fault::TargetSilent) {
            return Err(workload::Error::Unavailable("injected: the target is silent".to_owned()));
        }
        let now_ms = world.now_ms;
        let before = world.target.accepted;
        let answer = world.target.apply(desired, now_ms);
        if answer.is_ok() {
            world.witness.ordered(now_ms, before, desired);
        }
        drop(world);
        self.boundary();
        answer
    }

    fn observe(&self, _stream: &StreamId) -> Result<WorkloadStatus, workload::Error> {
        let world = self.world();
        if world.suffers(Fault::TargetSilent) {
            return Err(workload::Error::Unavailable("injected: the target is silent".to_owned()));
        }
        Ok(world.target.observe())
    }

    fn stop(&self, _stream: &StreamId) -> Result<(), workload::Error> {
        Err(workload::Error::Unavailable("nobody stops the simulation".to_owned()))
    }
}

fn silent() -> traffic::Error {
    traffic::Error::Unavailable("injected: the router is silent".to_owned())
}

impl Traffic for Seat {
    fn apply(&self, table: &RouteTable) -> Result<Applied, traffic::Error> {
        self.boundary();
        let mut world = self.world();
        if !world.router_answers() {
            return Err(silent());
        }
        let now_ms = world.now_ms;
        let before = world.router.generation();
        let answer = world.router.apply(table, now_ms);
        if answer.is_ok() {
            let Inner { witness, router, .. } = &mut *world;
            witness.routed(now_ms, before, table.generation, router);
        }
        let lost = world.suffers(Fault::AnswersLost);
        drop(world);
        self.boundary();
        if lost { Err(silent()) } else { answer }
    }

    fn to_baseline(&self, stream: &StreamId, generation: Generation) -> Result<Applied, traffic::Error> {
        self.boundary();
        let mut world = self.world();
        if !world.router_answers() {
            return Err(silent());
        }
        let now_ms = world.now_ms;
        let before = world.router.generation();
        let answer = world.router.give_back(stream, generation, now_ms);
        if answer.is_ok() {
            let Inner { witness, router, .. } = &mut *world;
            witness.sent_back();
            witness.routed(now_ms, before, generation, router);
        }
        let lost = world.suffers(Fault::AnswersLost);
        drop(world);
        self.boundary();
        if lost { Err(silent()) } else { answer }
    }

    fn counts(&self, stream: &StreamId) -> Result<Snapshot, traffic::Error> {
        let mut world = self.world();
        if !world.router_answers() {
            return Err(silent());
        }
        let (now_ms, wall) = (world.now_ms, world.wall);
        let fresh = world.router.snapshot(stream, now_ms, wall)?;
        let late = world.late.clone().filter(|late| late.start == fresh.start);
        if world.suffers(Fault::CountsLate)
            && let Some(late) = late
        {
            // Counters lag behind or come twice; what is in force is always told as it is.
            let Snapshot { generation, weight, lease_ended, .. } = fresh;
            return Ok(Snapshot { generation, weight, lease_ended, ..late });
        }
        if !world.suffers(Fault::CountsLate) || world.random.chance(200_000) {
            world.late = Some(fresh.clone());
        }
        Ok(fresh)
    }

    fn remove(&self, _stream: &StreamId) -> Result<(), traffic::Error> {
        Err(silent())
    }
}

impl Checks for Seat {
    fn start(&self, order: &CheckOrder) {
        self.boundary();
        let mut world = self.world();
        let now_ms = world.now_ms;
        world.checks.start(order, now_ms);
        drop(world);
        self.boundary();
    }

    fn status(&self, effect: &str, attempt: u32) -> Option<CheckStatus> {
        let world = self.world();
        world.checks.status(effect, attempt, world.now_ms)
    }
}

/// What asks a source lives and dies with its engine, and so does what it has counted.
impl Metrics for Seat {
    fn want(&self, _stream: &StreamId, order: &Order) {
        let mut world = self.world();
        let wall = world.wall;
        if let Some(source) = &mut world.source {
            source.want(self.number, order, wall);
        }
    }

    fn forget(&self, _stream: &StreamId) {
        let mut world = self.world();
        if let Some(source) = &mut world.source {
            source.forget(self.number);
        }
    }

    fn latest(&self, _stream: &StreamId) -> Option<Reading> {
        self.world().source.as_ref()?.latest(self.number)
    }
}
