//! Routers that split the traffic.

pub mod builtin;
