//! The plans, as a user's `taxiway.yaml` has them.

use taxiway_model::document::{self, init};
use taxiway_model::ids::{Digest, VersionName};
use taxiway_model::service::{Provenance, ServiceSpec, Version};

/// A description of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// The preset `canary`: 1, 5, 25 and 100 % for 5, 5, 10 and 30 minutes.
    Canary,
    /// The same with `analysis: {harm_budget: 100}`: where evidence does not suffice, more weight before a person.
    Budget,
    /// One hour at 5 %, then everything.
    Hour,
    /// The demo's: 10 % for 6 s, 50 % for 5 s, 100 % for 3 s.
    Demo,
}

/// The description in the repository that `taxiway demo` writes.
const DEMO: &str = include_str!("../../../../examples/shop/taxiway.yaml");

/// What is added to the smallest description.
const BUDGET: &str = "analysis:\n  harm_budget: 100\n";
const HOUR: &str = "strategy:\n  steps:\n    - {name: canary-5, weight: 5%, bake: 1h}\n    - {name: everyone, weight: 100%, bake: 1m}\n";

impl Plan {
    /// Its name in the output.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Budget => "canary, harm budget 100",
            Self::Hour => "one hour at 5 %",
            Self::Demo => "demo",
        }
    }

    /// What the product reads in the file; `late` gives the demo's first step the time that its scenario has.
    pub(super) fn spec(self, late: bool) -> ServiceSpec {
        let text = match self {
            Self::Canary => init::SMALLEST.to_owned(),
            Self::Budget => format!("{}{BUDGET}", init::SMALLEST),
            Self::Hour => format!("{}{HOUR}", init::SMALLEST),
            Self::Demo if late => DEMO.replace("weight: 10%, bake: 6s", "weight: 10%, bake: 50s"),
            Self::Demo => DEMO.to_owned(),
        };
        document::read(text.as_bytes(), "/").expect("a description that can be read")
    }
}

/// A version of the service.
pub(super) fn version(spec: &ServiceSpec, name: &str) -> Version {
    Version {
        name: VersionName::new(name).expect("a short valid name"),
        digest: Digest::of(name.as_bytes()),
        target: spec.target.clone(),
        provenance: Provenance::default(),
    }
}
