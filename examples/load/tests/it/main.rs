//! The generator against a server whose answers are known.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod program;
mod runs;
mod server;
