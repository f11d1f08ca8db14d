//! The fake router: a table, a lease on virtual time, and counters fed by seeded traffic. Its rules
//! for old generations, returns and leases are those of the built-in proxy.

use crate::behaviour::{Behaviour, CLASSES, Moment};
use crate::random::Random;
use crate::target::Target;
use std::collections::BTreeMap;
use taxiway_engine::ports::traffic::Error;
use taxiway_model::control::{Answered, Snapshot};
use taxiway_model::counts::Counts;
use taxiway_model::evidence::Classes;
use taxiway_model::ids::{Generation, StreamId, VersionName};
use taxiway_model::route::{Applied, CanaryRoute, FreshRoute, RouteTable};
use taxiway_model::time::Timestamp;
use taxiway_model::weight::WeightBp;

/// Latencies of a version without fault: bucket and share in percent (about 10 ms, a tail to 80 ms).
const LATENCY: &[(i16, u64)] = &[(848, 20), (856, 20), (864, 20), (872, 18), (896, 12), (928, 7), (1_000, 3)];

/// Share of requests that carry the header of internal users, percent.
const INTERNAL_PERCENT: u64 = 3;

/// Requests seen in a stretch of virtual time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Served {
    /// Requests that the version under test answered, mirrored ones included.
    pub(crate) canary: u64,
    /// Requests that whatever the canary is compared with answered: the fresh baseline where it has a
    /// share, else the baseline.
    pub(crate) baseline: u64,
    /// Requests that no living instance was there for.
    pub(crate) nobody: u64,
}

#[derive(Debug)]
pub(crate) struct Router {
    start: Timestamp,
    pub(crate) table: Option<RouteTable>,
    returned: Option<Generation>,
    lease_until_ms: u64,
    versions: BTreeMap<VersionName, Classes>,
    answered_at: BTreeMap<VersionName, BTreeMap<String, Answered>>,
    mirrored: BTreeMap<VersionName, Counts>,
    /// What was served since the world began: a restart does not forget it.
    pub(crate) truth: BTreeMap<VersionName, u64>,
    first: BTreeMap<VersionName, (Timestamp, u64)>,
    last: BTreeMap<VersionName, Timestamp>,
    /// Until when a request stays open, by instance address.
    open_until_ms: BTreeMap<String, u64>,
    random: Random,
}

impl Router {
    pub(crate) fn new(random: Random, start: Timestamp) -> Self {
        Self {
            start,
            table: None,
            returned: None,
            lease_until_ms: 0,
            versions: BTreeMap::new(),
            answered_at: BTreeMap::new(),
            mirrored: BTreeMap::new(),
            truth: BTreeMap::new(),
            first: BTreeMap::new(),
            last: BTreeMap::new(),
            open_until_ms: BTreeMap::new(),
            random,
        }
    }

    pub(crate) fn generation(&self) -> Generation {
        let table = self.table.as_ref().map(|table| table.generation).unwrap_or_default();
        table.max(self.returned.unwrap_or_default())
    }

    fn lease_runs(&self, now_ms: u64) -> bool {
        self.returned.is_none() && self.lease_until_ms > now_ms
    }

    /// The version under test and its share in force.
    pub(crate) fn exposed(&self, now_ms: u64) -> Option<(&VersionName, WeightBp)> {
        let canary = self.table.as_ref()?.canary.as_ref()?;
        self.lease_runs(now_ms).then_some((&canary.version, canary.weight))
    }

    /// The fresh baseline beside it and its share in force.
    pub(crate) fn fresh(&self, now_ms: u64) -> Option<(&VersionName, WeightBp)> {
        let fresh = self.table.as_ref()?.canary.as_ref()?.fresh.as_ref()?;
        self.lease_runs(now_ms).then_some((&fresh.version, fresh.weight))
    }

    fn applied(&self, now_ms: u64) -> Applied {
        let canary = self.table.as_ref().is_some_and(|table| table.canary.is_some());
        Applied {
            generation: self.generation(),
            weight: self.exposed(now_ms).map_or(WeightBp::ZERO, |(_, weight)| weight),
            lease_ended: canary && !self.lease_runs(now_ms),
            since: self.start,
        }
    }

    pub(crate) fn apply(&mut self, table: &RouteTable, now_ms: u64) -> Result<Applied, Error> {
        let (given, current) = (table.generation, self.generation());
        if given < current {
            return Err(Error::Stale { given, current });
        }
        let exposes = table.canary.as_ref().is_some_and(|canary| {
            canary.weight > WeightBp::ZERO || canary.mirror > WeightBp::ZERO || canary.header.is_some()
        });
        if let Some(at) = self.returned {
            if exposes && given <= at {
                return Err(Error::Refused(format!("everything was given back at {at}")));
            }
            if given > at {
                self.returned = None;
            }
        }
        self.lease_until_ms = match &table.canary {
            Some(canary) if self.returned.is_none() => now_ms + canary.lease_ms,
            _ => 0,
        };
        self.table = Some(table.clone());
        Ok(self.applied(now_ms))
    }

    pub(crate) fn give_back(
        &mut self,
        stream: &StreamId,
        given: Generation,
        now_ms: u64,
    ) -> Result<Applied, Error> {
        if self.table.is_none() {
            return Err(Error::NoTable(stream.clone()));
        }
        let current = self.generation();
        if given < current {
            return Err(Error::Stale { given, current });
        }
        self.returned = Some(given);
        self.lease_until_ms = 0;
        Ok(self.applied(now_ms))
    }

    pub(crate) fn snapshot(
        &self,
        stream: &StreamId,
        now_ms: u64,
        wall: Timestamp,
    ) -> Result<Snapshot, Error> {
        if self.table.is_none() {
            return Err(Error::NoTable(stream.clone()));
        }
        let applied = self.applied(now_ms);
        let open = self.open_until_ms.iter().filter(|(_, until)| **until > now_ms);
        Ok(Snapshot {
            start: self.start,
            at: wall,
            generation: applied.generation,
            weight: applied.weight,
            lease_ended: applied.lease_ended,
            versions: self.versions.clone(),
            answered_at: self.answered_at.clone(),
            mirrored: self.mirrored.clone(),
            open_at: open.map(|(address, _)| (address.clone(), 1)).collect(),
            last_routed: self.last.clone(),
            first_routed: self.first.iter().map(|(version, (at, _))| (version.clone(), *at)).collect(),
            ..Snapshot::default()
        })
    }

    /// The process dies and comes back: its table is on disk, its counters and lease are gone.
    pub(crate) fn restart(&mut self, wall: Timestamp) {
        self.start = wall.max(Timestamp(self.start.0 + 1));
        self.lease_until_ms = 0;
        self.versions.clear();
        self.answered_at.clear();
        self.mirrored.clear();
        self.open_until_ms.clear();
    }

    /// The time of first requests on the monotonic clock, for behaviours that depend on it.
    fn served_ms(&self, version: &VersionName, now_ms: u64) -> u64 {
        self.first.get(version).map_or(0, |(_, at_ms)| now_ms.saturating_sub(*at_ms))
    }

    /// Requests of a stretch of time, split, answered and counted.
    pub(crate) fn serve(&mut self, target: &Target, road: Road) -> Served {
        let Some(table) = self.table.clone() else { return Served::default() };
        let all = self.random.poisson(road.rps_milli * road.span_ms / 1_000);
        let canary = table.canary.as_ref().filter(|_| self.lease_runs(road.now_ms));
        let mut served = Served::default();
        let (mut to_canary, mut to_fresh) = (0, 0);
        let mut beside = false;
        if let Some(canary) = canary {
            let internal = match canary.header {
                Some(_) => self.random.binomial(all, INTERNAL_PERCENT * 10_000),
                None => 0,
            };
            to_canary = internal + self.random.binomial(all - internal, u64::from(canary.weight.bp()) * 100);
            let share_bp = u64::from(canary.weight.bp());
            served.nobody += self.answer(&table, target, &canary.version, to_canary, share_bp, road);
            served.canary += to_canary;
            if let Some(fresh) = canary.fresh.as_ref().filter(|fresh| !fresh.weight.is_zero()) {
                beside = true;
                to_fresh =
                    self.beside_canary(&table, target, canary, fresh, all - internal, to_canary - internal);
                let share_bp = u64::from(fresh.weight.bp());
                served.nobody += self.answer(&table, target, &fresh.version, to_fresh, share_bp, road);
                served.baseline += to_fresh;
            }
            let copies =
                self.random.binomial(all - to_canary - to_fresh, u64::from(canary.mirror.bp()) * 100);
            served.canary += copies;
            self.mirror(target, &canary.version, copies, road);
        }
        if let Some(baseline) = &table.baseline {
            let rest = all - to_canary - to_fresh;
            served.nobody += self.answer(&table, target, baseline, rest, 10_000, road);
            served.baseline += if beside { 0 } else { rest };
        }
        served
    }

    /// How many requests go to a fresh baseline: its share, unless none of its instances takes any.
    fn beside_canary(
        &mut self,
        table: &RouteTable,
        target: &Target,
        canary: &CanaryRoute,
        fresh: &FreshRoute,
        by_weight: u64,
        to_canary: u64,
    ) -> u64 {
        let backends = table.backends.get(&fresh.version).map(Vec::as_slice).unwrap_or_default();
        if !backends.iter().any(|one| one.accepting && target.answers(&one.address)) {
            return 0;
        }
        let room_bp = u64::from(canary.weight.rest().bp()).max(1);
        self.random.binomial(by_weight - to_canary, u64::from(fresh.weight.bp()) * 1_000_000 / room_bp)
    }

    /// Answers requests of one version; returns how many found nobody.
    fn answer(
        &mut self,
        table: &RouteTable,
        target: &Target,
        version: &VersionName,
        requests: u64,
        share_bp: u64,
        road: Road,
    ) -> u64 {
        if requests == 0 {
            return 0;
        }
        let backends = table.backends.get(version).map(Vec::as_slice).unwrap_or_default();
        let living = backends.iter().filter(|one| one.accepting && target.answers(&one.address));
        let living: Vec<String> = living.map(|one| one.address.clone()).collect();
        for address in &living {
            let open_ms = self.random.pick(&[0, 0, 100, 400, 9_000]);
            self.open_until_ms.insert(address.clone(), road.now_ms + open_ms);
        }
        self.first.entry(version.clone()).or_insert((road.wall, road.now_ms));
        self.last.insert(version.clone(), road.wall);
        *self.truth.entry(version.clone()).or_default() += requests;
        let moment =
            Moment { served_ms: self.served_ms(version, road.now_ms), share_bp, outage: road.outage };
        let behaviour = target.behaviour(version);
        let (mut left, mut failed) = (requests, 0);
        for (index, (class, percent)) in CLASSES.iter().enumerate() {
            let last = index + 1 == CLASSES.len();
            let of_class =
                if last { left } else { self.random.binomial(requests, percent * 10_000).min(left) };
            left -= of_class;
            let counts = if living.is_empty() {
                Counts { requests: of_class, connect_errors: of_class, ..Counts::default() }
            } else {
                draw(&mut self.random, behaviour, class, of_class, moment)
            };
            failed += counts.errors();
            let classes = self.versions.entry(version.clone()).or_default();
            classes.entry((*class).to_owned()).or_default().merge(&counts);
        }
        // Instances take turns.
        for (place, address) in (0..).zip(&living) {
            let count = living.len() as u64;
            let part = |all: u64| all / count + u64::from(all % count > place);
            let at = self.answered_at.entry(version.clone()).or_default().entry(address.clone()).or_default();
            at.requests += part(requests);
            at.failed += part(failed);
        }
        if living.is_empty() { requests } else { 0 }
    }

    fn mirror(&mut self, target: &Target, version: &VersionName, copies: u64, road: Road) {
        if copies == 0 {
            return;
        }
        *self.truth.entry(version.clone()).or_default() += copies;
        let served_ms = self.served_ms(version, road.now_ms);
        let moment = Moment { served_ms, share_bp: 0, outage: road.outage };
        let counts = draw(&mut self.random, target.behaviour(version), "mirrored", copies, moment);
        self.mirrored.entry(version.clone()).or_default().merge(&counts);
    }
}

/// The traffic of a stretch of time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Road {
    pub(crate) now_ms: u64,
    pub(crate) wall: Timestamp,
    pub(crate) span_ms: u64,
    /// Requests per second, in thousandths.
    pub(crate) rps_milli: u64,
    pub(crate) outage: bool,
}

fn draw(random: &mut Random, behaviour: Behaviour, class: &str, requests: u64, moment: Moment) -> Counts {
    let failed = random.binomial(requests, behaviour.failing_ppm(class, moment));
    let mut counts = Counts { requests, ..Counts::default() };
    counts.status[1] = requests - failed;
    counts.status[4] = failed;
    let mut left = requests;
    for (index, (bucket, percent)) in LATENCY.iter().enumerate() {
        let rest: u64 = LATENCY[index..].iter().map(|(_, percent)| percent).sum();
        let here = random.binomial(left, percent * 1_000_000 / rest);
        left -= here;
        if here > 0 {
            counts.latency.buckets.insert(bucket + behaviour.shift(), here);
        }
    }
    counts
}
