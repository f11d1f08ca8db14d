//! The proxy over real sockets on loopback.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod downgrade;
mod limits;
mod operating;
mod process;
mod protocols;
mod routing;
mod serving;
mod smuggling;
mod split;
mod takeover;
mod world;
