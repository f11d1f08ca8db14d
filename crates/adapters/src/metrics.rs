//! Sources of metrics by query.

pub mod promql;
