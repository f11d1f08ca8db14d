//! The proxy over real sockets on loopback.

mod protocols;
mod routing;
mod serving;
mod split;
mod world;
