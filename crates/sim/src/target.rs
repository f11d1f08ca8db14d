//! The fake target: instances that start after a while, crash, restart, stop.

use crate::behaviour::Behaviour;
use crate::random::Random;
use std::collections::BTreeMap;
use taxiway_engine::ports::workload::Error;
use taxiway_model::decision::DesiredWorkload;
use taxiway_model::ids::{Generation, VersionName};
use taxiway_model::observation::{Instance, InstancePhase, WorkloadStatus};
use taxiway_model::time::Timestamp;

/// Memory limit of every instance in the fake world.
pub(crate) const MEMORY_LIMIT_BYTES: u64 = 256 << 20;

/// What a leaking instance takes more per second.
const LEAK_BYTES_PER_S: u64 = 4 << 20;

#[derive(Debug)]
struct Running {
    shown: Instance,
    /// When its phase changes by itself, on the monotonic clock.
    turns_ms: u64,
    started_ms: u64,
    behaviour: Behaviour,
}

#[derive(Debug)]
pub(crate) struct Target {
    desired: Option<DesiredWorkload>,
    running: Vec<Running>,
    behaviours: BTreeMap<VersionName, Behaviour>,
    next_port: u32,
    random: Random,
    /// The newest generation taken in, kept beside the order so that a witness can compare.
    pub(crate) accepted: Generation,
}

impl Target {
    pub(crate) fn new(random: Random) -> Self {
        Self {
            desired: None,
            running: Vec::new(),
            behaviours: BTreeMap::new(),
            next_port: 20_000,
            random,
            accepted: Generation::default(),
        }
    }

    pub(crate) fn knows(&mut self, version: VersionName, behaviour: Behaviour) {
        self.behaviours.insert(version, behaviour);
    }

    pub(crate) fn behaviour(&self, version: &VersionName) -> Behaviour {
        let known = self.behaviours.get(version).or_else(|| self.behaviours.get(&version.version()));
        known.copied().unwrap_or(Behaviour::Healthy)
    }

    pub(crate) fn apply(&mut self, desired: &DesiredWorkload, now_ms: u64) -> Result<(), Error> {
        if desired.generation < self.accepted {
            return Err(Error::Stale { given: desired.generation, current: self.accepted });
        }
        self.accepted = desired.generation;
        self.desired = Some(desired.clone());
        self.reconcile(now_ms);
        Ok(())
    }

    fn wanted(&self, version: &VersionName) -> u32 {
        let versions = self.desired.iter().flat_map(|desired| &desired.versions);
        versions.filter(|one| &one.version.name == version).map(|one| one.replicas).sum()
    }

    fn reconcile(&mut self, now_ms: u64) {
        let wanted: Vec<(VersionName, u32)> = self
            .desired
            .iter()
            .flat_map(|desired| &desired.versions)
            .map(|one| (one.version.name.clone(), one.replicas))
            .collect();
        for (version, replicas) in &wanted {
            if self.behaviour(version) == Behaviour::Broken {
                continue;
            }
            for number in 0..*replicas {
                let there = self.running.iter().any(|one| {
                    &one.shown.version == version
                        && one.shown.number == number
                        && one.shown.phase != InstancePhase::Stopping
                });
                if !there {
                    self.start(version, number, now_ms);
                }
            }
        }
        let stop_ms = self.random.between(50, 2_000);
        for one in &mut self.running {
            let replicas =
                wanted.iter().find(|(version, _)| *version == one.shown.version).map_or(0, |w| w.1);
            if one.shown.number >= replicas && one.shown.phase != InstancePhase::Stopping {
                one.shown.phase = InstancePhase::Stopping;
                one.turns_ms = now_ms + stop_ms;
            }
        }
    }

    fn start(&mut self, version: &VersionName, number: u32, now_ms: u64) {
        self.next_port += 1;
        let behaviour = self.behaviour(version);
        let usual_ms = self.random.between(100, 2_500);
        let shown = Instance {
            version: version.clone(),
            number,
            address: format!("127.0.0.1:{}", self.next_port),
            phase: InstancePhase::Starting,
            restarts: 0,
            why: String::new(),
            ready_since: None,
            memory_bytes: 32 << 20,
            cpu_milli: 10,
            pid: Some(self.next_port),
            output: String::new(),
        };
        let turns_ms = behaviour.start_ms().map_or(u64::MAX, |more| now_ms + usual_ms + more);
        self.running.push(Running { shown, turns_ms, started_ms: now_ms, behaviour });
    }

    /// Lets time pass up to `now_ms`.
    pub(crate) fn advance(&mut self, now_ms: u64, wall: Timestamp) {
        self.running.retain(|one| one.shown.phase != InstancePhase::Stopping || one.turns_ms > now_ms);
        for one in &mut self.running {
            if one.behaviour == Behaviour::Leak && one.shown.phase == InstancePhase::Ready {
                let grown = (now_ms - one.started_ms) / 1_000 * LEAK_BYTES_PER_S;
                one.shown.memory_bytes = ((32 << 20) + grown).min(MEMORY_LIMIT_BYTES);
            }
            if one.turns_ms > now_ms {
                continue;
            }
            match one.shown.phase {
                InstancePhase::Starting if one.behaviour == Behaviour::Crash => {
                    one.dies(now_ms, "exited with status 1");
                }
                InstancePhase::Starting | InstancePhase::Unhealthy => {
                    one.shown.phase = InstancePhase::Ready;
                    one.shown.why.clear();
                    one.shown.ready_since.get_or_insert(wall);
                    one.turns_ms = u64::MAX;
                }
                InstancePhase::Backoff => {
                    self.next_port += 1;
                    one.shown.address = format!("127.0.0.1:{}", self.next_port);
                    one.shown.phase = InstancePhase::Starting;
                    one.started_ms = now_ms;
                    one.turns_ms = now_ms + self.random.between(100, 2_500);
                }
                InstancePhase::Ready | InstancePhase::Stopping => {}
            }
        }
    }

    /// One ready instance dies by chance; false when none runs.
    pub(crate) fn kill_one(&mut self, now_ms: u64) -> bool {
        let ready: Vec<usize> = (0..self.running.len())
            .filter(|index| self.running[*index].shown.phase == InstancePhase::Ready)
            .collect();
        let Some(which) = ready.get(self.random.below(ready.len().max(1) as u64) as usize) else {
            return false;
        };
        self.running[*which].dies(now_ms, "killed by signal 9");
        true
    }

    pub(crate) fn observe(&self) -> WorkloadStatus {
        let versions = self.desired.iter().flat_map(|desired| &desired.versions);
        let broken = versions
            .map(|one| &one.version.name)
            .filter(|version| self.behaviour(version) == Behaviour::Broken && self.wanted(version) > 0)
            .map(|version| (version.clone(), "no such file".to_owned()));
        WorkloadStatus {
            generation: self.accepted,
            instances: self.running.iter().map(|one| one.shown.clone()).collect(),
            broken: broken.collect(),
        }
    }

    /// Whether anything is left of a fresh baseline.
    pub(crate) fn has_fresh(&self) -> bool {
        self.running.iter().any(|one| one.shown.version.is_fresh())
    }

    /// Whether an instance at this address would answer.
    pub(crate) fn answers(&self, address: &str) -> bool {
        self.running.iter().any(|one| {
            one.shown.address == address
                && matches!(one.shown.phase, InstancePhase::Ready | InstancePhase::Stopping)
        })
    }
}

impl Running {
    fn dies(&mut self, now_ms: u64, why: &str) {
        self.shown.restarts += 1;
        self.shown.phase = InstancePhase::Backoff;
        why.clone_into(&mut self.shown.why);
        self.shown.memory_bytes = 32 << 20;
        self.turns_ms = now_ms + (500 << self.shown.restarts.min(6));
    }
}
