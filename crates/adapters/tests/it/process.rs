//! The supervisor with real processes.

mod adoption;
mod crash_points;
mod lifecycle;
mod limits;
pub(crate) mod role;
mod stopping;
pub(crate) mod supervised;
mod trouble;
