//! The real engine in a fake world under virtual time: faults, crashes between any two effects,
//! two leaders, people. A seed is a run, bit by bit; [`invariant::Invariant`] is what must hold.
//!
//! Read [`scenario`] for what can happen and [`run`] for how it is driven.

pub mod behaviour;
pub mod command;
mod hearing;
pub mod invariant;
mod random;
mod router;
pub mod run;
pub mod scenario;
mod seat;
pub mod source;
mod step;
mod target;
mod witness;
pub mod world;
