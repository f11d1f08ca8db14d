//! Sources of metrics by query.
//!
//! [`promql`] takes queries apart when a release is planned; [`prometheus`] asks them while it is
//! in flight, beside the engine, and keeps the newest answer.

mod answer;
mod count;
pub mod prometheus;
pub mod promql;
