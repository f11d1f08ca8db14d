//! Versions as processes of this machine (R3.4): the supervisor.
//!
//! It is told what shall run ([`Workload::apply`]) and makes it so, again and again, on a thread of its own: it starts
//! instances on free ports, asks whether they are ready and well, restarts what crashed after a growing wait, holds
//! their memory and CPU, and stops what is not wanted, first with SIGTERM, then with SIGKILL, with everything it has
//! started. Instances are not its children in spirit: they write to files and live on when it dies; its successor finds
//! them by process id, start time and boot id, and by a mark in their environment should even that be lost.
//!
//! Read `world` first (the round), then `slot` (one instance).

mod adopt;
mod artifact;
mod command;
mod limits;
mod output;
mod ports;
mod probe;
mod problem;
mod slot;
mod start;
mod state;
mod supervisor;
mod usage;
mod world;

pub use limits::{InForce, Mechanism};
pub use problem::Problem;
pub use supervisor::{Config, Error, OnChange, Supervisor};
