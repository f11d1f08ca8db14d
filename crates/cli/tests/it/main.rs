//! The binary as its users see it: real processes, real sockets, real traffic on this machine.

mod bed;
mod chaos;
mod crashes;
mod demo;
mod input;
mod life;
mod reference;
mod releases;
