//! Release logic by scenario: given, observe, tick, expect. One binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod canary;
mod checks;
mod feedback;
mod fresh;
mod means;
mod measures;
mod numbers;
mod people;
mod properties;
mod rules;
mod strategies;
mod trouble;
mod world;
