//! The world's target: instances that start, crash and run out of memory as the shop's do, restarted at the supervisor's
//! pace.

use taxiway_model::decision::DesiredWorkload;
use taxiway_model::ids::{Generation, VersionName};
use taxiway_model::observation::{Instance, InstancePhase, WorkloadStatus};
use taxiway_model::time::Timestamp;

use super::traffic::Behaviour;

/// From a start to the first successful readiness check.
const START_MS: u64 = 300;

/// What `slow-start` needs on top.
const SLOW_START_MS: u64 = 5_000;

/// How long a version that crashes lives.
const CRASH_MS: u64 = 50;

/// The supervisor's first wait before a restart; each crash in a row doubles it.
const BACKOFF_MS: u64 = 500;

/// Requests after which `leak` has used up its 256 MiB at 256 KiB each.
const LEAK_REQUESTS_MAX: u64 = 1_024;

#[derive(Debug)]
struct Running {
    shown: Instance,
    /// When its phase changes by itself.
    turns_ms: u64,
    ready_ms: u64,
    requests: u64,
}

#[derive(Debug)]
pub(super) struct Target {
    behaviour: Behaviour,
    generation: Generation,
    running: Vec<Running>,
    ports: u32,
    changed: bool,
}

impl Target {
    pub(super) fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            generation: Generation::default(),
            running: Vec::new(),
            ports: 20_000,
            changed: true,
        }
    }

    /// The first version is healthy whatever the second does.
    fn behaviour(&self, version: &VersionName) -> Behaviour {
        if version.as_str() == "v2" { self.behaviour } else { Behaviour::Healthy }
    }

    pub(super) fn apply(&mut self, desired: &DesiredWorkload, now_ms: u64) {
        self.generation = desired.generation;
        self.changed = true;
        let wanted = |version: &VersionName| {
            desired.versions.iter().find(|one| &one.version.name == version).map_or(0, |one| one.replicas)
        };
        self.running.retain(|one| one.shown.number < wanted(&one.shown.version));
        for one in &desired.versions {
            for number in 0..one.replicas {
                let name = &one.version.name;
                if !self.running.iter().any(|had| &had.shown.version == name && had.shown.number == number) {
                    self.start(name, number, now_ms);
                }
            }
        }
    }

    fn start(&mut self, version: &VersionName, number: u32, now_ms: u64) {
        self.ports += 1;
        let shown = Instance {
            version: version.clone(),
            number,
            address: format!("127.0.0.1:{}", self.ports),
            phase: InstancePhase::Starting,
            restarts: 0,
            why: String::new(),
            ready_since: None,
            memory_bytes: 32 << 20,
            cpu_milli: 10,
            pid: Some(self.ports),
            output: String::new(),
        };
        let turns_ms = now_ms + self.start_ms(version);
        self.running.push(Running { shown, turns_ms, ready_ms: 0, requests: 0 });
    }

    fn start_ms(&self, version: &VersionName) -> u64 {
        match self.behaviour(version) {
            Behaviour::SlowStart => START_MS + SLOW_START_MS,
            Behaviour::Crash => CRASH_MS,
            _ => START_MS,
        }
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, now_ms: u64, now: Timestamp) {
        for index in 0..self.running.len() {
            let version = self.running[index].shown.version.clone();
            let (behaviour, start_ms) = (self.behaviour(&version), self.start_ms(&version));
            let one = &mut self.running[index];
            if one.turns_ms > now_ms {
                continue;
            }
            self.changed = true;
            match one.shown.phase {
                InstancePhase::Starting if behaviour == Behaviour::Crash => one.dies(now_ms),
                InstancePhase::Starting => {
                    one.shown.phase = InstancePhase::Ready;
                    one.shown.ready_since.get_or_insert(now);
                    (one.ready_ms, one.turns_ms) = (now_ms, u64::MAX);
                }
                _ => {
                    one.shown.phase = InstancePhase::Starting;
                    one.turns_ms = now_ms + start_ms;
                }
            }
        }
    }

    /// Requests come in for a version: how many instances are there for them, and how old the oldest is.
    pub(super) fn serves(&mut self, version: &VersionName, requests: u64, now_ms: u64) -> (u32, u64) {
        let behaviour = self.behaviour(version);
        let ready =
            |one: &&mut Running| &one.shown.version == version && one.shown.phase == InstancePhase::Ready;
        let mut all: Vec<&mut Running> = self.running.iter_mut().filter(ready).collect();
        let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let oldest_ms = all.iter().map(|one| now_ms.saturating_sub(one.ready_ms)).max().unwrap_or(0);
        if behaviour == Behaviour::Leak {
            for one in &mut all {
                one.requests += requests / u64::from(count.max(1));
                if one.requests > LEAK_REQUESTS_MAX {
                    one.dies(now_ms);
                    self.changed = true;
                }
            }
        }
        (count, oldest_ms)
    }

    /// The instances, when anything has changed since they were last asked for.
    pub(super) fn observe(&mut self, now_ms: u64, now: Timestamp) -> Option<WorkloadStatus> {
        self.advance(now_ms, now);
        std::mem::take(&mut self.changed).then(|| WorkloadStatus {
            generation: self.generation,
            instances: self.running.iter().map(|one| one.shown.clone()).collect(),
            broken: std::collections::BTreeMap::new(),
        })
    }
}

impl Running {
    fn dies(&mut self, now_ms: u64) {
        self.turns_ms = now_ms + (BACKOFF_MS << self.shown.restarts.min(6));
        self.shown.restarts += 1;
        self.shown.phase = InstancePhase::Backoff;
        "exited".clone_into(&mut self.shown.why);
        self.requests = 0;
    }
}
