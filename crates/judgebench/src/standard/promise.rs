//! What the pre-flight says of a plan and its traffic before it starts (R4.7), to be held against what then happens.

use taxiway_decide::environment::Environment;
use taxiway_decide::{plan, preflight};
use taxiway_model::document::{self, init};
use taxiway_model::ids::{Digest, StepName, StreamId, VersionName};
use taxiway_model::normal::Normal;
use taxiway_model::plan::{Plan, Step};
use taxiway_model::service::{Provenance, Version};
use taxiway_model::weight::WeightBp;

/// Whether it warns that even a healthy canary may have to ask a person.
pub(super) fn asks(steps: &[(u16, usize)], normal: Option<&Normal>) -> bool {
    preflight::start_warnings(&released_by(steps), normal)
        .iter()
        .any(|warning| warning.contains("ask a person"))
}

/// The plan of a release by these steps, with the rest as a small description has it.
fn released_by(steps: &[(u16, usize)]) -> Plan {
    let mut spec = document::read(init::SMALLEST.as_bytes(), "/")
        .expect("the smallest description is one that can be read");
    let everyone = spec.strategy.steps.last().cloned().expect("a strategy has steps");
    let compared = steps.iter().map(|(bp, seconds)| Step {
        name: StepName::new(format!("canary-{bp}")).expect("a short valid name"),
        weight: WeightBp::new(*bp).expect("a share of the traffic"),
        bake_ms: *seconds as u64 * 1_000,
        analysis: true,
        ..everyone.clone()
    });
    let steps: Vec<Step> = compared.chain([everyone.clone()]).collect();
    spec.strategy.steps = steps;
    let name = |name: &str| VersionName::new(name).expect("a short valid name");
    let mut state =
        Environment::new(StreamId { service: spec.name.clone(), environment: spec.environment.clone() });
    state.stable = Some(name("v1"));
    let version = Version {
        name: name("v2"),
        digest: Digest::of(b"v2"),
        target: spec.target.clone(),
        provenance: Provenance::default(),
    };
    plan::resolve(&spec, version, &state)
}
