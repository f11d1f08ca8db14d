//! The simulator's tests, one binary: many seeds, and a crash at every boundary.

mod crash_points;
mod seeds;
