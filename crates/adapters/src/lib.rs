//! What Taxiway drives in the world: one file or folder per system behind the engine's ports.
//!
//! Adapters never meet each other; the binary joins them.

pub mod checks;
mod child;
mod http;
pub mod metrics;
mod proc;
pub mod traffic;
pub mod workload;
