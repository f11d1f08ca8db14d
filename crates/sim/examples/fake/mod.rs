//! Every port but the log, for any number of streams: what is ordered is there at once, and all versions are well.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use taxiway_engine::ports::checks::Checks;
use taxiway_engine::ports::clock::Clock;
use taxiway_engine::ports::traffic::{self, Traffic};
use taxiway_engine::ports::workload::{self, Workload};
use taxiway_model::control::Snapshot;
use taxiway_model::counts::{Counts, Histogram};
use taxiway_model::decision::{CheckOrder, DesiredWorkload};
use taxiway_model::evidence::Classes;
use taxiway_model::ids::{Generation, StreamId, VersionName};
use taxiway_model::observation::{CheckStatus, Instance, InstancePhase, WorkloadStatus};
use taxiway_model::route::{Applied, RouteTable};
use taxiway_model::time::Timestamp;
use taxiway_model::weight::WeightBp;

/// Requests of each service.
const RPS: u64 = 10;
/// Buckets around 10 ms, with shares in percent.
const LATENCY: &[(i16, u64)] = &[(848, 40), (864, 40), (896, 15), (960, 5)];
const DAWN: Timestamp = Timestamp(1_767_225_600_000_000);

/// The world.
#[derive(Default)]
pub(crate) struct Fake(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    now_ms: u64,
    streams: BTreeMap<StreamId, One>,
}

#[derive(Default)]
struct One {
    desired: Option<DesiredWorkload>,
    table: Option<RouteTable>,
    /// Requests so far, in thousandths.
    requests: BTreeMap<VersionName, u64>,
    counted_ms: u64,
    first: BTreeMap<VersionName, Timestamp>,
    last: BTreeMap<VersionName, Timestamp>,
}

impl Fake {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Virtual time.
    pub(crate) fn now_ms(&self) -> u64 {
        self.lock().now_ms
    }

    /// Lets it pass.
    pub(crate) fn pass(&self, span_ms: u64) {
        self.lock().now_ms += span_ms;
    }
}

impl One {
    /// Counts what was served since the last look under the table in force.
    fn serve(&mut self, now_ms: u64) {
        let milli = (now_ms - self.counted_ms) * RPS;
        self.counted_ms = now_ms;
        let Some(table) = &self.table else { return };
        let weight = table.canary.as_ref().map_or(WeightBp::ZERO, |canary| canary.weight);
        let at = DAWN.plus_ms(now_ms);
        let canary = table.canary.as_ref().map(|canary| (canary.version.clone(), u64::from(weight.bp())));
        let baseline = table.baseline.clone().map(|version| (version, u64::from(weight.rest().bp())));
        for (version, share) in canary.into_iter().chain(baseline).filter(|(_, share)| *share > 0) {
            self.first.entry(version.clone()).or_insert(at);
            self.last.insert(version.clone(), at);
            *self.requests.entry(version).or_default() += milli * share / 10_000;
        }
    }

    fn applied(&self) -> Applied {
        let canary = self.table.as_ref().and_then(|table| table.canary.as_ref());
        Applied {
            generation: self.table.as_ref().map(|table| table.generation).unwrap_or_default(),
            weight: canary.map_or(WeightBp::ZERO, |canary| canary.weight),
            lease_ended: false,
            since: DAWN,
        }
    }
}

fn counts(requests: u64) -> Counts {
    let buckets = LATENCY.iter().map(|(bucket, percent)| (*bucket, requests * percent / 100)).collect();
    Counts { requests, status: [0, requests, 0, 0, 0], latency: Histogram { buckets }, ..Counts::default() }
}

impl Clock for Fake {
    fn now(&self) -> Timestamp {
        DAWN.plus_ms(self.now_ms())
    }

    fn monotonic_ms(&self) -> u64 {
        self.now_ms()
    }
}

impl Workload for Fake {
    fn apply(&self, desired: &DesiredWorkload) -> Result<(), workload::Error> {
        self.lock().streams.entry(desired.stream.clone()).or_default().desired = Some(desired.clone());
        Ok(())
    }

    fn observe(&self, stream: &StreamId) -> Result<WorkloadStatus, workload::Error> {
        let world = self.lock();
        let desired = world.streams.get(stream).and_then(|one| one.desired.as_ref());
        let Some(desired) = desired else { return Ok(WorkloadStatus::default()) };
        let each = desired.versions.iter().flat_map(|one| (0..one.replicas).map(move |number| (one, number)));
        let instances = each.map(|(one, number)| Instance {
            version: one.version.name.clone(),
            number,
            address: format!("127.0.0.1:{}", 2_000 + number),
            phase: InstancePhase::Ready,
            restarts: 0,
            why: String::new(),
            ready_since: Some(DAWN),
            memory_bytes: 50 << 20,
            cpu_milli: 10,
            pid: None,
            output: String::new(),
        });
        Ok(WorkloadStatus {
            generation: desired.generation,
            instances: instances.collect(),
            broken: BTreeMap::new(),
        })
    }

    fn stop(&self, stream: &StreamId) -> Result<(), workload::Error> {
        self.lock().streams.remove(stream);
        Ok(())
    }
}

impl Traffic for Fake {
    fn apply(&self, table: &RouteTable) -> Result<Applied, traffic::Error> {
        let mut world = self.lock();
        let now_ms = world.now_ms;
        let one = world.streams.entry(table.stream.clone()).or_default();
        one.serve(now_ms);
        one.table = Some(table.clone());
        Ok(one.applied())
    }

    fn to_baseline(&self, stream: &StreamId, generation: Generation) -> Result<Applied, traffic::Error> {
        let mut world = self.lock();
        let one = world.streams.entry(stream.clone()).or_default();
        if let Some(table) = &mut one.table {
            table.generation = generation;
            table.canary = None;
        }
        Ok(one.applied())
    }

    fn counts(&self, stream: &StreamId) -> Result<Snapshot, traffic::Error> {
        let mut world = self.lock();
        let now_ms = world.now_ms;
        let none = || traffic::Error::NoTable(stream.clone());
        let one = world.streams.get_mut(stream).filter(|one| one.table.is_some()).ok_or_else(none)?;
        one.serve(now_ms);
        let of_class = |milli: &u64| Classes::from([("other".to_owned(), counts(milli / 1_000))]);
        let applied = one.applied();
        Ok(Snapshot {
            start: DAWN,
            at: DAWN.plus_ms(now_ms),
            generation: applied.generation,
            weight: applied.weight,
            versions: one
                .requests
                .iter()
                .map(|(version, milli)| (version.clone(), of_class(milli)))
                .collect(),
            first_routed: one.first.clone(),
            last_routed: one.last.clone(),
            ..Snapshot::default()
        })
    }

    fn remove(&self, stream: &StreamId) -> Result<(), traffic::Error> {
        self.lock().streams.remove(stream);
        Ok(())
    }
}

impl Checks for Fake {
    fn start(&self, _order: &CheckOrder) {}

    fn status(&self, _effect: &str, _attempt: u32) -> Option<CheckStatus> {
        Some(CheckStatus::Ended { passed: true, said: "exit 0".to_owned() })
    }
}
