//! Fake ports: instances are ready at once, the router obeys, the log does as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use taxiway_decide::plan;
use taxiway_engine::ports::checks::Checks;
use taxiway_engine::ports::clock::Clock;
use taxiway_engine::ports::log::{self, Appended, Checkpoint, Log, Verified};
use taxiway_engine::ports::traffic::{self, Traffic};
use taxiway_engine::ports::workload::{self, Workload};
use taxiway_engine::{Engine, Ports, SubmitError};
use taxiway_model::command::Command;
use taxiway_model::control::Snapshot;
use taxiway_model::counts::Counts;
use taxiway_model::decision::{CheckOrder, DesiredWorkload};
use taxiway_model::event::Event;
use taxiway_model::ids::{Digest, EnvironmentName, Generation, ServiceName, StepName, StreamId, VersionName};
use taxiway_model::observation::{CheckStatus, Instance, InstancePhase, WorkloadStatus};
use taxiway_model::plan::Step;
use taxiway_model::policy::{AnalysisPolicy, Profile};
use taxiway_model::record::{Actor, NewRecord, StoredRecord};
use taxiway_model::route::{Applied, Limits, Listen, RouteTable, Sticky, UpstreamProtocol};
use taxiway_model::service::{
    Concurrency, Deadlines, Probe, ProbeAsk, ProcessLimits, ProcessTarget, Provenance, RiskTier, ServiceSpec,
    Stage, Strategy, StrategyKind, Version,
};
use taxiway_model::time::Timestamp;
use taxiway_model::weight::WeightBp;

/// How an append fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fails {
    Full,
    AnswerLost,
}

#[derive(Default)]
pub(crate) struct Inner {
    /// Calls that change something, in order.
    pub(crate) calls: Vec<String>,
    pub(crate) records: Vec<StoredRecord>,
    pub(crate) fails: Option<Fails>,
    pub(crate) now_ms: u64,
    /// What the wall clock shows beyond its dawn, in milliseconds.
    pub(crate) wall_ms: u64,
    epoch: u64,
    desired: Option<DesiredWorkload>,
    pub(crate) table: Option<RouteTable>,
    pub(crate) returned: Option<Generation>,
    pub(crate) counts: BTreeMap<VersionName, u64>,
    /// A version whose instances start and are never ready.
    pub(crate) never_ready: Option<VersionName>,
}

#[derive(Clone, Default)]
pub(crate) struct World(Arc<Mutex<Inner>>);

pub(crate) fn version(name: &str) -> VersionName {
    VersionName::new(name).unwrap()
}

pub(crate) fn id() -> StreamId {
    StreamId {
        service: ServiceName::new("shop").unwrap(),
        environment: EnvironmentName::new("live").unwrap(),
    }
}

fn step(name: &str, percent: u16, bake_ms: u64) -> Step {
    Step {
        name: StepName::new(name).unwrap(),
        weight: WeightBp::percent(percent),
        instances: None,
        baseline_instances: None,
        header: None,
        mirror: WeightBp::ZERO,
        bake_ms,
        analysis: true,
        approval: false,
        before: Vec::new(),
        after: Vec::new(),
    }
}

fn spec() -> ServiceSpec {
    let probe =
        Probe { ask: ProbeAsk::Tcp, interval_ms: 100, timeout_ms: 100, success_after: 1, failure_after: 3 };
    ServiceSpec {
        name: id().service,
        owner: "team".into(),
        tier: RiskTier::Medium,
        environment: id().environment,
        stage: Stage::Production,
        target: ProcessTarget {
            command: vec!["shop".into()],
            directory: "/".into(),
            artifact: None,
            port_from: 0,
            protocol: UpstreamProtocol::Http1,
            readiness: probe.clone(),
            health: probe,
            env: BTreeMap::new(),
            replicas: 1,
            stop_grace_ms: 1_000,
            limits: ProcessLimits::default(),
        },
        listen: Listen {
            addresses: vec!["127.0.0.1:80".into()],
            tls: None,
            sticky: Sticky::None,
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            endpoint_classes: Vec::new(),
            health: None,
        },
        internal_users: None,
        strategy: Strategy {
            kind: StrategyKind::Canary,
            preset: "custom".into(),
            steps: vec![step("canary-10", 10, 600_000), step("full", 100, 0)],
            retire_after_ms: 0,
        },
        analysis: AnalysisPolicy::of(Profile::Standard),
        checks: Vec::new(),
        deadlines: Deadlines::default(),
        concurrency: Concurrency::Queue,
        signals: taxiway_model::signals::SignalPolicy::default(),
    }
}

impl World {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(crate) fn engine(&self) -> Engine {
        let it = || Arc::new(self.clone());
        let ports = Ports { log: it(), workload: it(), traffic: it(), checks: it(), clock: it() };
        Engine::open(ports, "test").unwrap()
    }

    /// A service that v1 serves and v2 has 10 % of.
    pub(crate) fn with_a_canary() -> (Self, Engine) {
        let world = Self::default();
        let engine = world.engine();
        for name in ["v1", "v2"] {
            world.release(&engine, name).unwrap();
            world.pass(&engine, 2);
        }
        assert_eq!(world.weight(), 1_000, "{:?}", engine.view(&id()).unwrap().report);
        (world, engine)
    }

    pub(crate) fn release(&self, engine: &Engine, name: &str) -> Result<Vec<Event>, SubmitError> {
        let version = Version {
            name: version(name),
            digest: Digest::of(name.as_bytes()),
            target: spec().target,
            provenance: Provenance::default(),
        };
        let plan = Box::new(plan::resolve(&spec(), version, &engine.state(&id())));
        self.ask(engine, &Command::Start { plan, again: false })
    }

    #[expect(clippy::unused_self, reason = "it reads like the others")]
    pub(crate) fn ask(&self, engine: &Engine, command: &Command) -> Result<Vec<Event>, SubmitError> {
        engine.submit(&id(), command, Actor::Person("ada".into()), "test", "")
    }

    /// Seconds with traffic, a tick each.
    pub(crate) fn pass(&self, engine: &Engine, seconds: u64) {
        for _ in 0..seconds {
            {
                let mut inner = self.lock();
                inner.now_ms += 1_000;
                inner.wall_ms += 1_000;
                *inner.counts.entry(version("v1")).or_default() += 90;
                if inner.weight() > 0 {
                    *inner.counts.entry(version("v2")).or_default() += 10;
                }
            }
            engine.tick(&id());
        }
    }

    /// The canary's share in force.
    pub(crate) fn weight(&self) -> u16 {
        self.lock().weight()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().calls)
    }

    /// Kinds of the events on record.
    pub(crate) fn kinds(&self) -> Vec<String> {
        self.lock().records.iter().map(|stored| stored.record.kind.clone()).collect()
    }
}

impl Inner {
    fn weight(&self) -> u16 {
        let canary = self.table.as_ref().and_then(|table| table.canary.as_ref());
        let returned = self.returned.is_some_and(|at| self.table.as_ref().is_none_or(|t| t.generation <= at));
        canary.filter(|_| !returned).map_or(0, |canary| canary.weight.bp())
    }

    fn generation(&self) -> Generation {
        let table = self.table.as_ref().map(|table| table.generation).unwrap_or_default();
        table.max(self.returned.unwrap_or_default())
    }

    fn applied(&self) -> Applied {
        let weight = WeightBp::new(self.weight()).unwrap();
        Applied { generation: self.generation(), weight, lease_ended: false, since: Timestamp(0) }
    }

    /// Keeps a record, as another writer would.
    pub(crate) fn keep(&mut self, record: NewRecord) -> StoredRecord {
        let seq = self.records.len() as u64 + 1;
        let zero = Digest([0; 32]);
        let stored = StoredRecord {
            global: seq,
            stream: id(),
            seq,
            payload_digest: Digest::of(&record.payload),
            record,
            prev_hash: zero,
            hash: zero,
        };
        self.records.push(stored.clone());
        stored
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp(1_767_225_600_000_000).plus_ms(self.lock().wall_ms)
    }

    fn monotonic_ms(&self) -> u64 {
        self.lock().now_ms
    }
}

impl Log for World {
    fn append(
        &self,
        stream: &StreamId,
        expected_seq: u64,
        epoch: u64,
        records: Vec<NewRecord>,
    ) -> Result<Appended, log::Error> {
        let mut inner = self.lock();
        let kinds: Vec<_> = records.iter().map(|record| record.kind.clone()).collect();
        inner.calls.push(format!("append {}", kinds.join(" ")));
        if epoch != inner.epoch {
            return Err(log::Error::Fenced { held: epoch, current: inner.epoch });
        }
        if inner.fails == Some(Fails::Full) {
            return Err(log::Error::Full("no space left on device".into()));
        }
        let actual = inner.records.len() as u64;
        if expected_seq != actual {
            return Err(log::Error::Conflict { stream: stream.clone(), expected: expected_seq, actual });
        }
        let records = records.into_iter().map(|record| inner.keep(record)).collect();
        match inner.fails {
            Some(Fails::AnswerLost) => Err(log::Error::Unavailable("the answer was lost".into())),
            _ => Ok(Appended { seq: inner.records.len() as u64, records }),
        }
    }

    fn read(&self, _: &StreamId, after_seq: u64, limit: usize) -> Result<Vec<StoredRecord>, log::Error> {
        Ok(self.lock().records.iter().skip(after_seq as usize).take(limit).cloned().collect())
    }

    fn read_all(&self, after_global: u64, limit: usize) -> Result<Vec<StoredRecord>, log::Error> {
        self.read(&id(), after_global, limit)
    }

    fn streams(&self) -> Result<Vec<(StreamId, u64)>, log::Error> {
        let seq = self.lock().records.len() as u64;
        Ok(if seq == 0 { Vec::new() } else { vec![(id(), seq)] })
    }

    fn snapshot(&self, _: &StreamId, _: u32) -> Result<Option<(u64, Vec<u8>)>, log::Error> {
        Ok(None)
    }

    fn keep_snapshot(&self, _: &StreamId, _: u32, _: u64, _: &[u8]) -> Result<(), log::Error> {
        Ok(())
    }

    fn take_lead(&self, _: &str) -> Result<u64, log::Error> {
        let mut inner = self.lock();
        inner.epoch += 1;
        Ok(inner.epoch)
    }

    fn checkpoint(&self) -> Result<Checkpoint, log::Error> {
        Ok(Checkpoint { size: 0, root: Digest([0; 32]), note: String::new() })
    }

    fn verify(&self, _: Option<&str>) -> Result<Verified, log::Error> {
        Ok(Verified::default())
    }
}

impl Workload for World {
    fn apply(&self, desired: &DesiredWorkload) -> Result<(), workload::Error> {
        self.lock().desired = Some(desired.clone());
        Ok(())
    }

    fn observe(&self, _: &StreamId) -> Result<WorkloadStatus, workload::Error> {
        let inner = self.lock();
        let Some(desired) = &inner.desired else { return Ok(WorkloadStatus::default()) };
        let instance = |name: &VersionName, number| Instance {
            version: name.clone(),
            number,
            address: format!("{name}:{number}"),
            phase: match &inner.never_ready {
                Some(never) if never == name => InstancePhase::Starting,
                _ => InstancePhase::Ready,
            },
            restarts: 0,
            why: String::new(),
            ready_since: Some(Timestamp(0)),
            memory_bytes: 0,
            cpu_milli: 0,
            pid: None,
            output: String::new(),
        };
        let instances = desired
            .versions
            .iter()
            .flat_map(|one| (0..one.replicas).map(|number| instance(&one.version.name, number)))
            .collect();
        Ok(WorkloadStatus { generation: desired.generation, instances, broken: BTreeMap::new() })
    }

    fn stop(&self, _: &StreamId) -> Result<(), workload::Error> {
        Ok(())
    }
}

impl Traffic for World {
    fn apply(&self, table: &RouteTable) -> Result<Applied, traffic::Error> {
        let mut inner = self.lock();
        let weight = table.canary.as_ref().map_or(WeightBp::ZERO, |canary| canary.weight);
        inner.calls.push(format!("routes {weight}"));
        if table.generation < inner.generation() {
            return Err(traffic::Error::Stale { given: table.generation, current: inner.generation() });
        }
        inner.table = Some(table.clone());
        Ok(inner.applied())
    }

    fn to_baseline(&self, _: &StreamId, generation: Generation) -> Result<Applied, traffic::Error> {
        let mut inner = self.lock();
        inner.calls.push("to_baseline".into());
        inner.returned = Some(generation);
        Ok(inner.applied())
    }

    fn counts(&self, stream: &StreamId) -> Result<Snapshot, traffic::Error> {
        let inner = self.lock();
        if inner.table.is_none() {
            return Err(traffic::Error::NoTable(stream.clone()));
        }
        let counted = |requests: u64| {
            let counts = Counts { requests, status: [0, requests, 0, 0, 0], ..Counts::default() };
            BTreeMap::from([("other".to_owned(), counts)])
        };
        Ok(Snapshot {
            start: Timestamp(1),
            at: Timestamp(1).plus_ms(inner.now_ms),
            generation: inner.generation(),
            weight: WeightBp::new(inner.weight()).unwrap(),
            first_routed: inner.counts.keys().map(|version| (version.clone(), Timestamp(1))).collect(),
            versions: inner.counts.iter().map(|(version, n)| (version.clone(), counted(*n))).collect(),
            ..Snapshot::default()
        })
    }

    fn remove(&self, _: &StreamId) -> Result<(), traffic::Error> {
        Ok(())
    }
}

impl Checks for World {
    fn start(&self, _: &CheckOrder) {}

    fn status(&self, _: &str, _: u32) -> Option<CheckStatus> {
        None
    }
}
