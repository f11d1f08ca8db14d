//! Release logic by scenario: given, observe, tick, expect. One binary.

mod canary;
mod checks;
mod people;
mod properties;
mod strategies;
mod trouble;
mod world;
