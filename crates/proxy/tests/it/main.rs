//! The proxy over real sockets on loopback.

mod serving;
mod world;
