//! Metrics by query: taking PromQL apart, and asking a Prometheus that is well or is not.

mod faults;
mod hosted;
mod local;
#[cfg(feature = "moto")]
mod moto;
mod promql;
mod real;
mod world;
