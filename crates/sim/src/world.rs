//! Everything outside the engine, on virtual time: target, router, checks, and what is wrong with them.

use crate::behaviour::Behaviour;
use crate::random::Random;
use crate::router::{Road, Router};
use crate::scenario::{Fault, Scenario};
use crate::source::Source;
use crate::target::Target;
use crate::witness::Witness;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use taxiway_model::control::Snapshot;
use taxiway_model::decision::CheckOrder;
use taxiway_model::ids::VersionName;
use taxiway_model::metrics::Tally;
use taxiway_model::observation::CheckStatus;
use taxiway_model::time::Timestamp;

/// The longest stretch in which nothing of the world changes but its traffic.
const STRETCH_MS: u64 = 1_000;

/// Share of bad ones that the source counts of a version that fails, parts per million. It counts none
/// of any other: whatever makes one of those look bad is no result of theirs.
const BAD_PPM: u64 = 50_000;

/// When every world begins: 2026-01-01.
const DAWN: Timestamp = Timestamp(1_767_225_600_000_000);

/// The world behind every port of a run.
pub struct World {
    inner: Mutex<Inner>,
}

pub(crate) struct Inner {
    pub(crate) wall: Timestamp,
    pub(crate) now_ms: u64,
    pub(crate) router: Router,
    pub(crate) target: Target,
    pub(crate) checks: Checks,
    /// The source of metrics, where the policy names one.
    pub(crate) source: Option<Source>,
    pub(crate) witness: Witness,
    /// Faults in force, each until a time on the monotonic clock.
    pub(crate) faults: Vec<(Fault, u64)>,
    /// Counts as they were read last, for answers that come late.
    pub(crate) late: Option<Snapshot>,
    pub(crate) random: Random,
    rps_milli: u64,
    random_of_source: Random,
    /// What the source was told of each version.
    told: BTreeMap<VersionName, u64>,
    delay_ms: u64,
    seats: u64,
}

/// The runner of checks.
#[derive(Debug)]
pub(crate) struct Checks {
    /// By effect and attempt: when it ends and whether it passes.
    under_way: BTreeMap<(String, u32), (u64, bool)>,
    fails_ppm: u64,
    random: Random,
}

impl Checks {
    pub(crate) fn start(&mut self, order: &CheckOrder, now_ms: u64) {
        let ends_ms = now_ms + self.random.pick(&[0, 200, 1_500, order.timeout_ms]);
        let passes = !self.random.chance(self.fails_ppm);
        self.under_way.entry((order.effect.clone(), order.attempt)).or_insert((ends_ms, passes));
    }

    pub(crate) fn status(&self, effect: &str, attempt: u32, now_ms: u64) -> Option<CheckStatus> {
        let (ends_ms, passed) = self.under_way.get(&(effect.to_owned(), attempt))?;
        if *ends_ms > now_ms {
            return Some(CheckStatus::Running);
        }
        let said = if *passed { "exit 0" } else { "exit 1" };
        Some(CheckStatus::Ended { passed: *passed, said: said.to_owned() })
    }

    pub(crate) fn forget(&mut self) {
        self.under_way.clear();
    }
}

impl World {
    /// The world of a scenario, before anything has happened.
    pub fn new(scenario: &Scenario) -> Self {
        let random = |number| Random::new(scenario.seed, number);
        let mut target = Target::new(random(10));
        for (version, behaviour) in &scenario.versions {
            target.knows(version.name.clone(), *behaviour);
            if let Some(behaviour) = scenario.fresh {
                target.knows(version.name.fresh(), behaviour);
            }
        }
        let wanted = scenario.spec.analysis.sources.first();
        let source = scenario.source.clone().zip(wanted);
        let inner = Inner {
            wall: DAWN,
            now_ms: 0,
            router: Router::new(random(11), DAWN),
            target,
            checks: Checks {
                under_way: BTreeMap::new(),
                fails_ppm: scenario.check_fails_ppm,
                random: random(12),
            },
            source: source.map(|(setup, wanted)| Source::new(setup, wanted.bucket_ms, DAWN, random(14))),
            witness: Witness::new(scenario),
            faults: Vec::new(),
            late: None,
            random: random(13),
            rps_milli: scenario.rps_milli,
            random_of_source: random(15),
            told: BTreeMap::new(),
            delay_ms: wanted.map_or(0, |source| source.delay_ms),
            seats: 0,
        };
        Self { inner: Mutex::new(inner) }
    }

    /// A crash of the engine unwinds while nothing of the world is half done.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of an engine that takes its seat.
    pub(crate) fn next_seat(&self) -> u64 {
        let mut world = self.lock();
        world.seats += 1;
        world.seats
    }

    /// Lets virtual time pass.
    pub(crate) fn advance(&self, span_ms: u64) {
        let mut left_ms = span_ms;
        while left_ms > 0 {
            let stretch_ms = left_ms.min(STRETCH_MS);
            self.lock().stretch(stretch_ms);
            left_ms -= stretch_ms;
        }
    }
}

impl Inner {
    fn stretch(&mut self, span_ms: u64) {
        self.now_ms += span_ms;
        self.wall = self.wall.plus_ms(span_ms);
        self.target.advance(self.now_ms, self.wall);
        let now_ms = self.now_ms;
        self.faults.retain(|(_, until_ms)| *until_ms > now_ms);
        let outage = self.suffers(Fault::Outage);
        let (wall, rps_milli) = (self.wall, self.rps_milli);
        let served = self.router.serve(&self.target, Road { now_ms, wall, span_ms, rps_milli, outage });
        self.witness.served(now_ms, served, &self.router);
        self.tell_the_source();
    }

    /// The source counts beside the router, and whoever asks it is answered.
    fn tell_the_source(&mut self) {
        let Some(source) = &mut self.source else { return };
        for (version, served) in &self.router.truth {
            let told = self.told.entry(version.clone()).or_default();
            let total = served - *told;
            *told = *served;
            let bad_ppm = if self.target.behaviour(version) == Behaviour::Errors { BAD_PPM } else { 0 };
            let bad = self.random_of_source.binomial(total, bad_ppm);
            if total > 0 {
                source.count(self.now_ms, version.as_str(), Tally { total, bad }, self.delay_ms);
            }
        }
        let rounds = source.advance(self.now_ms, self.wall);
        self.witness.seen(source.seen());
        for round in rounds {
            self.witness.asked(self.now_ms, &round);
        }
    }

    /// Whether a fault is in force.
    pub(crate) fn suffers(&self, fault: Fault) -> bool {
        self.faults.iter().any(|(one, _)| *one == fault)
    }

    /// Whether the router hears and answers.
    pub(crate) fn router_answers(&self) -> bool {
        !self.suffers(Fault::RouterSilent)
    }
}
