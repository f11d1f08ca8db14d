//! Running instances, as Prometheus discovers what to scrape over HTTP (`http_sd_configs`).

use std::collections::BTreeMap;

use serde::Serialize;
use taxiway_api::Status;
use taxiway_model::ids::GROUPS;
use taxiway_model::observation::{Instance, InstancePhase};

use crate::desk::Desk;

/// One instance and the labels that every series scraped from it gets.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    targets: [String; 1],
    labels: BTreeMap<&'static str, String>,
}

impl Desk {
    /// Every instance that runs, of every service.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let of = |status: &Status| -> Vec<Target> {
            status.instances.iter().filter(|instance| runs(instance)).map(|one| target(status, one)).collect()
        };
        self.statuses().iter().flat_map(of).collect()
    }
}

/// One that stops is scraped to its end: its last requests count as well.
fn runs(instance: &Instance) -> bool {
    instance.phase != InstancePhase::Backoff
}

fn target(status: &Status, instance: &Instance) -> Target {
    let labels = BTreeMap::from([
        ("service", status.service.to_string()),
        ("environment", status.environment.to_string()),
        ("version", instance.version.plain().to_owned()),
        ("group", if instance.version.is_fresh() { GROUPS.0 } else { GROUPS.1 }.to_owned()),
        ("instance", format!("{}-{}", instance.version, instance.number)),
    ]);
    Target { targets: [instance.address.clone()], labels }
}
