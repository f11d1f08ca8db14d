//! Smoke tests and hooks against real servers and with real commands.

pub(crate) mod commands;
pub(crate) mod https;
mod requests;
mod room;
