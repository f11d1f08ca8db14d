//! The simulator's tests, one binary: many seeds, a crash at every boundary, and sources of metrics that fail.

mod crash_points;
mod seeds;
mod sources;
