//! The engine: loads a stream, observes the world, lets `decide` choose, checks, appends, executes.

pub mod ports;
