//! The normal profile: how the running version answers before a release touches anything (R4.2).
//!
//! It is put on record before the first step, so that the judge's choice of tests, which may rest
//! on the past but never on the canary, is made again the same when the log is replayed.

use crate::evidence::Classes;
use serde::{Deserialize, Serialize};

/// What the running version answered over some recent time with no release in flight.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normal {
    /// How long it was watched, in milliseconds.
    pub span_ms: u64,
    /// What was answered, by endpoint class.
    pub classes: Classes,
    /// How much more the number of failed requests varies from window to window than independent
    /// requests would, in thousandths (Pearson's X² over its degrees of freedom); none: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_dispersion_milli: Option<u64>,
    /// The same of the number of slow requests (beyond the profile's p95).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_dispersion_milli: Option<u64>,
    /// How many instances answered.
    #[serde(default)]
    pub instances: u32,
    /// How far the instances' rates of failure lie apart beyond chance: the standard deviation of
    /// their logarithm, in thousandths; none: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_noise_milli: Option<u64>,
}
