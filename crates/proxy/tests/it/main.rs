//! The proxy over real sockets on loopback.

mod downgrade;
mod process;
mod protocols;
mod routing;
mod serving;
mod smuggling;
mod split;
mod takeover;
mod world;
