//! Metrics by query: taking PromQL apart, and asking a Prometheus that is well or is not.

mod emulated;
mod faults;
mod hosted;
mod local;
mod promql;
mod real;
mod world;
