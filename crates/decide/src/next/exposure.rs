//! Reaching an exposure: first more instances, then the split, then fewer instances. In this order
//! nobody is ever routed to an instance that is not there.

use super::{Draft, LOOK_SOON_MS, Situation};
use crate::environment::Environment;
use std::collections::BTreeMap;
use taxiway_model::decision::{Action, DesiredVersion, DesiredWorkload, WaitingOn, table_digest};
use taxiway_model::event::{Event, Split};
use taxiway_model::ids::{Generation, VersionName};
use taxiway_model::observation::{InstancePhase, Observed, TrafficStatus, WorkloadStatus};
use taxiway_model::route::{Backend, CanaryRoute, FreshRoute, RouteTable};
use taxiway_model::service::Version;
use taxiway_model::weight::WeightBp;

/// How long the router may give the canary its share without hearing from us.
pub(super) const LEASE_MS: u64 = 60_000;

/// Where to get to.
#[derive(Debug)]
pub(super) struct Place<'a> {
    /// Instances by version, and no others.
    pub(super) want: &'a BTreeMap<VersionName, u32>,
    /// The split.
    pub(super) serve: Split,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reached {
    /// Instances are missing.
    No,
    /// All instances are ready; the split is not in force yet.
    Ready,
    /// The split is in force.
    Routed,
}

/// One move towards the place, or a wait with its reason.
pub(super) fn reach(situation: &Situation<'_>, place: &Place<'_>, draft: &mut Draft) -> Reached {
    if ready(situation, place.want, draft) == Reached::No {
        keep_routes(situation, place.want, draft);
        return Reached::No;
    }
    routed(situation, place, draft)
}

/// Makes the wanted instances run; says whether they are ready.
pub(super) fn ready(
    situation: &Situation<'_>,
    want: &BTreeMap<VersionName, u32>,
    draft: &mut Draft,
) -> Reached {
    let state = situation.state;
    let mut grown = state.workload.replicas.clone();
    // A version of which no instance is wanted has no entry: else it would come and go for ever.
    for (version, count) in want.iter().filter(|(_, count)| **count > 0) {
        let have = grown.entry(version.clone()).or_default();
        *have = (*have).max(*count);
    }
    if grown != state.workload.replicas {
        intend_workload(state, grown, draft);
        return Reached::No;
    }
    let status = match &situation.seen.workload {
        Observed::Known(status) => status,
        Observed::Unknown { since, why } => {
            let silent_ms = situation.now.since_ms(*since);
            let left_ms = state.deadlines().source_ms.saturating_sub(silent_ms);
            draft.wait(WaitingOn::Source { source: "target".to_owned(), why: why.clone(), left_ms });
            draft.look_within(LOOK_SOON_MS);
            return Reached::No;
        }
    };
    if status.generation < state.workload.generation {
        let desired = desired(state, &state.workload.replicas);
        draft.actions.push(Action::ApplyWorkload(Box::new(desired)));
    }
    let mut all = true;
    // Of a fresh baseline nothing depends that a release could fail by: who asks for it waits for it.
    for (version, need) in want.iter().filter(|(version, _)| !version.is_fresh()) {
        all &= waiting_for(situation, status, version, *need, draft);
    }
    if !all {
        draft.look_within(LOOK_SOON_MS);
        return Reached::No;
    }
    if !state.workload.ready && status.generation >= state.workload.generation {
        draft.events.push(Event::WorkloadReady { generation: state.workload.generation });
    }
    Reached::Ready
}

/// Whether so many instances of a version are ready; says what is missing.
pub(super) fn waiting_for(
    situation: &Situation<'_>,
    status: &WorkloadStatus,
    version: &VersionName,
    need: u32,
    draft: &mut Draft,
) -> bool {
    let ready = status.ready(version).count() as u32;
    if ready >= need {
        return true;
    }
    let why = status.broken.get(version).cloned().or_else(|| {
        let unwell = |i: &&taxiway_model::observation::Instance| &i.version == version && !i.why.is_empty();
        status.instances.iter().find(unwell).map(|instance| instance.why.clone())
    });
    let since = situation.state.workload.at;
    let waited_ms = situation.now.since_ms(since).min(situation.seen.watched.workload_ms);
    let left_ms = situation.state.deadlines().ready_ms.saturating_sub(waited_ms);
    draft.wait(WaitingOn::Instances {
        version: version.clone(),
        ready,
        need,
        why: why.unwrap_or_default(),
        left_ms,
    });
    false
}

/// Puts the split in force, then lets go of instances that are no longer wanted.
fn routed(situation: &Situation<'_>, place: &Place<'_>, draft: &mut Draft) -> Reached {
    let state = situation.state;
    if draft.decided() {
        return Reached::Ready;
    }
    if state.routes.split != place.serve || ahead(situation).is_some() {
        let generation = next_generation(situation);
        draft.events.push(Event::SplitIntended { generation, split: place.serve.clone() });
        return Reached::Ready;
    }
    let in_force = keep_routes(situation, place.want, draft);
    if !state.routes.observed {
        if in_force.is_some() {
            draft.events.push(Event::SplitObserved { generation: state.routes.generation });
        } else {
            waiting_for_router(situation, draft);
        }
        return Reached::Ready;
    }
    if let Some((table, traffic)) = in_force {
        let_go(situation, place.want, &table, traffic, draft);
    }
    Reached::Routed
}

/// The router's generation where it is newer than any intent on record: somebody went back, and the
/// record of it was lost in a crash. Only the way back acts before it is recorded.
pub(super) fn ahead(situation: &Situation<'_>) -> Option<Generation> {
    let traffic = situation.seen.traffic.known()?;
    (traffic.generation > situation.state.generation).then_some(traffic.generation)
}

/// The generation of a new intent for the router.
pub(super) fn next_generation(situation: &Situation<'_>) -> Generation {
    situation.state.generation.max(ahead(situation).unwrap_or_default()).next()
}

fn waiting_for_router(situation: &Situation<'_>, draft: &mut Draft) {
    let routes = &situation.state.routes;
    let passed = situation.now.since_ms(routes.at).min(situation.seen.watched.routes_ms);
    let left_ms = situation.state.deadlines().routed_ms.saturating_sub(passed);
    draft.wait(match &situation.seen.traffic {
        Observed::Unknown { why, .. } => {
            WaitingOn::Source { source: "router".to_owned(), why: why.clone(), left_ms }
        }
        Observed::Known(_) => WaitingOn::Router { weight: routes.split.weight, left_ms },
    });
    draft.look_within(LOOK_SOON_MS);
}

/// Keeps the router on the intended split with the instances as they are and a fresh lease.
/// Returns the table when it is in force.
pub(super) fn keep_routes<'a>(
    situation: &Situation<'a>,
    want: &BTreeMap<VersionName, u32>,
    draft: &mut Draft,
) -> Option<(RouteTable, &'a TrafficStatus)> {
    let table = table(situation, want)?;
    let Observed::Known(traffic) = &situation.seen.traffic else {
        draft.actions.push(Action::ApplyRoutes(Box::new(table)));
        draft.look_within(LOOK_SOON_MS);
        return None;
    };
    let in_force = traffic.table == Some(table_digest(&table)) && traffic.generation == table.generation;
    let lease_low = table.canary.is_some() && traffic.lease_left_ms < LEASE_MS / 2;
    if !in_force || lease_low {
        draft.actions.push(Action::ApplyRoutes(Box::new(table.clone())));
    }
    in_force.then_some((table, traffic))
}

/// The complete table for the intended split; none while there is no plan, or while the target does
/// not say where the instances are: the router keeps those it has.
fn table(situation: &Situation<'_>, want: &BTreeMap<VersionName, u32>) -> Option<RouteTable> {
    let state = situation.state;
    let plan = state.plan.as_ref()?;
    let status = situation.seen.workload.known()?;
    let split = &state.routes.split;
    let step = split.step.and_then(|index| plan.step(index));
    let fresh = split.baseline.as_ref().map(VersionName::fresh).filter(|_| !split.fresh.is_zero());
    let canary = split.canary.as_ref().map(|version| CanaryRoute {
        version: version.clone(),
        weight: split.weight,
        header: step.and_then(|step| step.header.clone()),
        mirror: step.map_or(WeightBp::ZERO, |step| step.mirror),
        lease_ms: LEASE_MS,
        drain_ms: plan.deadlines.drain_ms,
        fresh: fresh.clone().map(|version| FreshRoute { version, weight: split.fresh }),
    });
    // A version whose instances are all down still has its place: its requests fail as its own.
    let mut backends: BTreeMap<VersionName, Vec<Backend>> = [&split.baseline, &split.canary, &fresh]
        .into_iter()
        .flatten()
        .map(|version| (version.clone(), Vec::new()))
        .collect();
    for instance in &status.instances {
        let protocol = state
            .versions
            .get(&instance.version.version())
            .map(|known| known.version.target.protocol)
            .unwrap_or_default();
        let wanted = instance.number < want.get(&instance.version).copied().unwrap_or(0);
        let accepting = wanted && instance.phase == InstancePhase::Ready;
        let draining = matches!(instance.phase, InstancePhase::Ready | InstancePhase::Stopping);
        if accepting || draining {
            let backend = Backend { address: instance.address.clone(), protocol, accepting };
            backends.entry(instance.version.clone()).or_default().push(backend);
        }
    }
    Some(RouteTable {
        stream: state.stream.clone(),
        generation: state.routes.generation,
        listen: plan.listen.clone(),
        baseline: split.baseline.clone(),
        canary,
        backends,
    })
}

/// Stops what is no longer wanted, once the router sends it nothing and nothing is open on it.
fn let_go(
    situation: &Situation<'_>,
    want: &BTreeMap<VersionName, u32>,
    table: &RouteTable,
    traffic: &TrafficStatus,
    draft: &mut Draft,
) {
    let state = situation.state;
    let fewer: BTreeMap<_, _> =
        want.iter().filter(|(_, count)| **count > 0).map(|(v, count)| (v.clone(), *count)).collect();
    if fewer == state.workload.replicas {
        return;
    }
    let drain_ms = state.deadlines().drain_ms;
    for (version, backends) in &table.backends {
        let leaving = backends.iter().filter(|backend| !backend.accepting);
        let open: u64 =
            leaving.map(|backend| traffic.open_at.get(&backend.address).copied().unwrap_or(0)).sum();
        if open > 0 && traffic.table_for_ms < drain_ms {
            draft.wait(WaitingOn::Drain { version: version.clone(), open });
            draft.look_within(LOOK_SOON_MS);
            return;
        }
    }
    intend_workload(state, fewer, draft);
}

fn intend_workload(state: &Environment, replicas: BTreeMap<VersionName, u32>, draft: &mut Draft) {
    let generation = state.generation.next();
    let mut order = desired(state, &replicas);
    order.generation = generation;
    draft.events.push(Event::WorkloadIntended { generation, replicas });
    draft.actions.push(Action::ApplyWorkload(Box::new(order)));
}

fn desired(state: &Environment, replicas: &BTreeMap<VersionName, u32>) -> DesiredWorkload {
    let versions = replicas.iter().filter_map(|(name, count)| {
        let known = state.versions.get(&name.version())?;
        Some(DesiredVersion {
            version: Version { name: name.clone(), ..known.version.clone() },
            replicas: *count,
            release: known.release.clone(),
        })
    });
    DesiredWorkload {
        stream: state.stream.clone(),
        generation: state.workload.generation,
        versions: versions.collect(),
    }
}
