//! The words of Taxiway: ids, counts, routes, plans, events, commands, observations.
//!
//! Pure data and its serialised form. This crate must never know a clock, a socket, a thread or a
//! database. Read [`event`] first: whatever happens is one of those.

pub mod control;
pub mod counts;
pub mod ids;
pub mod metrics;
pub mod route;
pub mod time;
pub mod weight;
pub mod record;
pub mod evidence;
pub mod plan;
pub mod policy;
pub mod service;
pub mod verdict;
pub mod command;
pub mod decision;
pub mod event;
pub mod observation;
pub mod document;
pub mod presets;
