//! Smoke tests and hooks: HTTP requests and commands, each with a time limit and its answer kept as evidence.
//!
//! A check runs at least once. An attempt is known by its effect id and number; asking for one that runs or has ended
//! begins nothing, also after a restart, because what ended is on disk. An attempt that was running when this process
//! died is forgotten, and its processes are ended by the successor: the engine asks for it again under the same id,
//! which the check sees as `Idempotency-Key` or `TAXIWAY_EFFECT`.

mod evidence;
mod run;
mod runner;

pub use evidence::Evidence;
pub use runner::{Config, Error, OnEnd, Runner};
