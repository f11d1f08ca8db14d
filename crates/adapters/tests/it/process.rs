//! The supervisor with real processes.

mod adoption;
mod lifecycle;
mod limits;
mod role;
mod stopping;
mod supervised;
mod trouble;
