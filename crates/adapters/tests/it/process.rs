//! The supervisor with real processes.

mod adoption;
mod lifecycle;
mod limits;
pub(crate) mod role;
mod stopping;
pub(crate) mod supervised;
mod trouble;
