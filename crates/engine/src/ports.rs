//! What the engine needs of the world. Every port is synchronous and bounded in time: an
//! implementation answers within its deadline or fails, it never waits for a person.

pub mod checks;
pub mod clock;
pub mod log;
pub mod metrics;
pub mod traffic;
pub mod workload;
