//! The adapters against real processes and sockets of this machine.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod checks;
mod metrics;
mod process;
