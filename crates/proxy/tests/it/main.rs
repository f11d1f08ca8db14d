//! The proxy over real sockets on loopback.

mod routing;
mod serving;
mod split;
mod world;
