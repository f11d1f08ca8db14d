//! Sources of metrics by query.
//!
//! [`promql`] takes queries apart when a release is planned; [`ask`] puts them to their sources
//! while it is in flight, beside the engine, and keeps what [`frame`] counts of the answers. Every
//! source is a file that builds a question and reads an answer.

pub mod answer;
mod ask;
mod buckets;
mod cloudwatch;
mod command;
mod count;
mod csv;
mod datadog;
mod exchange;
pub mod frame;
mod graphite;
mod influxdb;
mod json;
mod logs;
mod moments;
mod newrelic;
mod otlp;
mod probe;
pub mod prometheus;
pub mod promql;
mod sigv4;

pub use ask::Sources;
pub use exchange::Failure;
pub use probe::{Found, Probed, probe};
