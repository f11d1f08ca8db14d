//! The words of Taxiway: ids, counts, routes, plans, events, commands, observations.
//!
//! Pure data and its serialised form. This crate must never know a clock, a socket, a thread or a
//! database. Read [`event`] first: whatever happens is one of those.

pub mod command;
pub mod control;
pub mod counts;
pub mod decision;
pub mod document;
pub mod event;
pub mod evidence;
pub mod feedback;
pub mod forecast;
pub mod ids;
pub mod metrics;
pub mod normal;
pub mod observation;
pub mod plan;
pub mod policy;
pub mod presets;
pub mod record;
pub mod route;
pub mod service;
pub mod signals;
pub mod time;
pub mod verdict;
pub mod weight;
