//! The HTTP API of the resident process: JSON in and out, and a stream of JSON lines.
//!
//! Turns requests into commands of the engine and the engine's state into the values of
//! [`taxiway_api`]. It must never decide anything, and never touch a process, a socket of the
//! proxy or the database itself: what it needs beyond the engine it asks of its [`House`].
//! Read [`desk`] first.

pub mod desk;
mod explain;
mod feedback;
mod history;
pub mod hooks;
mod log;
mod problems;
mod retry;
mod routes;
mod sentence;
mod status;
mod targets;
mod updates;

pub use desk::{Desk, House};
pub use routes::serve;
