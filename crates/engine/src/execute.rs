//! Carrying out: the only file that calls a port that changes anything. It chooses nothing.

use crate::ports::{traffic, workload};
use crate::stream::Stream;
use crate::{Engine, Ports};
use taxiway_model::decision::{Action, table_digest};
use taxiway_model::ids::Generation;
use taxiway_model::weight::WeightBp;

/// Carries out one action. A failure is not the end of anything: it is observed at the next look,
/// and the intent is on record.
pub(crate) fn execute(engine: &Engine, stream: &mut Stream, action: &Action) {
    let ports = engine.ports();
    match action {
        Action::ApplyWorkload(desired) => {
            fail::fail_point!("engine.execute.before_workload");
            match ports.workload.apply(desired) {
                Ok(()) | Err(workload::Error::Stale { .. }) => {}
                Err(error) => tracing::warn!(%error, "instances were not ordered"),
            }
            fail::fail_point!("engine.execute.after_workload");
        }
        Action::ApplyRoutes(table) => {
            // While nothing can be recorded a canary's lease is not renewed: it runs out.
            let exposes = table.canary.as_ref().is_some_and(|canary| canary.weight > WeightBp::ZERO);
            if exposes && stream.log_trouble.is_some() {
                return;
            }
            fail::fail_point!("engine.execute.before_routes");
            let sent_ms = ports.clock.monotonic_ms();
            let digest = table_digest(table);
            match ports.traffic.apply(table) {
                Ok(_) => {
                    if stream.table.is_none_or(|(old, _)| old != digest) {
                        stream.table = Some((digest, sent_ms));
                    }
                    stream.lease_from_ms = sent_ms;
                    stream.refused = None;
                }
                Err(traffic::Error::Refused(why)) => {
                    stream.table = None;
                    stream.refused = Some(why);
                }
                Err(error) => {
                    stream.table = None;
                    stream.refused = None;
                    tracing::warn!(%error, "routes were not applied");
                }
            }
            fail::fail_point!("engine.execute.after_routes");
        }
        Action::ToBaseline { generation, .. } => to_baseline(ports, stream, *generation),
        Action::StartCheck(order) => {
            fail::fail_point!("engine.execute.before_check");
            ports.checks.start(order);
            fail::fail_point!("engine.execute.after_check");
        }
    }
}

/// The way back: needs the router and nothing else.
pub(crate) fn to_baseline(ports: &Ports, stream: &mut Stream, generation: Generation) {
    fail::fail_point!("engine.execute.before_to_baseline");
    stream.table = None;
    let id = stream.state.stream.clone();
    match ports.traffic.to_baseline(&id, generation) {
        Ok(_) | Err(traffic::Error::Stale { .. } | traffic::Error::NoTable(_)) => {}
        Err(error) => tracing::error!(%error, "the way back did not reach the router; its lease runs out"),
    }
    fail::fail_point!("engine.execute.after_to_baseline");
}
