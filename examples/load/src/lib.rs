//! An open-loop load generator: requests are due at a fixed rate whether or not earlier ones were answered, and a
//! late answer counts from the moment its request was due, so that a stalled server cannot hide its stall.
//!
//! It loads this machine only; any other address is refused. Start with [`run`].

mod connection;
pub mod latency;
mod plan;
mod report;
mod run;

pub use plan::{Mix, Plan, PlanError};
pub use report::{Outcome, Quantiles, Report, Tally, VersionReport};
pub use run::{Second, run};
