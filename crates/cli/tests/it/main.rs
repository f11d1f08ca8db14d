//! The binary as its users see it: real processes, real sockets, real traffic on this machine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bed;
mod by_query;
mod chaos;
mod crashes;
mod demo;
mod fresh;
mod holdback;
mod hooks;
mod input;
mod judge;
mod life;
mod means;
mod measures;
mod peers;
mod preflight;
mod reference;
mod releases;
mod sources;
