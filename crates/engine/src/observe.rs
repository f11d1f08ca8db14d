//! Looking at the world: every port asked once, silence kept as a value.

use crate::ports::traffic;
use crate::stream::{Base, Stream};
use crate::{Engine, Ports, measure, normal};
use std::collections::BTreeMap;
use taxiway_model::control::Snapshot;
use taxiway_model::evidence::{Classes, total};
use taxiway_model::ids::VersionName;
use taxiway_model::observation::{Observations, TrafficStatus};
use taxiway_model::time::Timestamp;

/// How long a lease lasts that we gave; must be what `decide` asks for.
const LEASE_MS: u64 = 60_000;

/// Counts that have not moved for this long, not even their date, come late.
const COUNTS_OLD_MS: u64 = 1_000;

pub(crate) fn observe(engine: &Engine, stream: &mut Stream) -> Observations {
    let ports = engine.ports();
    let now = engine.now();
    let id = stream.state.stream.clone();
    let workload = ports.workload.observe(&id).map_err(|error| error.to_string());
    let workload = stream.heard("workload", now, workload);
    let answer = match (&stream.refused, ports.traffic.counts(&id)) {
        (Some(why), _) => Err(why.clone()),
        (None, Ok(snapshot)) => Ok(traffic_status(ports, stream, snapshot)),
        (None, Err(traffic::Error::NoTable(_))) => Ok(unheard_of(stream)),
        (None, Err(error)) => Err(error.to_string()),
    };
    if answer.is_err() {
        // Whether the table is still in force is not known: it is sent again.
        stream.table = None;
    }
    let traffic = stream.heard("traffic", now, answer);
    let metrics = measure::observe(engine, stream, workload.known(), now);
    // It is asked for once, before the first step.
    let begins = stream.state.flight.as_ref().is_some_and(|flight| flight.step.is_none());
    let normal = if begins { normal::of(stream) } else { None };
    let watched = stream.watching.look(&stream.state, ports.clock.monotonic_ms());
    let seen = Observations { workload, traffic, checks: checks(ports, stream), metrics, normal, watched };
    stream.seen = Some(seen.clone());
    seen
}

fn unheard_of(stream: &mut Stream) -> TrafficStatus {
    stream.table = None;
    TrafficStatus::default()
}

fn checks(
    ports: &Ports,
    stream: &Stream,
) -> BTreeMap<(String, u32), taxiway_model::observation::CheckStatus> {
    let Some(flight) = &stream.state.flight else { return BTreeMap::new() };
    let open = flight.checks.iter().filter(|(_, record)| record.passed.is_none());
    open.filter_map(|(effect, record)| {
        let status = ports.checks.status(effect, record.attempt)?;
        Some(((effect.clone(), record.attempt), status))
    })
    .collect()
}

fn traffic_status(ports: &Ports, stream: &mut Stream, snapshot: Snapshot) -> TrafficStatus {
    let monotonic_ms = ports.clock.monotonic_ms();
    let snapshot = no_older(stream, snapshot);
    if stream.counts.as_ref().is_none_or(|last| (last.start, last.at) != (snapshot.start, snapshot.at)) {
        stream.counts_new_ms = monotonic_ms;
        if std::mem::take(&mut stream.base.waits) {
            stream.base.versions.clone_from(&snapshot.versions);
            stream.base.mirrored = mirrored(&snapshot);
        }
    }
    if stream.base.start != snapshot.start {
        stream.base = match &stream.counts {
            // The router began again: its counters did too, and its table may be another.
            Some(_) => Base { start: snapshot.start, at_ms: monotonic_ms, ..Base::default() },
            // We began again: what was counted before is evidence already, or not ours. Whether this
            // answer is fresh shows only with the next.
            None => Base {
                start: snapshot.start,
                at_ms: monotonic_ms,
                versions: snapshot.versions.clone(),
                mirrored: mirrored(&snapshot),
                waits: true,
            },
        };
        stream.table = None;
        stream.flight_base = None;
    }
    normal::watch(stream, &snapshot, monotonic_ms);
    let started = follow_flight(stream, &snapshot);
    let first_routed =
        snapshot.first_routed.iter().map(|(version, at)| (version.clone(), (*at).max(started))).collect();
    let table = stream.table.filter(|_| snapshot.generation >= stream.state.routes.generation);
    let lease_left_ms = match table {
        Some(_) if !snapshot.lease_ended => {
            LEASE_MS.saturating_sub(monotonic_ms.saturating_sub(stream.lease_from_ms))
        }
        _ => 0,
    };
    let status = TrafficStatus {
        generation: snapshot.generation,
        table: table.map(|(digest, _)| digest),
        weight: snapshot.weight,
        lease_left_ms,
        since_window: since(&snapshot.versions, &stream.base.versions),
        mirrored_since_window: since(&mirrored(&snapshot), &stream.base.mirrored),
        since_window_ms: monotonic_ms.saturating_sub(stream.base.at_ms),
        open_at: snapshot.open_at.clone(),
        table_for_ms: table.map_or(0, |(_, from_ms)| monotonic_ms.saturating_sub(from_ms)),
        totals: totals(stream, &snapshot),
        first_routed,
        last_routed: snapshot.last_routed.clone(),
    };
    stream.counts = Some(snapshot);
    status
}

/// An answer that was under way for long may be older than one already heard: its counts must not
/// be taken for counters that began again, or requests would be evidence twice.
fn no_older(stream: &Stream, snapshot: Snapshot) -> Snapshot {
    let fewer = |last: &Snapshot| {
        last.versions.iter().any(|(version, classes)| {
            let now = snapshot.versions.get(version).map_or(0, |classes| total(classes).requests);
            now < total(classes).requests
        })
    };
    match &stream.counts {
        Some(last) if last.start == snapshot.start && snapshot.at < last.at && fewer(last) => {
            let Snapshot { versions, mirrored, .. } = last.clone();
            Snapshot { versions, mirrored, ..snapshot }
        }
        _ => snapshot,
    }
}

/// Remembers the counts at the beginning of a release; returns when it began.
fn follow_flight(stream: &mut Stream, snapshot: &Snapshot) -> Timestamp {
    let Some(flight) = &stream.state.flight else {
        stream.flight_base = None;
        return Timestamp::default();
    };
    if stream.flight_base.as_ref().is_none_or(|(release, _)| release != &flight.release) {
        // A release that was exposed before this process began has only its evidence to go by.
        let base = if flight.exposed_at.is_none() { snapshot.versions.clone() } else { BTreeMap::new() };
        stream.flight_base = Some((flight.release.clone(), base));
    }
    flight.started_at
}

fn totals(stream: &Stream, snapshot: &Snapshot) -> BTreeMap<VersionName, (u64, u64)> {
    let base = stream.flight_base.as_ref().map(|(_, base)| base.clone()).unwrap_or_default();
    let of = |classes: &Classes| {
        let sum = total(classes);
        (sum.requests, sum.errors())
    };
    since(&snapshot.versions, &base).iter().map(|(version, classes)| (version.clone(), of(classes))).collect()
}

/// Mirrored answers as if they were one endpoint class.
fn mirrored(snapshot: &Snapshot) -> BTreeMap<VersionName, Classes> {
    let one =
        |counts: &taxiway_model::counts::Counts| Classes::from([("mirrored".to_owned(), counts.clone())]);
    snapshot.mirrored.iter().map(|(version, counts)| (version.clone(), one(counts))).collect()
}

fn since(
    now: &BTreeMap<VersionName, Classes>,
    base: &BTreeMap<VersionName, Classes>,
) -> BTreeMap<VersionName, Classes> {
    let mut more = BTreeMap::new();
    for (version, classes) in now {
        let old = base.get(version);
        let classes = classes
            .iter()
            .map(|(class, counts)| match old.and_then(|old| old.get(class)) {
                Some(old) => (class.clone(), counts.since(old)),
                None => (class.clone(), counts.clone()),
            })
            .collect();
        more.insert(version.clone(), classes);
    }
    more
}

/// From now on evidence is counted anew.
pub(crate) fn rebase(ports: &Ports, stream: &mut Stream) {
    if let Some(snapshot) = &stream.counts {
        stream.base = Base {
            start: snapshot.start,
            at_ms: ports.clock.monotonic_ms(),
            versions: snapshot.versions.clone(),
            mirrored: mirrored(snapshot),
            // What the router has answered since is not ours to count from then on.
            waits: stream.base.waits
                || ports.clock.monotonic_ms().saturating_sub(stream.counts_new_ms) > COUNTS_OLD_MS,
        };
    }
}
