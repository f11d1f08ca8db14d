//! What a release can be expected to see before it starts (R4.7). Plain values: who makes them is
//! `decide`, who shows them is a view.

use crate::weight::WeightBp;
use serde::{Deserialize, Serialize};

/// What can be said before the start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Forecast {
    /// The traffic it reckons with; none when nobody knows any.
    pub traffic: Option<Traffic>,
    /// The regression that is asked about, in basis points of the baseline's value (20,000 is twice).
    pub wanted_bp: u32,
    /// What each step can see.
    pub steps: Vec<StepForecast>,
    /// What each endpoint class gets on the first step with traffic.
    pub endpoints: Vec<EndpointForecast>,
    /// What a fresh baseline costs on each step that compares with one; empty without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fresh: Vec<FreshPrice>,
    /// What to be warned of, and what to change.
    pub warnings: Vec<String>,
}

/// The price of a fresh baseline on a step. Pairs are with it, and with all that runs instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreshPrice {
    /// The step.
    pub name: String,
    /// Instances beyond those that run anyway.
    pub instances: u32,
    /// Their share of the traffic.
    pub weight: WeightBp,
    /// As [`StepForecast::detectable_bp`].
    pub detectable_bp: [Option<u64>; 2],
    /// As [`StepForecast::exclude_ms`].
    pub exclude_ms: [Option<u64>; 2],
    /// As [`StepForecast::wanted_ms`].
    pub wanted_ms: [Option<u64>; 2],
}

/// The traffic of the service as the forecast takes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// How long it was watched; zero when a person gave the figures.
    pub span_ms: u64,
    /// Requests per second, in thousandths.
    pub rps_milli: u64,
    /// Share of failed requests, parts per million.
    pub base_ppm: u64,
    /// The latency that 95 % of the requests keep, in microseconds; none when not known.
    pub p95_us: Option<u64>,
    /// How clustered failures are, in thousandths (1,000: independent); evidence counts for so much less.
    pub error_dispersion_milli: u64,
    /// How clustered slow requests are, likewise.
    pub slow_dispersion_milli: u64,
    /// How far instances lie apart, in thousandths; none when not known.
    pub instance_noise_milli: Option<u64>,
}

/// What one step can see, together with the steps before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepForecast {
    /// Its name.
    pub name: String,
    /// Its share.
    pub weight: WeightBp,
    /// Its time.
    pub bake_ms: u64,
    /// Requests the canary gets in that time.
    pub canary_requests: u64,
    /// Whether it compares the canary with a live baseline.
    pub compared: bool,
    /// The smallest error rate of the canary that is found by the end of this step with 90 % power,
    /// parts per million; none when even total failure is not.
    pub detectable_ppm: Option<u64>,
    /// The same as a ratio to the baseline's rate, in basis points.
    pub detectable_bp: Option<u64>,
    /// How many times as slow the canary must be to be found likewise, in basis points; none when
    /// latency is not compared, not known, or not even five times as slow would be.
    pub slower_bp: Option<u64>,
    /// Requests that fail before that is found, beyond the baseline's.
    pub harm_requests: Option<u64>,
    /// Evidence time after which a healthy canary may pass: it has excluded what the step must
    /// exclude; zero where a step before it has. None where nothing must be.
    pub exclude_ms: Option<u64>,
    /// Time on this step alone in which the wanted regression is found with 90 % power; none when
    /// it never is.
    pub wanted_ms: Option<u64>,
    /// The weight with which this step alone would find the wanted regression in its time; none when
    /// no weight would.
    pub wanted_weight: Option<WeightBp>,
}

/// What an endpoint class gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointForecast {
    /// Its name.
    pub class: String,
    /// Its share of the baseline's requests, in basis points.
    pub share_bp: u64,
    /// Requests of it that the canary gets on the first step with traffic.
    pub canary_requests: u64,
}
