//! The engine against fake ports whose calls are written down in order. One binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod footing;
mod normal;
mod way_back;
mod world;
